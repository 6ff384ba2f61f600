// A blocking client of one Tidemark node over the Redis protocol, for the command line: connect, authenticate, ask.
//
// Errors tell apart what the caller can do: UNAVAILABLE (refused, reset, loading: try again), DEADLINE_EXCEEDED,
// PERMISSION_DENIED (a password is missing or wrong), INVALID_ARGUMENT (the server's own error, its text without the
// code).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

struct redisContext;

namespace tidemark::bin {

struct NodeAddress {
  std::string host;
  uint16_t port = 6379;
  std::string text() const;
};
// "host", "host:port", "[::1]:port".
absl::StatusOr<NodeAddress> ParseNode(std::string_view text);
// Several, separated by commas.
absl::StatusOr<std::vector<NodeAddress>> ParseNodes(std::string_view text);

struct Credentials {
  std::string user;
  std::string password;  // empty: none
};

struct Reply {
  enum class Kind { kNull, kInteger, kText, kArray } kind = Kind::kNull;
  int64_t integer = 0;
  std::string text;
  std::vector<Reply> elements;

  // Of a map as RESP2 spells it (names and values in turn); null when there is no such field.
  const Reply* Find(std::string_view field) const;
  int64_t Number(std::string_view field) const;
  std::string Text(std::string_view field) const;
};

// Used by one thread at a time.
class RedisClient {
 public:
  static absl::StatusOr<RedisClient> Connect(const NodeAddress& node, const Credentials& credentials,
                                             std::chrono::milliseconds timeout);
  // One command and its reply. `timeout` 0: as long as it takes. After an error other than INVALID_ARGUMENT the
  // connection is of no use any more.
  absl::StatusOr<Reply> Call(const std::vector<std::string>& words, std::chrono::milliseconds timeout);

 private:
  struct Free {
    void operator()(redisContext* context) const;
  };
  RedisClient(redisContext* context, std::string node) : context_(context), node_(std::move(node)) {}

  absl::Status ContextError() const;

  std::unique_ptr<redisContext, Free> context_;
  std::string node_;
};

}  // namespace tidemark::bin
