// What was delivered to consumers and is not acknowledged: XACK, XPENDING, XCLAIM, XAUTOCLAIM.
#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands/spec.h"
#include "commands/stream_arguments.h"
#include "resp/numbers.h"
#include "types/stream_groups.h"

namespace tidemark::commands {
namespace {

using types::ConsumerState;
using types::EventClass;
using types::Key;
using types::Keyspace;
using types::Pending;
using types::Stream;
using types::StreamGroup;
using types::StreamId;
using types::Type;

// The stream in args[1] and its group in args[2]; the stream stays where it is, for the group points to it.
struct Target {
  Stream stream;
  std::optional<StreamGroup> group = std::nullopt;
};

absl::StatusOr<std::unique_ptr<Target>> FindTarget(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Lookup(ctx.keys(), ctx.args[1]));
  auto target = std::make_unique<Target>(Target{.stream = std::move(stream)});
  TM_ASSIGN_OR_RETURN(target->group, StreamGroup::Find(target->stream, ctx.args[2]));
  return target;
}

absl::Status NoGroup(const Context& ctx) {
  return InvalidArgument("NOGROUP No such key '{}' or consumer group '{}'", ShownName(ctx.args[1]),
                         ShownName(ctx.args[2]));
}

absl::StatusOr<int64_t> IntegerOr(std::string_view arg, std::string_view error) {
  const std::optional<int64_t> value = resp::ParseInt64(arg);
  if (!value) return InvalidArgument("ERR {}", error);
  return *value;
}

absl::Status XAck(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx));
  int64_t acknowledged = 0;
  if (target->group) {
    std::vector<StreamId> ids;
    for (const std::string_view arg : ctx.args.subspan(3)) {
      TM_ASSIGN_OR_RETURN(const StreamId id, ParseStreamId(arg, 0));
      ids.push_back(id);
    }
    for (const StreamId id : ids) {
      TM_ASSIGN_OR_RETURN(const std::optional<Pending> pending, target->group->FindPending(id));
      if (!pending) continue;
      TM_RETURN_IF_ERROR(target->group->RemovePending(id, *pending));
      ++acknowledged;
    }
    target->group->Commit();
  }
  ctx.out.Integer(acknowledged);
  return absl::OkStatus();
}

uint64_t IdleMillis(uint64_t now_ms, const Pending& pending) { return now_ms - std::min(now_ms, pending.delivered_ms); }

// XPENDING key group: how many, from which to which, and by consumer.
absl::Status WritePendingSummary(Context& ctx, StreamGroup& group) {
  ctx.out.Array(4);
  ctx.out.Integer(static_cast<int64_t>(group.state().pending));
  StreamId ends[2];
  bool any = false;
  for (const bool backward : {false, true}) {
    TM_RETURN_IF_ERROR(
        group.VisitPending({}, types::kMaxStreamId, 1, backward, [&](StreamId id, const Pending& /*pending*/) {
          ends[backward ? 1 : 0] = id;
          any = true;
          return false;
        }));
  }
  if (!any) {
    ctx.out.Null();
    ctx.out.Null();
    ctx.out.NullArray();
    return absl::OkStatus();
  }
  WriteStreamId(ctx.out, ends[0]);
  WriteStreamId(ctx.out, ends[1]);
  TM_ASSIGN_OR_RETURN(std::vector<StreamGroup::NamedConsumer> consumers, group.Consumers());
  std::erase_if(consumers, [](const StreamGroup::NamedConsumer& consumer) { return consumer.state.pending == 0; });
  ctx.out.Array(consumers.size());
  for (const StreamGroup::NamedConsumer& consumer : consumers) {
    ctx.out.Array(2);
    ctx.out.Bulk(consumer.name);
    ctx.out.BulkInteger(static_cast<int64_t>(consumer.state.pending));
  }
  return absl::OkStatus();
}

struct PendingRange {
  StreamId first;
  StreamId last;
  uint64_t count = 0;
  int64_t idle_min_ms = 0;
  std::optional<std::string_view> consumer;
};

