// Which log objects to merge, and which merged ones have replaced; see merge.h. Pure.
#include <algorithm>
#include <span>

#include "archive/merge.h"

namespace tidemark::archive {
namespace {

// A run grows to at least this many times its largest member, or it is not worth writing that one again.
constexpr uint64_t kGrowth = 4;
// Objects of one run, so that one merge is a bounded piece of work.
constexpr size_t kRunObjectsMax = 1024;
// A run that cannot take in more is worth it with this many.
constexpr size_t kFullRunObjectsMin = 4;

using Entries = std::span<const LogEntry>;

bool IsMark(const LogEntry& entry) { return entry.name.first == entry.name.end; }

// Whether everything that `inner` says, `outer` says too.
bool Covers(const format::LogObjectName& outer, const format::LogObjectName& inner) {
  if (outer.first > inner.first || outer.end < inner.end) return false;
  return outer.end > inner.end || outer.closed_timestamp >= inner.closed_timestamp;
}

struct Sorted {
  std::vector<LogEntry> chain;  // with records, contained in no other
  std::vector<Replacement> replaced;
};

// Sorts the objects with records into those that stand for themselves and those that another stands for. `entries`: by
// first, then longest first.
Sorted SortOut(const std::vector<LogEntry>& entries) {
  Sorted sorted;
  for (const LogEntry& entry : entries) {
    if (!sorted.chain.empty() && Covers(sorted.chain.back().name, entry.name)) {
      sorted.replaced.back().inputs.push_back(entry);
      continue;
    }
    sorted.chain.push_back(entry);
    sorted.replaced.push_back({entry, {}});
  }
  return sorted;
}

// A mark says that nothing followed up to its closed timestamp. It goes when a later one of the same position says
// more, or along with the inputs of an object that has been merged over it.
void SortOutMarks(const std::vector<LogEntry>& marks, std::vector<Replacement>* replaced) {
  std::vector<Replacement> by_marks;
  for (const LogEntry& mark : marks) {
    const auto over = std::find_if(replaced->begin(), replaced->end(), [&](const Replacement& candidate) {
      return !candidate.inputs.empty() && Covers(candidate.merged.name, mark.name);
    });
    if (over != replaced->end()) {
      over->inputs.push_back(mark);
    } else if (!by_marks.empty() && by_marks.back().merged.name.first == mark.name.first) {
      // In order of keys the last of a position is the latest.
      by_marks.back().inputs.push_back(std::exchange(by_marks.back().merged, mark));
    } else {
      by_marks.push_back({mark, {}});
    }
  }
  replaced->insert(replaced->end(), by_marks.begin(), by_marks.end());
}

struct Weight {
  uint64_t total = 0;
  size_t largest = 0;  // its index
};

Weight WeightOf(Entries run) {
  Weight weight;
  for (size_t i = 0; i < run.size(); ++i) {
    weight.total += run[i].size;
    if (run[i].size > run[weight.largest].size) weight.largest = i;
  }
  return weight;
}

bool Grows(Entries run) {
  const Weight weight = WeightOf(run);
  return weight.total >= kGrowth * run[weight.largest].size;
}

// Cuts a run of neighbours into pieces of the size wanted.
void Cut(Entries run, const MergeOptions& options, MergePlan* plan) {
  while (!run.empty()) {
    size_t count = 0;
    uint64_t bytes = 0;
    while (count < run.size() && count < kRunObjectsMax && bytes + run[count].size <= options.target_bytes) {
      bytes += run[count++].size;
    }
    count = std::max<size_t>(count, 1);
    const Entries piece = run.first(count);
    const bool full = count < run.size();
    if (count >= (full ? std::min(kFullRunObjectsMin, options.at_least) : options.at_least) && Grows(piece)) {
      plan->runs.emplace_back(piece.begin(), piece.end());
    }
    run = run.subspan(count);
  }
}

// Neighbours, each beginning where the one before ends. Where one outweighs the rest it is left alone for now, and the
// two sides are looked at by themselves.
void PlanRun(Entries run, const MergeOptions& options, MergePlan* plan) {
  while (run.size() >= std::min(kFullRunObjectsMin, options.at_least)) {
    const Weight weight = WeightOf(run);
    if (weight.total >= kGrowth * run[weight.largest].size) return Cut(run, options, plan);
    const Entries left = run.first(weight.largest);
    const Entries right = run.subspan(weight.largest + 1);
    // The shorter side by recursion, so that it is never deep.
    PlanRun(left.size() < right.size() ? left : right, options, plan);
    run = left.size() < right.size() ? right : left;
  }
}

}  // namespace

MergePlan PlanMerge(const Catalog& catalog, Timeline timeline, Lsn settled, const MergeOptions& options,
                    uint64_t now_micros) {
  MergePlan plan;
  const auto found = catalog.log.find(timeline);
  if (found == catalog.log.end()) return plan;
  std::vector<LogEntry> entries;
  std::vector<LogEntry> marks;
  for (const LogEntry& entry : found->second) {
    if (entry.name.end <= settled) (IsMark(entry) ? marks : entries).push_back(entry);
  }
  std::sort(entries.begin(), entries.end(), [](const LogEntry& a, const LogEntry& b) {
    if (a.name.first != b.name.first) return a.name.first < b.name.first;
    return a.name.end != b.name.end ? a.name.end > b.name.end : a.key > b.key;
  });
  std::sort(marks.begin(), marks.end(), [](const LogEntry& a, const LogEntry& b) { return a.key < b.key; });
  Sorted sorted = SortOut(entries);
  for (size_t begin = 0; begin < sorted.chain.size();) {
    size_t end = begin;
    while (end < sorted.chain.size() && sorted.chain[end].size <= options.small_bytes &&
           (end == begin || sorted.chain[end - 1].name.end == sorted.chain[end].name.first)) {
      ++end;
    }
    PlanRun(Entries(sorted.chain).subspan(begin, end - begin), options, &plan);
    begin = std::max(end, begin + 1);
  }
  SortOutMarks(marks, &sorted.replaced);
  for (Replacement& replaced : sorted.replaced) {
    const bool grace_is_over = replaced.merged.modified_micros + options.grace_micros <= now_micros;
    if (!replaced.inputs.empty() && grace_is_over) plan.replaced.push_back(std::move(replaced));
  }
  return plan;
}

}  // namespace tidemark::archive
