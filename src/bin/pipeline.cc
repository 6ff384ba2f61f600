#include "bin/pipeline.h"

#include <hiredis/hiredis.h>

#include <utility>
#include <vector>

namespace tidemark::bin {
namespace {

constexpr struct timeval kConnectTimeout = {.tv_sec = 10, .tv_usec = 0};
constexpr size_t kAboutBytes = 128;

using HeldReply = std::unique_ptr<redisReply, void (*)(void*)>;

// The first error in a reply: EXEC has one of its own for each command.
const redisReply* FindError(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) return &reply;
  if (reply.type != REDIS_REPLY_ARRAY) return nullptr;
  for (size_t i = 0; i < reply.elements; ++i) {
    if (const redisReply* error = FindError(*reply.element[i])) return error;
  }
  return nullptr;
}

}  // namespace

void Pipeline::Free::operator()(redisContext* context) const { redisFree(context); }

absl::Status Pipeline::Broken() const {
  return Errorf(absl::StatusCode::kUnavailable, "{}: {}", node_, context_->errstr);
}

absl::StatusOr<Pipeline> Pipeline::Connect(const NodeAddress& node, const Credentials& credentials) {
  redisContext* context = redisConnectWithTimeout(node.host.c_str(), node.port, kConnectTimeout);
  if (context == nullptr) return Errorf(absl::StatusCode::kUnavailable, "{}: no memory", node.text());
  Pipeline pipeline(context, node.text());
  if (context->err != 0) return pipeline.Broken();
  redisEnableKeepAlive(context);
  if (!credentials.password.empty()) {
    std::vector<std::string> words = {"AUTH"};
    if (!credentials.user.empty()) words.push_back(credentials.user);
    words.push_back(credentials.password);
    TM_RETURN_IF_ERROR(pipeline.Ask(words).status());
  }
  return pipeline;
}

absl::Status Pipeline::Send(std::span<const std::string_view> words, std::string_view about, bool optional) {
  std::vector<const char*> pointers;
  std::vector<size_t> lengths;
  size_t bytes = 0;
  for (const std::string_view word : words) {
    pointers.push_back(word.data());
    lengths.push_back(word.size());
    bytes += word.size();
  }
  if (redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), pointers.data(), lengths.data()) !=
      REDIS_OK) {
    return Broken();
  }
  pending_.push_back({std::string(about.substr(0, kAboutBytes)), bytes, optional});
  pending_bytes_ += bytes;
  ++sent_;
  // Half of what is on its way at a time, so that the connection is never idle.
  if (pending_.size() < kCommandsMax && pending_bytes_ < kBytesMax) return absl::OkStatus();
  while (pending_.size() > kCommandsMax / 2 || pending_bytes_ > kBytesMax / 2) TM_RETURN_IF_ERROR(TakeReply());
  return absl::OkStatus();
}

absl::Status Pipeline::TakeReply() {
  void* raw = nullptr;
  if (redisGetReply(context_.get(), &raw) != REDIS_OK || raw == nullptr) return Broken();
  const HeldReply reply(static_cast<redisReply*>(raw), freeReplyObject);
  const Pending pending = std::move(pending_.front());
  pending_.pop_front();
  pending_bytes_ -= pending.bytes;
  const redisReply* error = FindError(*reply);
  if (error == nullptr) return absl::OkStatus();
  const std::string text = fmt::format("{}: {}", pending.about, std::string_view(error->str, error->len));
  if (!pending.optional) return InvalidArgument("{}: {}", node_, text);
  ++failed_optional_;
  last_failure_ = text;
  return absl::OkStatus();
}

absl::Status Pipeline::Drain() {
  while (!pending_.empty()) TM_RETURN_IF_ERROR(TakeReply());
  return absl::OkStatus();
}

absl::StatusOr<Reply> Pipeline::Ask(const std::vector<std::string>& words) {
  TM_RETURN_IF_ERROR(Drain());
  std::vector<const char*> pointers;
  std::vector<size_t> lengths;
  for (const std::string& word : words) {
    pointers.push_back(word.data());
    lengths.push_back(word.size());
  }
  void* raw = redisCommandArgv(context_.get(), static_cast<int>(words.size()), pointers.data(), lengths.data());
  if (raw == nullptr) return Broken();
  const HeldReply held(static_cast<redisReply*>(raw), freeReplyObject);
  if (held->type == REDIS_REPLY_ERROR) {
    return InvalidArgument("{}: {}", node_, std::string_view(held->str, held->len));
  }
  Reply reply;
  if (held->type == REDIS_REPLY_INTEGER) {
    reply.kind = Reply::Kind::kInteger;
    reply.integer = held->integer;
  } else if (held->str != nullptr) {
    reply.kind = Reply::Kind::kText;
    reply.text.assign(held->str, held->len);
  }
  return reply;
}

absl::StatusOr<std::string> Pipeline::AskStream(const std::vector<std::string>& words, const Take& take) {
  TM_RETURN_IF_ERROR(Drain());
  const std::vector<std::string_view> views(words.begin(), words.end());
  TM_RETURN_IF_ERROR(Send(views, words[0]));
  pending_.clear();
  pending_bytes_ = 0;
  while (true) {
    void* raw = nullptr;
    if (redisGetReply(context_.get(), &raw) != REDIS_OK || raw == nullptr) return Broken();
    const HeldReply reply(static_cast<redisReply*>(raw), freeReplyObject);
    const std::string_view text(reply->str, reply->len);
    if (reply->type == REDIS_REPLY_STATUS) return std::string(text);
    if (reply->type != REDIS_REPLY_STRING) return InvalidArgument("{}: {}", node_, text);
    TM_RETURN_IF_ERROR(take(text));
  }
}

}  // namespace tidemark::bin
