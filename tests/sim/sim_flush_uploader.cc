// The uploader of the simulation: what a driver of the flush machine does, in steps between which anything may happen.
#include <algorithm>

#include "sim_flush_world.h"

namespace tidemark::backup {
namespace {

constexpr std::string_view kLease = "archive:task";
constexpr size_t kParallelPuts = 3;

}  // namespace

// For those whose records are in the archive already.
void FlushSchedule::LookForSuccessor() {
  ++totals.looks;
  const uint64_t look = std::exchange(look_, std::nullopt)->look;
  if (sabotage_ == Sabotage::kYesWithoutALook) return Take(machine_->Looked(look, FlushEnd::kDone, ""));
  const auto newest = NewestTimeline(*store_);
  if (!newest.ok()) {
    const FlushEnd end = objstore::IsPassing(newest.status()) ? FlushEnd::kPassing : FlushEnd::kLasting;
    return Take(machine_->Looked(look, end, Message(newest.status())));
  }
  if (newest->value > 1) Take(machine_->SetState(FlushState::kFenced, "timeline 2 writes this archive"));
  Take(machine_->Looked(look, FlushEnd::kDone, ""));
}

void FlushSchedule::UploadStep() {
  if (look_) return LookForSuccessor();
  if (!upload_) return;
  switch (upload_->phase) {
    case Upload::Phase::kPrepare:
      return Prepare();
    case Upload::Phase::kSync:
      if (sabotage_ != Sabotage::kShipsWhatIsNotDurable) {
        if (const absl::Status synced = log_->SyncTo(upload_->order.cut); !synced.ok()) return Fault(synced.ToString());
      } else {
        log_->Write();
      }
      written_ = log_->written();
      durable_ = std::max(durable_, log_->durable());
      upload_->phase = Upload::Phase::kRead;
      return;
    case Upload::Phase::kRead:
      return ReadRange();
    case Upload::Phase::kPut:
      return PutOne();
  }
}

// Once a process: the archive is this cluster's, and a listing says how far it is complete.
void FlushSchedule::Prepare() {
  if (!archive_started_) {
    if (Chance(30)) return;
    if (const absl::Status started = StartArchive(*store_); !started.ok()) return EndAttempt(started);
    archive_started_ = true;
  } else if (!listed_) {
    const auto archived = ListedUpTo(*store_, machine_->flushed().lsn);
    if (!archived.ok()) return EndAttempt(archived.status());
    if (!CheckFence()) return;
    listed_ = true;
    machine_->SetRestorable(true, "");
    Take(machine_->Progress({upload_->order.order, *archived, 0, 0}));
  } else {
    upload_->from = machine_->flushed().lsn;
    upload_->phase = Upload::Phase::kSync;
  }
}

void FlushSchedule::ReadRange() {
  const log::ReadLimit limit =
      sabotage_ == Sabotage::kShipsWhatIsNotDurable ? log::ReadLimit::kWritten : log::ReadLimit::kDurable;
  auto cursor = log_->OpenCursor(upload_->from, limit);
  if (!cursor.ok()) return Fault("cursor: " + cursor.status().ToString());
  const uint64_t piece_bytes = 50 + Below(400);
  std::optional<SimObjectWriter> writer;
  while ((*cursor)->position() < upload_->end) {
    const auto record = (*cursor)->Next(std::chrono::milliseconds(0));
    if (!record.ok()) return Fault("read: " + record.status().ToString());
    if (!writer) writer.emplace(codec_, *record);
    if (const absl::Status added = writer->Add(*record); !added.ok()) return Fault(added.ToString());
    if (writer->plain_bytes() >= piece_bytes || record->end >= upload_->end) {
      auto object = writer->Finish();
      if (!object.ok()) return Fault(object.status().ToString());
      upload_->pieces.push_back({*std::move(object), false});
      writer.reset();
    }
  }
  if (sabotage_ == Sabotage::kAdvancesWithoutUpload && !upload_->pieces.empty() && Chance(30)) {
    upload_->pieces[Below(upload_->pieces.size())].there = true;
  }
  upload_->phase = Upload::Phase::kPut;
}

// One of the first few objects that are not there yet: they go in parallel, so they arrive in any order.
void FlushSchedule::PutOne() {
  std::vector<Piece*> under_way;
  for (Piece& piece : upload_->pieces) {
    if (!piece.there && under_way.size() < kParallelPuts) under_way.push_back(&piece);
  }
  if (under_way.empty() || (Chance(20) && upload_->pieces.front().there)) return Report();
  Piece& piece = *under_way[Below(under_way.size())];
  absl::Status put = store_->Put(piece.object.key, piece.object.bytes, objstore::PutCondition::kMustNotExist);
  archive_records_.reset();
  if (absl::IsAlreadyExists(put)) {
    const auto there = store_->Get(piece.object.key);
    put = there.status();
    if (there.ok()) {
      const auto same = SameLog(*there, piece.object.bytes);
      if (!same.ok() || !*same) return Fault("another object of the same name");
    }
  }
  if (sabotage_ == Sabotage::kSwallowsUploadErrors) put = absl::OkStatus();
  if (put.ok()) {
    piece.there = true;
  } else if (!objstore::IsPassing(put) || Chance(50)) {
    EndAttempt(put);
  }
}

FlushReport FlushSchedule::ReportOf(size_t pieces) const {
  FlushReport report{upload_->order.order, machine_->flushed(), 0, 0};
  for (size_t i = 0; i < pieces; ++i) {
    const Piece& piece = upload_->pieces[i];
    report.reached = piece.object.end;
    ++report.objects;
    report.bytes += piece.object.bytes.size();
  }
  return report;
}

void FlushSchedule::Report() {
  if (!CheckFence()) return;
  std::vector<Piece>& pieces = upload_->pieces;
  const auto missing = std::find_if(pieces.begin(), pieces.end(), [](const Piece& piece) { return !piece.there; });
  size_t complete = static_cast<size_t>(missing - pieces.begin());
  if (sabotage_ == Sabotage::kConfirmsOutOfOrder) {
    complete = pieces.size();
    while (complete > 0 && !pieces[complete - 1].there) --complete;
  }
  FlushReport report = ReportOf(complete);
  if (complete < pieces.size()) return Take(machine_->Progress(report));
  if (sabotage_ == Sabotage::kCutAfterFreeze) report.reached.lsn = upload_->order.cut;
  upload_.reset();
  Take(machine_->Ended(report, FlushEnd::kDone, "", Now()));
  const absl::Status raised = log_->RaiseLease(kLease, machine_->flushed().lsn);
  if (!raised.ok()) Fault(raised.ToString());
}

// False, and the attempt is over, where a newer timeline is in the archive or nobody can say.
bool FlushSchedule::CheckFence() {
  if (sabotage_ == Sabotage::kNoFenceCheck) return true;
  const auto newest = NewestTimeline(*store_);
  if (newest.ok() && newest->value <= 1) return true;
  if (!newest.ok()) {
    EndAttempt(newest.status());
  } else {
    Take(machine_->SetState(FlushState::kFenced, "timeline 2 writes this archive"));
    EndAttempt(absl::FailedPreconditionError("timeline 2 writes this archive"));
  }
  return false;
}

void FlushSchedule::EndAttempt(const absl::Status& why) {
  ++totals.failed_attempts;
  const FlushReport report = ReportOf(0);
  upload_.reset();
  Take(
      machine_->Ended(report, objstore::IsPassing(why) ? FlushEnd::kPassing : FlushEnd::kLasting, Message(why), Now()));
}

// Its memory is gone; what it had sent may be there.
void FlushSchedule::RestartUploader() {
  archive_started_ = listed_ = false;
  if (const auto look = std::exchange(look_, std::nullopt)) {
    Take(machine_->Looked(look->look, FlushEnd::kPassing, "the uploader was restarted"));
  }
  if (upload_) EndAttempt(absl::UnavailableError("the uploader was restarted"));
}

}  // namespace tidemark::backup
