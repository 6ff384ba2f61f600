// The positions of a log and who waits for them: the meeting point of appender, syncing thread and cursors. Shared by
// pointer, so that a cursor may outlive its log.
//
// Threads: all. The mutex guards what its comment names; it is never held over a system call.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/types.h"

namespace tidemark::log {

class Progress {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;

  // A reader that waits makes the next sync come within this time.
  static constexpr std::chrono::milliseconds kReaderSyncDelay{20};

  Lsn appended() const { return Lsn{appended_.load(std::memory_order_acquire)}; }
  Lsn written() const { return Lsn{written_.load(std::memory_order_seq_cst)}; }
  Lsn durable() const { return Lsn{durable_.load(std::memory_order_acquire)}; }

  // Everything up to `end` is on disk (at Open).
  void Start(Lsn end);
  void SetAppended(Lsn lsn) { appended_.store(lsn.value, std::memory_order_release); }
  void SetWritten(Lsn lsn);
  // Wakes everyone who waits for durable.
  void SetDurable(Lsn lsn);

  // Asks the syncing thread for `position`, now.
  void RequestSync(Lsn position);
  // No sync will ever come again: waiters give up.
  void Fail();
  // The log closes: waiters give up, the syncing thread ends.
  void Close();
  bool closed() const;

  enum class Wait { kReached, kTimedOut, kCancelled, kClosed };
  // Until durable ≥ position. kClosed also after Fail.
  Wait WaitDurable(Lsn position);
  // A cursor waits until durable (or written, if `to_written`) is above `position`.
  Wait WaitReadable(Lsn position, bool to_written, std::chrono::milliseconds wait, const std::atomic<bool>& cancelled);
  void WakeReaders();

  // The syncing thread's sleep: until a sync is due. `interval`: sync this often while written > durable, if set.
  // False when the log closes or has failed.
  bool WaitForSyncDue(std::optional<std::chrono::milliseconds> interval, SteadyTime last_sync);
  // Makes that sleep look at its interval again.
  void WakeSyncThread();

 private:
  bool Readable(Lsn position, bool to_written) const { return (to_written ? written() : durable()) > position; }
  void ArmReaderSync();

  // Apart from each other: one is written a million times a second, the others are read by everyone.
  alignas(64) std::atomic<uint64_t> appended_{0};
  alignas(64) std::atomic<uint64_t> written_{0};
  alignas(64) std::atomic<uint64_t> durable_{0};
  std::atomic<uint64_t> waiting_for_written_{0};
  std::atomic<uint64_t> waiting_for_durable_{0};
  std::atomic<bool> reader_sync_armed_{false};  // as reader_due_ says; written under mutex_

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  uint64_t requested_ = 0;
  std::optional<SteadyTime> reader_due_;
  bool closed_ = false;
  bool failed_ = false;
  bool interval_changed_ = false;
  std::condition_variable sync_due_;
  std::condition_variable moved_;
};

}  // namespace tidemark::log
