#include "replication/link.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "engine/install.h"
#include "log/inspect.h"
#include "replication/astray.h"
#include "replication/join.h"
#include "replication/source.h"

namespace tidemark::replication {
namespace {

constexpr std::chrono::milliseconds kStorePause{5};

}  // namespace

Link::Link(engine::Engine& engine, FileSystem& fs, Clock& clock, LinkOptions options)
    : engine_(engine), fs_(fs), clock_(clock), options_(std::move(options)) {
  status_.primary = options_.primary;
  status_.down_since_ms = clock.WallMicros() / 1000;
  ack_thread_ = std::thread([this] { AckLoop(); });
  thread_ = std::thread([this] {
    Run();
    // Others may keep this object for a while; the next link opens the same folder.
    staging_.reset();
  });
}

Link::~Link() { Link::Stop(); }

void Link::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    if (upstream_ != nullptr) upstream_->Cancel();
    if (fetching_ != nullptr) fetching_->Stop();
    changed_.SignalAll();
  }
  // The node and its own thread may both be at it.
  const MutexLock lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
  if (ack_thread_.joinable()) ack_thread_.join();
}

bool Link::Stopping() const {
  const MutexLock lock(mutex_);
  return stopping_;
}

LinkStatus Link::status() const {
  const MutexLock lock(mutex_);
  LinkStatus status = status_;
  if (fetching_ != nullptr) {
    status.sync_bytes_total = fetching_->total_bytes();
    status.sync_bytes_read = fetching_->done_bytes();
    status.sync_last_io_ms = fetching_->last_io_ms();
  }
  return status;
}

void Link::SetState(LinkState state, std::string_view problem) {
  const MutexLock lock(mutex_);
  if (state == LinkState::kConnected) {
    status_.down_since_ms = 0;
    status_.problem.clear();
  } else if (status_.down_since_ms == 0) {
    status_.down_since_ms = clock_.WallMicros() / 1000;
  }
  if (!problem.empty()) {
    if (status_.problem != problem) options_.report(fmt::format("replication: {}", problem));
    status_.problem = problem;
  }
  status_.state = state;
  up_ = state == LinkState::kConnected;
}

void Link::Heard(const Chunk& chunk) {
  const MutexLock lock(mutex_);
  status_.last_io_ms = clock_.WallMicros() / 1000;
  status_.primary_end = chunk.primary_end;
  status_.received = chunk.from + chunk.records.size();
}

absl::Status Link::Again() {
  again_ = true;
  return Errorf(absl::StatusCode::kAborted, "joins again");
}

void Link::Run() {
  while (!Stopping()) {
    again_ = false;
    const absl::Status ended = RunOnce();
    {
      const MutexLock lock(mutex_);
      upstream_ = nullptr;
      streaming_ = false;
      if (stopping_) return;
    }
    if (again_) continue;
    SetState(LinkState::kConnect,
             fmt::format("{}:{}: {}", options_.primary.host, options_.primary.port, Message(ended)));
    const MutexLock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + options_.retry;
    while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
    }
  }
}

absl::StatusOr<Hello> Link::MakeHello() {
  Hello hello;
  hello.replica_id = options_.node_id;
  hello.announced = options_.announced();
  hello.no_archive = options_.read_archive == nullptr || archive_failed_;
  std::optional<engine::Identity> identity;
  TM_RETURN_IF_ERROR(engine_.Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(identity, engine::ReadIdentity(txn));
    return absl::OkStatus();
  }));
  if (identity) {
    hello.cluster_id = IdToHex(identity->cluster_id);
    hello.history = HistoryOf(*identity);
  }
  const log::Log::Tail tail = engine_.Tail();
  hello.position = tail.end;
  hello.last_crc = tail.crc;
  hello.persisted = engine_.store().persisted();
  if (staging_ == nullptr) {
    TM_ASSIGN_OR_RETURN(staging_, Staging::TakeUp(fs_, clock_, options_.folder, options_.segment_size));
  }
  if (staging_ != nullptr) {
    const log::Log::Tail staged = staging_->log().tail();
    hello.snapshot = staging_->id();
    hello.staged = staged.end;
    hello.staged_crc = staged.crc;
  }
  return hello;
}

