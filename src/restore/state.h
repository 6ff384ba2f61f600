// restore.json: what a restore in this folder is of, and how far it is, so that it can be taken up again and nobody
// serves half of it. Replaced whole, durable when Write returns; removed as the last act of a restore.
#pragma once

#include <optional>
#include <string>

#include "base/id.h"
#include "base/status.h"
#include "base/types.h"
#include "env/file.h"
#include "restore/restore.h"

namespace tidemark::restore {

struct State {
  // What is asked for; a later call has to ask for the same.
  std::string archive;
  std::string target;
  std::optional<Timeline> asked_timeline;
  ExpiryMode expiry = ExpiryMode::kFreeze;
  bool continue_cluster = false;

  // What was decided at the beginning.
  Id128 source_cluster{};
  Timeline timeline;
  std::string base;  // key; empty: from the log's origin
  uint64_t begun_micros = 0;

  enum class Step { kBase, kLog, kFinish } step = Step::kBase;

  // From kFinish on: what was reached, and what the new timeline is.
  struct End {
    Lsn lsn;
    uint32_t last_crc = 0;
    Timestamp last_record;
    Timestamp reached;
    Timeline on;  // of the last record
    uint64_t short_micros = 0;
    uint64_t short_bytes = 0;
    Timeline new_timeline;
    Id128 new_timeline_id{};
    Id128 new_cluster{};
  };
  End end;
};

inline constexpr std::string_view kStateFile = "restore.json";

std::string EncodeState(const State& state);
// DATA_LOSS when malformed, FAILED_PRECONDITION for one from a newer release.
absl::StatusOr<State> DecodeState(std::string_view text);

// nullopt when there is none.
absl::StatusOr<std::optional<State>> ReadState(FileSystem& fs, const std::string& folder);
absl::Status WriteState(FileSystem& fs, const std::string& folder, const State& state);

}  // namespace tidemark::restore
