// Sorted sets: adding, removing and asking for members, and the table of the family. The rows are kept by types/zset.h.
#include <cmath>
#include <limits>
#include <optional>
#include <random>

#include "commands/data_families.h"
#include "commands/member_replies.h"
#include "commands/scan_options.h"
#include "commands/spec.h"
#include "commands/zset_handlers.h"
#include "resp/numbers.h"
#include "types/pages.h"
#include "types/random_members.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::Key;
using types::Type;
using types::Zset;

absl::StatusOr<double> ScoreArg(std::string_view arg) {
  const std::optional<double> score = resp::ParseDouble(arg);
  if (!score) return NotAFloat();
  return *score;
}

// What became of one member.
struct Added {
  bool is_new = false;
  bool updated = false;
  bool left_alone = false;  // by an option
  double score = 0;
};

absl::StatusOr<Added> AddMember(Zset& zset, const AddOptions& options, const Addition& addition) {
  TM_ASSIGN_OR_RETURN(const std::optional<double> former, zset.Score(addition.member));
  Added added{.score = addition.score};
  if (!former) {
    added.left_alone = options.only_present;
    if (added.left_alone) return added;
    added.is_new = true;
    TM_RETURN_IF_ERROR(zset.Put(addition.member, addition.score, former));
    return added;
  }
  added.left_alone = options.only_new;
  if (added.left_alone) return added;
  if (options.increment) added.score += *former;
  if (std::isnan(added.score)) return InvalidArgument("ERR resulting score is not a number (NaN)");
  added.left_alone = (options.only_less && added.score >= *former) || (options.only_greater && added.score <= *former);
  added.updated = !added.left_alone && added.score != *former;
  if (added.updated) TM_RETURN_IF_ERROR(zset.Put(addition.member, added.score, former));
  return added;
}

// Reads the options from args[2] on; the place of the first score.
size_t ParseAddOptions(Args args, AddOptions* options) {
  size_t at = 2;
  for (; at < args.size(); ++at) {
    if (EqualsIgnoreCase(args[at], "nx")) {
      options->only_new = true;
    } else if (EqualsIgnoreCase(args[at], "xx")) {
      options->only_present = true;
    } else if (EqualsIgnoreCase(args[at], "ch")) {
      options->count_changed = true;
    } else if (EqualsIgnoreCase(args[at], "incr")) {
      options->increment = true;
    } else if (EqualsIgnoreCase(args[at], "gt")) {
      options->only_greater = true;
    } else if (EqualsIgnoreCase(args[at], "lt")) {
      options->only_less = true;
    } else {
      break;
    }
  }
  return at;
}

absl::Status CheckAddOptions(const AddOptions& options, size_t words) {
  if (words == 0 || words % 2 != 0) return SyntaxError();
  if (options.only_new && options.only_present) {
    return InvalidArgument("ERR XX and NX options at the same time are not compatible");
  }
  if ((options.only_greater && (options.only_new || options.only_less)) || (options.only_less && options.only_new)) {
    return InvalidArgument("ERR GT, LT, and/or NX options at the same time are not compatible");
  }
  if (options.increment && words > 2) {
    return InvalidArgument("ERR INCR option supports a single increment-element pair");
  }
  return absl::OkStatus();
}

absl::Status ZAdd(Context& ctx) {
  AddOptions options;
  const Args pairs = ctx.args.subspan(ParseAddOptions(ctx.args, &options));
  TM_RETURN_IF_ERROR(CheckAddOptions(options, pairs.size()));
  std::vector<Addition> additions(pairs.size() / 2);
  for (size_t i = 0; i < additions.size(); ++i) {
    additions[i].member = pairs[i * 2 + 1];
    TM_ASSIGN_OR_RETURN(additions[i].score, ScoreArg(pairs[i * 2]));
  }
  return AddMembers(ctx, options, additions);
}

absl::Status ZIncrBy(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const double increment, ScoreArg(ctx.args[2]));
  const Addition addition{increment, ctx.args[3]};
  return AddMembers(ctx, {.increment = true}, {&addition, 1});
}

