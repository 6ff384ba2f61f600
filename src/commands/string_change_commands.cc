// Strings: commands that compute the new value from the old one (numbers, APPEND, SETRANGE). All keep the key's expiry.
// Behaviour after Redis 7.0's t_string.c.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "commands/string_handlers.h"
#include "resp/numbers.h"

namespace tidemark::commands {
namespace {

using types::Key;
using types::Type;

// Digits of an int64_t with sign.
constexpr size_t kIntegerChars = 20;

absl::Status Add(Context& ctx, int64_t increment) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1], Type::kString));
  int64_t value = 0;
  if (key) {
    TM_ASSIGN_OR_RETURN(value, IntegerArg(key.string));
  }
  if (__builtin_add_overflow(value, increment, &value)) {
    return absl::InvalidArgumentError("ERR increment or decrement would overflow");
  }
  char digits[kIntegerChars];
  const char* end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  ctx.keys().PutString(&key, {digits, static_cast<size_t>(end - digits)}, key.expire_ms);
  ctx.keys().Notify(types::EventClass::kString, "incrby", key.name);
  ctx.out.Integer(value);
  return absl::OkStatus();
}

}  // namespace

absl::Status Incr(Context& ctx) { return Add(ctx, 1); }

absl::Status Decr(Context& ctx) { return Add(ctx, -1); }

absl::Status IncrBy(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t increment, IntegerArg(ctx.args[2]));
  return Add(ctx, increment);
}

absl::Status DecrBy(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t decrement, IntegerArg(ctx.args[2]));
  if (decrement == std::numeric_limits<int64_t>::min()) {
    return absl::InvalidArgumentError("ERR decrement would overflow");
  }
  return Add(ctx, -decrement);
}

absl::Status IncrByFloat(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1], Type::kString));
  const std::optional<long double> value = key ? resp::ParseLongDouble(key.string) : 0;
  const std::optional<long double> increment = resp::ParseLongDouble(ctx.args[2]);
  if (!value || !increment) return NotAFloat();
  const long double sum = *value + *increment;
  if (!std::isfinite(sum)) return absl::InvalidArgumentError("ERR increment would produce NaN or Infinity");
  const std::string digits = resp::FormatLongDouble(sum);
  ctx.keys().PutString(&key, digits, key.expire_ms);
  ctx.keys().Notify(types::EventClass::kString, "incrbyfloat", key.name);
  ctx.out.Bulk(digits);
  return absl::OkStatus();
}

absl::Status Append(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1], Type::kString));
  const std::string_view tail = ctx.args[2];
  TM_RETURN_IF_ERROR(CheckStringLength(key.string.size() + tail.size()));
  std::string value;
  value.reserve(key.string.size() + tail.size());
  value.append(key.string).append(tail);
  ctx.keys().PutString(&key, value, key.expire_ms);
  ctx.keys().Notify(types::EventClass::kString, "append", key.name);
  ctx.out.Integer(static_cast<int64_t>(value.size()));
  return absl::OkStatus();
}

absl::Status SetRange(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t offset, IntegerArg(ctx.args[2]));
  if (offset < 0) return absl::InvalidArgumentError("ERR offset is out of range");
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1], Type::kString));
  const std::string_view part = ctx.args[3];
  if (part.empty()) {
    ctx.out.Integer(static_cast<int64_t>(key.string.size()));
    return absl::OkStatus();
  }
  const auto begin = static_cast<uint64_t>(offset);
  TM_RETURN_IF_ERROR(CheckStringLength(begin + part.size()));
  std::string value;
  value.reserve(std::max<size_t>(key.string.size(), begin + part.size()));
  value.assign(key.string);
  if (value.size() < begin + part.size()) value.resize(begin + part.size());
  std::memcpy(value.data() + begin, part.data(), part.size());
  ctx.keys().PutString(&key, value, key.expire_ms);
  ctx.keys().Notify(types::EventClass::kString, "setrange", key.name);
  ctx.out.Integer(static_cast<int64_t>(value.size()));
  return absl::OkStatus();
}

}  // namespace tidemark::commands
