#include "replication/source.h"

#include <algorithm>
#include <utility>

#include "format/log_format.h"
#include "log/peek.h"
#include "replication/join.h"
#include "replication/staging.h"

namespace tidemark::replication {
namespace {

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
  // `cursor`: null when nothing is streamed.
  SourceSession(Source& source, Welcome welcome, std::string replica, std::unique_ptr<log::Cursor> cursor)
      : source_(source),
        welcome_(std::move(welcome)),
        replica_(std::move(replica)),
        cursor_(std::move(cursor)),
        sent_(welcome_.from.value),
        loading_(welcome_.snapshot.has_value()) {}
  ~SourceSession() override {
    if (connection_ != 0) source_.replicas_.Disconnected(connection_);
    if (welcome_.snapshot) source_.snapshots_.Release(welcome_.snapshot->id);
  }
  void set_connection(uint64_t connection) { connection_ = connection; }
  // For Replicas: may be called while the session goes.
  std::shared_ptr<log::Cursor> cursor() const { return cursor_; }

  const Welcome& welcome() const override { return welcome_; }

  absl::StatusOr<Chunk> Next() override {
    if (cursor_ == nullptr) return Errorf(absl::StatusCode::kCancelled, "there is nothing to stream");
    Chunk chunk;
    chunk.from = cursor_->position();
    // While files are on their way, the replica looks whether it has them all between two chunks.
    const auto patience = loading_ ? std::min(kLookEvery, source_.options_.heartbeat) : source_.options_.heartbeat;
    const auto heartbeat = std::chrono::steady_clock::now() + patience;
    std::chrono::milliseconds wait = std::min(kLookEvery, source_.options_.heartbeat);
    while (chunk.records.size() < kChunkBytes) {
      const absl::StatusOr<log::Record> record = cursor_->Next(wait);
      if (absl::IsDeadlineExceeded(record.status())) {
        const bool idle = chunk.records.empty() && !source_.IsHeir(replica_);
        if (idle && std::chrono::steady_clock::now() < heartbeat) continue;
        break;
      }
      TM_RETURN_IF_ERROR(record.status());
      chunk.records.append(record->raw);
      wait = std::chrono::milliseconds(0);
    }
    sent_ = cursor_->position().value;
    const auto pin = source_.engine_.Pin();
    chunk.primary_end = source_.engine_.last_end();
    chunk.take_over = source_.IsHeir(replica_) && cursor_->position() >= chunk.primary_end;
    return chunk;
  }

  void Acknowledge(const Ack& ack) override {
    // Nobody has what was not sent to him.
    loading_ = ack.loading;
    const Lsn sent{sent_};
    Ack true_ack = ack;
    for (Lsn* lsn : {&true_ack.written, &true_ack.durable, &true_ack.applied}) *lsn = std::min(*lsn, sent);
    source_.Acknowledged(replica_, connection_, true_ack);
    if (welcome_.snapshot && source_.snapshots_.Begun(welcome_.snapshot->id, replica_) &&
        source_.replicas_.CountFullSync(replica_)) {
      source_.options_.report(fmt::format("replication: replica {} needs a second full sync within ten minutes: {}",
                                          replica_, welcome_.reason));
    }
    if (welcome_.snapshot && !ack.loading && !std::exchange(installed_, true)) source_.snapshots_.Done(replica_);
  }
  void Cancel() override {
    if (cursor_ != nullptr) cursor_->Cancel();
  }

