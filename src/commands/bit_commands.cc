// Strings as arrays of bits: bit 0 is the highest bit of the first byte. Behaviour after Redis 7.0's bitops.c.
#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "commands/spec.h"
#include "commands/string_handlers.h"
#include "resp/numbers.h"

namespace tidemark::commands {
namespace {

using types::Key;
using types::Type;

constexpr uint64_t kWord = sizeof(uint64_t);

uint8_t ByteAt(std::string_view bytes, uint64_t index) { return static_cast<uint8_t>(bytes[index]); }

// ---- SETBIT and GETBIT ----

absl::Status SetBit(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const uint64_t offset, BitOffsetArg(ctx.args[2]));
  const std::string_view wanted = ctx.args[3];
  if (wanted != "0" && wanted != "1") return absl::InvalidArgumentError("ERR bit is not an integer or out of range");
  const bool on = wanted == "1";
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1], Type::kString));
  const uint64_t index = offset / 8;
  const auto mask = static_cast<uint8_t>(0x80u >> (offset % 8));
  const bool inside = index < key.string.size();
  const bool was_on = inside && (ByteAt(key.string, index) & mask) != 0;
  if (!inside || was_on != on) {
    std::string value;
    value.reserve(std::max<uint64_t>(key.string.size(), index + 1));
    value.assign(key.string);
    if (!inside) value.resize(index + 1);
    value[index] = static_cast<char>(on ? ByteAt(value, index) | mask : ByteAt(value, index) & ~mask);
    ctx.keys().PutString(&key, value, key.expire_ms);
    ctx.keys().Notify(types::EventClass::kString, "setbit", key.name);
  }
  ctx.out.Integer(was_on ? 1 : 0);
  return absl::OkStatus();
}

