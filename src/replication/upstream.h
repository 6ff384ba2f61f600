// A connection to a primary, as the follower sees it. rpc/ makes it of gRPC; tests join it to a feed in memory.
#pragma once

#include <absl/functional/function_ref.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "replication/wire.h"

namespace tidemark::replication {

class Upstream {
 public:
  virtual ~Upstream() = default;

  // Opens the stream; once. Blocks. UNAVAILABLE when the primary cannot be reached, FAILED_PRECONDITION when it cannot
  // serve (it has no data itself, it is shutting down), UNAUTHENTICATED for the password.
  virtual absl::StatusOr<Welcome> Join(const Hello& hello) = 0;
  // The next piece of the stream; blocks until one comes. UNAVAILABLE when the stream has ended or nothing came for
  // longer than a primary that lives would let pass; CANCELLED after Cancel.
  virtual absl::StatusOr<Chunk> Next() = 0;
  // From one thread at a time, which may be another than that of Next.
  virtual absl::Status Acknowledge(const Ack& ack) = 0;
  // Reads a file of the snapshot from `offset` on; each part goes to `take`, which may end it with an error. Several
  // threads may read at once, beside Next. NOT_FOUND when the primary has let the snapshot go.
  virtual absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                                absl::FunctionRef<absl::Status(const FilePart&)> take) = 0;
  // Ends every call, now and for ever. Any thread.
  virtual void Cancel() = 0;
};

struct UpstreamOptions {
  std::string user;                          // masteruser
  std::string password;                      // masterauth
  std::chrono::milliseconds timeout{60000};  // repl-timeout: silence after which the connection counts as dead
};

// Finds the RPC port through the Redis port, and connects. Blocks for at most the time-out. UNIMPLEMENTED when the
// other side is no Tidemark.
using Connect =
    std::function<absl::StatusOr<std::unique_ptr<Upstream>>(const Endpoint& primary, const UpstreamOptions& options)>;

}  // namespace tidemark::replication
