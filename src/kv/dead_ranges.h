// The ranges of rows that were deleted since the last cut. Covered by the store's lock.
#pragma once

#include <absl/container/btree_map.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark::kv {

// A set of keys as disjoint ranges [begin, end).
class DeadRanges {
 public:
  using Range = std::pair<std::string, std::string>;
  // What Undo needs to take an Add back.
  struct Change {
    std::string begin;
    std::vector<Range> replaced;
  };

  bool empty() const { return ends_.empty(); }
  bool Contains(std::string_view row) const { return Find(row).has_value(); }
  // The range that holds `row`. The views last until the set changes.
  struct Found {
    std::string_view begin;
    std::string_view end;
  };
  std::optional<Found> Find(std::string_view row) const;
  // `begin` < `end`.
  Change Add(std::string_view begin, std::string_view end);
  // Changes are undone in the opposite order of the Adds.
  void Undo(const Change& change);
  // Adds to *out the ranges that meet [begin, end).
  void CopyOverlap(std::string_view begin, std::string_view end, DeadRanges* out) const;
  void clear() { ends_.clear(); }
  // begin → end
  const absl::btree_map<std::string, std::string, std::less<>>& ranges() const { return ends_; }

 private:
  absl::btree_map<std::string, std::string, std::less<>> ends_;
};

}  // namespace tidemark::kv
