// An immutable, reference-counted byte string: the value of a row. One allocation, one pointer wide, so that the table
// of hot rows, a snapshot of changed rows and a reader can share it without copying.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string_view>
#include <utility>

namespace tidemark::kv {

// Null means "no such row". Copies may be used from different threads; one Value object by one thread at a time.
class Value {
 public:
  Value() = default;
  explicit Value(std::string_view bytes) : Value(Uninitialized(bytes.size())) {
    std::copy(bytes.begin(), bytes.end(), mutable_data());
  }
  // A value of `size` bytes to be filled through mutable_data() before it is shared.
  static Value Uninitialized(size_t size) {
    Value value;
    value.body_ = new (std::malloc(sizeof(Body) + size)) Body{1, size};
    return value;
  }

  Value(const Value& other) : body_(other.body_) {
    if (body_ != nullptr) body_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Value(Value&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
  Value& operator=(Value other) noexcept {
    std::swap(body_, other.body_);
    return *this;
  }
  ~Value() {
    if (body_ != nullptr && body_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) std::free(body_);
  }

  explicit operator bool() const { return body_ != nullptr; }
  // Valid while this or any copy lives. Empty when null.
  std::string_view view() const {
    return body_ == nullptr ? std::string_view()
                            : std::string_view(reinterpret_cast<const char*>(body_ + 1), body_->size);
  }
  void Prefetch() const { __builtin_prefetch(body_); }
  char* mutable_data() { return reinterpret_cast<char*>(body_ + 1); }

 private:
  struct Body {
    std::atomic<uint32_t> references;
    size_t size;
  };
  Body* body_ = nullptr;
};

}  // namespace tidemark::kv
