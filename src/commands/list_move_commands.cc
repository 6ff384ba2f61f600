// Lists: what takes elements from one of several keys or moves them to another, at once (LMOVE, LMPOP) or as soon as
// there are any (BLPOP, BLMOVE, BLMPOP): the same functions, that wait where they find nothing (KeyWait in command.h).
#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "commands/data_families.h"
#include "commands/key_wait.h"
#include "commands/list_events.h"
#include "commands/spec.h"
#include "resp/numbers.h"
#include "types/list.h"

namespace tidemark::commands {
namespace {

using types::Keyspace;
using types::List;
using types::ListEnd;

absl::StatusOr<ListEnd> EndArg(std::string_view word) {
  if (EqualsIgnoreCase(word, "left")) return ListEnd::kLeft;
  if (EqualsIgnoreCase(word, "right")) return ListEnd::kRight;
  return SyntaxError();
}

// A list with elements at `name`, or nullopt. A waiter goes on waiting when its key has become something else.
absl::StatusOr<std::optional<List>> FindElements(Context& ctx, std::string_view name) {
  absl::StatusOr<List> list = List::Find(ctx.keys(), name);
  if (ctx.ready_key && list.status() == types::WrongType()) return std::nullopt;
  TM_RETURN_IF_ERROR(list.status());
  if (list->size() == 0) return std::nullopt;
  return *std::move(list);
}

// The first of the keys that has elements, or of a waiter that is run again, the one that changed.
struct Found {
  std::string_view name;
  List list;
};
absl::StatusOr<std::optional<Found>> FindFirst(Context& ctx, Args keys) {
  const Args looked_at = ctx.ready_key ? Args(&*ctx.ready_key, 1) : keys;
  for (const std::string_view name : looked_at) {
    TM_ASSIGN_OR_RETURN(std::optional<List> list, FindElements(ctx, name));
    if (list) return Found{name, *std::move(list)};
  }
  return std::nullopt;
}

absl::Status BlockingPop(Context& ctx, ListEnd end) {
  TM_ASSIGN_OR_RETURN(const uint64_t timeout_ms, WaitSeconds(ctx.args.back()));
  const Args keys = ctx.args.subspan(1, ctx.args.size() - 2);
  TM_ASSIGN_OR_RETURN(std::optional<Found> found, FindFirst(ctx, keys));
  if (!found) {
    WaitForKeys(ctx, keys, timeout_ms);
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const kv::Value element, found->list.Pop(end));
  found->list.Commit();
  NotifyPopped(ctx, found->name, end, found->list.size());
  ctx.out.Array(2);
  ctx.out.Bulk(found->name);
  ctx.out.Bulk(Keyspace::MemberBytes(element));
  return absl::OkStatus();
}

absl::Status BLPop(Context& ctx) { return BlockingPop(ctx, ListEnd::kLeft); }
absl::Status BRPop(Context& ctx) { return BlockingPop(ctx, ListEnd::kRight); }

// From one end of args[1] to one end of args[2]; false when there is nothing to move.
absl::StatusOr<bool> Move(Context& ctx, ListEnd from, ListEnd to) {
  const std::string_view source_name = ctx.args[1];
  const std::string_view target_name = ctx.args[2];
  TM_ASSIGN_OR_RETURN(std::optional<List> source, FindElements(ctx, source_name));
  if (!source) return false;
  const bool same = source_name == target_name;
  std::optional<List> other;
  if (!same) {
    TM_ASSIGN_OR_RETURN(other, List::Find(ctx.keys(), target_name));
  }
  TM_ASSIGN_OR_RETURN(const kv::Value element, source->Pop(from));
  List& target = same ? *source : *other;
  target.Push(to, Keyspace::MemberBytes(element));
  target.Commit();
  NotifyPushed(ctx, target_name, to);
  if (!same) source->Commit();
  NotifyPopped(ctx, source_name, from, source->size());
  ctx.out.Bulk(Keyspace::MemberBytes(element));
  return true;
}

absl::Status MoveNow(Context& ctx, ListEnd from, ListEnd to) {
  TM_ASSIGN_OR_RETURN(const bool moved, Move(ctx, from, to));
  if (!moved) ctx.out.Null();
  return absl::OkStatus();
}

absl::Status MoveOrWait(Context& ctx, ListEnd from, ListEnd to) {
  TM_ASSIGN_OR_RETURN(const uint64_t timeout_ms, WaitSeconds(ctx.args.back()));
  TM_ASSIGN_OR_RETURN(const bool moved, Move(ctx, from, to));
  if (moved) return absl::OkStatus();
  // As Redis: nothing to move is a null at once, but a null array when the time is over.
  if (ctx.may_wait) {
    WaitForKeys(ctx, ctx.args.subspan(1, 1), timeout_ms);
  } else {
    ctx.out.Null();
  }
  return absl::OkStatus();
}

absl::Status LMove(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const ListEnd from, EndArg(ctx.args[3]));
  TM_ASSIGN_OR_RETURN(const ListEnd to, EndArg(ctx.args[4]));
  return MoveNow(ctx, from, to);
}
absl::Status BLMove(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const ListEnd from, EndArg(ctx.args[3]));
  TM_ASSIGN_OR_RETURN(const ListEnd to, EndArg(ctx.args[4]));
  return MoveOrWait(ctx, from, to);
}
absl::Status RPopLPush(Context& ctx) { return MoveNow(ctx, ListEnd::kRight, ListEnd::kLeft); }
absl::Status BRPopLPush(Context& ctx) { return MoveOrWait(ctx, ListEnd::kRight, ListEnd::kLeft); }