absl::StatusOr<PendingRange> ParsePendingRange(Args args) {
  if (args.size() < 6 || args.size() > 9) return SyntaxError();
  PendingRange range;
  size_t at = 3;
  if (EqualsIgnoreCase(args[3], "idle")) {
    TM_ASSIGN_OR_RETURN(range.idle_min_ms, IntegerArg(args[4]));
    if (args.size() < 8) return SyntaxError();
    at += 2;
  }
  TM_ASSIGN_OR_RETURN(const int64_t count, IntegerArg(args[at + 2]));
  range.count = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  TM_ASSIGN_OR_RETURN(range.first, ParseRangeStart(args[at]));
  TM_ASSIGN_OR_RETURN(range.last, ParseRangeEnd(args[at + 1]));
  if (at + 3 < args.size()) range.consumer = args[at + 3];
  return range;
}

void WritePendingEntry(Context& ctx, StreamId id, const Pending& pending) {
  ctx.out.Array(4);
  WriteStreamId(ctx.out, id);
  ctx.out.Bulk(pending.consumer);
  ctx.out.Integer(static_cast<int64_t>(IdleMillis(ctx.keys().now_ms(), pending)));
  ctx.out.Integer(static_cast<int64_t>(pending.deliveries));
}

bool IdleEnough(Context& ctx, const Pending& pending, int64_t idle_min_ms) {
  return idle_min_ms <= 0 || IdleMillis(ctx.keys().now_ms(), pending) >= static_cast<uint64_t>(idle_min_ms);
}

// Of one consumer: its ids a page at a time, each looked up.
absl::StatusOr<size_t> WritePendingOf(Context& ctx, StreamGroup& group, const PendingRange& range) {
  constexpr size_t kPage = 256;
  size_t written = 0;
  std::optional<StreamId> first = range.first;
  while (first && written < range.count) {
    const size_t page = std::min<uint64_t>(kPage, range.idle_min_ms == 0 ? range.count - written : kPage);
    TM_ASSIGN_OR_RETURN(const std::vector<StreamId> ids, group.PendingOf(*range.consumer, *first, range.last, page));
    for (const StreamId id : ids) {
      TM_ASSIGN_OR_RETURN(const std::optional<Pending> pending, group.FindPending(id));
      if (!pending || !IdleEnough(ctx, *pending, range.idle_min_ms)) continue;
      WritePendingEntry(ctx, id, *pending);
      if (++written == range.count) break;
    }
    first = ids.size() == page ? types::IdAfter(ids.back()) : std::nullopt;
  }
  return written;
}

absl::Status XPending(Context& ctx) {
  PendingRange range;
  const bool summary = ctx.args.size() == 3;
  if (!summary) {
    TM_ASSIGN_OR_RETURN(range, ParsePendingRange(ctx.args));
  }
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx));
  if (!target->group) return NoGroup(ctx);
  StreamGroup& group = *target->group;
  if (summary) return WritePendingSummary(ctx, group);
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t written = 0;
  if (range.consumer) {
    TM_ASSIGN_OR_RETURN(written, WritePendingOf(ctx, group, range));
  } else if (range.count > 0) {
    TM_RETURN_IF_ERROR(group.VisitPending(range.first, range.last, SIZE_MAX, /*backward=*/false,
                                          [&](StreamId id, const Pending& pending) {
                                            if (!IdleEnough(ctx, pending, range.idle_min_ms)) return true;
                                            WritePendingEntry(ctx, id, pending);
                                            return ++written < range.count;
                                          }));
  }
  ctx.out.EndDeferred(length, written);
  return absl::OkStatus();
}

struct ClaimArgs {
  uint64_t idle_min_ms = 0;
  std::vector<StreamId> ids;
  std::optional<int64_t> delivered_ms;  // as the client says
  int64_t retry_count = -1;             // -1: not given
  bool force = false;
  bool just_id = false;
  StreamId last_id;
};

