// The errors that many commands share, word for word as Redis 7.0 has them (server.c, createSharedObjects;
// networking.c).
#include "base/status.h"
#include "commands/command.h"
#include "resp/numbers.h"

namespace tidemark::commands {
namespace {

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

std::string ErrorLine(const absl::Status& status) {
  const std::string_view text = Message(status);
  const bool whole =
      absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status) || absl::IsUnavailable(status);
  return whole ? std::string(text) : fmt::format("ERR {}", text);
}

absl::Status SyntaxError() {
  static const absl::Status status = absl::InvalidArgumentError("ERR syntax error");
  return status;
}

absl::Status TooSlow() {
  static const absl::Status status(absl::StatusCode::kDeadlineExceeded, "a script is slow");
  return status;
}

bool IsTooSlow(const absl::Status& status) { return absl::IsDeadlineExceeded(status); }

absl::Status NotAnInteger() {
  static const absl::Status status = absl::InvalidArgumentError("ERR value is not an integer or out of range");
  return status;
}

absl::Status NotAFloat() {
  static const absl::Status status = absl::InvalidArgumentError("ERR value is not a valid float");
  return status;
}

absl::Status WrongArity(std::string_view full_name) {
  return InvalidArgument("ERR wrong number of arguments for '{}' command", full_name);
}

absl::Status InvalidExpire(std::string_view command) {
  return InvalidArgument("ERR invalid expire time in '{}' command", command);
}

absl::StatusOr<int64_t> IntegerArg(std::string_view arg) {
  const std::optional<int64_t> value = resp::ParseInt64(arg);
  if (!value) return NotAnInteger();
  return *value;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

}  // namespace tidemark::commands