absl::Status Link::RunOnce() {
  SetState(LinkState::kConnecting);
  absl::StatusOr<std::unique_ptr<Upstream>> connected = options_.connect(options_.primary, options_.upstream());
  if (absl::IsUnimplemented(connected.status())) options_.met_redis();
  TM_RETURN_IF_ERROR(connected.status());
  const std::shared_ptr<Upstream> upstream = *std::move(connected);
  {
    const MutexLock lock(mutex_);
    if (stopping_) return Again();
    upstream_ = upstream;
  }
  TM_ASSIGN_OR_RETURN(const Hello hello, MakeHello());
  TM_ASSIGN_OR_RETURN(const Welcome welcome, upstream->Join(hello));
  options_.met_primary(welcome.primary_id);
  switch (welcome.verdict) {
    case Verdict::kStream:
      if (staging_ != nullptr) {
        TM_RETURN_IF_ERROR(staging_->Discard());
        staging_.reset();
      }
      return Stream(*upstream);
    case Verdict::kCut:
      return Cut(welcome);
    case Verdict::kArchive:
      return CatchUp(welcome);
    case Verdict::kFullSync:
      return FullSync(*upstream, welcome);
  }
  return Errorf(absl::StatusCode::kInternal, "a verdict that is none");
}

absl::Status Link::Apply(std::string_view records) {
  while (!records.empty()) {
    TM_ASSIGN_OR_RETURN(const size_t done, engine_.ApplyReceived(records));
    records.remove_prefix(done);
    if (records.empty()) break;
    // The store has to catch up, or the disk is full.
    const MutexLock lock(mutex_);
    if (stopping_) return Again();
    changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + kStorePause);
  }
  return absl::OkStatus();
}

absl::Status Link::Acknowledge(Upstream& upstream, bool loading) {
  // Looked at under the lock: what goes out last is the furthest.
  const MutexLock lock(ack_mutex_);
  Ack ack;
  ack.loading = loading;
  {
    // Not while it is sent, which may take as long as the network likes.
    const auto pin = engine_.Pin();
    log::Log& log = loading ? staging_->log() : engine_.log();
    ack.written = log.written();
    ack.durable = log.durable();
    ack.applied = loading ? Lsn{} : engine_.store().applied();
  }
  return upstream.Acknowledge(ack);
}

absl::Status Link::Stream(Upstream& upstream) {
  options_.report(fmt::format("replication: follows {}:{} from lsn:{:x} on", options_.primary.host,
                              options_.primary.port, engine_.last_end().value));
  SetState(LinkState::kConnected);
  archive_failed_ = false;
  {
    const MutexLock lock(mutex_);
    streaming_ = true;
    ack_wanted_ = true;
    changed_.SignalAll();
  }
  while (true) {
    TM_ASSIGN_OR_RETURN(const Chunk chunk, upstream.Next());
    Heard(chunk);
    TM_RETURN_IF_ERROR(Apply(chunk.records));
    TM_RETURN_IF_ERROR(Acknowledge(upstream, /*loading=*/false));
    if (chunk.take_over) options_.take_over();
  }
}

void Link::DurableAdvanced() {
  const MutexLock lock(mutex_);
  if (!streaming_) return;
  ack_wanted_ = true;
  changed_.SignalAll();
}

void Link::AckLoop() {
  while (true) {
    std::shared_ptr<Upstream> upstream;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && !(ack_wanted_ && streaming_)) changed_.Wait(mutex_);
      if (stopping_) return;
      ack_wanted_ = false;
      upstream = upstream_;
    }
    // What fails here is met by the stream, too.
    if (upstream != nullptr) Acknowledge(*upstream, /*loading=*/false).IgnoreError();
  }
}

absl::Status Link::Receive(Upstream& upstream, Staging& staging) {
  TM_ASSIGN_OR_RETURN(const Chunk chunk, upstream.Next());
  Heard(chunk);
  std::string_view rest = chunk.records;
  while (!rest.empty()) {
    if (rest.size() < format::kRecordHeaderSize) {
      return Errorf(absl::StatusCode::kDataLoss, "what was received ends within the header of a record");
    }
    const std::string_view raw = rest.substr(0, format::DecodeRecordHeader(rest.data()).size());
    TM_RETURN_IF_ERROR(staging.log().AppendReceived(raw));
    rest.remove_prefix(raw.size());
  }
  staging.log().Write();
  return Acknowledge(upstream, /*loading=*/true);
}

