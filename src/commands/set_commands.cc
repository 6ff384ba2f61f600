// Sets: SADD and its family. The rows are kept by types/set.h.
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "commands/client.h"
#include "commands/data_families.h"
#include "commands/member_replies.h"
#include "commands/set_handlers.h"
#include "commands/spec.h"
#include "types/random_members.h"
#include "types/set.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::Key;
using types::Set;
using types::Type;

void NotifySet(Context& ctx, std::string_view event, std::string_view name) {
  ctx.keys().Notify(EventClass::kSet, event, name);
}
void NotifyGone(Context& ctx, std::string_view name) { ctx.keys().Notify(EventClass::kGeneric, "del", name); }

absl::Status SAdd(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Set set, Set::Find(ctx.keys(), ctx.args[1]));
  int64_t added = 0;
  for (const std::string_view member : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const bool is_new, set.Add(member));
    added += is_new ? 1 : 0;
  }
  set.Commit();
  if (added > 0) NotifySet(ctx, "sadd", ctx.args[1]);
  ctx.out.Integer(added);
  return absl::OkStatus();
}

absl::Status SRem(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Set set, Set::Find(ctx.keys(), ctx.args[1]));
  int64_t removed = 0;
  for (const std::string_view member : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const bool existed, set.Delete(member));
    removed += existed ? 1 : 0;
  }
  const bool gone = set.Commit();
  if (removed > 0) NotifySet(ctx, "srem", ctx.args[1]);
  if (gone) NotifyGone(ctx, ctx.args[1]);
  ctx.out.Integer(removed);
  return absl::OkStatus();
}

absl::Status SMove(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Set source, Set::Find(ctx.keys(), ctx.args[1]));
  if (!source.key()) {
    ctx.out.Integer(0);
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(Set target, Set::Find(ctx.keys(), ctx.args[2]));
  if (ctx.args[1] == ctx.args[2]) {
    TM_ASSIGN_OR_RETURN(const bool has, source.Contains(ctx.args[3]));
    ctx.out.Integer(has ? 1 : 0);
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const bool moves, source.Delete(ctx.args[3]));
  if (!moves) {
    ctx.out.Integer(0);
    return absl::OkStatus();
  }
  const bool gone = source.Commit();
  NotifySet(ctx, "srem", ctx.args[1]);
  if (gone) NotifyGone(ctx, ctx.args[1]);
  TM_ASSIGN_OR_RETURN(const bool is_new, target.Add(ctx.args[3]));
  target.Commit();
  if (is_new) NotifySet(ctx, "sadd", ctx.args[2]);
  ctx.out.Integer(1);
  return absl::OkStatus();
}

absl::Status SIsMember(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Set set, Set::Lookup(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const bool has, set.Contains(ctx.args[2]));
  ctx.out.Integer(has ? 1 : 0);
  return absl::OkStatus();
}

absl::Status SMIsMember(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Set set, Set::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Array(ctx.args.size() - 2);
  for (const std::string_view member : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const bool has, set.Contains(member));
    ctx.out.Integer(has ? 1 : 0);
  }
  return absl::OkStatus();
}

absl::Status SCard(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Set set, Set::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Integer(static_cast<int64_t>(set.size()));
  return absl::OkStatus();
}

absl::Status SMembers(Context& ctx) { return WriteMembers(ctx, Type::kSet, resp::Writer::Kind::kSet, true, false); }
absl::Status SScan(Context& ctx) { return ScanMembers(ctx, Type::kSet, false); }

// A random sequence that is the same when a request is run again over the same set, so that what a rehearsal brought
// into memory is what the command then takes; another one for another request.
std::mt19937_64 RandomForRemoval(const Context& ctx, const Key& set) {
  static const uint64_t secret = std::random_device{}();
  std::string seed;
  for (const uint64_t part : {secret, ctx.client.id, ctx.client.last_write_end.value, set.collection.lsn,
                              uint64_t{set.collection.ordinal}, set.count}) {
    AppendLittle(&seed, part);
  }
  return std::mt19937_64(Hash64(seed));
}

// Takes `count` members, chosen at random, out of the set. All of them: the key goes as a whole.
absl::StatusOr<std::vector<types::RandomMember>> TakeRandom(Context& ctx, uint64_t count) {
  TM_ASSIGN_OR_RETURN(Set set, Set::Find(ctx.keys(), ctx.args[1]));
  if (!set.key() || count == 0) return std::vector<types::RandomMember>();
  std::mt19937_64 random = RandomForRemoval(ctx, set.key());
  TM_ASSIGN_OR_RETURN(std::vector<types::RandomMember> taken,
                      types::RandomMembers(ctx.keys(), set.key(), count, false, random));
  bool gone = count >= set.size();
  if (gone) {
    Key key = set.key();
    ctx.keys().Remove(&key);
  } else {
    for (const types::RandomMember& member : taken) TM_RETURN_IF_ERROR(set.Delete(member.name).status());
    gone = set.Commit();
  }
  NotifySet(ctx, "spop", ctx.args[1]);
  if (gone) NotifyGone(ctx, ctx.args[1]);
  return taken;
}

absl::Status SPop(Context& ctx) {
  if (ctx.args.size() > 3) return SyntaxError();
  if (ctx.args.size() == 2) {
    TM_ASSIGN_OR_RETURN(const auto taken, TakeRandom(ctx, 1));
    if (taken.empty()) {
      ctx.out.Null();
    } else {
      ctx.out.Bulk(taken[0].name);
    }
    return absl::OkStatus();
  }
  const absl::StatusOr<int64_t> count = IntegerArg(ctx.args[2]);
  if (!count.ok() || *count < 0) return InvalidArgument("ERR value is out of range, must be positive");
  TM_ASSIGN_OR_RETURN(const auto taken, TakeRandom(ctx, static_cast<uint64_t>(*count)));
  ctx.out.Set(taken.size());
  for (const types::RandomMember& member : taken) ctx.out.Bulk(member.name);
  return absl::OkStatus();
}

