// What a replica and its primary say to each other, as plain structs. proto/tidemark/v1/replication.proto is the same
// on the wire, field by field.
//
//   replica                                        primary
//   Hello: who I am, my histories, my position ──▶
//                                               ◀── Welcome: stream | cut | full sync | archive
//   Ack: written, durable, applied ─────────────▶
//                                               ◀── Chunk: whole records, or a heartbeat
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/types.h"

namespace tidemark::replication {

// Where a node's Redis port is.
struct Endpoint {
  std::string host;
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

// One timeline of a node's past, and where it left the one before it (0: the first one known).
struct TimelineStep {
  Timeline timeline;
  Id128 id{};
  Lsn fork;
  bool operator==(const TimelineStep&) const = default;
};
// Oldest first; the last is the one that the log is on.
using History = std::vector<TimelineStep>;

// The first message of a replica.
struct Hello {
  std::string replica_id;  // 32 hexadecimal digits, of the node, the same after a restart
  Endpoint announced;      // its Redis port; without host: where the connection comes from
  std::string cluster_id;  // 32 hexadecimal digits; empty: it has no data
  History history;
  Lsn position;             // end of its log
  uint32_t last_crc = 0;    // CRC field of the record that ends there; 0: not known
  Lsn persisted;            // its store is persisted up to here: a cut cannot go below
  std::string snapshot;     // id of the snapshot whose transfer was cut; empty: none
  Lsn staged;               // end of the log received beside it
  uint32_t staged_crc = 0;  // CRC field of the record that ends there
  bool no_archive = false;  // it has no way to an archive, or has tried in vain
};

enum class Verdict : uint8_t {
  kStream,    // the log from `from` on follows
  kCut,       // the histories part at `from`: cut the log there, and come again
  kFullSync,  // take the snapshot's files; its log follows from `from` on
  kArchive,   // the log begins at `from` only: take what is missing from the archive, and come again
};

struct SnapshotFile {
  std::string name;
  uint64_t size = 0;
};

// A snapshot that the primary holds for the replica, and what the log that goes on from it must be joined to.
struct SnapshotOffer {
  std::string id;
  Lsn lsn;
  Timeline timeline;
  uint32_t previous_crc = 0;  // CRC field of the record that ends at `lsn`
  Timestamp last_timestamp;   // of that record
  std::vector<SnapshotFile> files;
};

struct Welcome {
  Verdict verdict = Verdict::kStream;
  std::string primary_id;
  std::string cluster_id;
  History history;
  Lsn from;
  std::optional<SnapshotOffer> snapshot;  // with kFullSync
  std::string reason;                     // for people: why not simply a stream
};

// A piece of the stream. Without records: a heartbeat.
struct Chunk {
  Lsn from;                // LSN of the first record
  std::string records;     // whole records as they stand in the log
  Lsn primary_end;         // end of the primary's log, durable or not
  bool take_over = false;  // the primary has handed over: you have everything, promote yourself
};

struct Ack {
  Lsn written;           // survives the death of the replica's process
  Lsn durable;           // survives its power failure
  Lsn applied;           // what its readers see
  bool loading = false;  // a snapshot is still on its way
};

// A part of a file of a snapshot.
struct FilePart {
  std::string bytes;
  // With the last part: CRC-32C of the whole file, from its first byte.
  bool last = false;
  uint64_t hash = 0;
};

}  // namespace tidemark::replication
