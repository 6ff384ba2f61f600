// What has changed since the last cut, in key order: dirty rows (DirtyOrder) and ranges that were deleted (DeadRanges).
// Covered by the store's lock.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/types/compare.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kv/hot_table.h"

namespace tidemark::kv {

struct EntryOrder {
  using is_transparent = void;
  static std::string_view Key(const Entry* entry) { return entry->key(); }
  static std::string_view Key(std::string_view key) { return key; }

  template <typename A, typename B>
  absl::weak_ordering operator()(const A& a, const B& b) const {
    const int order = Key(a).compare(Key(b));
    return order < 0 ? absl::weak_ordering::less
                     : (order > 0 ? absl::weak_ordering::greater : absl::weak_ordering::equivalent);
  }
};

// Rows by key. Holds each row at most once; the entries belong to the hot table.
using DirtyOrder = absl::btree_set<Entry*, EntryOrder>;

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
  bool Contains(std::string_view row) const { return Find(row) != nullptr; }
  // The end of the range that holds `row`, or null.
  const std::string* Find(std::string_view row) const;
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