absl::Status Link::FullSync(Upstream& upstream, const Welcome& welcome) {
  if (!welcome.snapshot) return Errorf(absl::StatusCode::kInternal, "the primary offers no snapshot");
  if (staging_ != nullptr && staging_->id() == welcome.snapshot->id && staging_->log().appended() == welcome.from) {
    staging_->GoOn(*welcome.snapshot);
  } else {
    staging_.reset();
    auto staging = std::make_unique<Staging>(fs_, clock_, options_.folder, options_.segment_size);
    TM_RETURN_IF_ERROR(staging->Begin(*welcome.snapshot));
    staging_ = std::move(staging);
  }
  SetState(LinkState::kSync);
  options_.report(fmt::format("replication: full sync from {}:{}: {} files as of lsn:{:x}: {}", options_.primary.host,
                              options_.primary.port, welcome.snapshot->files.size(), welcome.snapshot->lsn.value,
                              welcome.reason));
  {
    const MutexLock lock(mutex_);
    if (stopping_) return Again();
    fetching_ = staging_.get();
  }
  std::atomic<bool> fetched{false};
  absl::Status files;
  std::thread fetcher([&] {
    files = staging_->Fetch(upstream, options_.jobs);
    fetched = true;
  });
  absl::Status received;
  while (received.ok() && !fetched) received = Receive(upstream, *staging_);
  if (!received.ok()) {
    staging_->Stop();
    upstream.Cancel();
  }
  fetcher.join();
  {
    const MutexLock lock(mutex_);
    fetching_ = nullptr;
  }
  if (!received.ok() || !files.ok()) {
    // What was gathered is taken up by the next attempt, through its files.
    staging_.reset();
    return received.ok() ? files : received;
  }
  TM_RETURN_IF_ERROR(KeepAstray(welcome));
  const absl::Status decided = staging_->Decide();
  staging_.reset();
  TM_RETURN_IF_ERROR(decided);
  TM_RETURN_IF_ERROR(options_.reopen([](Lsn /*persisted*/) { return absl::OkStatus(); }));
  // The engine holds its own lease on the log by now; Source::Open may have released this one.
  if (absl::Status gone = engine_.log().ReleaseLease(kStagingLease); !gone.ok() && !absl::IsNotFound(gone)) {
    return gone;
  }
  options_.report(
      fmt::format("replication: the snapshot is installed, the log goes to lsn:{:x}", engine_.last_end().value));
  return Stream(upstream);
}

// The snapshot takes the place of this node's log, of which some may be nowhere else.
absl::Status Link::KeepAstray(const Welcome& welcome) {
  TM_ASSIGN_OR_RETURN(const Hello own, MakeHello());
  if (own.cluster_id != welcome.cluster_id) return absl::OkStatus();
  const std::optional<Common> common = FindCommon(own.history, own.position, welcome.history, welcome.from);
  const Lsn from = common ? common->lsn : Lsn{};
  TM_ASSIGN_OR_RETURN(const std::string path,
                      SaveAstray(fs_, clock_, engine_.log(), from, own.position, staging_->log_folder()));
  if (path.empty()) return absl::OkStatus();
  options_.report(
      fmt::format("replication: this node's log went its own way: {}. What it has from lsn:{:x} on is saved "
                  "in {}/log/{}",
                  welcome.reason, from.value, options_.folder, std::filesystem::path(path).filename().string()));
  return absl::OkStatus();
}

absl::Status Link::Cut(const Welcome& welcome) {
  TM_ASSIGN_OR_RETURN(const Hello own, MakeHello());
  const std::optional<Common> common = FindCommon(own.history, own.position, welcome.history, own.position);
  if (!common || welcome.from >= own.position)
    return Errorf(absl::StatusCode::kInternal, "nothing to cut: {}", welcome.reason);
  const std::string log_folder = options_.folder + "/log";
  options_.report(
      fmt::format("replication: this node's log went its own way: {}. What it has from lsn:{:x} on is saved "
                  "in {}/torn-*.bak (tidemark log inspect) and cut",
                  welcome.reason, welcome.from.value, log_folder));
  TM_RETURN_IF_ERROR(options_.reopen([&](Lsn persisted) -> absl::Status {
    // The store may have been persisted further since the hello. Then the next one says so, and leads to a full sync.
    if (persisted > welcome.from) {
      return Errorf(absl::StatusCode::kUnavailable, "the store is persisted up to lsn:{:x}, beyond the cut",
                    persisted.value);
    }
    return log::Cut(fs_, clock_, log_folder, welcome.from, common->timeline).status();
  }));
  return Again();
}

absl::Status Link::CatchUp(const Welcome& welcome) {
  SetState(LinkState::kSync);
  options_.report(
      fmt::format("replication: reads from the archive up to lsn:{:x}: {}", welcome.from.value, welcome.reason));
  const Lsn before = engine_.last_end();
  absl::Status read =
      options_.read_archive(welcome.history.back().timeline, welcome.from, [this](std::string_view records) {
        absl::Status applied = Apply(records);
        const MutexLock lock(mutex_);
        status_.received = engine_.last_end();
        return applied;
      });
  if (Stopping()) return Again();
  if (read.ok() && engine_.last_end() == before) {
    read = Errorf(absl::StatusCode::kUnavailable, "it has nothing from lsn:{:x} on", before.value);
  }
  if (!read.ok()) {
    options_.report(fmt::format("replication: the archive does not help: {}", Message(read)));
    archive_failed_ = true;
  }
  return Again();
}

}  // namespace tidemark::replication
