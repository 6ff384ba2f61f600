#include "rpc/replication_messages.h"

#include <algorithm>
#include <utility>

namespace tidemark::rpc {
namespace {

using replication::History;
using replication::SnapshotOffer;
using replication::TimelineStep;
using replication::Verdict;
using Steps = google::protobuf::RepeatedPtrField<v1::TimelineStep>;

void WriteHistory(const History& in, Steps* out) {
  for (const TimelineStep& step : in) {
    v1::TimelineStep* added = out->Add();
    added->set_timeline(step.timeline.value);
    added->set_id(step.id.data(), step.id.size());
    added->set_fork(step.fork.value);
  }
}

absl::StatusOr<History> ReadHistory(const Steps& in) {
  History out;
  for (const v1::TimelineStep& step : in) {
    TimelineStep added{.timeline = Timeline{step.timeline()}, .fork = Lsn{step.fork()}};
    if (step.id().size() != added.id.size()) {
      return InvalidArgument("the id of timeline {} has {} bytes", step.timeline(), step.id().size());
    }
    std::copy(step.id().begin(), step.id().end(), added.id.begin());
    out.push_back(added);
  }
  return out;
}

v1::Verdict WriteVerdict(Verdict verdict) {
  switch (verdict) {
    case Verdict::kStream:
      return v1::VERDICT_STREAM;
    case Verdict::kCut:
      return v1::VERDICT_CUT;
    case Verdict::kFullSync:
      return v1::VERDICT_FULL_SYNC;
    case Verdict::kArchive:
      return v1::VERDICT_ARCHIVE;
  }
  return v1::VERDICT_UNSPECIFIED;
}

absl::StatusOr<Verdict> ReadVerdict(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_STREAM:
      return Verdict::kStream;
    case v1::VERDICT_CUT:
      return Verdict::kCut;
    case v1::VERDICT_FULL_SYNC:
      return Verdict::kFullSync;
    case v1::VERDICT_ARCHIVE:
      return Verdict::kArchive;
    default:
      return InvalidArgument("the primary answers with verdict {}, which this version does not know",
                             static_cast<int>(verdict));
  }
}

void WriteOffer(const SnapshotOffer& in, v1::SnapshotOffer* out) {
  out->set_id(in.id);
  out->set_lsn(in.lsn.value);
  out->set_timeline(in.timeline.value);
  out->set_previous_crc(in.previous_crc);
  out->set_last_timestamp(in.last_timestamp.micros);
  for (const replication::SnapshotFile& file : in.files) {
    v1::SnapshotFile* added = out->add_files();
    added->set_name(file.name);
    added->set_size(file.size);
  }
}

SnapshotOffer ReadOffer(const v1::SnapshotOffer& in) {
  SnapshotOffer out{.id = in.id(),
                    .lsn = Lsn{in.lsn()},
                    .timeline = Timeline{in.timeline()},
                    .previous_crc = in.previous_crc(),
                    .last_timestamp = Timestamp{in.last_timestamp()},
                    .files = {}};
  for (const v1::SnapshotFile& file : in.files()) out.files.push_back({.name = file.name(), .size = file.size()});
  return out;
}

}  // namespace

void Write(const replication::Hello& in, v1::Hello* out) {
  out->set_replica_id(in.replica_id);
  out->set_announced_host(in.announced.host);
  out->set_announced_port(in.announced.port);
  out->set_cluster_id(in.cluster_id);
  WriteHistory(in.history, out->mutable_history());
  out->set_position(in.position.value);
  out->set_last_crc(in.last_crc);
  out->set_persisted(in.persisted.value);
  out->set_snapshot(in.snapshot);
  out->set_staged(in.staged.value);
  out->set_staged_crc(in.staged_crc);
  out->set_no_archive(in.no_archive);
}

absl::StatusOr<replication::Hello> Read(const v1::Hello& in) {
  if (in.announced_port() > 65535) return InvalidArgument("{} is no port", in.announced_port());
  replication::Hello out;
  out.replica_id = in.replica_id();
  out.announced = {.host = in.announced_host(), .port = static_cast<uint16_t>(in.announced_port())};
  out.cluster_id = in.cluster_id();
  TM_ASSIGN_OR_RETURN(out.history, ReadHistory(in.history()));
  out.position = Lsn{in.position()};
  out.last_crc = in.last_crc();
  out.persisted = Lsn{in.persisted()};
  out.snapshot = in.snapshot();
  out.staged = Lsn{in.staged()};
  out.staged_crc = in.staged_crc();
  out.no_archive = in.no_archive();
  return out;
}

void Write(const replication::Welcome& in, v1::Welcome* out) {
  out->set_verdict(WriteVerdict(in.verdict));
  out->set_primary_id(in.primary_id);
  out->set_cluster_id(in.cluster_id);
  WriteHistory(in.history, out->mutable_history());
  out->set_from(in.from.value);
  if (in.snapshot) WriteOffer(*in.snapshot, out->mutable_snapshot());
  out->set_reason(in.reason);
}

absl::StatusOr<replication::Welcome> Read(const v1::Welcome& in) {
  replication::Welcome out;
  TM_ASSIGN_OR_RETURN(out.verdict, ReadVerdict(in.verdict()));
  out.primary_id = in.primary_id();
  out.cluster_id = in.cluster_id();
  TM_ASSIGN_OR_RETURN(out.history, ReadHistory(in.history()));
  out.from = Lsn{in.from()};
  if (in.has_snapshot()) out.snapshot = ReadOffer(in.snapshot());
  out.reason = in.reason();
  return out;
}

void Write(replication::Chunk in, v1::Chunk* out) {
  out->set_from(in.from.value);
  out->set_records(std::move(in.records));
  out->set_primary_end(in.primary_end.value);
  out->set_take_over(in.take_over);
}

replication::Chunk Read(v1::Chunk&& in) {
  return {.from = Lsn{in.from()},
          .records = std::move(*in.mutable_records()),
          .primary_end = Lsn{in.primary_end()},
          .take_over = in.take_over()};
}

void Write(const replication::Ack& in, v1::Ack* out) {
  out->set_written(in.written.value);
  out->set_durable(in.durable.value);
  out->set_applied(in.applied.value);
  out->set_loading(in.loading);
}

replication::Ack Read(const v1::Ack& in) {
  return {.written = Lsn{in.written()},
          .durable = Lsn{in.durable()},
          .applied = Lsn{in.applied()},
          .loading = in.loading()};
}

void Write(const replication::FilePart& in, v1::FilePart* out) {
  out->set_bytes(in.bytes);
  out->set_last(in.last);
  out->set_hash(in.hash);
}

replication::FilePart Read(v1::FilePart&& in) {
  return {.bytes = std::move(*in.mutable_bytes()), .last = in.last(), .hash = in.hash()};
}

}  // namespace tidemark::rpc
