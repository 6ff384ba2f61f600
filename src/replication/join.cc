#include "replication/join.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::replication {
namespace {

// Where a history leaves its step `index`, which is at its log's end for the last.
Lsn Leaves(const History& history, size_t index, Lsn end) {
  return index + 1 < history.size() ? history[index + 1].fork : end;
}

Decision FullSync(std::string reason) {
  return {.verdict = Verdict::kFullSync, .from = {}, .resume = false, .reason = std::move(reason)};
}

}  // namespace

std::optional<Common> FindCommon(const History& a, Lsn a_end, const History& b, Lsn b_end) {
  // A history may lack its oldest steps, so the first step in common is looked for.
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) {
      if (a[i].timeline != b[j].timeline || a[i].id != b[j].id) continue;
      return Common{.lsn = std::min(Leaves(a, i, a_end), Leaves(b, j, b_end)), .timeline = a[i].timeline};
    }
  }
  return std::nullopt;
}

Decision Decide(const Hello& hello, const Holdings& own) {
  if (!hello.snapshot.empty() && own.has_snapshot) {
    return {.verdict = Verdict::kFullSync, .from = hello.staged, .resume = true, .reason = "goes on with its snapshot"};
  }
  if (hello.cluster_id.empty()) return FullSync("the replica has no data");
  if (hello.cluster_id != own.cluster_id) {
    return FullSync(fmt::format("the replica has data of another cluster, {}", hello.cluster_id));
  }
  const std::optional<Common> common = FindCommon(hello.history, hello.position, own.history, own.end);
  if (!common) return FullSync("the histories have no timeline in common");
  if (hello.position > common->lsn) {
    const std::string astray = fmt::format(
        "the replica's log goes to lsn:{:x} on timeline {}, what both have ends at lsn:{:x} on timeline {}",
        hello.position.value, hello.history.back().timeline.value, common->lsn.value, common->timeline.value);
    if (hello.persisted > common->lsn) return FullSync(astray + ", and the replica's store is beyond that");
    return {.verdict = Verdict::kCut, .from = common->lsn, .resume = false, .reason = astray};
  }
  if (hello.position >= own.oldest)
    return {.verdict = Verdict::kStream, .from = hello.position, .resume = false, .reason = {}};
  const std::string purged = fmt::format("the log begins at lsn:{:x}, the replica's position is lsn:{:x}",
                                         own.oldest.value, hello.position.value);
  if (!own.archive || hello.no_archive) return FullSync(purged);
  return {.verdict = Verdict::kArchive, .from = own.oldest, .resume = false, .reason = purged};
}

}  // namespace tidemark::replication
