#include "replication/psync_link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "format/rdb_commands.h"
#include "format/rdb_file.h"

namespace tidemark::replication {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBeat{1000};
constexpr milliseconds kStorePause{5};
constexpr milliseconds kPatienceMax{30'000};
constexpr size_t kLineMax = 64u << 10;
constexpr size_t kReadBytes = 256u << 10;
// As many commands of an RDB go into one transaction.
constexpr size_t kLoadCommands = 256;
constexpr size_t kLoadBytes = 1u << 20;

std::string Encode(std::initializer_list<std::string_view> words) {
  std::string request = fmt::format("*{}\r\n", words.size());
  for (const std::string_view word : words) {
    request += fmt::format("${}\r\n", word.size());
    request += word;
    request += "\r\n";
  }
  return request;
}

}  // namespace

// Makes what an RDB holds of commands, so many in a transaction.
class PsyncLink::Loader final : public format::RdbVisitor {
 public:
  explicit Loader(PsyncLink& link)
      : link_(link), values_([this](std::span<const std::string_view> words) { return Add(words, false); }) {
    values_.DropFieldExpiries(false);
  }

  absl::Status Version(uint16_t version, bool valkey) override {
    link_.options_.report(
        fmt::format("replication: loads an RDB of version {}{}", version, valkey ? " of Valkey" : ""));
    return absl::OkStatus();
  }
  absl::Status Aux(std::string_view, std::string_view) override { return absl::OkStatus(); }
  absl::Status Function(std::string_view code) override {
    const std::string_view words[] = {"FUNCTION", "LOAD", "REPLACE", code};
    return Add(words, /*optional=*/true);
  }
  absl::StatusOr<format::RdbSink*> Key(const format::RdbKey& key) override {
    db_ = key.db;
    ++keys_;
    values_.SetKey(key.name, key.has_expiry, key.expire_ms);
    return &values_;
  }
  absl::Status Module(const format::RdbKey& key, std::string_view module) override {
    if (!key.name.empty()) ++skipped_;
    link_.options_.report(fmt::format("replication: a value of the module type '{}' is left out", module));
    return absl::OkStatus();
  }

  absl::Status Finish(const std::optional<PsyncPosition>& position) {
    const absl::Status applied = link_.Apply(batch_, position);
    batch_.clear();
    bytes_ = 0;
    return applied;
  }
  uint64_t keys() const { return keys_; }
  uint64_t skipped() const { return skipped_; }

 private:
  absl::Status Add(std::span<const std::string_view> words, bool optional) {
    batch_.push_back({.db = db_, .words = {words.begin(), words.end()}, .optional = optional});
    for (const std::string_view word : words) bytes_ += word.size();
    return batch_.size() >= kLoadCommands || bytes_ >= kLoadBytes ? Finish(std::nullopt) : absl::OkStatus();
  }

  PsyncLink& link_;
  format::RdbCommands values_;
  std::vector<PsyncCommand> batch_;
  size_t bytes_ = 0;
  uint64_t db_ = 0;
  uint64_t keys_ = 0;
  uint64_t skipped_ = 0;
};

PsyncLink::PsyncLink(Clock& clock, PsyncOptions options) : clock_(clock), options_(std::move(options)) {
  status_.primary = options_.primary;
  status_.down_since_ms = NowMs();
  thread_ = std::thread([this] { Run(); });
}

PsyncLink::~PsyncLink() { PsyncLink::Stop(); }

void PsyncLink::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    if (connection_ != nullptr) connection_->Cancel();
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
}

bool PsyncLink::Stopping() const {
  const MutexLock lock(mutex_);
  return stopping_;
}

LinkStatus PsyncLink::status() const {
  const MutexLock lock(mutex_);
  return status_;
}

