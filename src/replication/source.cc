#include "replication/source.h"

#include <algorithm>
#include <utility>

#include "format/log_format.h"
#include "log/peek.h"
#include "replication/join.h"

namespace tidemark::replication {
namespace {

constexpr std::chrono::milliseconds kHeartbeat{1000};
// How soon a hand-over is noticed where nothing is written.
constexpr std::chrono::milliseconds kLookEvery{50};
constexpr size_t kChunkBytes = 1 << 20;

std::string LeaseOf(const std::string& replica) { return "replica:" + replica; }

}  // namespace

History HistoryOf(const engine::Identity& identity) {
  History history;
  for (const engine::Ancestor& ancestor : identity.ancestors) {
    history.push_back({ancestor.timeline, ancestor.id, ancestor.fork});
  }
  history.push_back({identity.timeline, identity.timeline_id, identity.fork});
  return history;
}

// One replica. Its cursor outlives the log, and ends when that is closed.
class SourceSession final : public FeedSession {
 public:
  SourceSession(Source& source, Welcome welcome, std::string replica, std::unique_ptr<log::Cursor> cursor,
                std::shared_ptr<std::atomic<bool>> take_over)
      : source_(source),
        welcome_(std::move(welcome)),
        replica_(std::move(replica)),
        cursor_(std::move(cursor)),
        take_over_(std::move(take_over)) {}
  ~SourceSession() override {
    if (connection_ != 0) source_.replicas_.Disconnected(connection_);
    if (welcome_.snapshot && !installed_) source_.snapshots_.Release(welcome_.snapshot->id, /*done=*/false);
  }
  void set_connection(uint64_t connection) { connection_ = connection; }
  // For Replicas: may be called while the session goes.
  std::shared_ptr<log::Cursor> cursor() const { return cursor_; }

  const Welcome& welcome() const override { return welcome_; }

  absl::StatusOr<Chunk> Next() override {
    if (cursor_ == nullptr) return Errorf(absl::StatusCode::kCancelled, "there is nothing to stream");
    Chunk chunk;
    chunk.from = cursor_->position();
    const auto heartbeat = std::chrono::steady_clock::now() + kHeartbeat;
    std::chrono::milliseconds wait = kLookEvery;
    while (chunk.records.size() < kChunkBytes) {
      const absl::StatusOr<log::Record> record = cursor_->Next(wait);
      if (absl::IsDeadlineExceeded(record.status())) {
        const bool idle = chunk.records.empty() && !take_over_->load();
        if (idle && std::chrono::steady_clock::now() < heartbeat) continue;
        break;
      }
      TM_RETURN_IF_ERROR(record.status());
      chunk.records.append(record->raw);
      wait = std::chrono::milliseconds(0);
      sent_ = record->end;
    }
    const auto pin = source_.engine_.Pin();
    chunk.primary_end = source_.engine_.last_end();
    chunk.take_over = take_over_->load() && cursor_->position() >= chunk.primary_end;
    return chunk;
  }

  void Acknowledge(const Ack& ack) override {
    source_.replicas_.Acknowledged(connection_, ack);
    const auto pin = source_.engine_.Pin();
    // A broken lease is told in the log's notice and in LEASES; the replica streams on while the log has what it needs.
    source_.engine_.log().RaiseLease(LeaseOf(replica_), ack.durable).IgnoreError();
    if (welcome_.snapshot && !ack.loading && !std::exchange(installed_, true)) {
      source_.snapshots_.Release(welcome_.snapshot->id, /*done=*/true);
    }
  }
  void Cancel() override {
    if (cursor_ != nullptr) cursor_->Cancel();
  }

