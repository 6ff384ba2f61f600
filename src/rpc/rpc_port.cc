#include "rpc/rpc_port.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "rpc/credentials.h"

namespace tidemark::rpc {
namespace {

using std::chrono::steady_clock;
using Context = std::unique_ptr<redisContext, void (*)(redisContext*)>;
using Reply = std::unique_ptr<redisReply, void (*)(void*)>;

struct timeval Until(steady_clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline - steady_clock::now()).count();
  const auto micros = std::max<decltype(left)>(left, 1000);
  return {.tv_sec = micros / 1'000'000, .tv_usec = micros % 1'000'000};
}

absl::Status Failed(const redisContext& context, const std::string& name) {
  const bool silent = context.err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
  return Errorf(absl::StatusCode::kUnavailable, "{}: {}", name, silent ? "does not answer" : context.errstr);
}

absl::StatusOr<Reply> Call(redisContext& context, const std::string& name, const std::vector<std::string>& words,
                           steady_clock::time_point deadline) {
  redisSetTimeout(&context, Until(deadline));
  std::vector<const char*> pointers;
  std::vector<size_t> lengths;
  for (const std::string& word : words) {
    pointers.push_back(word.data());
    lengths.push_back(word.size());
  }
  void* raw = redisCommandArgv(&context, static_cast<int>(words.size()), pointers.data(), lengths.data());
  if (raw == nullptr) return Failed(context, name);
  return Reply(static_cast<redisReply*>(raw), freeReplyObject);
}

std::string_view Text(const redisReply& reply) { return {reply.str, reply.len}; }

// What an error of the server means for a replica; OK for one that says nothing about who calls.
absl::Status CheckError(std::string_view line, const std::string& name) {
  const std::string_view code = line.substr(0, line.find(' '));
  if (code == "NOAUTH" || code == "WRONGPASS" || code == "NOPERM" || code == "DENIED") {
    return Errorf(absl::StatusCode::kUnauthenticated, "{}: {} (masterauth, masteruser)", name, line);
  }
  if (code == "LOADING" || code == "BUSY" || line.starts_with("ERR max number of clients")) {
    return Errorf(absl::StatusCode::kUnavailable, "{}: {}", name, line);
  }
  return absl::OkStatus();
}

absl::Status Authenticate(redisContext& context, const std::string& name, const replication::UpstreamOptions& options,
                          steady_clock::time_point deadline) {
  if (options.password.empty()) return absl::OkStatus();
  std::vector<std::string> words = {"AUTH"};
  if (!options.user.empty()) words.push_back(options.user);
  words.push_back(options.password);
  TM_ASSIGN_OR_RETURN(const Reply reply, Call(context, name, words, deadline));
  // A primary that wants no password yet is no reason to stay away: the password can be set while replicas run.
  return reply->type == REDIS_REPLY_ERROR ? CheckError(Text(*reply), name) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint16_t> AskForRpcPort(const replication::Endpoint& redis, const replication::UpstreamOptions& options,
                                       std::chrono::milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  const std::string name = GrpcAddress(redis.host, redis.port);
  const Context context(redisConnectWithTimeout(redis.host.c_str(), redis.port, Until(deadline)), redisFree);
  if (context == nullptr) return Errorf(absl::StatusCode::kUnavailable, "{}: no memory", name);
  if (context->err != 0) return Failed(*context, name);
  TM_RETURN_IF_ERROR(Authenticate(*context, name, options, deadline));
  TM_ASSIGN_OR_RETURN(const Reply reply, Call(*context, name, {"REPLCONF", "rpc-port"}, deadline));
  if (reply->type == REDIS_REPLY_ERROR) {
    TM_RETURN_IF_ERROR(CheckError(Text(*reply), name));
    return Errorf(absl::StatusCode::kUnimplemented, "{} is no Tidemark: REPLCONF rpc-port: {}", name, Text(*reply));
  }
  if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0 || reply->integer > 65535) {
    return Errorf(absl::StatusCode::kUnimplemented, "{} is no Tidemark: it does not know REPLCONF rpc-port", name);
  }
  if (reply->integer == 0) {
    return Errorf(absl::StatusCode::kFailedPrecondition,
                  "{} has no gRPC port, from which replicas read: set rpc-port there", name);
  }
  return static_cast<uint16_t>(reply->integer);
}

}  // namespace tidemark::rpc