void PsyncLink::SetState(LinkState state, std::string_view problem) {
  const MutexLock lock(mutex_);
  if (state == LinkState::kConnected) {
    status_.down_since_ms = 0;
    status_.problem.clear();
  } else if (status_.down_since_ms == 0) {
    status_.down_since_ms = NowMs();
  }
  if (!problem.empty()) {
    if (status_.problem != problem) options_.report(fmt::format("replication: {}", problem));
    status_.problem = problem;
  }
  status_.state = state;
  up_ = state == LinkState::kConnected;
}

void PsyncLink::Run() {
  while (!Stopping()) {
    const absl::Status ended = RunOnce();
    {
      const MutexLock lock(mutex_);
      connection_ = nullptr;
      if (stopping_) return;
    }
    SetState(LinkState::kConnect,
             fmt::format("{}:{}: {}", options_.primary.host, options_.primary.port, Message(ended)));
    const MutexLock lock(mutex_);
    // A full sync costs the primary a fork and all its data: one that fails is not begun again at once for ever.
    patience_ = std::min(std::max(patience_, options_.retry), kPatienceMax);
    const auto until = std::chrono::steady_clock::now() + patience_;
    patience_ *= 2;
    while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
    }
  }
}

absl::Status PsyncLink::RunOnce() {
  SetState(LinkState::kConnecting);
  ahead_.clear();
  const UpstreamOptions upstream = options_.upstream();
  timeout_ = upstream.timeout;
  TM_ASSIGN_OR_RETURN(std::unique_ptr<ByteConnection> connected,
                      options_.connect(options_.primary, std::min(timeout_, milliseconds(5000))));
  wire_ = std::move(connected);
  {
    const MutexLock lock(mutex_);
    if (stopping_) return absl::CancelledError("the node is stopping");
    connection_ = wire_;
  }
  TM_RETURN_IF_ERROR(Handshake(upstream));
  TM_ASSIGN_OR_RETURN(const std::optional<PsyncPosition> position, options_.sink->Position());
  TM_ASSIGN_OR_RETURN(
      const std::string answer,
      position ? Call({"PSYNC", position->id, fmt::format("{}", position->offset + 1)}) : Call({"PSYNC", "?", "-1"}));
  TM_ASSIGN_OR_RETURN(const PsyncVerdict verdict, ParsePsyncVerdict(answer));
  switch (verdict.kind) {
    case PsyncVerdict::Kind::kFull:
      return FullSync(verdict);
    case PsyncVerdict::Kind::kContinue: {
      if (!position) return InvalidArgument("PSYNC is answered by '{}', with nothing to continue", answer);
      PsyncPosition from = *position;
      if (!verdict.id.empty()) from.id = verdict.id;
      options_.report(fmt::format("replication: goes on at offset {} of {}", from.offset, from.id));
      return Stream(std::move(from), {});
    }
    case PsyncVerdict::Kind::kRefused:
      options_.not_redis();
      return Errorf(absl::StatusCode::kFailedPrecondition, "it is no Redis: {}", answer);
    case PsyncVerdict::Kind::kLater:
      break;
  }
  return Errorf(absl::StatusCode::kUnavailable, "it cannot serve a replica now: {}", answer);
}

absl::Status PsyncLink::Handshake(const UpstreamOptions& upstream) {
  TM_ASSIGN_OR_RETURN(const std::string pong, Call({"PING"}));
  // Without the password it is refused, and answers all the same.
  if (!pong.starts_with("+PONG") && !pong.starts_with("-NOAUTH") && !pong.starts_with("-NOPERM") &&
      !pong.starts_with("-ERR operation not permitted")) {
    return Errorf(absl::StatusCode::kUnavailable, "PING is answered by '{}'", pong);
  }
  if (!upstream.password.empty()) {
    const absl::StatusOr<std::string> admitted =
        upstream.user.empty() ? Call({"AUTH", upstream.password}) : Call({"AUTH", upstream.user, upstream.password});
    TM_RETURN_IF_ERROR(admitted.status());
    if (!admitted->starts_with('+')) {
      return Errorf(absl::StatusCode::kUnauthenticated, "{} (masterauth, masteruser)", admitted->substr(1));
    }
  }
  TM_ASSIGN_OR_RETURN(const std::string port,
                      Call({"REPLCONF", "listening-port", fmt::format("{}", options_.announced.port)}));
  if (port.starts_with("-NOAUTH") || port.starts_with("-NOPERM")) {
    return Errorf(absl::StatusCode::kUnauthenticated, "{} (masterauth, masteruser)", port.substr(1));
  }
  if (!options_.announced.host.empty()) {
    TM_RETURN_IF_ERROR(Call({"REPLCONF", "ip-address", options_.announced.host}).status());
  }
  return Call({"REPLCONF", "capa", "eof", "capa", "psync2"}).status();
}

