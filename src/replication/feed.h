// What a node gives to the replicas that read from it, be it a primary or a replica itself. rpc/ puts gRPC around it.
#pragma once

#include <absl/functional/function_ref.h>

#include <memory>
#include <string>

#include "base/status.h"
#include "replication/wire.h"

namespace tidemark::replication {

// One replica that is connected.
class FeedSession {
 public:
  // The replica is away: its lease stays, for as long as its caps allow.
  virtual ~FeedSession() = default;
  virtual const Welcome& welcome() const = 0;
  // The next piece; a heartbeat when none came for a second. Blocks; one thread at a time. CANCELLED when the session
  // has to end: Cancel, a stop, another session of the same replica.
  virtual absl::StatusOr<Chunk> Next() = 0;
  // Any thread.
  virtual void Acknowledge(const Ack& ack) = 0;
  virtual void Cancel() = 0;
};

class Feed {
 public:
  virtual ~Feed() = default;
  // A replica calls. `peer`: the host that it calls from. Blocks (a full sync makes a snapshot). FAILED_PRECONDITION
  // when this node cannot serve: the message says why and is for the operator of the replica. Any thread.
  virtual absl::StatusOr<std::unique_ptr<FeedSession>> Join(const Hello& hello, const std::string& peer) = 0;
  // The file from `offset` on, in parts of at most 1 MiB; ends early with the error of `give`. NOT_FOUND for a
  // snapshot that is not held (any more), INVALID_ARGUMENT for a file that it does not have. Blocks. Any thread.
  virtual absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                                absl::FunctionRef<absl::Status(const FilePart&)> give) = 0;
};

}  // namespace tidemark::replication
