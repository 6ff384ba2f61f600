// The bytes of an RDB file or of a DUMP payload, taken off the front piece by piece: numbers, lengths, strings. They
// may come from memory or bit by bit from a file or a connection; what is held is one string and a buffer.
//
// A length is 6, 14, 32 or 64 bits by its first two bits; a string is a length and its bytes, or, marked by the first
// two bits, an integer of 1, 2 or 4 bytes or an LZF-compressed string (sources: Redis 7.0 src/rdb.c, src/lzf_d.c).
//
// Nothing is trusted: memory grows only as bytes really come, and a string has a greatest length. Errors: DATA_LOSS
// when the bytes end too early, INVALID_ARGUMENT when they cannot be what they have to be, and those of the source.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace tidemark::format {

// Puts up to `max` bytes into `to` and says how many; 0 at the end.
using RdbSource = std::function<absl::StatusOr<size_t>(char* to, size_t max)>;

// CRC-64 of Jones, reflected, as Redis computes it; `seed` is the CRC of the bytes before.
uint64_t Crc64(std::string_view bytes, uint64_t seed = 0);

// LZF (liblzf's stream): literal runs, and references back into the output. INVALID_ARGUMENT unless exactly `length`
// bytes come out.
absl::Status DecompressLzf(std::string_view compressed, uint64_t length, std::string* out);

class RdbInput {
 public:
  // `bytes` outlive it.
  explicit RdbInput(std::string_view bytes) : rest_(bytes), at_end_(true) {}
  explicit RdbInput(RdbSource source) : source_(std::move(source)) {}
  RdbInput(const RdbInput&) = delete;
  RdbInput& operator=(const RdbInput&) = delete;

  // How many bytes were taken.
  uint64_t position() const { return position_; }
  // CRC-64 of all that was taken.
  uint64_t crc() const { return crc_; }
  // What the source gave and nobody took: who has read a file to its end goes on with these.
  std::string_view rest() const { return rest_; }
  // Nothing is left.
  absl::StatusOr<bool> AtEnd();

  absl::StatusOr<uint8_t> Byte();
  template <typename T>
  absl::StatusOr<T> Little() {
    TM_RETURN_IF_ERROR(Have(sizeof(T)));
    const T value = LoadLittle<T>(rest_.data());
    Consume(sizeof(T));
    return value;
  }
  template <typename T>
  absl::StatusOr<T> Big() {
    TM_ASSIGN_OR_RETURN(const T value, Little<T>());
    return ByteSwap(value);
  }
  // A length that is not the mark of an encoded string.
  absl::StatusOr<uint64_t> Length();
  // A string by whatever encoding; replaces *out.
  absl::Status String(std::string* out);
  absl::Status SkipString();
  // Exactly `count` bytes; replaces *out.
  absl::Status Bytes(uint64_t count, std::string* out);

  static constexpr uint64_t kStringMax = 1ull << 30;

 private:
  struct Prefix {
    uint64_t value = 0;
    bool encoded = false;  // value is an RdbStringEncoding
  };
  absl::StatusOr<Prefix> ReadPrefix();
  // At least `count` bytes stand in rest_; small counts only.
  absl::Status Have(size_t count);
  void Consume(size_t count);

  RdbSource source_;
  std::string buffer_;
  std::string_view rest_;
  bool at_end_ = false;
  uint64_t position_ = 0;
  uint64_t crc_ = 0;
  std::string compressed_;
};

}  // namespace tidemark::format
