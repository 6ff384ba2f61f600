#include "kv/dead_ranges.h"

#include <algorithm>

namespace tidemark::kv {

std::optional<DeadRanges::Found> DeadRanges::Find(std::string_view row) const {
  auto after = ends_.upper_bound(row);
  if (after == ends_.begin()) return std::nullopt;
  --after;
  if (after->second <= row) return std::nullopt;
  return Found{after->first, after->second};
}

DeadRanges::Change DeadRanges::Add(std::string_view begin, std::string_view end) {
  std::string first(begin);
  std::string last(end);
  Change change;
  auto it = ends_.upper_bound(begin);
  if (it != ends_.begin() && std::prev(it)->second >= begin) --it;
  while (it != ends_.end() && it->first <= last) {
    first = std::min(first, it->first);
    last = std::max(last, it->second);
    change.replaced.emplace_back(it->first, it->second);
    it = ends_.erase(it);
  }
  change.begin = first;
  ends_.emplace(std::move(first), std::move(last));
  return change;
}

void DeadRanges::Undo(const Change& change) {
  ends_.erase(change.begin);
  for (const Range& range : change.replaced) ends_.insert(range);
}

void DeadRanges::CopyOverlap(std::string_view begin, std::string_view end, DeadRanges* out) const {
  if (ends_.empty()) return;
  auto it = ends_.upper_bound(begin);
  if (it != ends_.begin() && std::prev(it)->second > begin) --it;
  for (; it != ends_.end() && it->first < end; ++it) out->Add(it->first, it->second);
}

}  // namespace tidemark::kv
