// Errors are absl::Status: what happened, to what, and what to do about it. This file adds the two
// propagation macros and makers that format their message.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace tidemark {

// Debian's absl::string_view is a type of its own; these two convert at the edge.
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view Message(const absl::Status& status) { return ToStd(status.message()); }

template <typename... Args>
absl::Status Errorf(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  return absl::Status(code, text);
}

template <typename... Args>
absl::Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return Errorf(absl::StatusCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

// The status of a failed system call: `what` names the operation and its object.
absl::Status ErrnoStatus(int error_number, std::string_view what);

}  // namespace tidemark

#define TM_CONCAT_INNER(a, b) a##b
#define TM_CONCAT(a, b) TM_CONCAT_INNER(a, b)

#define TM_RETURN_IF_ERROR(expression)                            \
  do {                                                            \
    if (absl::Status tm_status = (expression); !tm_status.ok()) { \
      return tm_status;                                           \
    }                                                             \
  } while (false)

#define TM_ASSIGN_OR_RETURN(lhs, expression) \
  TM_ASSIGN_OR_RETURN_IMPL(TM_CONCAT(tm_statusor_, __LINE__), lhs, expression)
#define TM_ASSIGN_OR_RETURN_IMPL(statusor, lhs, expression) \
  auto statusor = (expression);                             \
  if (!statusor.ok()) return std::move(statusor).status();  \
  lhs = std::move(*statusor)
