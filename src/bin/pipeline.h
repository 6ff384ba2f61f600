// Commands to a server, many on their way at once: what import sends. Replies are looked at in order; the first error
// ends it, except where the sender said that it may fail.
//
// Used by one thread. Errors: those of redis_client.h for the connection; INVALID_ARGUMENT for the server's own, with
// what was being sent.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bin/redis_client.h"

namespace tidemark::bin {

class Pipeline {
 public:
  static absl::StatusOr<Pipeline> Connect(const NodeAddress& node, const Credentials& credentials);

  // `about` names the key for an error; `optional`: an error is counted and its text kept, no more.
  absl::Status Send(std::span<const std::string_view> words, std::string_view about, bool optional = false);
  // Waits for all replies.
  absl::Status Drain();
  // Drain, then one command and its reply.
  absl::StatusOr<Reply> Ask(const std::vector<std::string>& words);
  // Drain, then a command that is answered by bulk strings, each a reply of its own, and a status, which this returns.
  using Take = std::function<absl::Status(std::string_view piece)>;
  absl::StatusOr<std::string> AskStream(const std::vector<std::string>& words, const Take& take);

  uint64_t sent() const { return sent_; }
  uint64_t failed_optional() const { return failed_optional_; }
  const std::string& last_failure() const { return last_failure_; }

 private:
  // At most so much is unanswered: enough to hide the way there and back, little enough for both sides to hold.
  static constexpr size_t kCommandsMax = 1000;
  static constexpr size_t kBytesMax = 8u << 20;

  struct Pending {
    std::string about;
    size_t bytes;
    bool optional;
  };
  struct Free {
    void operator()(redisContext* context) const;
  };
  explicit Pipeline(redisContext* context, std::string node) : context_(context), node_(std::move(node)) {}

  absl::Status TakeReply();
  absl::Status Broken() const;

  std::unique_ptr<redisContext, Free> context_;
  std::string node_;
  std::deque<Pending> pending_;
  size_t pending_bytes_ = 0;
  uint64_t sent_ = 0;
  uint64_t failed_optional_ = 0;
  std::string last_failure_;
};

}  // namespace tidemark::bin