 private:
  Source& source_;
  const Welcome welcome_;
  const std::string replica_;
  const std::shared_ptr<log::Cursor> cursor_;
  const std::shared_ptr<std::atomic<bool>> take_over_;
  uint64_t connection_ = 0;
  Lsn sent_;
  bool installed_ = false;
};

Source::Source(engine::Engine& engine, FileSystem& fs, Clock& clock, Replicas& replicas, std::string node_id,
               const SourceOptions& options)
    : engine_(engine),
      replicas_(replicas),
      node_id_(std::move(node_id)),
      options_(options),
      snapshots_(engine, fs, clock, options.snapshots) {}

void Source::Close(const std::string& reason) {
  {
    const MutexLock lock(mutex_);
    closed_ = reason;
    take_over_.clear();
  }
  replicas_.DropAll();
}

void Source::Open() {
  const MutexLock lock(mutex_);
  closed_.clear();
}

void Source::LetGo() { snapshots_.RemoveAll(); }

void Source::SetPrimary(const std::string& node_id) {
  const MutexLock lock(mutex_);
  primary_ = node_id;
}

bool Source::HandOver(const std::string& replica) {
  const MutexLock lock(mutex_);
  const auto found = take_over_.find(replica);
  if (found == take_over_.end()) return false;
  *found->second = true;
  return true;
}

void Source::Tidy() {
  const auto pin = engine_.Pin();
  snapshots_.RemoveIdle();
  for (const log::Lease& lease : engine_.log().Leases()) {
    if (!lease.name.starts_with("replica:") || lease.broken.empty()) continue;
    const std::string id = lease.name.substr(8);
    options_.report(fmt::format("replication: the lease of replica {} was broken: {}", id, lease.broken));
    engine_.log().ReleaseLease(lease.name).IgnoreError();
    replicas_.Forget(id);
  }
}

absl::StatusOr<engine::Identity> Source::Identity() {
  std::optional<engine::Identity> identity;
  TM_RETURN_IF_ERROR(engine_.Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(identity, engine::ReadIdentity(txn));
    return absl::OkStatus();
  }));
  if (!identity) return Errorf(absl::StatusCode::kFailedPrecondition, "this node has no data yet");
  return *identity;
}

absl::Status Source::Admit(const Hello& hello) {
  if (hello.replica_id == node_id_) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "this is the node itself: it cannot follow itself");
  }
  const MutexLock lock(mutex_);
  if (!closed_.empty()) return Errorf(absl::StatusCode::kUnavailable, "not now: {}", closed_);
  if (!primary_.empty() && hello.replica_id == primary_) {
    return Errorf(absl::StatusCode::kUnavailable, "this node follows the one that asks");
  }
  return absl::OkStatus();
}

absl::StatusOr<Holdings> Source::Look(const Hello& hello, const engine::Identity& identity) {
  Holdings own;
  own.cluster_id = IdToHex(identity.cluster_id);
  own.history = HistoryOf(identity);
  own.oldest = engine_.log().oldest();
  own.end = engine_.last_end();
  own.archive = options_.has_archive();
  own.has_snapshot = !hello.snapshot.empty() && snapshots_.Has(hello.snapshot) && hello.staged >= own.oldest &&
                     hello.staged <= own.end;
  return own;
}

// The records before `at` are the same on both sides, as far as their CRCs tell.
bool Source::RecordsAgree(Lsn at, uint32_t last_crc) {
  if (last_crc == 0) return true;
  if (const log::Log::Tail tail = engine_.Tail(); tail.end == at) return tail.crc == last_crc;
  engine_.EndTurn();
  const absl::StatusOr<log::RecordPeek> next = log::PeekRecord(engine_.log(), at);
  return next.ok() && next->previous_crc == last_crc;
}

absl::Status Source::HoldLog(const std::string& replica, Lsn from) {
  return engine_.log().TakeLease({.name = LeaseOf(replica),
                                  .lease_class = log::LeaseClass::kBounded,
                                  .position = from,
                                  .max_bytes = options_.lease_max_bytes,
                                  .max_age_micros = options_.lease_max_age_micros});
}

