#include "base/address.h"

#include <arpa/inet.h>

#include <cstring>

namespace tidemark {
namespace {

bool IsLoopback(const in_addr& v4) {
  constexpr uint32_t kMask = 0xff000000;
  constexpr uint32_t kLoopback = 0x7f000000;
  return (ntohl(v4.s_addr) & kMask) == kLoopback;
}

}  // namespace

bool IsLoopback(std::string_view address) {
  const std::string text(address);
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return IsLoopback(v4);
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return false;
  if (!IN6_IS_ADDR_V4MAPPED(&v6)) return IN6_IS_ADDR_LOOPBACK(&v6);
  std::memcpy(&v4, &v6.s6_addr[12], sizeof(v4));
  return IsLoopback(v4);
}

absl::Status ListenOnEach(std::span<const std::string> addresses,
                          const std::function<absl::Status(std::string_view address)>& listen) {
  bool listening = false;
  for (std::string_view address : addresses) {
    const bool optional = address.starts_with('-');
    if (optional) address.remove_prefix(1);
    absl::Status status = listen(address);
    if (!status.ok() && !optional) return status;
    listening = listening || status.ok();
  }
  if (listening) return absl::OkStatus();
  return Errorf(absl::StatusCode::kFailedPrecondition, "none of the addresses of bind can be listened on");
}

}  // namespace tidemark