 private:
  Source& source_;
  const Welcome welcome_;
  const std::string replica_;
  const std::shared_ptr<log::Cursor> cursor_;
  uint64_t connection_ = 0;
  std::atomic<uint64_t> sent_;
  std::atomic<bool> loading_;
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
  const MutexLock lock(mutex_);
  closed_ = reason;
  while (!joining_.empty()) joined_.Wait(mutex_);
  replicas_.DropAll();
}

void Source::Open() {
  {
    const auto pin = engine_.Pin();
    // Of a full sync whose process died after it had decided: the engine holds what it needs of its log by itself.
    engine_.log().ReleaseLease(kStagingLease).IgnoreError();
  }
  const MutexLock lock(mutex_);
  closed_.clear();
}

void Source::LetGo() { snapshots_.RemoveAll(); }

void Source::SetPrimary(const std::string& node_id) {
  const MutexLock lock(mutex_);
  primary_ = node_id;
  heir_.clear();
}

absl::Status Source::HoldForFormerPrimary() {
  std::string former;
  {
    const MutexLock lock(mutex_);
    former = primary_;
  }
  if (former.empty()) return absl::OkStatus();
  const MutexLock lock(lease_mutex_);
  return HoldLog(former, engine_.last_end());
}

void Source::HandOver(const std::string& replica) {
  const MutexLock lock(mutex_);
  heir_ = replica;
}

bool Source::IsHeir(const std::string& replica) const {
  const MutexLock lock(mutex_);
  return heir_ == replica;
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

absl::Status Source::Admit(const Hello& hello) {
  if (hello.replica_id == node_id_) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "this is the node itself: it cannot follow itself");
  }
  const MutexLock lock(mutex_);
  if (!closed_.empty()) return Errorf(absl::StatusCode::kUnavailable, "not now: {}", closed_);
  if (!primary_.empty() && hello.replica_id == primary_) {
    return Errorf(absl::StatusCode::kUnavailable, "this node follows the one that asks");
  }
  if (!joining_.insert(hello.replica_id).second) {
    return Errorf(absl::StatusCode::kUnavailable, "the replica's former call is still being answered");
  }
  return absl::OkStatus();
}

absl::StatusOr<Holdings> Source::Look(const Hello& hello) {
  Holdings own;
  std::optional<engine::Identity> identity;
  // The history and the end of the log have to belong to one moment: a promotion may be under way.
  TM_RETURN_IF_ERROR(engine_.Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(identity, engine::ReadIdentity(txn));
    own.end = engine_.last_end();
    return absl::OkStatus();
  }));
  if (!identity) return Errorf(absl::StatusCode::kFailedPrecondition, "this node has no data yet");
  own.cluster_id = IdToHex(identity->cluster_id);
  own.history = HistoryOf(*identity);
  own.oldest = engine_.log().oldest();
  own.archive = options_.has_archive();
  own.has_snapshot = !hello.snapshot.empty() && snapshots_.Has(hello.snapshot, hello.replica_id) &&
                     hello.staged >= own.oldest && hello.staged <= own.end &&
                     RecordsAgree(hello.staged, hello.staged_crc);
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

void Source::SetLeaseCaps(uint64_t bytes, uint64_t age_micros) {
  lease_max_bytes_ = bytes;
  lease_max_age_micros_ = age_micros;
  const auto pin = engine_.Pin();
  const MutexLock lock(lease_mutex_);
  for (const log::Lease& lease : engine_.log().Leases()) {
    if (!lease.name.starts_with("replica:") || !lease.broken.empty()) continue;
    const absl::Status taken = HoldLog(lease.name.substr(8), lease.position);
    if (!taken.ok())
      options_.report(fmt::format("replication: {} keeps its former caps: {}", lease.name, Message(taken)));
  }
}

absl::Status Source::HoldLog(const std::string& replica, Lsn from) {
  if (options_.sabotage_no_lease) return absl::OkStatus();
  return engine_.log().TakeLease({.name = LeaseOf(replica),
                                  .lease_class = log::LeaseClass::kBounded,
                                  .position = from,
                                  .max_bytes = lease_max_bytes_,
                                  .max_age_micros = lease_max_age_micros_});
}

void Source::Acknowledged(const std::string& replica, uint64_t connection, const Ack& ack) {
  const auto pin = engine_.Pin();
  replicas_.Acknowledged(connection, ack);
  const MutexLock lock(lease_mutex_);
  if (!replicas_.IsCurrent(connection)) return;
  const absl::Status raised = engine_.log().RaiseLease(LeaseOf(replica), ack.durable);
  if (raised.ok() || absl::IsOutOfRange(raised)) return;
  // Broken, which the log's notice and LEASES have told. Not taken again while it would break at once.
  const uint64_t lag = engine_.last_end() - std::min(ack.durable, engine_.last_end());
  if (const uint64_t cap = lease_max_bytes_; cap != 0 && lag > cap / 2) return;
  HoldLog(replica, ack.durable).IgnoreError();  // purged by now: the stream goes on for as long as it can
}

