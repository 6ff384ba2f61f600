// The PEM files of TLS, which the gRPC port and a replica's connection to its primary share. None: plain text.
#pragma once

#include <string>

namespace tidemark::rpc {

struct TlsFiles {
  std::string certificate;
  std::string key;  // of the certificate
  // A server asks its clients for a certificate that it signed; a client takes only servers whose it signed, instead of
  // those of the system's authorities.
  std::string authority;
};

}  // namespace tidemark::rpc
