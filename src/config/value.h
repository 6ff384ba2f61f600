// Values as text: what a user may write for each type of option, and the one form in which it is kept and shown.
// Rules and error texts are those of Redis 7.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "config/option.h"

namespace tidemark::config {

// `number` is what programs read: 0 or 1 of a bool, the place among the choices of an enum, bytes of a memory size
// (percent, as a negative number), KeyspaceEvent bits; 0 for text.
struct Value {
  std::string text;
  int64_t number = 0;
  bool operator==(const Value&) const = default;
};

// INVALID_ARGUMENT, with Redis's words for what is wrong and without the value, which may be secret. `current` fills in
// the classes that a list of output limits does not name.
absl::StatusOr<Value> ParseValue(const Option& option, std::string_view text, const Value& current);

// Bytes: a decimal number, then nothing, b, k (1000), kb (1024), m, mb, g or gb in any case.
std::optional<int64_t> ParseMemory(std::string_view text);
// With the largest binary unit that is exact: 104857600 is "100mb".
std::string FormatMemory(int64_t bytes);

// Classes of clients with limits of their own, in the order of OutputLimits.
enum class ClientClass { kNormal, kReplica, kPubsub };
struct OutputLimit {
  uint64_t hard_bytes = 0;  // disconnected at once; 0 never
  uint64_t soft_bytes = 0;  // disconnected when above for soft_seconds; 0 never
  int64_t soft_seconds = 0;
};
using OutputLimits = std::array<OutputLimit, 3>;
// Of a canonical value of kOutputLimits.
OutputLimits ParseOutputLimits(std::string_view canonical);

// Bits of notify-keyspace-events, the letters of its value in comments.
enum KeyspaceEvent : int64_t {
  kKeyspaceChannel = 1 << 0,  // K
  kKeyeventChannel = 1 << 1,  // E
  kEventGeneric = 1 << 2,     // g
  kEventString = 1 << 3,      // $
  kEventList = 1 << 4,        // l
  kEventSet = 1 << 5,         // s
  kEventHash = 1 << 6,        // h
  kEventZset = 1 << 7,        // z
  kEventExpired = 1 << 8,     // x
  kEventEvicted = 1 << 9,     // e
  kEventStream = 1 << 10,     // t
  kEventKeyMiss = 1 << 11,    // m
  kEventModule = 1 << 13,     // d
  kEventNew = 1 << 14,        // n
  kEventAll = kEventGeneric | kEventString | kEventList | kEventSet | kEventHash | kEventZset | kEventExpired |
              kEventEvicted | kEventStream | kEventModule,  // A
};

}  // namespace tidemark::config
