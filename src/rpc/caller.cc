#include "rpc/caller.h"

#include "base/address.h"
#include "commands/access.h"

namespace tidemark::rpc {

grpc::Status Admit(const Services& services, const grpc::ServerContextBase& context) {
  std::string user;
  std::string password;
  const auto& metadata = context.client_metadata();
  if (const auto found = metadata.find("authorization"); found != metadata.end()) {
    const auto credentials = commands::ParseBasicAuthorization({found->second.data(), found->second.size()});
    if (!credentials) {
      return {grpc::StatusCode::UNAUTHENTICATED, "authorization must be Basic, with base64 of user:password"};
    }
    user = credentials->user;
    password = credentials->password;
  }
  const bool own = context.peer().starts_with("unix:") || IsLoopback(PeerHost(context));
  const absl::Status status = services.access(own, user, password);
  return status.ok() ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(Message(status)));
}

std::string PeerHost(const grpc::ServerContextBase& context) {
  std::string peer = context.peer();
  const size_t begin = peer.find(':') + 1;
  const size_t end = peer.rfind(':');
  if (end < begin) return peer;
  std::string_view host = std::string_view(peer).substr(begin, end - begin);
  for (const std::string_view bracket : {"[", "%5B"}) {
    if (host.starts_with(bracket)) host.remove_prefix(bracket.size());
  }
  for (const std::string_view bracket : {"]", "%5D"}) {
    if (host.ends_with(bracket)) host.remove_suffix(bracket.size());
  }
  return std::string(host);
}

grpc::Status ToGrpc(const absl::Status& status) {
  // Abseil's codes are gRPC's.
  return {static_cast<grpc::StatusCode>(status.code()), std::string(Message(status))};
}

}  // namespace tidemark::rpc