absl::StatusOr<ClaimArgs> ParseClaim(Context& ctx) {
  ClaimArgs parsed;
  const Args args = ctx.args;
  TM_ASSIGN_OR_RETURN(const int64_t idle, IntegerOr(args[4], "Invalid min-idle-time argument for XCLAIM"));
  parsed.idle_min_ms = static_cast<uint64_t>(std::max<int64_t>(idle, 0));
  size_t i = 5;
  for (; i < args.size(); ++i) {
    const absl::StatusOr<StreamId> id = ParseStreamId(args[i], 0);
    if (!id.ok()) break;
    parsed.ids.push_back(*id);
  }
  for (; i < args.size(); ++i) {
    const bool more = i + 1 < args.size();
    if (EqualsIgnoreCase(args[i], "force")) {
      parsed.force = true;
    } else if (EqualsIgnoreCase(args[i], "justid")) {
      parsed.just_id = true;
    } else if (EqualsIgnoreCase(args[i], "idle") && more) {
      TM_ASSIGN_OR_RETURN(const int64_t ago, IntegerOr(args[++i], "Invalid IDLE option argument for XCLAIM"));
      int64_t time = 0;
      const bool fits = !__builtin_sub_overflow(static_cast<int64_t>(ctx.keys().now_ms()), ago, &time);
      parsed.delivered_ms = fits ? time : -2;
    } else if (EqualsIgnoreCase(args[i], "time") && more) {
      TM_ASSIGN_OR_RETURN(parsed.delivered_ms, IntegerOr(args[++i], "Invalid TIME option argument for XCLAIM"));
    } else if (EqualsIgnoreCase(args[i], "retrycount") && more) {
      TM_ASSIGN_OR_RETURN(parsed.retry_count, IntegerOr(args[++i], "Invalid RETRYCOUNT option argument for XCLAIM"));
    } else if (EqualsIgnoreCase(args[i], "lastid") && more) {
      TM_ASSIGN_OR_RETURN(parsed.last_id, ParseStreamId(args[++i], 0));
    } else {
      return InvalidArgument("ERR Unrecognized XCLAIM option '{}'", args[i]);
    }
  }
  return parsed;
}

// The consumer in args[3], once something is claimed for it.
absl::Status KnowClaimer(Context& ctx, StreamGroup& group) {
  TM_ASSIGN_OR_RETURN(const ConsumerState* const known, group.FindConsumer(ctx.args[3]));
  if (known != nullptr) {
    group.Seen(ctx.args[3], ctx.keys().now_ms());
  } else {
    group.CreateConsumer(ctx.args[3], ctx.keys().now_ms());
    ctx.keys().Notify(EventClass::kStream, "xgroup-createconsumer", ctx.args[1]);
  }
  return absl::OkStatus();
}

absl::Status WriteClaimed(Context& ctx, StreamId id, const kv::Value& entry, bool just_id) {
  if (!just_id) return WriteEntry(ctx.out, id, Keyspace::MemberBytes(entry));
  WriteStreamId(ctx.out, id);
  return absl::OkStatus();
}

// True when `id` was claimed and written.
absl::StatusOr<bool> Claim(Context& ctx, Target& target, const ClaimArgs& parsed, StreamId id) {
  StreamGroup& group = *target.group;
  TM_ASSIGN_OR_RETURN(const std::optional<Pending> former, group.FindPending(id));
  TM_ASSIGN_OR_RETURN(const kv::Value entry, target.stream.Get(id));
  if (!entry) {
    if (former) TM_RETURN_IF_ERROR(group.RemovePending(id, *former));
    return false;
  }
  if (!former && !parsed.force) return false;
  const uint64_t now_ms = ctx.keys().now_ms();
  if (former && parsed.idle_min_ms > 0 && IdleMillis(now_ms, *former) < parsed.idle_min_ms) return false;
  TM_RETURN_IF_ERROR(KnowClaimer(ctx, group));
  Pending claimed{.consumer = std::string(ctx.args[3]), .delivered_ms = now_ms, .deliveries = 1};
  if (former) claimed.deliveries = former->deliveries;
  const bool time_is_sane =
      parsed.delivered_ms.value_or(-1) >= 0 && *parsed.delivered_ms <= static_cast<int64_t>(now_ms);
  if (time_is_sane) claimed.delivered_ms = static_cast<uint64_t>(*parsed.delivered_ms);
  if (parsed.retry_count >= 0) {
    claimed.deliveries = static_cast<uint64_t>(parsed.retry_count);
  } else if (!parsed.just_id) {
    ++claimed.deliveries;
  }
  TM_RETURN_IF_ERROR(group.PutPending(id, claimed, former));
  TM_RETURN_IF_ERROR(WriteClaimed(ctx, id, entry, parsed.just_id));
  return true;
}