absl::Status PsyncLink::Send(std::initializer_list<std::string_view> words) { return wire_->Write(Encode(words)); }

absl::StatusOr<std::string> PsyncLink::Call(std::initializer_list<std::string_view> words) {
  TM_RETURN_IF_ERROR(Send(words));
  return ReadLine();
}

absl::StatusOr<size_t> PsyncLink::ReadSome(char* to, size_t max) {
  if (!ahead_.empty()) {
    const size_t taken = ahead_.copy(to, max);
    ahead_.erase(0, taken);
    return taken;
  }
  const auto deadline = std::chrono::steady_clock::now() + timeout_;
  while (std::chrono::steady_clock::now() < deadline) {
    TM_ASSIGN_OR_RETURN(const size_t got, wire_->Read(to, max, kBeat));
    if (got == 0) continue;
    const MutexLock lock(mutex_);
    status_.last_io_ms = NowMs();
    return got;
  }
  return absl::UnavailableError("it says nothing for longer than repl-timeout");
}

// Empty lines are signs of life.
absl::StatusOr<std::string> PsyncLink::ReadLine() {
  while (true) {
    const size_t end = ahead_.find('\n');
    if (end != std::string::npos) {
      std::string line = ahead_.substr(0, end);
      ahead_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) return line;
      continue;
    }
    if (ahead_.size() > kLineMax) return absl::InvalidArgumentError("it does not speak Redis's protocol");
    std::string had = std::exchange(ahead_, {});
    std::string more(kReadBytes, '\0');
    TM_ASSIGN_OR_RETURN(const size_t got, ReadSome(more.data(), more.size()));
    ahead_ = std::move(had);
    ahead_.append(more.data(), got);
  }
}

absl::Status PsyncLink::FullSync(const PsyncVerdict& verdict) {
  SetState(LinkState::kSync);
  {
    const MutexLock lock(mutex_);
    status_.sync_bytes_total = status_.sync_bytes_read = 0;
  }
  options_.report(fmt::format("replication: full sync from {}:{}, offset {} of {}", options_.primary.host,
                              options_.primary.port, verdict.offset, verdict.id));
  const absl::StatusOr<std::string> line = ReadLine();
  TM_RETURN_IF_ERROR(line.status());
  if (line->starts_with('-')) return Errorf(absl::StatusCode::kUnavailable, "{}", line->substr(1));
  TM_ASSIGN_OR_RETURN(const RdbAnnouncement announced, ParseRdbAnnouncement(*line));
  // Nothing is thrown away before something else comes; from here on there is no position.
  const PsyncCommand everything{.db = 0, .words = {"FLUSHALL"}, .optional = false};
  TM_RETURN_IF_ERROR(Apply(std::span(&everything, 1), std::nullopt));
  Loader loader(*this);
  TM_ASSIGN_OR_RETURN(const std::string first, LoadRdb(announced, &loader));
  PsyncPosition position{.id = verdict.id, .offset = verdict.offset, .db = 0};
  TM_RETURN_IF_ERROR(loader.Finish(position));
  options_.report(fmt::format("replication: {} keys are loaded", loader.keys()));
  return Stream(std::move(position), first);
}

