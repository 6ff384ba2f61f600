#include "restore/finish.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "archive/catalog.h"
#include "engine/expiry_clock.h"
#include "engine/identity.h"
#include "env/random.h"
#include "format/write_batch.h"
#include "log/log.h"
#include "types/rows.h"

namespace tidemark::restore {
namespace {

constexpr int kFenceAttempts = 8;
// Keys whose expiry one record moves.
constexpr size_t kKeysAtOnce = 1000;
// Bytes appended before they are handed to the operating system.
constexpr uint64_t kWriteEvery = 4 << 20;

std::string Reason(const State& state) { return "restore to " + state.target; }

archive::TimelineHistory HistoryOf(const State& state) {
  return {.timeline = state.end.new_timeline,
          .id = state.end.new_timeline_id,
          .parent = state.end.on,
          .fork = state.end.lsn,
          .fork_timestamp = state.end.last_record,
          .cluster_id = state.source_cluster,
          .created_micros = state.begun_micros,
          .reason = Reason(state)};
}

// What is there under the name of the new timeline is our own, put by an attempt whose answer was lost.
absl::StatusOr<bool> IsOurs(objstore::ObjectStore& archive, const State& state) {
  TM_ASSIGN_OR_RETURN(const std::string json, archive.Get(format::TimelineKey(state.end.new_timeline)));
  TM_ASSIGN_OR_RETURN(const archive::TimelineHistory history, archive::DecodeTimeline(json));
  return history.id == state.end.new_timeline_id;
}

class NewLog {
 public:
  NewLog(FileSystem& fs, Clock& clock, kv::Store& store, std::string folder, const State& state)
      : fs_(fs), clock_(clock), store_(store), folder_(std::move(folder)), state_(state) {}

  absl::StatusOr<uint64_t> Write() {
    std::error_code failed;
    std::filesystem::remove_all(folder_, failed);
    if (failed) return ErrnoStatus(failed.value(), "remove " + folder_);
    log::LogOptions options;
    options.folder = folder_;
    options.background_threads = false;
    options.start = log::LogStart{.timeline = state_.end.new_timeline,
                                  .base = state_.end.lsn,
                                  .previous_crc = state_.end.last_crc,
                                  .last_timestamp = state_.end.last_record};
    TM_ASSIGN_OR_RETURN(log_, log::Log::Open(fs_, clock_, options, nullptr));
    TM_ASSIGN_OR_RETURN(const std::optional<Timestamp> stood_at, StoodAt());
    TM_RETURN_IF_ERROR(WriteFirstRecord(stood_at));
    uint64_t moved = 0;
    if (state_.expiry == ExpiryMode::kShift) {
      TM_ASSIGN_OR_RETURN(moved, MoveExpiries(stood_at.value_or(state_.end.reached)));
    }
    TM_RETURN_IF_ERROR(log_->SyncTo(log_->appended()));
    return moved;
  }

 private:
  // Where expiry stood still in the data restored: they had been restored themselves.
  absl::StatusOr<std::optional<Timestamp>> StoodAt() {
    TM_ASSIGN_OR_RETURN(const kv::Value row, store_.Get(engine::ExpiryClockRow().view(), kv::Tier::kDisk));
    if (!row) return std::nullopt;
    TM_ASSIGN_OR_RETURN(const Timestamp moment, engine::DecodeExpiryClock(row.view()));
    return moment;
  }

  absl::Status WriteFirstRecord(const std::optional<Timestamp>& stood_at) {
    // A new cluster's first timeline has no parent, though its number goes on: LSNs of two timelines never meet.
    engine::Identity identity{.cluster_id = state_.end.new_cluster,
                              .timeline = state_.end.new_timeline,
                              .timeline_id = state_.end.new_timeline_id,
                              .parent = state_.continue_cluster ? state_.end.on : Timeline{},
                              .fork = state_.end.lsn,
                              .fork_timestamp = state_.end.last_record,
                              .created_micros = state_.begun_micros,
                              .reason = Reason(state_)};
    batch_.Put(types::SystemRow("cluster").view(), engine::EncodeIdentity(identity));
    if (state_.expiry == ExpiryMode::kFreeze) {
      const Timestamp moment = std::min(state_.end.reached, stood_at.value_or(state_.end.reached));
      batch_.Put(engine::ExpiryClockRow().view(), engine::EncodeExpiryClock(moment));
    } else if (stood_at) {
      batch_.Delete(engine::ExpiryClockRow().view());
    }
    return Append();
  }