absl::Status XClaim(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx));
  if (!target->group) return NoGroup(ctx);
  TM_ASSIGN_OR_RETURN(const ClaimArgs parsed, ParseClaim(ctx));
  StreamGroup& group = *target->group;
  if (parsed.last_id > group.state().last_id) group.SetLastId(parsed.last_id, group.state().entries_read);
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t claimed = 0;
  for (const StreamId id : parsed.ids) {
    TM_ASSIGN_OR_RETURN(const bool was_claimed, Claim(ctx, *target, parsed, id));
    claimed += was_claimed ? 1 : 0;
  }
  group.Commit();
  ctx.out.EndDeferred(length, claimed);
  return absl::OkStatus();
}

struct AutoClaimArgs {
  uint64_t idle_min_ms = 0;
  StreamId first;
  uint64_t count = 100;
  bool just_id = false;
};

absl::StatusOr<AutoClaimArgs> ParseAutoClaim(Args args) {
  AutoClaimArgs parsed;
  TM_ASSIGN_OR_RETURN(const int64_t idle, IntegerOr(args[4], "Invalid min-idle-time argument for XAUTOCLAIM"));
  parsed.idle_min_ms = static_cast<uint64_t>(std::max<int64_t>(idle, 0));
  TM_ASSIGN_OR_RETURN(parsed.first, ParseRangeStart(args[5]));
  constexpr int64_t kCountMax = std::numeric_limits<int64_t>::max() / 16;
  for (size_t i = 6; i < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "count") && i + 1 < args.size()) {
      const std::optional<int64_t> count = resp::ParseInt64(args[++i]);
      if (!count || *count < 1 || *count > kCountMax) return InvalidArgument("ERR COUNT must be > 0");
      parsed.count = static_cast<uint64_t>(*count);
    } else if (EqualsIgnoreCase(args[i], "justid")) {
      parsed.just_id = true;
    } else {
      return SyntaxError();
    }
  }
  return parsed;
}

// Walks a group's pending entries while they are changed: a page is read before any of it is.
class PendingWalk {
 public:
  PendingWalk(StreamGroup& group, StreamId first) : group_(group), next_(first) {}
  struct Found {
    StreamId id;
    Pending pending;
  };
  // Null at the end. The pointer lasts until the next call.
  absl::StatusOr<const Found*> Next() {
    if (at_ == page_.size() && next_) {
      page_.clear();
      at_ = 0;
      TM_RETURN_IF_ERROR(group_.VisitPending(*next_, types::kMaxStreamId, kPage, /*backward=*/false,
                                             [&](StreamId id, const Pending& pending) {
                                               page_.push_back({id, pending});
                                               return true;
                                             }));
      next_ = page_.size() == kPage ? types::IdAfter(page_.back().id) : std::nullopt;
    }
    return at_ == page_.size() ? nullptr : &page_[at_++];
  }

 private:
  static constexpr size_t kPage = 128;

  StreamGroup& group_;
  std::optional<StreamId> next_;
  std::vector<Found> page_;
  size_t at_ = 0;
};

struct AutoClaimed {
  size_t claimed = 0;
  std::vector<StreamId> deleted;
  StreamId next;
};

