// Network addresses as text: of clients, and as the option `bind` lists them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tidemark {

// Whether a numeric IPv4 or IPv6 address, without port and brackets, is this machine's own. An IPv4 address within an
// IPv6 one counts as what it is.
bool IsLoopback(std::string_view address);

// Calls `listen` for each address in turn, without the '-' before those that may be missing. The first error of one
// that may not be ends it; FAILED_PRECONDITION when none could be listened on.
absl::Status ListenOnEach(std::span<const std::string> addresses,
                          const std::function<absl::Status(std::string_view address)>& listen);

}  // namespace tidemark
