#include "commands/access.h"

#include <openssl/evp.h>

#include "commands/acl.h"
#include "commands/command.h"

namespace tidemark::commands {

namespace {

bool MayUseSidePorts(const AclRights& rights) {
  constexpr std::string_view kFlush[] = {"logbackup", "flush"};
  constexpr std::string_view kReplconf[] = {"replconf", "ip-address"};
  for (const Args args : {Args(kFlush), Args(kReplconf)}) {
    const CommandSpec* spec = CommandTable::Get().Resolve(args);
    if (spec != nullptr && rights.Check(*spec, args).ok()) return true;
  }
  return false;
}

}  // namespace

bool SameSecret(std::string_view given, std::string_view secret) {
  unsigned char difference = given.size() == secret.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i] ^ secret[secret.empty() ? 0 : i % secret.size()]);
  }
  return difference == 0;
}

absl::Status CheckAccess(const Acl& acl, const config::Config& config, bool loopback, std::string_view user,
                         std::string_view password) {
  if (!loopback && !acl.DefaultHasPassword() && config.Bool("protected-mode")) {
    return Errorf(absl::StatusCode::kPermissionDenied,
                  "protected mode: without a password only this machine is served; set requirepass, or protected-mode "
                  "to no");
  }
  const std::shared_ptr<const AclRights> rights = acl.Authenticate(user.empty() ? "default" : user, password);
  if (rights == nullptr) {
    return Errorf(absl::StatusCode::kPermissionDenied, "{}",
                  password.empty() ? "authentication required: send user and password in the Basic scheme"
                                   : "invalid username-password pair or user is disabled");
  }
  if (MayUseSidePorts(*rights)) return absl::OkStatus();
  return Errorf(absl::StatusCode::kPermissionDenied,
                "this user has no permissions to run LOGBACKUP FLUSH or REPLCONF, one of which this port asks for");
}

std::optional<Credentials> ParseBasicAuthorization(std::string_view header) {
  constexpr std::string_view kScheme = "basic ";
  if (header.size() <= kScheme.size() || !EqualsIgnoreCase(header.substr(0, kScheme.size()), kScheme)) {
    return std::nullopt;
  }
  std::string_view text = header.substr(kScheme.size());
  if (text.empty() || text.size() % 4 != 0 || text.size() > 4096) return std::nullopt;
  std::string decoded(text.size() / 4 * 3, '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  // The decoder counts padding as zero bytes.
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  decoded.resize(static_cast<size_t>(length) - padding);
  const size_t colon = decoded.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return Credentials{.user = decoded.substr(0, colon), .password = decoded.substr(colon + 1)};
}

}  // namespace tidemark::commands
