// Inside the sorted-set and geo commands: what their files share, and the handlers that stand in other files than the
// table of their family.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "commands/command.h"
#include "types/zset.h"

namespace tidemark::commands {

struct ScoredMember {
  std::string member;
  double score = 0;
};

struct AddOptions {
  bool only_new = false;       // NX
  bool only_present = false;   // XX
  bool only_greater = false;   // GT
  bool only_less = false;      // LT
  bool count_changed = false;  // CH
  bool increment = false;      // INCR: one member; answers with its score
};
struct Addition {
  double score;
  std::string_view member;
};
// zset_commands.cc: what ZADD does once its arguments are read, reply and event included.
absl::Status AddMembers(Context& ctx, const AddOptions& options, std::span<const Addition> additions);

// Puts a sorted set of `members`, which differ, in the place of whatever key `name` holds; none of them: removes it.
// Tells of `event`, or "del", and answers with their number.
absl::Status StoreMembers(Context& ctx, std::string_view name, std::span<const ScoredMember> members,
                          std::string_view event);

// A reply of members as they come, with their scores where asked for: in RESP3 as pairs.
class MemberReply {
 public:
  MemberReply(resp::Writer& out, bool with_scores);
  void Add(std::string_view member, double score);
  void End();
  // Takes back what was added.
  void Restart();

 private:
  resp::Writer& out_;
  const bool with_scores_;
  const resp::Writer::DeferredLength length_;
  size_t members_ = 0;
};

// An integer argument within bounds, `error` otherwise; when it is no integer at all, too.
absl::StatusOr<int64_t> BoundedArg(std::string_view arg, int64_t min, int64_t max, std::string_view error);

// For CommandSpec::find_keys of commands with one key whose reads have to be of one moment: the dispatcher does not
// take the reply of a rehearsal for final where keys are found in this way.
std::vector<int> FirstKeyAtOneMoment(Args args);

// zset_range_commands.cc
absl::Status ZRange(Context& ctx);
absl::Status ZRangeStore(Context& ctx);
absl::Status ZRevRange(Context& ctx);
absl::Status ZRangeByScore(Context& ctx);
absl::Status ZRevRangeByScore(Context& ctx);
absl::Status ZRangeByLex(Context& ctx);
absl::Status ZRevRangeByLex(Context& ctx);
absl::Status ZCount(Context& ctx);
absl::Status ZLexCount(Context& ctx);
absl::Status ZRemRangeByRank(Context& ctx);
absl::Status ZRemRangeByScore(Context& ctx);
absl::Status ZRemRangeByLex(Context& ctx);

// zset_algebra_commands.cc
absl::Status ZUnion(Context& ctx);
absl::Status ZUnionStore(Context& ctx);
absl::Status ZInter(Context& ctx);
absl::Status ZInterStore(Context& ctx);
absl::Status ZInterCard(Context& ctx);
absl::Status ZDiff(Context& ctx);
absl::Status ZDiffStore(Context& ctx);
// Keys behind their number, which is args[1]; of those that store, args[1] and the keys behind their number, args[2].
std::vector<int> CountedKeys(Args args);
std::vector<int> StoredCountedKeys(Args args);

// zset_pop_commands.cc
absl::Status ZPopMin(Context& ctx);
absl::Status ZPopMax(Context& ctx);
absl::Status ZMPop(Context& ctx);
absl::Status BZPopMin(Context& ctx);
absl::Status BZPopMax(Context& ctx);
absl::Status BZMPop(Context& ctx);
// Keys behind their number, which is args[2].
std::vector<int> CountedKeysBehindTimeout(Args args);

// geo_search_commands.cc
absl::Status GeoSearch(Context& ctx);
absl::Status GeoSearchStore(Context& ctx);
absl::Status GeoRadius(Context& ctx);
absl::Status GeoRadiusRo(Context& ctx);
absl::Status GeoRadiusByMember(Context& ctx);
absl::Status GeoRadiusByMemberRo(Context& ctx);
// args[1] and the key behind STORE or STOREDIST, the last of them.
std::vector<int> GeoRadiusKeys(Args args);

}  // namespace tidemark::commands
