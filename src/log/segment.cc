#include "log/segment.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace tidemark::log {

void SegmentList::Add(std::shared_ptr<Segment> segment) {
  const std::lock_guard lock(mutex_);
  // A timeline that starts where a segment without records begins has a segment of its own there.
  TM_CHECK(segments_.empty() || std::tie(segments_.back()->base, segments_.back()->timeline) <
                                    std::tie(segment->base, segment->timeline),
           "segment {} after {}", segment->path, segments_.back()->path);
  segments_.push_back(std::move(segment));
}

std::shared_ptr<Segment> SegmentList::Find(Lsn lsn) const {
  const std::lock_guard lock(mutex_);
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), lsn,
                                      [](Lsn position, const auto& segment) { return position < segment->base; });
  return after == segments_.begin() ? nullptr : *(after - 1);
}

std::vector<std::shared_ptr<Segment>> SegmentList::All() const {
  const std::lock_guard lock(mutex_);
  return segments_;
}

std::vector<std::shared_ptr<Segment>> SegmentList::Unsynced() const {
  const std::lock_guard lock(mutex_);
  auto first = segments_.end();
  while (first != segments_.begin() && (*(first - 1))->file != nullptr) --first;
  return {first, segments_.end()};
}

std::shared_ptr<Segment> SegmentList::RemoveOldest(Lsn base) {
  const std::lock_guard lock(mutex_);
  if (segments_.size() < 2 || segments_.front()->base != base) return nullptr;
  std::shared_ptr<Segment> oldest = std::move(segments_.front());
  segments_.erase(segments_.begin());
  return oldest;
}

Lsn SegmentList::oldest() const {
  const std::lock_guard lock(mutex_);
  TM_CHECK(!segments_.empty());
  return segments_.front()->base;
}

}  // namespace tidemark::log
