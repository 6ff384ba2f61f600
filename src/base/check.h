// Assertions that stay on in release. A broken invariant stops the process with the facts;
// operating errors are absl::Status, never this.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace tidemark {

[[noreturn]] void CheckFailed(const char* file, int line, const char* expression, std::string_view facts);

}  // namespace tidemark

// TM_CHECK(condition) or TM_CHECK(condition, "format {}", facts...)
#define TM_CHECK(condition, ...)                                                                               \
  do {                                                                                                         \
    if (!(condition)) [[unlikely]] {                                                                           \
      ::tidemark::CheckFailed(__FILE__, __LINE__, #condition, ::tidemark::check_internal::Facts(__VA_ARGS__)); \
    }                                                                                                          \
  } while (false)

namespace tidemark::check_internal {
inline std::string Facts() { return {}; }
template <typename... Args>
std::string Facts(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}
}  // namespace tidemark::check_internal
