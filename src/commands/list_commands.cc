// Lists: LPUSH and its family. The rows are kept by types/list.h; what moves elements and waits for them stands in
// list_move_commands.cc.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "commands/data_families.h"
#include "commands/list_events.h"
#include "commands/reply_stream.h"
#include "commands/spec.h"
#include "resp/numbers.h"
#include "types/list.h"

namespace tidemark::commands {
namespace {

using types::Keyspace;
using types::List;
using types::ListEnd;

// Indexes as LRANGE and LTRIM take them: negative ones count from the end, what lies outside is cut. Empty: count 0.
struct Range {
  uint64_t first = 0;
  uint64_t count = 0;
};
Range CutRange(int64_t start, int64_t stop, uint64_t length) {
  const auto size = static_cast<int64_t>(length);
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  stop = std::min(stop, size - 1);
  if (start > stop || start >= size) return {};
  return {static_cast<uint64_t>(start), static_cast<uint64_t>(stop - start + 1)};
}

// The element that LINDEX and LSET mean; nullopt outside the list.
std::optional<uint64_t> IndexOf(int64_t index, uint64_t length) {
  if (index < 0) index += static_cast<int64_t>(length);
  if (index < 0 || static_cast<uint64_t>(index) >= length) return std::nullopt;
  return static_cast<uint64_t>(index);
}

absl::Status Push(Context& ctx, ListEnd end, bool only_existing) {
  TM_ASSIGN_OR_RETURN(List list, List::Find(ctx.keys(), ctx.args[1]));
  if (!only_existing || list.size() > 0) {
    for (const std::string_view element : ctx.args.subspan(2)) list.Push(end, element);
    list.Commit();
    NotifyPushed(ctx, ctx.args[1], end);
  }
  ctx.out.Integer(static_cast<int64_t>(list.size()));
  return absl::OkStatus();
}

absl::Status LPush(Context& ctx) { return Push(ctx, ListEnd::kLeft, false); }
absl::Status RPush(Context& ctx) { return Push(ctx, ListEnd::kRight, false); }
absl::Status LPushX(Context& ctx) { return Push(ctx, ListEnd::kLeft, true); }
absl::Status RPushX(Context& ctx) { return Push(ctx, ListEnd::kRight, true); }

absl::Status Pop(Context& ctx, ListEnd end, std::string_view name) {
  if (ctx.args.size() > 3) return WrongArity(name);
  std::optional<int64_t> count;
  if (ctx.args.size() == 3) {
    count = resp::ParseInt64(ctx.args[2]);
    if (!count || *count < 0) return InvalidArgument("ERR value is out of range, must be positive");
  }
  TM_ASSIGN_OR_RETURN(List list, List::Find(ctx.keys(), ctx.args[1]));
  if (list.size() == 0) {
    count ? ctx.out.NullArray() : ctx.out.Null();
    return absl::OkStatus();
  }
  const uint64_t popped = std::min<uint64_t>(static_cast<uint64_t>(count.value_or(1)), list.size());
  if (count) ctx.out.Array(popped);
  for (uint64_t i = 0; i < popped; ++i) {
    TM_ASSIGN_OR_RETURN(const kv::Value element, list.Pop(end));
    ctx.out.Bulk(Keyspace::MemberBytes(element));
  }
  list.Commit();
  if (popped > 0) NotifyPopped(ctx, ctx.args[1], end, list.size());
  return absl::OkStatus();
}

absl::Status LPop(Context& ctx) { return Pop(ctx, ListEnd::kLeft, "lpop"); }
absl::Status RPop(Context& ctx) { return Pop(ctx, ListEnd::kRight, "rpop"); }

absl::Status LLen(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const List list, List::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Integer(static_cast<int64_t>(list.size()));
  return absl::OkStatus();
}

absl::Status LIndex(Context& ctx) {
  TM_ASSIGN_OR_RETURN(List list, List::Lookup(ctx.keys(), ctx.args[1]));
  if (list.size() == 0) {
    ctx.out.Null();
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const int64_t number, IntegerArg(ctx.args[2]));
  const std::optional<uint64_t> index = IndexOf(number, list.size());
  if (!index) {
    ctx.out.Null();
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const kv::Value element, list.Get(*index));
  ctx.out.Bulk(Keyspace::MemberBytes(element));
  return absl::OkStatus();
}

absl::Status LSet(Context& ctx) {
  TM_ASSIGN_OR_RETURN(List list, List::Find(ctx.keys(), ctx.args[1]));
  if (list.size() == 0) return InvalidArgument("ERR no such key");
  TM_ASSIGN_OR_RETURN(const int64_t number, IntegerArg(ctx.args[2]));
  const std::optional<uint64_t> index = IndexOf(number, list.size());
  if (!index) return InvalidArgument("ERR index out of range");
  list.Set(*index, ctx.args[3]);
  list.Commit();
  ctx.keys().Notify(types::EventClass::kList, "lset", ctx.args[1]);
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status LRange(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t start, IntegerArg(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(const int64_t stop, IntegerArg(ctx.args[3]));
  TM_ASSIGN_OR_RETURN(List list, List::Lookup(ctx.keys(), ctx.args[1]));
  const Range range = CutRange(start, stop, list.size());
  const auto write = [](std::string_view, std::string_view value, resp::Writer& out) {
    TM_ASSIGN_OR_RETURN(const std::string_view element, types::DecodeMemberValue(value));
    out.Bulk(element);
    return absl::OkStatus();
  };
  TM_ASSIGN_OR_RETURN(const bool streams, StreamRows(ctx, resp::Writer::Kind::kArray, list.RowAt(range.first),
                                                     list.RowAt(range.first + range.count), range.count, write));
  if (streams) return absl::OkStatus();
  ctx.out.Array(range.count);
  if (range.count == 0) return absl::OkStatus();
  return list.Visit(range.first, range.count, [&](uint64_t, std::string_view element) {
    ctx.out.Bulk(element);
    return true;
  });
}

absl::Status LTrim(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t start, IntegerArg(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(const int64_t stop, IntegerArg(ctx.args[3]));
  TM_ASSIGN_OR_RETURN(List list, List::Find(ctx.keys(), ctx.args[1]));
  ctx.out.Ok();
  if (list.size() == 0) return absl::OkStatus();
  const Range range = CutRange(start, stop, list.size());
  TM_RETURN_IF_ERROR(list.Trim(range.first, range.count));
  list.Commit();
  ctx.keys().Notify(types::EventClass::kList, "ltrim", ctx.args[1]);
  NotifyIfGone(ctx, ctx.args[1], list.size());
  return absl::OkStatus();
}

absl::Status LInsert(Context& ctx) {
  const bool after = EqualsIgnoreCase(ctx.args[2], "after");
  if (!after && !EqualsIgnoreCase(ctx.args[2], "before")) return SyntaxError();
  TM_ASSIGN_OR_RETURN(List list, List::Find(ctx.keys(), ctx.args[1]));
  std::optional<uint64_t> pivot;
  TM_RETURN_IF_ERROR(list.Visit(0, list.size(), [&](uint64_t index, std::string_view element) {
    if (element == ctx.args[3]) pivot = index;
    return !pivot;
  }));
  if (pivot) {
    TM_RETURN_IF_ERROR(list.Insert(*pivot + (after ? 1 : 0), ctx.args[4]));
    list.Commit();
    ctx.keys().Notify(types::EventClass::kList, "linsert", ctx.args[1]);
  }
  const bool not_found = !pivot && list.size() > 0;
  ctx.out.Integer(not_found ? -1 : static_cast<int64_t>(list.size()));
  return absl::OkStatus();
}

absl::Status LRem(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t count, IntegerArg(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(List list, List::Find(ctx.keys(), ctx.args[1]));
  const uint64_t most = count == 0  ? std::numeric_limits<uint64_t>::max()
                        : count < 0 ? -static_cast<uint64_t>(count)
                                    : static_cast<uint64_t>(count);
  std::vector<uint64_t> found;
  const auto consider = [&](uint64_t index, std::string_view element) {
    if (element == ctx.args[3]) found.push_back(index);
    return found.size() < most;
  };
  if (count < 0) {
    TM_RETURN_IF_ERROR(list.VisitBackward(list.size(), list.size(), consider));
    std::reverse(found.begin(), found.end());
  } else {
    TM_RETURN_IF_ERROR(list.Visit(0, list.size(), consider));
  }
  if (!found.empty()) {
    TM_RETURN_IF_ERROR(list.Remove(found));
    list.Commit();
    ctx.keys().Notify(types::EventClass::kList, "lrem", ctx.args[1]);
    NotifyIfGone(ctx, ctx.args[1], list.size());
  }
  ctx.out.Integer(static_cast<int64_t>(found.size()));
  return absl::OkStatus();
}

struct PositionOptions {
  int64_t rank = 1;
  std::optional<int64_t> count;
  int64_t max_length = 0;  // 0: all
};

absl::StatusOr<int64_t> NotNegativeArg(std::string_view word, std::string_view name) {
  const std::optional<int64_t> number = resp::ParseInt64(word);
  if (!number || *number < 0) return InvalidArgument("ERR {} can't be negative", name);
  return *number;
}

absl::StatusOr<PositionOptions> ParsePositionOptions(Args args) {
  PositionOptions options;
  for (size_t i = 3; i < args.size(); i += 2) {
    const bool has_value = i + 1 < args.size();
    if (EqualsIgnoreCase(args[i], "rank") && has_value) {
      TM_ASSIGN_OR_RETURN(options.rank, IntegerArg(args[i + 1]));
      if (options.rank == 0) {
        return InvalidArgument(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to "
            "start from the end of the list");
      }
    } else if (EqualsIgnoreCase(args[i], "count") && has_value) {
      TM_ASSIGN_OR_RETURN(options.count, NotNegativeArg(args[i + 1], "COUNT"));
    } else if (EqualsIgnoreCase(args[i], "maxlen") && has_value) {
      TM_ASSIGN_OR_RETURN(options.max_length, NotNegativeArg(args[i + 1], "MAXLEN"));
    } else {
      return SyntaxError();
    }
  }
  return options;
}

absl::Status LPos(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const PositionOptions options, ParsePositionOptions(ctx.args));
  TM_ASSIGN_OR_RETURN(List list, List::Lookup(ctx.keys(), ctx.args[1]));
  const bool backward = options.rank < 0;
  const uint64_t rank = backward ? -static_cast<uint64_t>(options.rank) : static_cast<uint64_t>(options.rank);
  const uint64_t wanted = !options.count        ? 1
                          : *options.count == 0 ? list.size()
                                                : static_cast<uint64_t>(*options.count);
  const uint64_t compared = options.max_length == 0
                                ? list.size()
                                : std::min<uint64_t>(static_cast<uint64_t>(options.max_length), list.size());
  std::vector<uint64_t> found;
  uint64_t met = 0;
  const auto consider = [&](uint64_t index, std::string_view element) {
    if (element == ctx.args[2] && ++met >= rank) found.push_back(index);
    return found.size() < wanted;
  };
  TM_RETURN_IF_ERROR(backward ? list.VisitBackward(list.size(), compared, consider)
                              : list.Visit(0, compared, consider));
  if (options.count) {
    ctx.out.Array(found.size());
    for (const uint64_t index : found) ctx.out.Integer(static_cast<int64_t>(index));
  } else if (found.empty()) {
    ctx.out.Null();
  } else {
    ctx.out.Integer(static_cast<int64_t>(found.front()));
  }
  return absl::OkStatus();
}

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, std::string_view key_flags,
                           std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("list", name, arity, flags, kFirstKey, key_flags, since, handler, syntax, complexity, summary);
}

constexpr CommandSpec kCommands[] = {
    Spec("lpush", -3, kWrite | kDenyOom | kFast, "RW insert", "1.0.0", LPush, "key element [element ...]",
         "O(N), N elements pushed", "Puts elements before the first of a list, one after the other."),
    Spec("rpush", -3, kWrite | kDenyOom | kFast, "RW insert", "1.0.0", RPush, "key element [element ...]",
         "O(N), N elements pushed", "Puts elements behind the last of a list."),
    Spec("lpushx", -3, kWrite | kDenyOom | kFast, "RW insert", "2.2.0", LPushX, "key element [element ...]",
         "O(N), N elements pushed", "Puts elements before the first of a list that exists."),
    Spec("rpushx", -3, kWrite | kDenyOom | kFast, "RW insert", "2.2.0", RPushX, "key element [element ...]",
         "O(N), N elements pushed", "Puts elements behind the last of a list that exists."),
    Spec("lpop", -2, kWrite | kFast, "RW access delete", "1.0.0", LPop, "key [count]", "O(N), N elements popped",
         "Removes and returns the first element of a list, or several."),
    Spec("rpop", -2, kWrite | kFast, "RW access delete", "1.0.0", RPop, "key [count]", "O(N), N elements popped",
         "Removes and returns the last element of a list, or several."),
    Spec("llen", 2, kReadonly | kFast, "RO", "1.0.0", LLen, "key", "O(1)", "Returns the number of elements of a list."),
    Spec("lindex", 3, kReadonly, "RO access", "1.0.0", LIndex, "key index", "O(1)",
         "Returns the element at an index, which counts from the end when it is negative."),
    Spec("lset", 4, kWrite | kDenyOom, "RW update", "1.0.0", LSet, "key index element", "O(1)",
         "Replaces the element at an index."),
    Spec("lrange", 4, kReadonly | kRange, "RO access", "1.0.0", LRange, "key start stop", "O(N), N elements returned",
         "Returns the elements between two indexes."),
    Spec("ltrim", 4, kWrite, "RW delete", "1.0.0", LTrim, "key start stop",
         "O(N), N elements removed or kept, whichever are fewer", "Keeps only the elements between two indexes."),
    Spec("linsert", 5, kWrite | kDenyOom, "RW insert", "2.2.0", LInsert, "key <BEFORE | AFTER> pivot element",
         "O(N), N elements before the pivot, and as many again are moved at most",
         "Inserts an element before or after the first that equals another."),
    Spec("lrem", 4, kWrite, "RW delete", "1.0.0", LRem, "key count element", "O(N), N elements of the list",
         "Removes elements that equal one, the first or the last count of them or all."),
    Spec("lpos", -3, kReadonly | kRange, "RO access", "6.0.6", LPos,
         "key element [RANK rank] [COUNT num-matches] [MAXLEN len]", "O(N), N elements compared",
         "Returns where in a list elements equal one."),
};

}  // namespace

std::span<const CommandSpec> ListCommands() { return kCommands; }

}  // namespace tidemark::commands