absl::Status ZRem(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Find(ctx.keys(), ctx.args[1]));
  int64_t removed = 0;
  for (const std::string_view member : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const std::optional<double> score, zset.Score(member));
    if (!score) continue;
    TM_RETURN_IF_ERROR(zset.Remove(member, *score));
    ++removed;
  }
  TM_RETURN_IF_ERROR(zset.Commit());
  if (removed > 0) ctx.keys().Notify(EventClass::kZset, "zrem", ctx.args[1]);
  if (removed > 0 && zset.size() == 0) ctx.keys().Notify(EventClass::kGeneric, "del", ctx.args[1]);
  ctx.out.Integer(removed);
  return absl::OkStatus();
}

absl::Status ZCard(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Integer(static_cast<int64_t>(zset.size()));
  return absl::OkStatus();
}

absl::Status WriteScore(Context& ctx, Zset& zset, std::string_view member) {
  TM_ASSIGN_OR_RETURN(const std::optional<double> score, zset.Score(member));
  if (score) {
    ctx.out.Double(*score);
  } else {
    ctx.out.Null();
  }
  return absl::OkStatus();
}

absl::Status ZScore(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  return WriteScore(ctx, zset, ctx.args[2]);
}

absl::Status ZMScore(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Array(ctx.args.size() - 2);
  for (const std::string_view member : ctx.args.subspan(2)) TM_RETURN_IF_ERROR(WriteScore(ctx, zset, member));
  return absl::OkStatus();
}

absl::Status WriteRank(Context& ctx, bool from_end) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const std::optional<double> score, zset.Score(ctx.args[2]));
  if (!score) {
    ctx.out.Null();
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const uint64_t rank, zset.CountBefore(types::ScoreOrder(*score, ctx.args[2])));
  ctx.out.Integer(static_cast<int64_t>(from_end ? zset.size() - 1 - rank : rank));
  return absl::OkStatus();
}

absl::Status ZRank(Context& ctx) { return WriteRank(ctx, false); }
absl::Status ZRevRank(Context& ctx) { return WriteRank(ctx, true); }

std::mt19937_64& Random() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random;
}

absl::Status ZRandMember(Context& ctx) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const bool single = ctx.args.size() == 2;
  int64_t count = -1;
  if (!single) {
    TM_ASSIGN_OR_RETURN(count, RandomCountArg(ctx.args[2]));
  }
  const bool with_scores = ctx.args.size() == 4 && EqualsIgnoreCase(ctx.args[3], "withscores");
  if (ctx.args.size() > 3 && !with_scores) return SyntaxError();
  if (with_scores && (count < -kMax / 2 || count > kMax / 2)) return InvalidArgument("ERR value is out of range");

  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kZset));
  if (key && count < -kMaxDraws) return InvalidArgument("ERR value is out of range");
  TM_ASSIGN_OR_RETURN(const auto members, types::RandomMembers(ctx.keys(), key, static_cast<uint64_t>(std::abs(count)),
                                                               /*repeat=*/count < 0, Random()));
  if (single) {
    if (members.empty()) {
      ctx.out.Null();
    } else {
      ctx.out.Bulk(members[0].name);
    }
    return absl::OkStatus();
  }
  MemberReply reply(ctx.out, with_scores);
  for (const auto& member : members) {
    TM_ASSIGN_OR_RETURN(const double score, types::DecodeScore(member.value));
    reply.Add(member.name, score);
  }
  reply.End();
  return absl::OkStatus();
}

absl::Status ZScan(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const uint64_t cursor, ParseCursor(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kZset));
  types::MemberPage page;
  if (key) {
    TM_ASSIGN_OR_RETURN(const ScanOptions options, ScanOptions::Parse(ctx.args.subspan(3), false));
    TM_ASSIGN_OR_RETURN(page, types::ReadMemberPage(ctx.keys(), key.collection, cursor, options.count,
                                                    [&](std::string_view member) { return options.Matches(member); }));
  }
  ctx.out.Array(2);
  ctx.out.Bulk(fmt::format_int(page.next).c_str());
  ctx.out.Array(page.members.size() * 2);
  for (const types::MemberPage::Member& member : page.members) {
    TM_ASSIGN_OR_RETURN(const double score, types::DecodeScore(member.value));
    ctx.out.Bulk(member.name);
    ctx.out.Bulk(resp::FormatDouble(score));
  }
  return absl::OkStatus();
}

