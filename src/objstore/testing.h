// What the tests of stores share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "objstore/object_store.h"

#define ASSERT_OK(expression)                           \
  do {                                                  \
    const absl::Status tm_test_status = (expression);   \
    ASSERT_TRUE(tm_test_status.ok()) << tm_test_status; \
  } while (false)
#define EXPECT_OK(expression)                           \
  do {                                                  \
    const absl::Status tm_test_status = (expression);   \
    EXPECT_TRUE(tm_test_status.ok()) << tm_test_status; \
  } while (false)

namespace tidemark::objstore {

// Incompressible, the same for the same seed.
inline std::string RandomBytes(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; i += 8) {
    const uint64_t word = random();
    std::copy_n(reinterpret_cast<const char*>(&word), std::min<size_t>(8, size - i), bytes.data() + i);
  }
  return bytes;
}

// The bytes, then the error if there is one.
class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string bytes, absl::Status at_end = absl::OkStatus())
      : bytes_(std::move(bytes)), at_end_(std::move(at_end)) {}

  absl::StatusOr<std::string> Read(size_t max) override {
    // Never as much as asked for: sources give what they have.
    std::string piece = bytes_.substr(offset_, std::min<size_t>(max, 700'001));
    offset_ += piece.size();
    if (piece.empty() && !at_end_.ok()) return at_end_;
    return piece;
  }

 private:
  const std::string bytes_;
  const absl::Status at_end_;
  size_t offset_ = 0;
};

}  // namespace tidemark::objstore
