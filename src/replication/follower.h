// What a node that follows another has: a link to a Tidemark (link.h), or to a Redis (psync_link.h). It works from its
// construction until Stop, on threads of its own.
#pragma once

#include <cstdint>
#include <optional>

#include "replication/replication.h"

namespace tidemark::replication {

class Follower {
 public:
  virtual ~Follower() = default;
  // Ends the connection and waits for the threads: nothing is received or applied any more. Not on its own thread.
  virtual void Stop() = 0;
  virtual LinkStatus status() const = 0;
  virtual bool up() const = 0;
  // This node's log is durable further. Any thread; does not block.
  virtual void DurableAdvanced() = 0;
  // Where the primary is a Redis: up to where in its stream it has been followed. Nullopt where positions are LSNs.
  virtual std::optional<uint64_t> foreign_offset() const { return std::nullopt; }
};

}  // namespace tidemark::replication