constexpr uint32_t kFastRead = kReadonly | kFast;
constexpr uint32_t kFastGrow = kWrite | kDenyOom | kFast;
constexpr uint32_t kRangeRead = kReadonly | kRange;

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, std::string_view key_flags,
                           std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("sorted-set", name, arity, flags, kFirstKey, key_flags, since, handler, syntax, complexity, summary);
}

// With keys in other places than the first argument, or found so for another reason.
constexpr CommandSpec SpecWith(KeyPositions keys, std::vector<int> (*find_keys)(Args args), CommandSpec spec) {
  spec.keys = keys;
  spec.find_keys = find_keys;
  return spec;
}
constexpr CommandSpec AtOneMoment(CommandSpec spec) { return SpecWith(kFirstKey, FirstKeyAtOneMoment, spec); }

constexpr KeyPositions kAllButLast{1, -2, 1};
constexpr std::string_view kLogN = "O(log(N)), N being the number of members";
constexpr std::string_view kLogNPlusM =
    "O(log(N)+M), N being the number of members and M the number of those in the range";
constexpr std::string_view kRemoves = "O(log(N)*M), N being the number of members and M the number of those removed";
constexpr std::string_view kAlgebra = "O(N), N being the number of members of all sets";
constexpr std::string_view kStored = "OW update/RO access";