absl::Status Source::FillFullSync(const Hello& hello, const Decision& decision, Welcome* welcome) {
  if (decision.resume) {
    welcome->snapshot = snapshots_.Resume(hello.snapshot);
    welcome->from = hello.staged;
  }
  if (!welcome->snapshot) {
    TM_ASSIGN_OR_RETURN(welcome->snapshot, snapshots_.Acquire(welcome->history));
    welcome->from = welcome->snapshot->lsn;
    if (replicas_.CountFullSync(hello.replica_id)) {
      options_.report(fmt::format("replication: replica {} needs a second full sync within ten minutes: {}",
                                  hello.replica_id, decision.reason));
    }
  }
  const absl::Status held = HoldLog(hello.replica_id, welcome->from);
  if (!held.ok()) snapshots_.Release(welcome->snapshot->id, /*done=*/false);
  return held;
}

absl::StatusOr<std::unique_ptr<FeedSession>> Source::Join(const Hello& hello, const std::string& peer) {
  TM_RETURN_IF_ERROR(Admit(hello));
  const auto pin = engine_.Pin();
  TM_ASSIGN_OR_RETURN(const engine::Identity identity, Identity());
  TM_ASSIGN_OR_RETURN(const Holdings own, Look(hello, identity));
  Decision decision = Decide(hello, own);
  if (decision.verdict == Verdict::kStream) {
    // Between the look and the hold the log may have been purged: then there is no stream.
    const absl::Status held = HoldLog(hello.replica_id, decision.from);
    const bool agree = held.ok() && RecordsAgree(decision.from, hello.last_crc);
    if (!agree) {
      decision = {.verdict = Verdict::kFullSync,
                  .from = {},
                  .resume = false,
                  .reason = held.ok() ? "the records before its position differ" : std::string(Message(held))};
    }
  }
  Welcome welcome{.verdict = decision.verdict,
                  .primary_id = node_id_,
                  .cluster_id = own.cluster_id,
                  .history = own.history,
                  .from = decision.from,
                  .snapshot = {},
                  .reason = decision.reason};
  if (decision.verdict == Verdict::kFullSync) TM_RETURN_IF_ERROR(FillFullSync(hello, decision, &welcome));
  if (decision.verdict == Verdict::kStream) replicas_.CountPartialSync();
  if (decision.verdict == Verdict::kArchive) {
    // What is there now stays until the replica has read up to it.
    TM_RETURN_IF_ERROR(HoldLog(hello.replica_id, decision.from));
    replicas_.CountArchiveCatchUp();
  }
  Endpoint address = hello.announced;
  if (address.host.empty()) address.host = peer;
  options_.report(fmt::format("replication: replica {} at {}:{}: {}{}{}", hello.replica_id, address.host, address.port,
                              decision.verdict == Verdict::kStream     ? "streams on"
                              : decision.verdict == Verdict::kFullSync ? "takes a snapshot"
                              : decision.verdict == Verdict::kCut      ? "has to cut its log"
                                                                       : "has to read the archive",
                              decision.reason.empty() ? "" : ": ", decision.reason));
  if (decision.verdict == Verdict::kCut || decision.verdict == Verdict::kArchive) {
    return std::make_unique<SourceSession>(*this, std::move(welcome), hello.replica_id, nullptr,
                                           std::make_shared<std::atomic<bool>>(false));
  }
  absl::StatusOr<std::unique_ptr<log::Cursor>> cursor = engine_.log().OpenCursor(welcome.from);
  if (!cursor.ok()) {
    if (welcome.snapshot) snapshots_.Release(welcome.snapshot->id, /*done=*/false);
    return cursor.status();
  }
  auto take_over = std::make_shared<std::atomic<bool>>(false);
  const bool loading = welcome.snapshot.has_value();
  auto session =
      std::make_unique<SourceSession>(*this, std::move(welcome), hello.replica_id, *std::move(cursor), take_over);
  {
    const MutexLock lock(mutex_);
    take_over_[hello.replica_id] = take_over;
  }
  session->set_connection(
      replicas_.Connected(hello.replica_id, address, loading, [cursor = session->cursor()] { cursor->Cancel(); }));
  return session;
}

absl::Status Source::ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                              absl::FunctionRef<absl::Status(const FilePart&)> give) {
  return snapshots_.ReadFile(snapshot, name, offset, give,
                             [this](uint64_t bytes) { replicas_.CountSnapshotBytes(bytes); });
}

}  // namespace tidemark::replication