struct ManyPop {
  Args keys;
  ListEnd end = ListEnd::kLeft;
  uint64_t count = 1;
};

// "numkeys key [key ...] LEFT|RIGHT [COUNT count]" from args[at] on.
absl::StatusOr<ManyPop> ParseManyPop(Args args, size_t at) {
  const std::optional<int64_t> keys = resp::ParseInt64(args[at]);
  if (!keys || *keys < 1) return InvalidArgument("ERR numkeys should be greater than 0");
  const size_t left = args.size() - at - 1;
  if (static_cast<uint64_t>(*keys) >= left) return SyntaxError();
  ManyPop pop;
  pop.keys = args.subspan(at + 1, static_cast<size_t>(*keys));
  const Args options = args.subspan(at + 1 + pop.keys.size());
  TM_ASSIGN_OR_RETURN(pop.end, EndArg(options[0]));
  if (options.size() == 1) return pop;
  if (options.size() < 3 || !EqualsIgnoreCase(options[1], "count")) return SyntaxError();
  const std::optional<int64_t> count = resp::ParseInt64(options[2]);
  if (!count || *count < 1) return InvalidArgument("ERR count should be greater than 0");
  if (options.size() > 3) return SyntaxError();
  pop.count = static_cast<uint64_t>(*count);
  return pop;
}

// False when none of the keys has an element.
absl::StatusOr<bool> PopMany(Context& ctx, const ManyPop& pop) {
  TM_ASSIGN_OR_RETURN(std::optional<Found> found, FindFirst(ctx, pop.keys));
  if (!found) return false;
  const uint64_t count = std::min(pop.count, found->list.size());
  ctx.out.Array(2);
  ctx.out.Bulk(found->name);
  ctx.out.Array(count);
  for (uint64_t i = 0; i < count; ++i) {
    TM_ASSIGN_OR_RETURN(const kv::Value element, found->list.Pop(pop.end));
    ctx.out.Bulk(Keyspace::MemberBytes(element));
  }
  found->list.Commit();
  NotifyPopped(ctx, found->name, pop.end, found->list.size());
  return true;
}

