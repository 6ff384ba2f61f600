// Offsets count from the front of the writer's bytes. What is sent is cut off once it makes up at least half of them,
// so a byte is moved at most once on average.
#include "server/output_buffer.h"

#include <algorithm>

#include "base/check.h"

namespace tidemark::server {

void OutputBuffer::Hold(Lsn needed) {
  const size_t end = writer_.size();
  if (end == held_) return;
  held_ = end;
  if (marks_.empty()) {
    if (needed == Lsn{}) {
      released_ = end;
    } else {
      marks_.push_back({end, needed});
    }
  } else if (needed <= marks_.back().needed) {
    marks_.back().end = end;
  } else {
    marks_.push_back({end, needed});
  }
}

void OutputBuffer::Release(Lsn durable) {
  while (!marks_.empty() && marks_.front().needed <= durable) {
    released_ = marks_.front().end;
    marks_.pop_front();
  }
}

void OutputBuffer::Sent(size_t count) {
  sent_ += count;
  TM_CHECK(sent_ <= released_, "sent {} of {} released bytes", sent_, released_);
  std::string& bytes = writer_.buffer();
  if (sent_ == bytes.size()) {
    bytes.clear();
    if (bytes.capacity() > kKeep) bytes.shrink_to_fit();
    sent_ = released_ = held_ = 0;
  } else if (sent_ > kKeep && sent_ >= bytes.size() / 2) {
    bytes.erase(0, sent_);
    released_ -= sent_;
    held_ -= sent_;
    for (Mark& mark : marks_) mark.end -= sent_;
    sent_ = 0;
  }
}

}  // namespace tidemark::server
