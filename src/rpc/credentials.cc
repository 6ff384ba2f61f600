#include "rpc/credentials.h"

#include "env/file.h"

namespace tidemark::rpc {
namespace {

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  return path.empty() ? std::string() : ReadWholeFile(FileSystem::Posix(), path);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const TlsFiles& files) {
  if (files.certificate.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions tls;
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  TM_ASSIGN_OR_RETURN(pair.cert_chain, ReadPem(files.certificate));
  TM_ASSIGN_OR_RETURN(pair.private_key, ReadPem(files.key));
  tls.pem_key_cert_pairs.push_back(pair);
  if (!files.authority.empty()) {
    TM_ASSIGN_OR_RETURN(tls.pem_root_certs, ReadPem(files.authority));
    tls.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return grpc::SslServerCredentials(tls);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(const TlsFiles& files) {
  if (files.certificate.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions tls;
  TM_ASSIGN_OR_RETURN(tls.pem_root_certs, ReadPem(files.authority));
  TM_ASSIGN_OR_RETURN(tls.pem_cert_chain, ReadPem(files.certificate));
  TM_ASSIGN_OR_RETURN(tls.pem_private_key, ReadPem(files.key));
  return grpc::SslCredentials(tls);
}

std::string GrpcAddress(std::string_view host, uint16_t port) {
  return host.find(':') == std::string_view::npos ? fmt::format("{}:{}", host, port)
                                                  : fmt::format("[{}]:{}", host, port);
}

}  // namespace tidemark::rpc