absl::Status LMPop(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const ManyPop pop, ParseManyPop(ctx.args, 1));
  TM_ASSIGN_OR_RETURN(const bool popped, PopMany(ctx, pop));
  if (!popped) ctx.out.NullArray();
  return absl::OkStatus();
}

absl::Status BLMPop(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const ManyPop pop, ParseManyPop(ctx.args, 2));
  TM_ASSIGN_OR_RETURN(const uint64_t timeout_ms, WaitSeconds(ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const bool popped, PopMany(ctx, pop));
  if (!popped) WaitForKeys(ctx, pop.keys, timeout_ms);
  return absl::OkStatus();
}

// Positions of `numkeys` keys, whose number stands at `at`.
std::vector<int> CountedKeys(Args args, size_t at) {
  std::vector<int> positions;
  if (args.size() <= at) return positions;
  const std::optional<int64_t> keys = resp::ParseInt64(args[at]);
  if (!keys || *keys < 1 || static_cast<uint64_t>(*keys) >= args.size() - at) return positions;
  for (int64_t i = 1; i <= *keys; ++i) positions.push_back(static_cast<int>(static_cast<int64_t>(at) + i));
  return positions;
}

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, KeyPositions keys,
                           std::string_view key_flags, std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("list", name, arity, flags, keys, key_flags, since, handler, syntax, complexity, summary);
}

constexpr CommandSpec Counted(CommandSpec spec, std::vector<int> (*find_keys)(Args args)) {
  spec.find_keys = find_keys;
  return spec;
}

constexpr KeyPositions kAllButLast{1, -2, 1};
constexpr std::string_view kFromTo = "RW access delete/RW insert";
constexpr uint32_t kMoves = kWrite | kDenyOom;
constexpr uint32_t kWaits = kNoScript | kBlocking;

constexpr CommandSpec kCommands[] = {
    Spec("lmove", 5, kMoves, kTwoKeys, kFromTo, "6.2.0", LMove, "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
         "O(1)", "Moves an element from an end of a list to an end of another, or of the same."),
    Spec("rpoplpush", 3, kMoves, kTwoKeys, kFromTo, "1.2.0", RPopLPush, "source destination", "O(1)",
         "Moves the last element of a list to the front of another."),
    Counted(Spec("lmpop", -4, kWrite | kMovableKeys, kNoKeys, {}, "7.0.0", LMPop,
                 "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]", "O(N+M), N keys and M elements popped",
                 "Removes and returns elements of the first of several lists that has any."),
            [](Args args) { return CountedKeys(args, 1); }),
    Spec("blpop", -3, kWrite | kWaits, kAllButLast, "RW access delete", "2.0.0", BLPop, "key [key ...] timeout",
         "O(N), N keys", "Removes and returns the first element of one of several lists, or waits for one."),
    Spec("brpop", -3, kWrite | kWaits, kAllButLast, "RW access delete", "2.0.0", BRPop, "key [key ...] timeout",
         "O(N), N keys", "Removes and returns the last element of one of several lists, or waits for one."),
    Spec("blmove", 6, kMoves | kWaits, kTwoKeys, kFromTo, "6.2.0", BLMove,
         "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout", "O(1)",
         "Moves an element from one list to another, or waits for one."),
    Spec("brpoplpush", 4, kMoves | kWaits, kTwoKeys, kFromTo, "2.2.0", BRPopLPush, "source destination timeout", "O(1)",
         "Moves the last element of a list to the front of another, or waits for one."),
    Counted(Spec("blmpop", -5, kWrite | kBlocking | kMovableKeys, kNoKeys, {}, "7.0.0", BLMPop,
                 "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]", "O(N+M), N keys and M elements popped",
                 "Removes and returns elements of the first of several lists that has any, or waits for some."),
            [](Args args) { return CountedKeys(args, 2); }),
};

}  // namespace

std::span<const CommandSpec> ListMoveCommands() { return kCommands; }

}  // namespace tidemark::commands
