// Intersection, union and difference of sets, answered, counted or stored.
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "commands/set_handlers.h"
#include "types/set.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::Key;
using types::SetVisitor;
using types::Type;

absl::Status Intersection(types::Keyspace& keyspace, std::vector<Key> sets, SetVisitor visit) {
  return types::VisitIntersection(keyspace, std::move(sets), visit);
}
absl::Status Union(types::Keyspace& keyspace, std::vector<Key> sets, SetVisitor visit) {
  return types::VisitUnion(keyspace, sets, visit);
}
absl::Status Difference(types::Keyspace& keyspace, std::vector<Key> sets, SetVisitor visit) {
  return types::VisitDifference(keyspace, sets, visit);
}
using Operation = absl::Status (*)(types::Keyspace& keyspace, std::vector<Key> sets, SetVisitor visit);

// Every key is looked at, so that one of another type is an error whatever the result would be.
absl::StatusOr<std::vector<Key>> LookupSets(Context& ctx, Args names) {
  std::vector<Key> sets;
  sets.reserve(names.size());
  for (const std::string_view name : names) {
    TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(name, Type::kSet));
    sets.push_back(std::move(key));
  }
  return sets;
}

absl::Status Answer(Context& ctx, Operation operation) {
  TM_ASSIGN_OR_RETURN(std::vector<Key> sets, LookupSets(ctx, ctx.args.subspan(1)));
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(resp::Writer::Kind::kSet);
  size_t count = 0;
  TM_RETURN_IF_ERROR(operation(ctx.keys(), std::move(sets), [&](std::string_view member) {
    ctx.out.Bulk(member);
    ++count;
    return true;
  }));
  ctx.out.EndDeferred(length, count);
  return absl::OkStatus();
}

// The result is gathered before the first change: the destination may be among the sets.
absl::Status Store(Context& ctx, Operation operation, std::string_view event) {
  const std::string_view name = ctx.args[1];
  TM_ASSIGN_OR_RETURN(std::vector<Key> sets, LookupSets(ctx, ctx.args.subspan(2)));
  std::vector<std::string> members;
  TM_RETURN_IF_ERROR(operation(ctx.keys(), std::move(sets), [&](std::string_view member) {
    members.emplace_back(member);
    return true;
  }));
  TM_ASSIGN_OR_RETURN(Key target, ctx.keys().Find(name));
  if (!members.empty()) {
    types::PutSet(ctx.keys(), &target, members);
    ctx.keys().Notify(EventClass::kSet, event, name);
  } else if (ctx.keys().Remove(&target)) {
    ctx.keys().Notify(EventClass::kGeneric, "del", name);
  }
  ctx.out.Integer(static_cast<int64_t>(members.size()));
  return absl::OkStatus();
}

struct CardOptions {
  size_t keys = 0;
  uint64_t limit = 0;  // 0: none
};

absl::StatusOr<CardOptions> ParseCardOptions(Args args) {
  CardOptions options;
  const absl::StatusOr<int64_t> keys = IntegerArg(args[1]);
  if (!keys.ok() || *keys < 1) return InvalidArgument("ERR numkeys should be greater than 0");
  options.keys = static_cast<size_t>(*keys);
  if (options.keys > args.size() - 2) return InvalidArgument("ERR Number of keys can't be greater than number of args");
  for (size_t i = 2 + options.keys; i < args.size(); i += 2) {
    if (!EqualsIgnoreCase(args[i], "limit") || i + 1 == args.size()) return SyntaxError();
    const absl::StatusOr<int64_t> limit = IntegerArg(args[i + 1]);
    if (!limit.ok() || *limit < 0) return InvalidArgument("ERR LIMIT can't be negative");
    options.limit = static_cast<uint64_t>(*limit);
  }
  return options;
}

}  // namespace

absl::Status SInter(Context& ctx) { return Answer(ctx, Intersection); }
absl::Status SUnion(Context& ctx) { return Answer(ctx, Union); }
absl::Status SDiff(Context& ctx) { return Answer(ctx, Difference); }
absl::Status SInterStore(Context& ctx) { return Store(ctx, Intersection, "sinterstore"); }
absl::Status SUnionStore(Context& ctx) { return Store(ctx, Union, "sunionstore"); }
absl::Status SDiffStore(Context& ctx) { return Store(ctx, Difference, "sdiffstore"); }

absl::Status SInterCard(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const CardOptions options, ParseCardOptions(ctx.args));
  TM_ASSIGN_OR_RETURN(std::vector<Key> sets, LookupSets(ctx, ctx.args.subspan(2, options.keys)));
  uint64_t count = 0;
  TM_RETURN_IF_ERROR(types::VisitIntersection(ctx.keys(), std::move(sets), [&](std::string_view) {
    ++count;
    return count != options.limit;
  }));
  ctx.out.Integer(static_cast<int64_t>(count));
  return absl::OkStatus();
}

std::vector<int> SInterCardKeys(Args args) {
  const absl::StatusOr<CardOptions> options = ParseCardOptions(args);
  if (!options.ok()) return {};
  std::vector<int> positions(options->keys);
  std::iota(positions.begin(), positions.end(), 2);
  return positions;
}

}  // namespace tidemark::commands