// The bytes behind it, which belong to the stream.
absl::StatusOr<std::string> PsyncLink::LoadRdb(const RdbAnnouncement& announced, Loader* loader) {
  uint64_t left = announced.bytes.value_or(UINT64_MAX);
  {
    const MutexLock lock(mutex_);
    status_.sync_bytes_total = announced.bytes.value_or(0);
  }
  format::RdbInput in([&](char* to, size_t max) -> absl::StatusOr<size_t> {
    if (left == 0) return 0;
    // So that the primary does not take a long load for silence.
    if (NowMs() - beat_ms_ >= static_cast<uint64_t>(kBeat.count())) {
      beat_ms_ = NowMs();
      TM_RETURN_IF_ERROR(wire_->Write("\n"));
    }
    TM_ASSIGN_OR_RETURN(const size_t got, ReadSome(to, std::min<uint64_t>(max, left)));
    left -= got;
    const MutexLock lock(mutex_);
    status_.sync_bytes_read += got;
    status_.sync_last_io_ms = NowMs();
    return got;
  });
  TM_RETURN_IF_ERROR(format::ReadRdbFile(&in, loader));
  if (announced.bytes) {
    if (left != 0 || !in.rest().empty()) return absl::InvalidArgumentError("the RDB is shorter than was announced");
    return std::string();
  }
  std::string mark;
  TM_RETURN_IF_ERROR(in.Bytes(announced.mark.size(), &mark));
  if (mark != announced.mark) return absl::InvalidArgumentError("the RDB does not end with its mark");
  return std::string(in.rest());
}

absl::Status PsyncLink::Apply(std::span<const PsyncCommand> commands, const std::optional<PsyncPosition>& position) {
  while (true) {
    absl::Status applied = options_.sink->Apply(commands, position);
    if (!absl::IsUnavailable(applied)) return applied;
    const MutexLock lock(mutex_);
    if (stopping_) return absl::CancelledError("the node is stopping");
    changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + kStorePause);
  }
}

absl::Status PsyncLink::ApplyBatch(PsyncStream& stream) {
  TM_RETURN_IF_ERROR(stream.Take());
  while (!stream.batch().empty()) {
    TM_RETURN_IF_ERROR(Apply(stream.batch(), stream.position()));
    stream.Done();
    TM_RETURN_IF_ERROR(stream.Take());
  }
  return absl::OkStatus();
}

absl::Status PsyncLink::Acknowledge(uint64_t offset) { return Send({"REPLCONF", "ACK", fmt::format("{}", offset)}); }

absl::Status PsyncLink::Stream(PsyncPosition position, std::string_view first) {
  PsyncStream stream(std::move(position));
  stream.Feed(first);
  SetState(LinkState::kConnected);
  patience_ = options_.retry;
  std::string piece(kReadBytes, '\0');
  auto heard = std::chrono::steady_clock::now();
  auto told = heard - kBeat;
  while (true) {
    TM_RETURN_IF_ERROR(ApplyBatch(stream));
    offset_ = stream.position().offset;
    const auto now = std::chrono::steady_clock::now();
    {
      const MutexLock lock(mutex_);
      if (stopping_) return absl::CancelledError("the node is stopping");
    }
    if (stream.TakeAckWish() || now - told >= kBeat) {
      TM_RETURN_IF_ERROR(Acknowledge(stream.position().offset));
      told = now;
    }
    if (!ahead_.empty()) {
      stream.Feed(std::exchange(ahead_, {}));
      continue;
    }
    TM_ASSIGN_OR_RETURN(const size_t got, wire_->Read(piece.data(), piece.size(), kBeat));
    if (got > 0) {
      heard = std::chrono::steady_clock::now();
      const MutexLock lock(mutex_);
      status_.last_io_ms = NowMs();
    } else if (std::chrono::steady_clock::now() - heard > timeout_) {
      return absl::UnavailableError("it says nothing for longer than repl-timeout");
    }
    stream.Feed(std::string_view(piece.data(), got));
  }
}

}  // namespace tidemark::replication
