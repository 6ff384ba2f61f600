// Carrying a plan out, step by step; restore.json is written before each step that must not be begun from the front
// again.
#include <algorithm>
#include <string>
#include <utility>

#include "archive/lease.h"
#include "archive/log_reader.h"
#include "format/log_format.h"
#include "kv/store.h"
#include "restore/finish.h"
#include "restore/replay.h"
#include "restore/restore.h"
#include "restore/state.h"

namespace tidemark::restore {
namespace {

// What may stand in a folder that counts as empty: the lock of a server or restore that ended, restore.json in the
// making, and what the system puts into the root of a disk.
bool MayStand(const std::string& name) {
  return name == "LOCK" || name == "lost+found" || name.starts_with(kStateFile);
}

absl::StatusOr<bool> IsEmpty(FileSystem& fs, const std::string& folder) {
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(folder));
  return std::all_of(names.begin(), names.end(), MayStand);
}

class Restorer {
 public:
  Restorer(FileSystem& fs, Clock& clock, objstore::ObjectStore& archive, const Target& target, const Plan& plan,
           const Options& options, Progress* progress)
      : fs_(fs),
        clock_(clock),
        archive_(archive),
        target_(target),
        plan_(plan),
        options_(options),
        progress_(progress) {}

  absl::StatusOr<Result> Run(const archive::Catalog& catalog) {
    TM_RETURN_IF_ERROR(fs_.CreateFolder(options_.folder));
    TM_ASSIGN_OR_RETURN(const std::shared_ptr<void> lock, fs_.Lock(options_.folder + "/LOCK"));
    TM_RETURN_IF_ERROR(Begin(catalog));
    TakeLease();
    if (state_.step == State::Step::kBase) TM_RETURN_IF_ERROR(DownloadTheBase());
    TM_ASSIGN_OR_RETURN(const std::unique_ptr<kv::Store> store,
                        kv::Store::Open(FillingStore(options_.folder + "/store", options_.memory)));
    bool whole = false;
    while (!whole) {
      progress_->step = Progress::Step::kLog;
      if (state_.step == State::Step::kLog) TM_RETURN_IF_ERROR(ApplyLog(*store));
      progress_->step = Progress::Step::kFinish;
      TM_ASSIGN_OR_RETURN(whole, FenceBehindAll());
    }
    return Finish(*store);
  }