constexpr CommandSpec kZsetCommands[] = {
    SpecWith(kNoKeys, CountedKeysBehindTimeout,
             Spec("bzmpop", -5, kWrite | kBlocking | kMovableKeys, "RW access delete", "7.0.0", BZMPop,
                  "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]", kRemoves,
                  "Removes members with the lowest or highest scores from the first set that has any; waits for one.")),
    SpecWith(kAllButLast, nullptr,
             Spec("bzpopmax", -3, kWrite | kNoScript | kBlocking | kFast, "RW access delete", "5.0.0", BZPopMax,
                  "key [key ...] timeout", kLogN,
                  "Removes the member with the highest score from the first set that has any; waits for one.")),
    SpecWith(kAllButLast, nullptr,
             Spec("bzpopmin", -3, kWrite | kNoScript | kBlocking | kFast, "RW access delete", "5.0.0", BZPopMin,
                  "key [key ...] timeout", kLogN,
                  "Removes the member with the lowest score from the first set that has any; waits for one.")),
    Spec("zadd", -4, kFastGrow, "RW update", "1.2.0", ZAdd,
         "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
         "O(1) for each member; now and then a block of some hundred members is read",
         "Adds members with their scores, or gives members new scores."),
    Spec("zcard", 2, kFastRead, "RO", "1.2.0", ZCard, "key", "O(1)", "Returns the number of members of a sorted set."),
    AtOneMoment(Spec("zcount", 4, kFastRead, "RO access", "2.0.0", ZCount, "key min max", kLogN,
                     "Counts the members with scores within a range.")),
    SpecWith(
        kNoKeys, CountedKeys,
        Spec("zdiff", -3, kReadonly | kMovableKeys, "RO access", "6.2.0", ZDiff, "numkeys key [key ...] [WITHSCORES]",
             kAlgebra, "Returns the members of the first set that are in none of the others.")),
    SpecWith(kFirstKey, StoredCountedKeys,
             Spec("zdiffstore", -4, kWrite | kDenyOom | kMovableKeys, kStored, "6.2.0", ZDiffStore,
                  "destination numkeys key [key ...]", kAlgebra,
                  "Stores the members of the first set that are in none of the others.")),
    Spec("zincrby", 4, kFastGrow, "RW access update", "1.2.0", ZIncrBy, "key increment member", "O(1)",
         "Adds to the score of a member; a missing one counts as 0."),
    SpecWith(kNoKeys, CountedKeys,
             Spec("zinter", -3, kReadonly | kMovableKeys, "RO access", "6.2.0", ZInter,
                  "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
                  kAlgebra, "Returns the members that all sets have.")),
    SpecWith(kNoKeys, CountedKeys,
             Spec("zintercard", -3, kReadonly | kMovableKeys, "RO access", "7.0.0", ZInterCard,
                  "numkeys key [key ...] [LIMIT limit]", kAlgebra, "Counts the members that all sets have.")),
    SpecWith(kFirstKey, StoredCountedKeys,
             Spec("zinterstore", -4, kWrite | kDenyOom | kMovableKeys, kStored, "2.0.0", ZInterStore,
                  "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
                  kAlgebra, "Stores the members that all sets have.")),
    AtOneMoment(Spec("zlexcount", 4, kFastRead, "RO access", "2.8.9", ZLexCount, "key min max", kLogN,
                     "Counts the members within a range of the alphabet, all scores being equal.")),
    SpecWith(kNoKeys, CountedKeys,
             Spec("zmpop", -4, kWrite | kMovableKeys, "RW access delete", "7.0.0", ZMPop,
                  "numkeys key [key ...] <MIN | MAX> [COUNT count]", kRemoves,
                  "Removes members with the lowest or highest scores from the first set that has any.")),
    Spec("zmscore", -3, kFastRead, "RO access", "6.2.0", ZMScore, "key member [member ...]",
         "O(N), N being the number of members named",
         "Returns the scores of members, null for those that are missing."),
    Spec("zpopmax", -2, kWrite | kFast, "RW access delete", "5.0.0", ZPopMax, "key [count]", kRemoves,
         "Removes members with the highest scores and returns them."),
    Spec("zpopmin", -2, kWrite | kFast, "RW access delete", "5.0.0", ZPopMin, "key [count]", kRemoves,
         "Removes members with the lowest scores and returns them."),
    Spec("zrandmember", -2, kRangeRead, "RO access", "6.2.0", ZRandMember, "key [count [WITHSCORES]]",
         "O(N), N being the number of members returned",
         "Returns members chosen at random; a negative count allows the same one again."),
    Spec("zrange", -4, kRangeRead, "RO access", "1.2.0", ZRange,
         "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]", kLogNPlusM,
         "Returns the members within a range of ranks, scores or the alphabet."),
    Spec("zrangebylex", -4, kRangeRead, "RO access", "2.8.9", ZRangeByLex, "key min max [LIMIT offset count]",
         kLogNPlusM, "Returns the members within a range of the alphabet, all scores being equal."),
    Spec("zrangebyscore", -4, kRangeRead, "RO access", "1.0.5", ZRangeByScore,
         "key min max [WITHSCORES] [LIMIT offset count]", kLogNPlusM, "Returns the members within a range of scores."),
    SpecWith(kTwoKeys, nullptr,
             Spec("zrangestore", -5, kWrite | kDenyOom, kStored, "6.2.0", ZRangeStore,
                  "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]", kLogNPlusM,
                  "Stores the members within a range of ranks, scores or the alphabet.")),
    AtOneMoment(Spec("zrank", 3, kFastRead, "RO access", "2.0.0", ZRank, "key member", kLogN,
                     "Returns how many members stand before one, from the lowest score on.")),
    Spec("zrem", -3, kWrite | kFast, "RW delete", "1.2.0", ZRem, "key member [member ...]",
         "O(N), N being the number of members named", "Removes members from a sorted set; the key goes with the last."),
    Spec("zremrangebylex", 4, kWrite, "RW delete", "2.8.9", ZRemRangeByLex, "key min max", kRemoves,
         "Removes the members within a range of the alphabet, all scores being equal."),
    Spec("zremrangebyrank", 4, kWrite, "RW delete", "2.0.0", ZRemRangeByRank, "key start stop", kRemoves,
         "Removes the members within a range of ranks."),
    Spec("zremrangebyscore", 4, kWrite, "RW delete", "1.2.0", ZRemRangeByScore, "key min max", kRemoves,
         "Removes the members within a range of scores."),
    Spec("zrevrange", -4, kRangeRead, "RO access", "1.2.0", ZRevRange, "key start stop [WITHSCORES]", kLogNPlusM,
         "Returns the members within a range of ranks, the highest score first."),
    Spec("zrevrangebylex", -4, kRangeRead, "RO access", "2.8.9", ZRevRangeByLex, "key max min [LIMIT offset count]",
         kLogNPlusM, "Returns the members within a range of the alphabet backwards, all scores being equal."),
    Spec("zrevrangebyscore", -4, kRangeRead, "RO access", "2.2.0", ZRevRangeByScore,
         "key max min [WITHSCORES] [LIMIT offset count]", kLogNPlusM,
         "Returns the members within a range of scores, the highest first."),
    AtOneMoment(Spec("zrevrank", 3, kFastRead, "RO access", "2.0.0", ZRevRank, "key member", kLogN,
                     "Returns how many members stand behind one, up to the highest score.")),
    Spec("zscan", -3, kRangeRead, "RO access", "2.8.0", ZScan, "key cursor [MATCH pattern] [COUNT count]",
         "O(1) a call, O(N) for the whole walk, N being the number of members",
         "Walks the members of a sorted set a page at a time."),
    Spec("zscore", 3, kFastRead, "RO access", "1.2.0", ZScore, "key member", "O(1)", "Returns the score of a member."),
    SpecWith(kNoKeys, CountedKeys,
             Spec("zunion", -3, kReadonly | kMovableKeys, "RO access", "6.2.0", ZUnion,
                  "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
                  kAlgebra, "Returns the members of all sets.")),
    SpecWith(kFirstKey, StoredCountedKeys,
             Spec("zunionstore", -4, kWrite | kDenyOom | kMovableKeys, kStored, "2.0.0", ZUnionStore,
                  "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
                  kAlgebra, "Stores the members of all sets.")),
};

}  // namespace

