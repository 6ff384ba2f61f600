// BITFIELD: integers of 1 to 64 bits at any bit of a string, highest bit first. The whole request is parsed before
// anything is read, so a bad word anywhere changes nothing. Behaviour after Redis 7.0's bitops.c.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "commands/string_handlers.h"
#include "resp/numbers.h"

namespace tidemark::commands {
namespace {

using types::Key;
using types::Type;

enum class Overflow : uint8_t { kWrap, kSat, kFail };
enum class Action : uint8_t { kGet, kSet, kIncrBy };

// Unsigned fields have at most 63 bits, so every value of a field is an int64_t.
struct Field {
  bool is_signed = false;
  unsigned bits = 0;

  int64_t max() const {
    const unsigned value_bits = is_signed ? bits - 1 : bits;
    return static_cast<int64_t>((uint64_t{1} << value_bits) - 1);
  }
  int64_t min() const { return is_signed ? -max() - 1 : 0; }
};

struct Operation {
  Action action = Action::kGet;
  Overflow overflow = Overflow::kWrap;
  Field field;
  uint64_t offset = 0;
  int64_t operand = 0;
};

struct Request {
  std::vector<Operation> operations;
  // Length in bytes that the string must have for its writes; 0 when it only reads.
  uint64_t bytes_written = 0;
};

// ---- Parsing ----

absl::StatusOr<Field> FieldArg(std::string_view arg) {
  const bool is_signed = arg.starts_with('i');
  const std::optional<int64_t> bits =
      is_signed || arg.starts_with('u') ? resp::ParseInt64(arg.substr(1)) : std::nullopt;
  if (!bits || *bits < 1 || *bits > (is_signed ? 64 : 63)) {
    return absl::InvalidArgumentError(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
  }
  return Field{is_signed, static_cast<unsigned>(*bits)};
}

absl::StatusOr<Overflow> OverflowArg(std::string_view word) {
  if (EqualsIgnoreCase(word, "wrap")) return Overflow::kWrap;
  if (EqualsIgnoreCase(word, "sat")) return Overflow::kSat;
  if (EqualsIgnoreCase(word, "fail")) return Overflow::kFail;
  return absl::InvalidArgumentError("ERR Invalid OVERFLOW type specified");
}

// Takes one operation off the front of *words.
absl::StatusOr<Operation> TakeOperation(Args* words) {
  Operation operation;
  const std::string_view name = words->front();
  const size_t left = words->size() - 1;
  if (EqualsIgnoreCase(name, "get") && left >= 2) {
    operation.action = Action::kGet;
  } else if (EqualsIgnoreCase(name, "set") && left >= 3) {
    operation.action = Action::kSet;
  } else if (EqualsIgnoreCase(name, "incrby") && left >= 3) {
    operation.action = Action::kIncrBy;
  } else {
    return SyntaxError();
  }
  TM_ASSIGN_OR_RETURN(operation.field, FieldArg((*words)[1]));
  TM_ASSIGN_OR_RETURN(operation.offset, BitOffsetArg((*words)[2], operation.field.bits));
  if (operation.action != Action::kGet) {
    TM_ASSIGN_OR_RETURN(operation.operand, IntegerArg((*words)[3]));
  }
  *words = words->subspan(operation.action == Action::kGet ? 3 : 4);
  return operation;
}

absl::StatusOr<Request> ParseRequest(Args words) {
  Request request;
  Overflow overflow = Overflow::kWrap;
  while (!words.empty()) {
    if (EqualsIgnoreCase(words.front(), "overflow") && words.size() >= 2) {
      TM_ASSIGN_OR_RETURN(overflow, OverflowArg(words[1]));
      words = words.subspan(2);
      continue;
    }
    TM_ASSIGN_OR_RETURN(Operation operation, TakeOperation(&words));
    operation.overflow = overflow;
    if (operation.action != Action::kGet) {
      const uint64_t last_bit = operation.offset + operation.field.bits - 1;
      request.bytes_written = std::max(request.bytes_written, last_bit / 8 + 1);
    }
    request.operations.push_back(operation);
  }
  return request;
}

// ---- Bits ----

// The field's bits as a number; bits behind the string's end are zero.
int64_t ReadField(std::string_view bytes, uint64_t offset, const Field& field) {
  uint64_t value = 0;
  for (unsigned left = field.bits; left > 0;) {
    const uint64_t index = offset / 8;
    const auto below = static_cast<unsigned>(8 - offset % 8);
    const unsigned take = std::min(below, left);
    const unsigned byte = index < bytes.size() ? static_cast<uint8_t>(bytes[index]) : 0;
    value = value << take | (byte >> (below - take) & ((1u << take) - 1));
    offset += take;
    left -= take;
  }
  const bool negative = field.is_signed && (value >> (field.bits - 1) & 1) != 0;
  if (negative && field.bits < 64) value |= ~uint64_t{0} << field.bits;
  return static_cast<int64_t>(value);
}

// `bytes` reaches to the field's end.
void WriteField(std::string* bytes, uint64_t offset, const Field& field, int64_t value) {
  for (unsigned left = field.bits; left > 0;) {
    char& byte = (*bytes)[offset / 8];
    const auto below = static_cast<unsigned>(8 - offset % 8);
    const unsigned take = std::min(below, left);
    const unsigned mask = ((1u << take) - 1) << (below - take);
    const auto part = static_cast<unsigned>(static_cast<uint64_t>(value) >> (left - take)) << (below - take);
    byte = static_cast<char>((static_cast<uint8_t>(byte) & ~mask) | (part & mask));
    offset += take;
    left -= take;
  }
}

// `base` + `increment` brought into the field's range. Nothing when it does not fit and must not be made to.
std::optional<int64_t> Fit(const Operation& operation, int64_t base, int64_t increment) {
  const Field& field = operation.field;
  int64_t sum = 0;
  const bool wrapped = __builtin_add_overflow(base, increment, &sum);
  bool above = wrapped ? increment > 0 : sum > field.max();
  bool below = wrapped ? increment < 0 : sum < field.min();
  // As Redis has it: SET reads a negative number for an unsigned field as a huge one.
  if (below && !field.is_signed && operation.action == Action::kSet) {
    above = true;
    below = false;
  }
  if (!above && !below) return sum;
  switch (operation.overflow) {
    case Overflow::kFail:
      return std::nullopt;
    case Overflow::kSat:
      return above ? field.max() : field.min();
    case Overflow::kWrap:
      break;
  }
  std::string low_bits(sizeof(sum), '\0');
  WriteField(&low_bits, 0, field, sum);
  return ReadField(low_bits, 0, field);
}

// ---- Running ----

// Runs the operations on `bytes` and writes their replies. True when a bit changed.
bool RunOperations(const Request& request, std::string* bytes, resp::Writer& out) {
  bool changed = false;
  for (const Operation& operation : request.operations) {
    const int64_t old_value = ReadField(*bytes, operation.offset, operation.field);
    if (operation.action == Action::kGet) {
      out.Integer(old_value);
      continue;
    }
    const bool is_set = operation.action == Action::kSet;
    const std::optional<int64_t> value = Fit(operation, is_set ? 0 : old_value, operation.operand);
    if (!value) {
      out.Null();
      continue;
    }
    WriteField(bytes, operation.offset, operation.field, *value);
    changed = changed || *value != old_value;
    out.Integer(is_set ? old_value : *value);
  }
  return changed;
}

void RunReads(const Request& request, std::string_view bytes, resp::Writer& out) {
  for (const Operation& operation : request.operations) {
    out.Integer(ReadField(bytes, operation.offset, operation.field));
  }
}

absl::Status Run(Context& ctx, bool readonly) {
  TM_ASSIGN_OR_RETURN(const Request request, ParseRequest(ctx.args.subspan(2)));
  if (readonly && request.bytes_written > 0) {
    return absl::InvalidArgumentError("ERR BITFIELD_RO only supports the GET subcommand");
  }
  const bool reads = request.bytes_written == 0;
  TM_ASSIGN_OR_RETURN(
      Key key, reads ? ctx.keys().Lookup(ctx.args[1], Type::kString) : ctx.keys().Find(ctx.args[1], Type::kString));
  ctx.out.Array(request.operations.size());
  if (reads) {
    RunReads(request, key.string, ctx.out);
    return absl::OkStatus();
  }
  std::string bytes;
  bytes.reserve(std::max<uint64_t>(key.string.size(), request.bytes_written));
  bytes.assign(key.string);
  // Room is made even for a write that then fails on overflow, as in Redis.
  const bool grown = bytes.size() < request.bytes_written;
  if (grown) bytes.resize(request.bytes_written);
  const bool changed = RunOperations(request, &bytes, ctx.out);
  if (grown || changed) {
    ctx.keys().PutString(&key, bytes, key.expire_ms);
    ctx.keys().Notify(types::EventClass::kString, "setbit", key.name);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Bitfield(Context& ctx) { return Run(ctx, false); }

absl::Status BitfieldRo(Context& ctx) { return Run(ctx, true); }

}  // namespace tidemark::commands