 private:
  absl::Status Begin(const archive::Catalog& catalog) {
    TM_ASSIGN_OR_RETURN(const std::optional<State> begun, ReadState(fs_, options_.folder));
    state_ = Wanted(catalog);
    if (begun) return GoOn(*begun);
    TM_ASSIGN_OR_RETURN(const bool empty, IsEmpty(fs_, options_.folder));
    if (!empty) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "{} is not empty{}: name a folder that is, or that does not exist yet", options_.folder,
                    options_.resume ? " and holds no restore that could go on" : "");
    }
    TM_RETURN_IF_ERROR(CheckRoom());
    state_.begun_micros = clock_.WallMicros();
    return WriteState(fs_, options_.folder, state_);
  }

  State Wanted(const archive::Catalog& catalog) const {
    State state;
    state.archive = archive_.display_uri();
    state.target = FormatTarget(target_);
    state.asked_timeline = target_.timeline;
    state.expiry = options_.expiry;
    state.continue_cluster = options_.continue_cluster;
    if (catalog.identity) state.source_cluster = catalog.identity->cluster_id;
    state.timeline = plan_.timeline;
    if (plan_.base) state.base = plan_.base->key;
    return state;
  }

  absl::Status GoOn(const State& begun) {
    if (!options_.resume) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "{} holds a restore of {} to {} that was begun and not completed: --resume goes on with it; to "
                    "begin another one, empty the folder",
                    options_.folder, begun.archive, begun.target);
    }
    const auto differs = [&](std::string_view what, std::string_view was, std::string_view is) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "the restore in {} was begun with {} {}, which --resume cannot change to {}: empty the folder to "
                    "begin another one",
                    options_.folder, what, was, is);
    };
    if (begun.archive != state_.archive) return differs("--from", begun.archive, state_.archive);
    if (begun.target != state_.target) return differs("--to", begun.target, state_.target);
    if (begun.asked_timeline != state_.asked_timeline) {
      const auto text = [](const std::optional<Timeline>& timeline) {
        return timeline ? fmt::format("{}", timeline->value) : std::string("not given");
      };
      return differs("--timeline", text(begun.asked_timeline), text(state_.asked_timeline));
    }
    if (begun.expiry != state_.expiry) {
      return differs("--expiry", ExpiryModeName(begun.expiry), ExpiryModeName(state_.expiry));
    }
    if (begun.continue_cluster != state_.continue_cluster) {
      return differs("--continue-cluster", begun.continue_cluster ? "on" : "off",
                     begun.continue_cluster ? "off" : "on");
    }
    if (begun.source_cluster != state_.source_cluster) {
      return differs("the archive of cluster", IdToHex(begun.source_cluster), IdToHex(state_.source_cluster));
    }
    if (begun.base != state_.base || begun.timeline != state_.timeline) {
      return differs("the base", begun.base.empty() ? "none" : begun.base, state_.base.empty() ? "none" : state_.base);
    }
    state_ = begun;
    return absl::OkStatus();
  }

  absl::Status CheckRoom() const {
    const absl::StatusOr<uint64_t> free = fs_.FreeBytes(options_.folder);
    if (!free.ok() || *free >= plan_.base_bytes) return absl::OkStatus();
    return Errorf(absl::StatusCode::kResourceExhausted, "the base alone takes {} MiB, and {} has {} MiB free",
                  plan_.base_bytes >> 20, options_.folder, *free >> 20);
  }

  // An archive that may only be read can be restored all the same.
  void TakeLease() {
    absl::StatusOr<std::unique_ptr<archive::ArchiveLease>> lease =
        archive::ArchiveLease::Take(archive_, clock_, archive::ArchiveLease::Kind::kWork, NeedsOf(plan_));
    if (lease.ok()) {
      lease_ = *std::move(lease);
    } else {
      options_.report(
          fmt::format("no lease could be put into the archive, so retention may delete what is being read: "
                      "{}",
                      Message(lease.status())));
    }
  }

  absl::Status DownloadTheBase() {
    if (plan_.manifest) {
      progress_->step = Progress::Step::kBase;
      archive::BaseOptions base_options;
      base_options.jobs = options_.jobs;
      base_options.codec.keys = options_.keys;
      TM_RETURN_IF_ERROR(
          archive::DownloadBase(archive_, *plan_.manifest, options_.folder + "/store", base_options, &progress_->base));
    }
    state_.step = State::Step::kLog;
    return WriteState(fs_, options_.folder, state_);
  }

  absl::Status ApplyLog(kv::Store& store) {
    if (plan_.manifest && store.persisted() < plan_.manifest->name.lsn) {
      return Errorf(absl::StatusCode::kDataLoss, "the base {} says it is at LSN {}, but its files are at LSN {}",
                    plan_.base->key, plan_.manifest->name.lsn.value, store.persisted().value);
    }
    archive::LogReaderOptions reader;
    reader.jobs = options_.jobs;
    reader.memory = ReaderMemory(options_.memory);
    reader.keys = options_.keys;
    reader.cluster_id = state_.source_cluster;
    reader.on_bytes = [this](uint64_t stored, uint64_t) { progress_->log_bytes += stored; };
    TM_ASSIGN_OR_RETURN(ReplayOutcome outcome, ReplayLog(store, archive_, plan_, target_, reader, progress_));
    records_ += outcome.records;
    if (state_.continue_cluster && target_.kind == Target::Kind::kLatest) {
      TM_RETURN_IF_ERROR(CatchUp(store, reader, &outcome));
    }
    if (store.persisted() != outcome.last.end && outcome.last.end > format::kFirstLsn) {
      return Errorf(absl::StatusCode::kInternal, "the store is at LSN {} after applying the log up to LSN {}",
                    store.persisted().value, outcome.last.end.value);
    }
    return DecideEnd(outcome.last);
  }

  // Who goes on as the same cluster adopts all that the archive has, also what came while he was restoring.
  absl::Status CatchUp(kv::Store& store, const archive::LogReaderOptions& reader, ReplayOutcome* outcome) {
    while (true) {
      TM_ASSIGN_OR_RETURN(archive::Catalog now, archive::Catalog::Load(archive_, /*with_files=*/false));
      const archive::Stretch more = FollowAndForgetTheRest(outcome->last.end, &now);
      if (more.to <= outcome->last.end) return absl::OkStatus();
      Target pinned = target_;
      pinned.timeline = state_.timeline;
      TM_ASSIGN_OR_RETURN(const Plan plan, MakePlan(archive_, now, pinned, state_.base));
      TM_ASSIGN_OR_RETURN(*outcome, ReplayLog(store, archive_, plan, target_, reader, progress_));
      records_ += outcome->records;
    }
  }

  // What follows `from` on the timeline that is restored. Objects beyond a hole were on their way beside the one that
  // is missing: whoever sent them has told nobody that they are there. They are taken out of `catalog`.
  archive::Stretch FollowAndForgetTheRest(Lsn from, archive::Catalog* catalog) const {
    const archive::Stretch stretch = catalog->Follow(state_.timeline, from, Lsn{UINT64_MAX});
    std::erase_if(catalog->log[state_.timeline],
                  [&](const archive::LogEntry& entry) { return entry.name.first > stretch.to; });
    return stretch;
  }

  // Who wrote there says yes only when a look after the upload has shown no newer timeline. So what he said yes to
  // before our fence stood is seen by a look after it; and it is part of the cluster that goes on. False when there is
  // such log: it is to be applied, and a further timeline to be begun behind it. The one that stands in the archive by
  // then has no log and never will have.
  absl::StatusOr<bool> FenceBehindAll() {
    if (!state_.continue_cluster) return true;
    TM_RETURN_IF_ERROR(Fence(fs_, archive_, options_.folder, &state_));
    if (target_.kind != Target::Kind::kLatest) return true;
    TM_ASSIGN_OR_RETURN(archive::Catalog now, archive::Catalog::Load(archive_, /*with_files=*/false));
    const Lsn late = FollowAndForgetTheRest(state_.end.lsn, &now).to;
    if (late <= state_.end.lsn) return true;
    options_.report(
        fmt::format("while this cluster was fenced off, timeline {} was written on from lsn:{:x} to lsn:{:x}: that is "
                    "adopted too, and timeline {} stays empty",
                    state_.timeline.value, state_.end.lsn.value, late.value, state_.end.new_timeline.value));
    state_.step = State::Step::kLog;
    TM_RETURN_IF_ERROR(WriteState(fs_, options_.folder, state_));
    return false;
  }

  absl::Status DecideEnd(const LastRecord& last) {
    State::End& end = state_.end;
    end.lsn = std::max(last.end, format::kFirstLsn);
    end.last_crc = last.crc;
    end.last_record = last.timestamp;
    end.on = last.timeline;
    end.short_micros = plan_.short_micros;
    end.short_bytes = plan_.short_bytes;
    end.reached = std::max(MomentReached(target_, plan_, last.timestamp), last.timestamp);
    TM_RETURN_IF_ERROR(DecideTimeline(archive_, &state_));
    state_.step = State::Step::kFinish;
    return WriteState(fs_, options_.folder, state_);
  }

  absl::StatusOr<Result> Finish(kv::Store& store) {
    Result result;
    TM_ASSIGN_OR_RETURN(result.shifted_keys, WriteNewLog(fs_, clock_, store, options_.folder, state_));
    // The names of store and log are durable before that of restore.json goes.
    TM_RETURN_IF_ERROR(fs_.SyncFolder(options_.folder));
    TM_RETURN_IF_ERROR(fs_.Remove(fmt::format("{}/{}", options_.folder, kStateFile)));
    TM_RETURN_IF_ERROR(fs_.SyncFolder(options_.folder));
    const State::End& end = state_.end;
    result.reached_lsn = end.lsn;
    result.reached = end.reached;
    result.last_record = end.last_record;
    result.short_micros = end.short_micros;
    result.short_bytes = end.short_bytes;
    result.records = records_;
    result.timeline = end.new_timeline;
    result.cluster_id = IdToHex(end.new_cluster);
    return result;
  }

  FileSystem& fs_;
  Clock& clock_;
  objstore::ObjectStore& archive_;
  const Target& target_;
  const Plan& plan_;
  const Options& options_;
  Progress* const progress_;
  std::unique_ptr<archive::ArchiveLease> lease_;
  State state_;
  uint64_t records_ = 0;
};

}  // namespace

absl::StatusOr<Result> Run(FileSystem& fs, Clock& clock, objstore::ObjectStore& store, const archive::Catalog& catalog,
                           const Target& target, const Plan& plan, const Options& options, Progress* progress) {
  return Restorer(fs, clock, store, target, plan, options, progress).Run(catalog);
}

}  // namespace tidemark::restore