absl::StatusOr<AutoClaimed> AutoClaim(Context& ctx, Target& target, const AutoClaimArgs& parsed) {
  // As in Redis: so many are looked at for one that is claimed.
  constexpr uint64_t kAttempts = 10;
  StreamGroup& group = *target.group;
  AutoClaimed done;
  PendingWalk walk(group, parsed.first);
  uint64_t left = parsed.count;
  for (uint64_t attempts = parsed.count * kAttempts; attempts > 0 && left > 0; --attempts) {
    TM_ASSIGN_OR_RETURN(const PendingWalk::Found* const found, walk.Next());
    if (found == nullptr) return done;
    TM_ASSIGN_OR_RETURN(const kv::Value entry, target.stream.Get(found->id));
    if (!entry) {
      TM_RETURN_IF_ERROR(group.RemovePending(found->id, found->pending));
      done.deleted.push_back(found->id);
      --left;
      continue;
    }
    if (IdleMillis(ctx.keys().now_ms(), found->pending) < parsed.idle_min_ms) continue;
    TM_RETURN_IF_ERROR(KnowClaimer(ctx, group));
    const Pending claimed{.consumer = std::string(ctx.args[3]),
                          .delivered_ms = ctx.keys().now_ms(),
                          .deliveries = found->pending.deliveries + (parsed.just_id ? 0 : 1)};
    TM_RETURN_IF_ERROR(group.PutPending(found->id, claimed, found->pending));
    TM_RETURN_IF_ERROR(WriteClaimed(ctx, found->id, entry, parsed.just_id));
    ++done.claimed;
    --left;
  }
  TM_ASSIGN_OR_RETURN(const PendingWalk::Found* const next, walk.Next());
  if (next != nullptr) done.next = next->id;
  return done;
}

absl::Status XAutoClaim(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const AutoClaimArgs parsed, ParseAutoClaim(ctx.args));
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx));
  if (!target->group) return NoGroup(ctx);
  const size_t begin = ctx.out.size();
  const resp::Writer::DeferredLength entries = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  TM_ASSIGN_OR_RETURN(const AutoClaimed done, AutoClaim(ctx, *target, parsed));
  target->group->Commit();
  ctx.out.EndDeferred(entries, done.claimed);
  // The cursor stands before them, and is known only now.
  const std::string claimed = ctx.out.buffer().substr(begin);
  ctx.out.Truncate(begin);
  ctx.out.Array(3);
  WriteStreamId(ctx.out, done.next);
  ctx.out.Raw(claimed);
  ctx.out.Array(done.deleted.size());
  for (const StreamId id : done.deleted) WriteStreamId(ctx.out, id);
  return absl::OkStatus();
}

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, std::string_view key_flags,
                           std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("stream", name, arity, flags, kFirstKey, key_flags, since, handler, syntax, complexity, summary);
}

constexpr CommandSpec kStreamClaimCommands[] = {
    Spec("xack", -4, kWrite | kFast, "RW update", "5.0.0", XAck, "key group id [id ...]",
         "O(N), N being the number of IDs named", "Acknowledges entries that a consumer was given."),
    Spec("xautoclaim", -6, kWrite | kFast, "RW delete", "6.2.0", XAutoClaim,
         "key group consumer min-idle-time start [COUNT count] [JUSTID]", "O(N), N being the count",
         "Takes over entries that other consumers left unacknowledged for too long, a page at a time."),
    Spec("xclaim", -6, kWrite | kFast, "RW update", "5.0.0", XClaim,
         "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] "
         "[FORCE] [JUSTID] [LASTID last-id]",
         "O(N), N being the number of IDs named", "Takes over entries that other consumers left unacknowledged."),
    Spec("xpending", -3, kReadonly, "RO access", "5.0.0", XPending,
         "key group [[IDLE min-idle-time] start end count [consumer]]", "O(N), N being the number of entries looked at",
         "Returns what was delivered to a group's consumers and not acknowledged."),
};

}  // namespace

std::span<const CommandSpec> StreamClaimCommands() { return kStreamClaimCommands; }

}  // namespace tidemark::commands
