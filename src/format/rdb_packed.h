// The packed lists in which Redis keeps small collections, entry by entry: listpack, ziplist, intset, zipmap (sources:
// Redis 7.0 src/listpack.c, src/ziplist.c, src/intset.c, src/zipmap.c).
//
// Pure functions over bytes that are never trusted: a walk ends with INVALID_ARGUMENT where they stop making sense, and
// whoever walks sees every entry before that.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"

namespace tidemark::format {

enum class PackedKind : uint8_t { kListpack, kZiplist, kIntset, kZipmap };

// One list, walked once. The bytes outlive it.
class PackedList {
 public:
  // INVALID_ARGUMENT when its frame (length, end, count) does not fit.
  static absl::StatusOr<PackedList> Open(PackedKind kind, std::string_view bytes);

  // The next entry, integers as their digits; nullopt at the end, which is an error if the list has claimed more or
  // fewer. The view lasts until the next call.
  absl::StatusOr<std::optional<std::string_view>> Next();
  // The next entry, which has to be there; a number.
  absl::StatusOr<std::string_view> NextEntry();
  absl::StatusOr<int64_t> NextInteger();

 private:
  PackedList(PackedKind kind, std::string_view rest, std::optional<uint64_t> count)
      : kind_(kind), rest_(rest), count_(count) {}

  std::optional<std::string_view> Take(uint64_t count);
  template <typename T>
  std::optional<std::string_view> TakeInteger();
  template <typename T>
  std::optional<T> TakeBig();
  std::optional<std::string_view> Decimal(int64_t value);
  std::optional<std::string_view> Take24();
  std::optional<std::string_view> NextListpack();
  std::optional<std::string_view> ListpackValue();
  std::optional<std::string_view> NextZiplist();
  std::optional<std::string_view> NextInt();
  std::optional<std::string_view> NextZipmap();

  PackedKind kind_;
  std::string_view rest_;
  std::optional<uint64_t> count_;
  uint64_t read_ = 0;
  uint8_t integer_bytes_ = 0;  // of an intset's members
  char digits_[24] = {};
};

}  // namespace tidemark::format