absl::Status Source::FillFullSync(const Hello& hello, const Decision& decision, Welcome* welcome) {
  if (decision.resume) {
    welcome->snapshot = snapshots_.Resume(hello.snapshot, hello.replica_id);
    welcome->from = hello.staged;
  }
  if (!welcome->snapshot) {
    TM_ASSIGN_OR_RETURN(welcome->snapshot, snapshots_.Acquire(hello.replica_id, welcome->history));
    welcome->from = welcome->snapshot->lsn;
  }
  absl::Status held = HoldLog(hello.replica_id, welcome->from);
  if (!held.ok()) snapshots_.Release(welcome->snapshot->id);
  return held;
}

// The log is held from where the replica goes on, whatever it does until then: also while it cuts, or reads an archive.
absl::StatusOr<Decision> Source::DecideAndHold(const Hello& hello, const Holdings& own) {
  Decision decision = Decide(hello, own);
  if (decision.verdict == Verdict::kFullSync) return decision;
  const absl::Status held = HoldLog(hello.replica_id, decision.from);
  switch (decision.verdict) {
    case Verdict::kCut:  // by itself that needs nothing of the log; what comes after it is seen then
      if (!held.ok() && !absl::IsFailedPrecondition(held)) return held;
      return decision;
    case Verdict::kArchive:
      TM_RETURN_IF_ERROR(held);
      return decision;
    default:
      break;
  }
  // Between the look and the hold the log may have been purged: then there is no stream.
  if (held.ok() && RecordsAgree(decision.from, hello.last_crc)) return decision;
  return Decision{.verdict = Verdict::kFullSync,
                  .from = {},
                  .resume = false,
                  .reason = held.ok() ? "the records before its position differ" : std::string(Message(held))};
}

void Source::Tell(const Hello& hello, const Endpoint& address, const Decision& decision) {
  const char* gets = "streams on";
  if (decision.verdict == Verdict::kFullSync) gets = "takes a snapshot";
  if (decision.verdict == Verdict::kCut) gets = "has to cut its log";
  if (decision.verdict == Verdict::kArchive) gets = "has to read the archive";
  options_.report(fmt::format("replication: replica {} at {}:{}: {}{}{}", hello.replica_id, address.host, address.port,
                              gets, decision.reason.empty() ? "" : ": ", decision.reason));
}

absl::StatusOr<std::unique_ptr<FeedSession>> Source::Join(const Hello& hello, const std::string& peer) {
  TM_RETURN_IF_ERROR(Admit(hello));
  absl::StatusOr<std::unique_ptr<FeedSession>> session = JoinAdmitted(hello, peer);
  const MutexLock lock(mutex_);
  joining_.erase(hello.replica_id);
  joined_.SignalAll();
  return session;
}

absl::StatusOr<std::unique_ptr<FeedSession>> Source::JoinAdmitted(const Hello& hello, const std::string& peer) {
  const auto pin = engine_.Pin();
  TM_ASSIGN_OR_RETURN(const Holdings own, Look(hello));
  // From here on the replica's former connection says nothing more about what it needs.
  {
    const MutexLock lock(lease_mutex_);
    replicas_.Supersede(hello.replica_id);
  }
  TM_ASSIGN_OR_RETURN(const Decision decision, DecideAndHold(hello, own));
  Welcome welcome{.verdict = decision.verdict,
                  .primary_id = node_id_,
                  .cluster_id = own.cluster_id,
                  .history = own.history,
                  .from = decision.from,
                  .snapshot = {},
                  .reason = decision.reason};
  if (decision.verdict == Verdict::kFullSync) TM_RETURN_IF_ERROR(FillFullSync(hello, decision, &welcome));
  if (decision.verdict == Verdict::kArchive) replicas_.CountArchiveCatchUp();
  if (decision.verdict == Verdict::kStream) {
    replicas_.CountPartialSync();
    snapshots_.Done(hello.replica_id);
  }
  Endpoint address = hello.announced;
  if (address.host.empty()) address.host = peer;
  Tell(hello, address, decision);
  if (decision.verdict == Verdict::kCut || decision.verdict == Verdict::kArchive) {
    return std::make_unique<SourceSession>(*this, std::move(welcome), hello.replica_id, nullptr);
  }
  absl::StatusOr<std::unique_ptr<log::Cursor>> cursor = engine_.log().OpenCursor(welcome.from);
  if (!cursor.ok()) {
    if (welcome.snapshot) snapshots_.Release(welcome.snapshot->id);
    return cursor.status();
  }
  const bool loading = welcome.snapshot.has_value();
  auto session = std::make_unique<SourceSession>(*this, std::move(welcome), hello.replica_id, *std::move(cursor));
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
