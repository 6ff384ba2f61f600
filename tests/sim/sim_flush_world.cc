#include "sim_flush_world.h"

#include <algorithm>

#include "base/hash.h"

namespace tidemark::backup {
namespace {

constexpr std::string_view kLease = "archive:task";

}  // namespace

FlushSchedule::FlushSchedule(uint64_t seed, Sabotage sabotage)
    : random_(seed), sabotage_(sabotage), codec_(SimCodec(Below(16) == 0 ? 1 + Below(3) : 0)) {
  log_options_.folder = "log";
  log_options_.segment_size = 1024;
  log_options_.retain_size = 0;
  log_options_.background_threads = false;
  log_options_.on_notice = [](std::string_view) {};
  log_options_.on_fatal = [this](std::string_view what) { fatal_ = what; };
}

void FlushSchedule::Go() {
  OpenNode();
  const uint64_t steps = 30 + Below(60);
  for (uint64_t step = 0; step < steps && fault.empty(); ++step) Step();
  if (fault.empty()) Drain();
}

void FlushSchedule::Observe(uint64_t what, uint64_t value) {
  const uint64_t words[] = {trace, what, value};
  trace = Hash64({reinterpret_cast<const char*>(words), sizeof(words)});
}

void FlushSchedule::Fault(std::string what) {
  if (fault.empty()) fault = std::move(what);
}

void FlushSchedule::Step() {
  const uint64_t dice = Below(100);
  clock_.micros += Below(1000);
  if (dice < 22) {
    AppendOne();
  } else if (dice < 38) {
    Call();
  } else if (dice < 43) {
    Take(machine_->WantFlush(Now()));
  } else if (dice < 81) {
    UploadStep();
  } else if (dice < 85) {
    EndOfPatience(Chance(25));
  } else if (dice < 91) {
    Weather();
  } else if (dice < 94) {
    ChangeState();
  } else if (dice < 95) {
    Purge();
  } else if (dice < 96) {
    Promotion();
    if (promotion_ == 1) Call();
  } else if (dice < 98) {
    RestartUploader();
  } else {
    Crash();
  }
  if (log_ == nullptr || !fault.empty()) return;
  frozen_ = log_->appended();
  Observe(dice, log_->appended().value);
  Observe(machine_->flushed().lsn.value, machine_->waiters());
}

// Most of the time a few requests get lost; at times nothing goes, for a reason that passes or one that lasts.
void FlushSchedule::Weather() {
  ClearWeather();
  const uint64_t dice = Below(10);
  if (dice < 5) {
    store_->SetFaults({.seed = random_(),
                       .unavailable = static_cast<uint32_t>(Below(400)),
                       .throttled = static_cast<uint32_t>(Below(100)),
                       .lost_answer = static_cast<uint32_t>(Below(300)),
                       .damaged = static_cast<uint32_t>(Below(100))});
  } else if (dice == 5) {
    store_->SetOutage(absl::UnavailableError("connection refused"));
  } else if (dice == 6) {
    store_->SetOutage(absl::PermissionDeniedError("the access key has expired"));
  }
}

void FlushSchedule::ClearWeather() {
  store_->SetFaults({});
  store_->SetOutage(absl::OkStatus());
}

void FlushSchedule::AppendOne() {
  std::string payload(Chance(5) ? Below(1500) : Below(60), '\0');
  for (char& c : payload) c = static_cast<char>(Below(256));
  if (const absl::Status reserved = log_->Reserve(payload.size()); !reserved.ok()) return Fault(reserved.ToString());
  const Lsn lsn = log_->Append(Timestamp{++timestamp_}, payload);
  model_.push_back({lsn, log_->appended(), Timestamp{timestamp_}, Hash64(payload)});
  // A turn of the loop ends: its records are handed to the operating system, then acknowledged.
  if (Chance(60)) log_->Write();
  written_ = log_->written();
}

void FlushSchedule::Call() {
  const CallerId id{next_caller_++};
  Caller caller{log_->appended(), model_.size(), Chance(10)};
  // A client that asks for its own last write alone, which may be there already.
  if (Chance(promotion_ == 0 ? 15 : 50) && !model_.empty()) {
    caller.records = Below(model_.size()) + 1;
    caller.target = model_[caller.records - 1].end;
  }
  const uint64_t dice = Below(10);
  const FlushMode mode = dice < 7 ? FlushMode::kWait : dice < 9 ? FlushMode::kJoin : FlushMode::kNowait;
  waiting_.emplace(id, caller);
  Lsn asked = caller.target;
  if (sabotage_ == Sabotage::kRunningFlushCounts && machine_->running()) {
    asked = std::min(asked, machine_->running()->order.cut);
  }
  Take(machine_->Call({id, mode, asked, caller.durable_only}, Now()));
}

void FlushSchedule::EndOfPatience(bool abandon) {
  if (waiting_.empty()) return;
  auto caller = waiting_.begin();
  std::advance(caller, static_cast<ptrdiff_t>(Below(waiting_.size())));
  const CallerId id = caller->first;
  if (abandon) {
    machine_->Abandon(id);
    waiting_.erase(id);
    return;
  }
  Take(machine_->Deadline(id, Now()));
  if (waiting_.contains(id)) Fault("a deadline was not answered");
}

void FlushSchedule::ChangeState() {
  if (machine_->state() == FlushState::kFenced) return;
  if (machine_->state() == FlushState::kOpen) {
    if (Chance(75)) return;
    Take(machine_->SetState(Chance(50) ? FlushState::kPaused : FlushState::kStopped, "by hand"));
    if (!waiting_.empty()) Fault("a caller waits for a task that is not open");
  } else {
    Take(machine_->SetState(FlushState::kOpen, ""));
  }
}

// Elsewhere a replica is promoted: it puts its fence, then lists what the archive has and forks off there.
void FlushSchedule::Promotion() {
  if (promotion_ == 0) {
    if (!Chance(30) || !machine_->restorable()) return;
    if (const absl::Status put = PutFence(elsewhere_, std::nullopt); !put.ok()) return Fault(put.ToString());
  } else if (promotion_ == 1) {
    const auto end = ListedUpTo(elsewhere_, format::kFirstLsn);
    if (!end.ok()) return Fault(end.status().ToString());
    if (const absl::Status put = PutFence(elsewhere_, end->lsn); !put.ok()) return Fault(put.ToString());
  } else {
    return;
  }
  ++promotion_;
  archive_records_.reset();
}

void FlushSchedule::Purge() {
  log_->RunBackgroundOnce();
  if (const auto freed = log_->Purge(); !freed.ok()) return Fault(freed.status().ToString());
  durable_ = std::max(durable_, log_->durable());
  written_ = log_->written();
}

void FlushSchedule::OpenNode() {
  log::RecoveryReport report;
  auto opened = log::LogImpl::Open(fs_, clock_, log_options_, &report);
  if (!opened.ok()) return Fault("open: " + opened.status().ToString());
  log_ = std::move(*opened);
  timestamp_ = std::max(timestamp_, report.last_timestamp.micros);
  durable_ = written_ = log_->durable();
  frozen_ = log_->appended();
  Lsn checkpoint = format::kFirstLsn;
  const std::vector<log::Lease> leases = log_->Leases();
  if (leases.empty()) {
    const absl::Status taken = log_->TakeLease({.name = std::string(kLease), .position = checkpoint});
    if (!taken.ok()) return Fault(taken.ToString());
  } else {
    checkpoint = leases.front().position;
    if (!leases.front().broken.empty()) return Fault("the archive's lease broke: " + leases.front().broken);
  }
  machine_.emplace(Checkpoint{checkpoint, {}});
  if (sabotage_ == Sabotage::kAlwaysRestorable) machine_->SetRestorable(true, "");
  upload_.reset();
  look_.reset();
  archive_started_ = listed_ = false;
  store_ = std::make_unique<objstore::MemoryStore>(bucket_);
  Weather();
}

void FlushSchedule::Crash() {
  ++totals.restarts;
  const bool power_loss = Chance(60);
  const Lsn must_have = power_loss ? durable_ : std::max(durable_, written_);
  if (power_loss) {
    fs_.PowerLoss(random_());
  } else {
    fs_.ProcessDeath();
  }
  log_.reset();
  fs_.Restart();
  waiting_.clear();
  OpenNode();
  if (!fault.empty()) return;
  if (log_->durable() < must_have) return Fault("the log lost what was durable");
  CheckLogAgainstModel();
}

// What the disk lost is no part of the history any more, and nothing of it may have left the node.
void FlushSchedule::CheckLogAgainstModel() {
  while (!model_.empty() && model_.back().end > log_->durable()) model_.pop_back();
  const Lsn end = model_.empty() ? format::kFirstLsn : model_.back().end;
  if (end != log_->durable()) Fault("the log ends where no record did");
  const auto archived = ListedUpTo(elsewhere_, format::kFirstLsn);
  if (absl::IsNotFound(archived.status())) return;  // no archive yet
  if (!archived.ok()) return Fault(archived.status().ToString());
  if (archived->lsn > end) {
    Fault(fmt::format("the archive has log up to {}, the node lost it from {} on", archived->lsn.value, end.value));
  }
}

// Nothing fails any more: everybody is answered, and a new caller too.
void FlushSchedule::Drain() {
  ClearWeather();
  if (machine_->state() == FlushState::kPaused || machine_->state() == FlushState::kStopped) ChangeState();
  for (int round = 0; round < 2; ++round) {
    for (int step = 0; step < 1000 && HasWork() && fault.empty(); ++step) UploadStep();
    if (fault.empty() && (HasWork() || !waiting_.empty())) Fault("a caller is stranded");
    if (!fault.empty() || round == 1) return;
    AppendOne();
    const uint64_t yes = totals.yes;
    const CallerId id{next_caller_++};
    waiting_.emplace(id, Caller{log_->appended(), model_.size(), false});
    Take(machine_->Call({id, FlushMode::kWait, log_->appended(), false}, Now()));
    for (int step = 0; step < 1000 && HasWork() && fault.empty(); ++step) UploadStep();
    if (promotion_ == 0 && totals.yes != yes + 1) Fault("in good weather the answer is no");
  }
}

void FlushSchedule::Take(FlushActions actions) {
  for (const FlushAnswer& answer : actions.answers) Heard(answer);
  if (actions.look) {
    look_ = actions.look;
    Observe(2001, look_->look);
  }
  if (!actions.order) return;
  if (upload_) return Fault("a second order while one is under way");
  upload_.emplace();
  upload_->order = *actions.order;
  upload_->end = sabotage_ == Sabotage::kCutAfterFreeze ? std::min(frozen_, upload_->order.cut) : upload_->order.cut;
  Observe(2000, upload_->order.cut.value);
}

void FlushSchedule::Heard(const FlushAnswer& answer) {
  Observe(answer.caller.value, static_cast<uint64_t>(answer.error));
  const auto found = waiting_.find(answer.caller);
  if (found == waiting_.end()) return Fault("an answer to one who does not wait");
  const Caller caller = found->second;
  waiting_.erase(found);
  if (answer.joined) ++totals.joined;
  if (answer.error == FlushError::kFenced) ++totals.fenced;
  if (answer.success) {
    ++totals.yes;
    if (promotion_ != 0) Fault("a node that was replaced says yes");
    CheckArchive(caller, answer);
  } else {
    ++totals.no;
    if (answer.message.empty()) Fault("a no without a reason");
  }
}

// A yes: whatever happens to this node now, a restore from the archive as it is has all that the caller asked for.
void FlushSchedule::CheckArchive(const Caller& caller, const FlushAnswer& answer) {
  // Durable only: the log is there, but what a restore needs besides may not be yet.
  if (caller.durable_only && !machine_->restorable()) return;
  if (caller.records > 0 && answer.flushed.timestamp < model_[caller.records - 1].timestamp) {
    Fault("yes, with a moment before that of the caller's last record");
  }
  if (!archive_records_) {
    objstore::MemoryStore copy(bucket_->Copy());
    const auto read = ReadArchive(copy, codec_.keys);
    if (!read.ok()) return Fault("yes, but the archive can't be restored: " + read.status().ToString());
    ++totals.archives_read;
    if (read->size() > model_.size()) return Fault("the archive has records that the node does not have");
    if (!std::equal(read->begin(), read->end(), model_.begin())) return Fault("the archive has other records");
    archive_records_ = read->size();
  }
  if (*archive_records_ < caller.records) {
    Fault(fmt::format("yes to a caller of {} records up to {}, the archive gives back {}", caller.records,
                      caller.target.value, *archive_records_));
  }
}

}  // namespace tidemark::backup