absl::Status GetBit(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const uint64_t offset, BitOffsetArg(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  const bool inside = offset / 8 < key.string.size();
  ctx.out.Integer(inside ? (ByteAt(key.string, offset / 8) >> (7 - offset % 8)) & 1 : 0);
  return absl::OkStatus();
}

// ---- BITCOUNT and BITPOS ----

// Bits `first` to `last`, both included, of a string.
struct BitRange {
  uint64_t first;
  uint64_t last;

  uint64_t first_byte() const { return first / 8; }
  uint64_t last_byte() const { return last / 8; }
  // Of the byte at `index`, which bits belong to the range.
  uint8_t Mask(uint64_t index) const {
    uint8_t mask = 0xff;
    if (index == first_byte()) mask &= static_cast<uint8_t>(0xff >> (first % 8));
    if (index == last_byte()) mask &= static_cast<uint8_t>(0xff << (7 - last % 8));
    return mask;
  }
};

absl::StatusOr<bool> UnitIsBit(std::string_view word) {
  if (EqualsIgnoreCase(word, "bit")) return true;
  if (EqualsIgnoreCase(word, "byte")) return false;
  return SyntaxError();
}

// The range from `start` to `end`, negative ones counted from the end, cut to a string of `bytes` bytes. Nothing when
// it is empty. As Redis has it, an end before the first element means the first.
std::optional<BitRange> ResolveRange(int64_t start, int64_t end, bool in_bits, size_t bytes) {
  const auto length = static_cast<int64_t>(in_bits ? bytes * 8 : bytes);
  if (start < 0) start = std::max<int64_t>(start + length, 0);
  if (end < 0) end = std::max<int64_t>(end + length, 0);
  end = std::min(end, length - 1);
  if (start > end) return std::nullopt;
  const auto first = static_cast<uint64_t>(start);
  const auto last = static_cast<uint64_t>(end);
  return in_bits ? BitRange{first, last} : BitRange{first * 8, last * 8 + 7};
}

uint64_t CountBits(std::string_view bytes, const BitRange& range) {
  uint64_t count = 0;
  uint64_t index = range.first_byte();
  count += static_cast<uint64_t>(std::popcount<uint8_t>(ByteAt(bytes, index) & range.Mask(index)));
  if (index == range.last_byte()) return count;
  for (++index; index + kWord <= range.last_byte(); index += kWord) {
    count += static_cast<uint64_t>(std::popcount(LoadLittle<uint64_t>(bytes.data() + index)));
  }
  for (; index <= range.last_byte(); ++index) {
    count += static_cast<uint64_t>(std::popcount<uint8_t>(ByteAt(bytes, index) & range.Mask(index)));
  }
  return count;
}

// Number of the first bit in the range that is `wanted`.
std::optional<uint64_t> FindBit(std::string_view bytes, const BitRange& range, bool wanted) {
  // Turned so that the bit sought is always a one.
  const uint8_t flip = wanted ? 0x00 : 0xff;
  const uint64_t flip_word = wanted ? 0 : ~uint64_t{0};
  for (uint64_t index = range.first_byte(); index <= range.last_byte(); ++index) {
    const bool whole_word = index > range.first_byte() && index + kWord <= range.last_byte();
    if (whole_word && LoadLittle<uint64_t>(bytes.data() + index) == flip_word) {
      index += kWord - 1;
      continue;
    }
    const auto candidates = static_cast<uint8_t>((ByteAt(bytes, index) ^ flip) & range.Mask(index));
    if (candidates != 0) return index * 8 + static_cast<uint64_t>(std::countl_zero(candidates));
  }
  return std::nullopt;
}

absl::Status BitCount(Context& ctx) {
  const size_t count = ctx.args.size();
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  std::optional<BitRange> range;
  if (key && count == 2) {
    range = ResolveRange(0, -1, false, key.string.size());
  } else if (key) {
    if (count != 4 && count != 5) return SyntaxError();
    TM_ASSIGN_OR_RETURN(const int64_t start, IntegerArg(ctx.args[2]));
    TM_ASSIGN_OR_RETURN(const int64_t end, IntegerArg(ctx.args[3]));
    const bool reversed = start < 0 && end < 0 && start > end;
    bool in_bits = false;
    if (count == 5 && !reversed) {
      TM_ASSIGN_OR_RETURN(in_bits, UnitIsBit(ctx.args[4]));
    }
    if (!reversed) range = ResolveRange(start, end, in_bits, key.string.size());
  }
  ctx.out.Integer(range ? static_cast<int64_t>(CountBits(key.string, *range)) : 0);
  return absl::OkStatus();
}

absl::Status BitPos(Context& ctx) {
  const size_t count = ctx.args.size();
  TM_ASSIGN_OR_RETURN(const int64_t bit, IntegerArg(ctx.args[2]));
  if (bit != 0 && bit != 1) return absl::InvalidArgumentError("ERR The bit argument must be 1 or 0.");
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  // An absent key is an endless row of zeros.
  if (!key) {
    ctx.out.Integer(bit == 1 ? -1 : 0);
    return absl::OkStatus();
  }
  if (count > 6) return SyntaxError();
  int64_t start = 0;
  int64_t end = -1;
  bool in_bits = false;
  if (count >= 4) {
    TM_ASSIGN_OR_RETURN(start, IntegerArg(ctx.args[3]));
  }
  if (count == 6) {
    TM_ASSIGN_OR_RETURN(in_bits, UnitIsBit(ctx.args[5]));
  }
  if (count >= 5) {
    TM_ASSIGN_OR_RETURN(end, IntegerArg(ctx.args[4]));
  }
  const std::optional<BitRange> range = ResolveRange(start, end, in_bits, key.string.size());
  std::optional<uint64_t> found;
  if (range) found = FindBit(key.string, *range, bit == 1);
  // Without an end the string goes on with zeros behind its last byte.
  if (range && !found && bit == 0 && count < 5) found = range->last + 1;
  ctx.out.Integer(found ? static_cast<int64_t>(*found) : -1);
  return absl::OkStatus();
}

// ---- BITOP ----

enum class BitOperation : uint8_t { kAnd, kOr, kXor, kNot };

absl::StatusOr<BitOperation> OperationArg(std::string_view word) {
  if (EqualsIgnoreCase(word, "and")) return BitOperation::kAnd;
  if (EqualsIgnoreCase(word, "or")) return BitOperation::kOr;
  if (EqualsIgnoreCase(word, "xor")) return BitOperation::kXor;
  if (EqualsIgnoreCase(word, "not")) return BitOperation::kNot;
  return SyntaxError();
}

// Combines `*into` with `other`, byte by byte; `other` counts as followed by zeros.
template <typename Operation>
void Combine(std::string* into, std::string_view other, Operation operation) {
  size_t i = 0;
  for (; i + kWord <= other.size(); i += kWord) {
    StoreLittle(into->data() + i,
                operation(LoadLittle<uint64_t>(into->data() + i), LoadLittle<uint64_t>(other.data() + i)));
  }
  for (; i < other.size(); ++i) {
    (*into)[i] = static_cast<char>(operation(uint64_t{ByteAt(*into, i)}, uint64_t{ByteAt(other, i)}));
  }
  for (; i < into->size(); ++i) (*into)[i] = static_cast<char>(operation(uint64_t{ByteAt(*into, i)}, uint64_t{0}));
}

std::string Combined(BitOperation operation, const std::vector<Key>& sources) {
  size_t longest = 0;
  for (const Key& source : sources) longest = std::max(longest, source.string.size());
  std::string result;
  result.reserve(longest);
  result.assign(sources[0].string);
  result.resize(longest);
  if (operation == BitOperation::kNot) {
    for (char& byte : result) byte = static_cast<char>(~byte);
  }
  for (const Key& source : std::span(sources).subspan(1)) {
    if (operation == BitOperation::kAnd) Combine(&result, source.string, std::bit_and<uint64_t>());
    if (operation == BitOperation::kOr) Combine(&result, source.string, std::bit_or<uint64_t>());
    if (operation == BitOperation::kXor) Combine(&result, source.string, std::bit_xor<uint64_t>());
  }
  return result;
}

absl::Status BitOp(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const BitOperation operation, OperationArg(ctx.args[1]));
  if (operation == BitOperation::kNot && ctx.args.size() != 4) {
    return absl::InvalidArgumentError("ERR BITOP NOT must be called with a single source key.");
  }
  std::vector<Key> sources;
  for (const std::string_view name : ctx.args.subspan(3)) {
    TM_ASSIGN_OR_RETURN(Key source, ctx.keys().Lookup(name, Type::kString));
    sources.push_back(std::move(source));
  }
  const std::string result = Combined(operation, sources);
  TM_ASSIGN_OR_RETURN(Key destination, ctx.keys().Find(ctx.args[2]));
  if (!result.empty()) {
    ctx.keys().PutString(&destination, result, 0);
    ctx.keys().Notify(types::EventClass::kString, "set", destination.name);
  } else if (destination) {
    ctx.keys().Remove(&destination);
    ctx.keys().Notify(types::EventClass::kGeneric, "del", destination.name);
  }
  ctx.out.Integer(static_cast<int64_t>(result.size()));
  return absl::OkStatus();
}