absl::Status AddMembers(Context& ctx, const AddOptions& options, std::span<const Addition> additions) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Find(ctx.keys(), ctx.args[1]));
  int64_t created = 0;
  int64_t updated = 0;
  Added last{.left_alone = true};
  for (const Addition& addition : additions) {
    TM_ASSIGN_OR_RETURN(last, AddMember(zset, options, addition));
    created += last.is_new ? 1 : 0;
    updated += last.updated ? 1 : 0;
  }
  TM_RETURN_IF_ERROR(zset.Commit());
  if (created + updated > 0) ctx.keys().Notify(EventClass::kZset, options.increment ? "zincr" : "zadd", ctx.args[1]);
  if (!options.increment) {
    ctx.out.Integer(options.count_changed ? created + updated : created);
  } else if (last.left_alone) {
    ctx.out.Null();
  } else {
    ctx.out.Double(last.score);
  }
  return absl::OkStatus();
}

absl::Status StoreMembers(Context& ctx, std::string_view name, std::span<const ScoredMember> members,
                          std::string_view event) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(name));
  const bool existed = static_cast<bool>(key);
  Zset zset = Zset::Replacing(ctx.keys(), std::move(key));
  for (const ScoredMember& member : members) TM_RETURN_IF_ERROR(zset.Put(member.member, member.score, std::nullopt));
  TM_RETURN_IF_ERROR(zset.Commit());
  if (!members.empty()) {
    ctx.keys().Notify(EventClass::kZset, event, name);
  } else if (existed) {
    ctx.keys().Notify(EventClass::kGeneric, "del", name);
  }
  ctx.out.Integer(static_cast<int64_t>(members.size()));
  return absl::OkStatus();
}

MemberReply::MemberReply(resp::Writer& out, bool with_scores)
    : out_(out), with_scores_(with_scores), length_(out.BeginDeferred(resp::Writer::Kind::kArray)) {}

void MemberReply::Add(std::string_view member, double score) {
  ++members_;
  if (with_scores_ && out_.protocol() == 3) out_.Array(2);
  out_.Bulk(member);
  if (with_scores_) out_.Double(score);
}

void MemberReply::End() { out_.EndDeferred(length_, members_ * (with_scores_ && out_.protocol() == 2 ? 2 : 1)); }

void MemberReply::Restart() {
  out_.Truncate(length_.position);
  members_ = 0;
}

absl::StatusOr<int64_t> BoundedArg(std::string_view arg, int64_t min, int64_t max, std::string_view error) {
  const std::optional<int64_t> value = resp::ParseInt64(arg);
  if (!value || *value < min || *value > max) return InvalidArgument("ERR {}", error);
  return *value;
}

std::vector<int> FirstKeyAtOneMoment(Args) { return {1}; }

std::span<const CommandSpec> ZsetCommands() { return kZsetCommands; }

}  // namespace tidemark::commands
