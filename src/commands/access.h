// Who may use the ports beside the Redis port: the same users, passwords and protected mode. There a caller can back
// up, copy and flush everything, so a user other than the default one must have the right to LOGBACKUP FLUSH or
// REPLCONF.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "config/config.h"

namespace tidemark::commands {

class Acl;

// Takes as long for a wrong first letter as for a wrong last one.
bool SameSecret(std::string_view given, std::string_view secret);

// PERMISSION_DENIED (what to do is said, nothing about the password) unless a caller from this machine (`loopback`) or
// elsewhere may go on with what he gave; user and password are empty when he gave nothing. Any thread.
absl::Status CheckAccess(const Acl& acl, const config::Config& config, bool loopback, std::string_view user,
                         std::string_view password);

struct Credentials {
  std::string user;
  std::string password;
};
// The value of an "Authorization: Basic …" header (RFC 7617); nullopt when it is anything else.
std::optional<Credentials> ParseBasicAuthorization(std::string_view header);

}  // namespace tidemark::commands