// ---- The table ----

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, KeyPositions keys,
                           std::string_view key_flags, std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("bitmap", name, arity, flags, keys, key_flags, since, handler, syntax, complexity, summary);
}

constexpr std::array kBitCommands = {
    Spec("setbit", 4, kWrite | kDenyOom, kFirstKey, "RW access update", "2.2.0", SetBit, "key offset value",
         "O(N), N being the length of the value", "Sets or clears one bit of a value and returns what it was."),
    Spec("getbit", 3, kReadonly | kFast, kFirstKey, "RO access", "2.2.0", GetBit, "key offset", "O(1)",
         "Returns one bit of a value."),
    Spec("bitcount", -2, kReadonly, kFirstKey, "RO access", "2.6.0", BitCount, "key [start end [BYTE | BIT]]",
         "O(N), N being the number of bytes in the range", "Counts the bits that are set in a value or in part of it."),
    Spec("bitpos", -3, kReadonly, kFirstKey, "RO access", "2.8.7", BitPos, "key bit [start [end [BYTE | BIT]]]",
         "O(N), N being the number of bytes in the range",
         "Finds the first bit that is set, or clear, in a value or in part of it."),
    Spec("bitop", -4, kWrite | kDenyOom, {2, -1, 1}, "OW update/RO access", "2.6.0", BitOp,
         "<AND | OR | XOR | NOT> destkey key [key ...]", "O(N), N being the length of the longest value",
         "Combines values bit by bit and stores the result in a key."),
    Spec(
        "bitfield", -2, kWrite | kDenyOom, kFirstKey, "RW access update variable_flags", "3.2.0", Bitfield,
        "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding "
        "offset increment>> [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY "
        "encoding offset increment>> ...]]",
        "O(N), N being the length of the value, and O(1) for each operation",
        "Reads, sets and counts in integers of any width that stand at any bit of a value."),
    Spec("bitfield_ro", -2, kReadonly | kFast, kFirstKey, "RO access", "6.0.0", BitfieldRo,
         "key [GET encoding offset [GET encoding offset ...]]", "O(1) for each operation",
         "BITFIELD for reading only."),
};

}  // namespace

std::span<const CommandSpec> BitCommands() { return kBitCommands; }

absl::StatusOr<uint64_t> BitOffsetArg(std::string_view arg, unsigned width) {
  const bool multiplied = width != 0 && arg.starts_with('#');
  const std::optional<int64_t> number = resp::ParseInt64(arg.substr(multiplied ? 1 : 0));
  int64_t offset = 0;
  if (!number || __builtin_mul_overflow(*number, multiplied ? int64_t{width} : 1, &offset) || offset < 0 ||
      static_cast<uint64_t>(offset) / 8 >= kMaxStringBytes) {
    return absl::InvalidArgumentError("ERR bit offset is not an integer or out of range");
  }
  return static_cast<uint64_t>(offset);
}

}  // namespace tidemark::commands
