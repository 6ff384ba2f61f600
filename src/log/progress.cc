#include "log/progress.h"

#include <algorithm>

#include "base/check.h"

namespace tidemark::log {

void Progress::Start(Lsn end) {
  appended_ = end.value;
  written_ = end.value;
  durable_ = end.value;
  requested_ = end.value;
}

void Progress::SetWritten(Lsn lsn) {
  written_.store(lsn.value, std::memory_order_seq_cst);
  // Pairs with WaitReadable: it counts itself first and looks at written second, so one of the two sees the other.
  // Who waits for durable bytes is not woken by written ones, and the sync is asked for once.
  const bool to_wake = waiting_for_written_.load(std::memory_order_seq_cst) != 0;
  const bool to_arm = waiting_for_durable_.load(std::memory_order_seq_cst) != 0 && !reader_sync_armed_.load();
  if (!to_wake && !to_arm) return;
  const std::lock_guard lock(mutex_);
  if (to_arm) ArmReaderSync();
  if (to_wake) moved_.notify_all();
}

void Progress::SetDurable(Lsn lsn) {
  const std::lock_guard lock(mutex_);
  TM_CHECK(lsn >= durable() && lsn <= written() && written() <= appended(), "durable {} -> {}, written {}, appended {}",
           durable().value, lsn.value, written().value, appended().value);
  durable_.store(lsn.value, std::memory_order_release);
  // The time counts anew: else syncs under load would follow each other without a pause.
  reader_due_.reset();
  reader_sync_armed_ = false;
  if (waiting_for_durable_.load(std::memory_order_seq_cst) != 0) ArmReaderSync();
  moved_.notify_all();
}

void Progress::RequestSync(Lsn position) {
  const std::lock_guard lock(mutex_);
  if (position.value <= requested_) return;
  requested_ = position.value;
  sync_due_.notify_one();
}

void Progress::Fail() {
  const std::lock_guard lock(mutex_);
  failed_ = true;
  moved_.notify_all();
  sync_due_.notify_all();
}

void Progress::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  moved_.notify_all();
  sync_due_.notify_all();
}

bool Progress::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

Progress::Wait Progress::WaitDurable(Lsn position) {
  std::unique_lock lock(mutex_);
  moved_.wait(lock, [&] { return durable() >= position || closed_ || failed_; });
  return durable() >= position ? Wait::kReached : Wait::kClosed;
}

void Progress::ArmReaderSync() {
  if (reader_due_ || written() <= durable()) return;
  reader_due_ = std::chrono::steady_clock::now() + kReaderSyncDelay;
  reader_sync_armed_ = true;
  sync_due_.notify_one();
}

Progress::Wait Progress::WaitReadable(Lsn position, bool to_written, std::chrono::milliseconds wait,
                                      const std::atomic<bool>& cancelled) {
  if (Readable(position, to_written)) return Wait::kReached;
  std::unique_lock lock(mutex_);
  std::atomic<uint64_t>& waiting = to_written ? waiting_for_written_ : waiting_for_durable_;
  waiting.fetch_add(1, std::memory_order_seq_cst);
  if (!to_written) ArmReaderSync();
  const auto done = [&] { return Readable(position, to_written) || cancelled || closed_; };
  // Longer than a year is for ever: adding it to the time now must not overflow.
  moved_.wait_for(lock, std::min<std::chrono::milliseconds>(wait, std::chrono::hours(24 * 365)), done);
  waiting.fetch_sub(1, std::memory_order_seq_cst);
  if (cancelled) return Wait::kCancelled;
  if (Readable(position, to_written)) return Wait::kReached;
  return closed_ ? Wait::kClosed : Wait::kTimedOut;
}

void Progress::WakeReaders() {
  const std::lock_guard lock(mutex_);
  moved_.notify_all();
}

bool Progress::WaitForSyncDue(std::optional<std::chrono::milliseconds> interval, SteadyTime last_sync) {
  std::unique_lock lock(mutex_);
  while (!closed_ && !failed_ && !interval_changed_) {
    const bool unsynced = written() > durable();
    if (unsynced && requested_ > durable().value) return true;
    std::optional<SteadyTime> due;
    if (unsynced && reader_due_) due = reader_due_;
    if (interval) {
      const SteadyTime now = std::chrono::steady_clock::now();
      SteadyTime tick = last_sync + *interval;
      // Nothing to sync at the tick: look again one interval later, since writes do not wake this thread.
      while (tick <= now && !unsynced) tick += std::max(*interval, std::chrono::milliseconds(1));
      due = due ? std::min(*due, tick) : tick;
    }
    if (due && unsynced && *due <= std::chrono::steady_clock::now()) return true;
    if (due) {
      sync_due_.wait_until(lock, *due);
    } else {
      sync_due_.wait(lock);
    }
  }
  interval_changed_ = false;
  return !closed_ && !failed_;
}

void Progress::WakeSyncThread() {
  const std::lock_guard lock(mutex_);
  interval_changed_ = true;
  sync_due_.notify_all();
}

}  // namespace tidemark::log