absl::Status SRandMember(Context& ctx) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  if (ctx.args.size() > 3) return SyntaxError();
  if (ctx.args.size() == 2) {
    TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kSet));
    TM_ASSIGN_OR_RETURN(const auto drawn, types::RandomMembers(ctx.keys(), key, 1, true, random));
    if (drawn.empty()) {
      ctx.out.Null();
    } else {
      ctx.out.Bulk(drawn[0].name);
    }
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const int64_t count, RandomCountArg(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kSet));
  if (key && count < -kMaxDraws) return InvalidArgument("ERR value is out of range");
  const auto wanted = static_cast<uint64_t>(std::abs(count));
  TM_ASSIGN_OR_RETURN(const auto drawn, types::RandomMembers(ctx.keys(), key, wanted, count < 0, random));
  ctx.out.Array(drawn.size());
  for (const types::RandomMember& member : drawn) ctx.out.Bulk(member.name);
  return absl::OkStatus();
}

constexpr uint32_t kFastRead = kReadonly | kFast;
constexpr uint32_t kFastGrow = kWrite | kDenyOom | kFast;
constexpr uint32_t kGrow = kWrite | kDenyOom;

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, KeyPositions keys,
                           std::string_view key_flags, std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("set", name, arity, flags, keys, key_flags, since, handler, syntax, complexity, summary);
}

constexpr std::string_view kPerMember = "O(N), N being the number of members named";
constexpr std::string_view kAllMembers = "O(N), N being the number of members of all sets";
constexpr std::string_view kSmallestTimesSets =
    "O(N*M), N being the members of the smallest set and M the number of sets";

constexpr CommandSpec SInterCardSpec() {
  CommandSpec spec = Spec("sintercard", -3, kReadonly | kMovableKeys, kNoKeys, "RO access", "7.0.0", SInterCard,
                          "numkeys key [key ...] [LIMIT limit]", kSmallestTimesSets,
                          "Counts the members that several sets share, up to a limit.");
  spec.find_keys = SInterCardKeys;
  return spec;
}

constexpr CommandSpec kSetCommands[] = {
    Spec("sadd", -3, kFastGrow, kFirstKey, "RW insert", "1.0.0", SAdd, "key member [member ...]", kPerMember,
         "Adds members to a set and returns how many of them are new."),
    Spec("scard", 2, kFastRead, kFirstKey, "RO", "1.0.0", SCard, "key", "O(1)",
         "Returns the number of members of a set."),
    Spec("sdiff", -2, kReadonly, kEveryKey, "RO access", "1.0.0", SDiff, "key [key ...]", kAllMembers,
         "Returns the members of the first set that no other has."),
    Spec("sdiffstore", -3, kGrow, kEveryKey, "OW update/RO access", "1.0.0", SDiffStore, "destination key [key ...]",
         kAllMembers, "Stores the members of the first set that no other has."),
    Spec("sinter", -2, kReadonly, kEveryKey, "RO access", "1.0.0", SInter, "key [key ...]", kSmallestTimesSets,
         "Returns the members that all sets share."),
    SInterCardSpec(),
    Spec("sinterstore", -3, kGrow, kEveryKey, "RW update/RO access", "1.0.0", SInterStore, "destination key [key ...]",
         kSmallestTimesSets, "Stores the members that all sets share."),
    Spec("sismember", 3, kFastRead, kFirstKey, "RO", "1.0.0", SIsMember, "key member", "O(1)",
         "Says whether a set has a member."),
    Spec("smembers", 2, kReadonly | kRange, kFirstKey, "RO access", "1.0.0", SMembers, "key",
         "O(N), N being the number of members", "Returns all members of a set."),
    Spec("smismember", -3, kFastRead, kFirstKey, "RO access", "6.2.0", SMIsMember, "key member [member ...]",
         kPerMember, "Says of each member named whether a set has it."),
    Spec("smove", 4, kWrite | kFast, kTwoKeys, "RW access delete/RW insert", "1.0.0", SMove,
         "source destination member", "O(1)", "Moves a member from one set to another."),
    Spec("spop", -2, kWrite | kFast, kFirstKey, "RW access delete", "1.0.0", SPop, "key [count]",
         "O(N), N being the number of members returned", "Removes members chosen at random and returns them."),
    Spec("srandmember", -2, kReadonly | kRange, kFirstKey, "RO access", "1.0.0", SRandMember, "key [count]",
         "O(N), N being the number of members returned",
         "Returns members chosen at random; a negative count allows the same one again."),
    Spec("srem", -3, kWrite | kFast, kFirstKey, "RW delete", "1.0.0", SRem, "key member [member ...]", kPerMember,
         "Removes members from a set; the key goes with its last member."),
    Spec("sscan", -3, kReadonly | kRange, kFirstKey, "RO access", "2.8.0", SScan,
         "key cursor [MATCH pattern] [COUNT count]", "O(1) a call, O(N) for the whole walk, N being the members",
         "Walks the members of a set a page at a time."),
    Spec("sunion", -2, kReadonly, kEveryKey, "RO access", "1.0.0", SUnion, "key [key ...]", kAllMembers,
         "Returns the members that any of the sets has."),
    Spec("sunionstore", -3, kGrow, kEveryKey, "OW update/RO access", "1.0.0", SUnionStore, "destination key [key ...]",
         kAllMembers, "Stores the members that any of the sets has."),
};

}  // namespace

std::span<const CommandSpec> SetCommands() { return kSetCommands; }

}  // namespace tidemark::commands
