// Taking the members with the lowest or highest scores out of sorted sets, at once or when there are some.
#include <limits>
#include <optional>

#include "commands/key_wait.h"
#include "commands/zset_handlers.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::Zset;

enum class Where : uint8_t { kMin, kMax };

// Removes up to `count` members from one end, the outermost first.
absl::StatusOr<std::vector<ScoredMember>> Pop(Context& ctx, Zset& zset, Where where, uint64_t count) {
  std::vector<ScoredMember> members;
  TM_RETURN_IF_ERROR(zset.Visit({}, where == Where::kMax, 0, count, [&](std::string_view member, double score) {
    members.push_back({std::string(member), score});
    return true;
  }));
  if (members.size() == zset.size()) {
    zset.Clear();
  } else {
    for (const ScoredMember& member : members) TM_RETURN_IF_ERROR(zset.Remove(member.member, member.score));
  }
  TM_RETURN_IF_ERROR(zset.Commit());
  if (!members.empty()) {
    const std::string_view name = zset.key().name;
    ctx.keys().Notify(EventClass::kZset, where == Where::kMin ? "zpopmin" : "zpopmax", name);
    if (zset.size() == 0) ctx.keys().Notify(EventClass::kGeneric, "del", name);
  }
  return members;
}

// The first of the sets that has members, or of a waiter that is run again, the one that changed; nothing when none
// has. A waiter goes on waiting when its key has become something else.
absl::StatusOr<std::optional<Zset>> FirstOf(Context& ctx, Args names) {
  const Args looked_at = ctx.ready_key ? Args(&*ctx.ready_key, 1) : names;
  for (const std::string_view name : looked_at) {
    absl::StatusOr<Zset> zset = Zset::Find(ctx.keys(), name);
    if (ctx.ready_key && zset.status() == types::WrongType()) continue;
    TM_RETURN_IF_ERROR(zset.status());
    if (zset->size() > 0) return std::optional<Zset>(*std::move(zset));
  }
  return std::nullopt;
}

absl::Status PopOne(Context& ctx, Where where) {
  if (ctx.args.size() > 3) return SyntaxError();
  const bool counted = ctx.args.size() == 3;
  int64_t count = 1;
  if (counted) {
    TM_ASSIGN_OR_RETURN(count, BoundedArg(ctx.args[2], 0, std::numeric_limits<int64_t>::max(),
                                          "value is out of range, must be positive"));
  }
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Find(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const std::vector<ScoredMember> members, Pop(ctx, zset, where, static_cast<uint64_t>(count)));
  const bool pairs = counted && ctx.out.protocol() == 3;
  ctx.out.Array(members.size() * (pairs ? 1 : 2));
  for (const ScoredMember& member : members) {
    if (pairs) ctx.out.Array(2);
    ctx.out.Bulk(member.member);
    ctx.out.Double(member.score);
  }
  return absl::OkStatus();
}

// What ZMPOP and BZMPOP ask for, from the number of keys on.
struct MultiPop {
  Args names;
  Where where = Where::kMin;
  uint64_t count = 1;
};

absl::StatusOr<MultiPop> ParseMultiPop(Args words) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  TM_ASSIGN_OR_RETURN(const int64_t keys, BoundedArg(words[0], 1, kMax, "numkeys should be greater than 0"));
  if (keys >= static_cast<int64_t>(words.size()) - 1) return SyntaxError();
  MultiPop pop{.names = words.subspan(1, static_cast<size_t>(keys))};
  const Args options = words.subspan(static_cast<size_t>(keys) + 1);
  if (EqualsIgnoreCase(options[0], "max")) {
    pop.where = Where::kMax;
  } else if (!EqualsIgnoreCase(options[0], "min")) {
    return SyntaxError();
  }
  if (options.size() == 1) return pop;
  if (options.size() < 3 || !EqualsIgnoreCase(options[1], "count")) return SyntaxError();
  TM_ASSIGN_OR_RETURN(const int64_t count, BoundedArg(options[2], 1, kMax, "count should be greater than 0"));
  if (options.size() > 3) return SyntaxError();
  pop.count = static_cast<uint64_t>(count);
  return pop;
}

absl::Status ReplyMultiPop(Context& ctx, Zset& zset, const MultiPop& pop) {
  TM_ASSIGN_OR_RETURN(const std::vector<ScoredMember> members, Pop(ctx, zset, pop.where, pop.count));
  ctx.out.Array(2);
  ctx.out.Bulk(zset.key().name);
  ctx.out.Array(members.size());
  for (const ScoredMember& member : members) {
    ctx.out.Array(2);
    ctx.out.Bulk(member.member);
    ctx.out.Double(member.score);
  }
  return absl::OkStatus();
}

absl::Status PopOrWait(Context& ctx, Where where) {
  const Args names = ctx.args.subspan(1, ctx.args.size() - 2);
  TM_ASSIGN_OR_RETURN(const uint64_t timeout_ms, WaitSeconds(ctx.args.back()));
  TM_ASSIGN_OR_RETURN(std::optional<Zset> zset, FirstOf(ctx, names));
  if (!zset) {
    WaitForKeys(ctx, names, timeout_ms);
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const std::vector<ScoredMember> members, Pop(ctx, *zset, where, 1));
  ctx.out.Array(3);
  ctx.out.Bulk(zset->key().name);
  ctx.out.Bulk(members[0].member);
  ctx.out.Double(members[0].score);
  return absl::OkStatus();
}

}  // namespace

absl::Status ZPopMin(Context& ctx) { return PopOne(ctx, Where::kMin); }
absl::Status ZPopMax(Context& ctx) { return PopOne(ctx, Where::kMax); }

absl::Status ZMPop(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const MultiPop pop, ParseMultiPop(ctx.args.subspan(1)));
  TM_ASSIGN_OR_RETURN(std::optional<Zset> zset, FirstOf(ctx, pop.names));
  if (zset) return ReplyMultiPop(ctx, *zset, pop);
  ctx.out.NullArray();
  return absl::OkStatus();
}

absl::Status BZPopMin(Context& ctx) { return PopOrWait(ctx, Where::kMin); }
absl::Status BZPopMax(Context& ctx) { return PopOrWait(ctx, Where::kMax); }

absl::Status BZMPop(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const MultiPop pop, ParseMultiPop(ctx.args.subspan(2)));
  TM_ASSIGN_OR_RETURN(const uint64_t timeout_ms, WaitSeconds(ctx.args[1]));
  TM_ASSIGN_OR_RETURN(std::optional<Zset> zset, FirstOf(ctx, pop.names));
  if (zset) return ReplyMultiPop(ctx, *zset, pop);
  WaitForKeys(ctx, pop.names, timeout_ms);
  return absl::OkStatus();
}

}  // namespace tidemark::commands
