// What a connection has sent and no command has taken yet: one contiguous piece of memory that grows with what arrives,
// never with what a client claims is coming, and gives memory back when the connection falls idle.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace tidemark::server {

// Used by one thread at a time. Views into it last until MakeRoom or Shrink.
class InputBuffer {
 public:
  // An idle connection costs this much.
  static constexpr size_t kSmallest = 1024;
  // One read takes at most this much, unless a single command is larger.
  static constexpr size_t kOrdinary = 64 << 10;

  std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  size_t capacity() const { return capacity_; }

  // Where the next read puts its bytes: at least one byte long.
  char* room() { return bytes_.get() + end_; }
  size_t room_size() const { return capacity_ - end_; }
  void Arrived(size_t count) {
    end_ += count;
    filled_ = end_ == capacity_;
  }
  void Consume(size_t count) { begin_ += count; }

  // Call before a read. Moves what is left to the front; doubles when the last read filled it. `wanted`: bytes that the
  // command at the front still lacks, as far as known.
  void MakeRoom(size_t wanted) {
    if (begin_ == end_) {
      begin_ = end_ = 0;
    } else if (begin_ > 0 && (filled_ || capacity_ - end_ < capacity_ / 4)) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    }
    const bool grow =
        capacity_ == 0 || end_ == capacity_ || (filled_ && (capacity_ < kOrdinary || wanted > room_size()));
    filled_ = false;
    if (grow) Resize(capacity_ == 0 ? kSmallest : capacity_ * 2);
  }

  // Back to the smallest size that holds what is there.
  void Shrink() {
    size_t target = kSmallest;
    while (target <= size()) target *= 2;
    if (target < capacity_) Resize(target);
  }

 private:
  void Resize(size_t capacity) {
    auto bigger = std::make_unique_for_overwrite<char[]>(capacity);
    if (size() > 0) std::memcpy(bigger.get(), bytes_.get() + begin_, size());
    end_ -= begin_;
    begin_ = 0;
    bytes_ = std::move(bigger);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  // The last read left no room, so more is probably waiting.
  bool filled_ = false;
};

}  // namespace tidemark::server