  // Moves every expiry, so that each key has as long to live from now on as it had at `since`.
  absl::StatusOr<uint64_t> MoveExpiries(Timestamp since) {
    if (state_.begun_micros <= since.micros) return 0;
    const uint64_t by_ms = (state_.begun_micros - since.micros) / 1000;
    const types::RowKey end = types::RowKey(types::RowSpace::kExpiry).PrefixEnd();
    std::string from(types::RowKey(types::RowSpace::kExpiry).view());
    uint64_t moved = 0;
    while (true) {
      std::vector<std::string> page;
      TM_RETURN_IF_ERROR(
          store_.Scan(from, end.view(), kKeysAtOnce, kv::Tier::kDisk, [&](std::string_view row, const kv::Value&) {
            page.emplace_back(row);
            return true;
          }));
      if (page.empty()) return moved;
      for (const std::string& row : page) {
        TM_ASSIGN_OR_RETURN(const bool has_moved, MoveExpiry(row, by_ms));
        moved += has_moved ? 1 : 0;
      }
      TM_RETURN_IF_ERROR(Append());
      from = page.back() + '\0';
    }
  }

  // False for a row whose key is gone or has another expiry by now, which is left to the sweeper.
  absl::StatusOr<bool> MoveExpiry(std::string_view row, uint64_t by_ms) {
    const auto parts = types::ParseExpiryRow(row);
    if (!parts || parts->expire_ms > UINT64_MAX - by_ms) return false;
    const types::RowKey key_row = types::KeyRow(parts->contents, parts->key);
    TM_ASSIGN_OR_RETURN(const kv::Value bytes, store_.Get(key_row.view(), kv::Tier::kDisk));
    if (!bytes) return false;
    TM_ASSIGN_OR_RETURN(types::KeyValue value, types::DecodeKeyValue(bytes.view()));
    if (value.expire_ms != parts->expire_ms) return false;
    value.expire_ms += by_ms;
    batch_.Delete(row);
    batch_.Put(types::ExpiryRow(value.expire_ms, parts->contents, parts->key).view(), {});
    batch_.Put(key_row.view(), types::EncodeKeyValue(value).view());
    return true;
  }

  absl::Status Append() {
    if (batch_.empty()) return absl::OkStatus();
    const std::string_view payload = batch_.Finish();
    TM_RETURN_IF_ERROR(log_->Reserve(payload.size()));
    // Later than all that the archive has closed, as the restore has got there.
    last_ = Timestamp{std::max({clock_.WallMicros(), last_.micros + 1, state_.end.reached.micros + 1})};
    log_->Append(last_, payload);
    if (log_->appended() - log_->written() > kWriteEvery) log_->Write();
    batch_.Clear();
    return absl::OkStatus();
  }

  FileSystem& fs_;
  Clock& clock_;
  kv::Store& store_;
  const std::string folder_;
  const State& state_;
  std::unique_ptr<log::Log> log_;
  format::WriteBatchBuilder batch_;
  Timestamp last_;
};

}  // namespace

absl::Status DecideTimeline(objstore::ObjectStore& archive, State* state) {
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(archive, /*with_files=*/false));
  const Timeline newest = std::max(catalog.newest_timeline(), state->timeline);
  state->end.new_timeline = Timeline{newest.value + 1};
  state->end.new_timeline_id = RandomId();
  state->end.new_cluster = state->continue_cluster ? state->source_cluster : RandomId();
  return absl::OkStatus();
}

absl::Status Fence(FileSystem& fs, objstore::ObjectStore& archive, const std::string& folder, State* state) {
  for (int attempt = 0; attempt < kFenceAttempts; ++attempt) {
    absl::Status put = archive.Put(format::TimelineKey(state->end.new_timeline),
                                   archive::EncodeTimeline(HistoryOf(*state)), objstore::PutCondition::kMustNotExist);
    if (!absl::IsAlreadyExists(put)) return put;
    TM_ASSIGN_OR_RETURN(const bool ours, IsOurs(archive, *state));
    if (ours) return absl::OkStatus();
    ++state->end.new_timeline.value;
    TM_RETURN_IF_ERROR(WriteState(fs, folder, *state));
  }
  return Errorf(absl::StatusCode::kAborted,
                "others make timelines in {} at the same time: find out who, and go on with --resume",
                archive.display_uri());
}

absl::StatusOr<uint64_t> WriteNewLog(FileSystem& fs, Clock& clock, kv::Store& store, const std::string& folder,
                                     const State& state) {
  return NewLog(fs, clock, store, folder + "/log", state).Write();
}

}  // namespace tidemark::restore
