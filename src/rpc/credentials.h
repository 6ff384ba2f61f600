// Credentials and addresses as gRPC wants them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "rpc/tls_files.h"

namespace tidemark::rpc {

// Plain text without a certificate. FAILED_PRECONDITION, or the file system's error, names the file.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const TlsFiles& files);
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(const TlsFiles& files);

// host:port, with brackets where gRPC wants them.
std::string GrpcAddress(std::string_view host, uint16_t port);

}  // namespace tidemark::rpc
