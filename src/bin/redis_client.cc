#include "bin/redis_client.h"

#include <hiredis/hiredis.h>

#include <cerrno>
#include <utility>

#include "base/numbers.h"

namespace tidemark::bin {
namespace {

struct timeval Interval(std::chrono::milliseconds time) {
  return {.tv_sec = time.count() / 1000, .tv_usec = time.count() % 1000 * 1000};
}

Reply Convert(const redisReply& reply) {
  Reply out;
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      out.kind = Reply::Kind::kInteger;
      out.integer = reply.integer;
      break;
    case REDIS_REPLY_ARRAY:
      out.kind = Reply::Kind::kArray;
      for (size_t i = 0; i < reply.elements; ++i) out.elements.push_back(Convert(*reply.element[i]));
      break;
    case REDIS_REPLY_NIL:
      break;
    default:
      out.kind = Reply::Kind::kText;
      out.text.assign(reply.str, reply.len);
  }
  return out;
}

absl::Status ServerError(std::string_view node, std::string_view line) {
  const std::string_view code = line.substr(0, line.find(' '));
  if (code == "LOADING") return Errorf(absl::StatusCode::kUnavailable, "{}: {}", node, line);
  if (code == "NOAUTH" || code == "WRONGPASS" || code == "NOPERM") {
    return Errorf(absl::StatusCode::kPermissionDenied, "{}: {} (give --password, or set REDISCLI_AUTH)", node, line);
  }
  const std::string_view text = code == "ERR" ? line.substr(4) : line;
  return InvalidArgument("{}: {}", node, text);
}

}  // namespace

std::string NodeAddress::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

absl::StatusOr<NodeAddress> ParseNode(std::string_view text) {
  NodeAddress node;
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return InvalidArgument("'{}' is no host:port", text);
    node.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && port.front() != ':') return InvalidArgument("'{}' is no host:port", text);
    if (!port.empty()) port.remove_prefix(1);
  } else {
    const size_t colon = text.rfind(':');
    node.host = text.substr(0, colon);
    if (colon != std::string_view::npos) port = text.substr(colon + 1);
    if (colon != std::string_view::npos && port.empty()) return InvalidArgument("'{}' is no host:port", text);
  }
  if (!port.empty()) {
    const auto number = ParseUint64(port);
    if (!number || *number == 0 || *number > 65535) return InvalidArgument("'{}' is no host:port", text);
    node.port = static_cast<uint16_t>(*number);
  }
  if (node.host.empty()) return InvalidArgument("'{}' is no host:port", text);
  return node;
}

absl::StatusOr<std::vector<NodeAddress>> ParseNodes(std::string_view text) {
  std::vector<NodeAddress> nodes;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    TM_ASSIGN_OR_RETURN(NodeAddress node, ParseNode(text.substr(0, comma)));
    nodes.push_back(std::move(node));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  if (nodes.empty()) return InvalidArgument("no node is named");
  return nodes;
}

const Reply* Reply::Find(std::string_view field) const {
  for (size_t i = 0; i + 1 < elements.size(); i += 2) {
    if (elements[i].text == field) return &elements[i + 1];
  }
  return nullptr;
}

int64_t Reply::Number(std::string_view field) const {
  const Reply* found = Find(field);
  return found == nullptr ? 0 : found->integer;
}

std::string Reply::Text(std::string_view field) const {
  const Reply* found = Find(field);
  return found == nullptr ? "" : found->text;
}

void RedisClient::Free::operator()(redisContext* context) const { redisFree(context); }

absl::Status RedisClient::ContextError() const {
  if (context_->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return Errorf(absl::StatusCode::kDeadlineExceeded, "{} does not answer", node_);
  }
  return Errorf(absl::StatusCode::kUnavailable, "{}: {}", node_, context_->errstr);
}

absl::StatusOr<RedisClient> RedisClient::Connect(const NodeAddress& node, const Credentials& credentials,
                                                 std::chrono::milliseconds timeout) {
  redisContext* context = redisConnectWithTimeout(node.host.c_str(), node.port, Interval(timeout));
  if (context == nullptr) return Errorf(absl::StatusCode::kUnavailable, "{}: no memory", node.text());
  RedisClient client(context, node.text());
  if (context->err != 0) return Errorf(absl::StatusCode::kUnavailable, "{}: {}", node.text(), context->errstr);
  redisEnableKeepAlive(context);
  if (!credentials.password.empty()) {
    std::vector<std::string> words = {"AUTH"};
    if (!credentials.user.empty()) words.push_back(credentials.user);
    words.push_back(credentials.password);
    TM_RETURN_IF_ERROR(client.Call(words, timeout).status());
  }
  return client;
}

absl::StatusOr<Reply> RedisClient::Call(const std::vector<std::string>& words, std::chrono::milliseconds timeout) {
  redisSetTimeout(context_.get(), Interval(timeout));
  std::vector<const char*> pointers;
  std::vector<size_t> lengths;
  for (const std::string& word : words) {
    pointers.push_back(word.data());
    lengths.push_back(word.size());
  }
  void* raw = redisCommandArgv(context_.get(), static_cast<int>(words.size()), pointers.data(), lengths.data());
  if (raw == nullptr) return ContextError();
  const std::unique_ptr<redisReply, void (*)(void*)> reply(static_cast<redisReply*>(raw), freeReplyObject);
  if (reply->type == REDIS_REPLY_ERROR) return ServerError(node_, std::string_view(reply->str, reply->len));
  return Convert(*reply);
}

}  // namespace tidemark::bin
