// Ranges of sorted sets: by rank, by score and by the alphabet, to be returned, counted, stored or removed.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

#include "commands/zset_handlers.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::ScoreRange;
using types::Zset;

enum class RangeKind : uint8_t { kAny, kRank, kScore, kLex };

// One end of a range of the alphabet: "-", "+", "[member" or "(member".
struct LexBound {
  enum class Kind : uint8_t { kFirst, kLast, kMember } kind = Kind::kFirst;
  bool exclusive = false;
  std::string_view member = {};
};

// A range as the client names it. Scores are ready for use; ranks and the alphabet need the set.
struct Range {
  RangeKind kind = RangeKind::kAny;
  int64_t start = 0;
  int64_t stop = 0;
  ScoreRange scores = {};
  LexBound min = {};
  LexBound max = {};
};

// As Redis reads it: strtod from the beginning to the first zero byte, so that nothing at all is 0.
std::optional<double> ParseScoreBound(std::string_view arg, bool* exclusive) {
  *exclusive = arg.starts_with('(');
  const std::string text(arg.substr(*exclusive ? 1 : 0));
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (*end != '\0' || std::isnan(value)) return std::nullopt;
  return value;
}

absl::StatusOr<ScoreRange> ParseScores(std::string_view min, std::string_view max) {
  bool above_min = false;
  bool below_max = false;
  const std::optional<double> low = ParseScoreBound(min, &above_min);
  const std::optional<double> high = ParseScoreBound(max, &below_max);
  if (!low || !high) return InvalidArgument("ERR min or max is not a float");
  return ScoreRange{above_min ? types::ScoreEnd(*low) : types::ScoreBegin(*low),
                    below_max ? types::ScoreBegin(*high) : types::ScoreEnd(*high)};
}

absl::StatusOr<LexBound> ParseLexBound(std::string_view arg) {
  if (arg == "-") return LexBound{LexBound::Kind::kFirst, true, {}};
  if (arg == "+") return LexBound{LexBound::Kind::kLast, true, {}};
  if (arg.starts_with('(')) return LexBound{LexBound::Kind::kMember, true, arg.substr(1)};
  if (arg.starts_with('[')) return LexBound{LexBound::Kind::kMember, false, arg.substr(1)};
  return InvalidArgument("ERR min or max not valid string range item");
}

absl::StatusOr<Range> ParseRange(RangeKind kind, std::string_view min, std::string_view max) {
  Range range{.kind = kind};
  switch (kind) {
    case RangeKind::kAny:
    case RangeKind::kRank: {
      TM_ASSIGN_OR_RETURN(range.start, IntegerArg(min));
      TM_ASSIGN_OR_RETURN(range.stop, IntegerArg(max));
      break;
    }
    case RangeKind::kScore: {
      TM_ASSIGN_OR_RETURN(range.scores, ParseScores(min, max));
      break;
    }
    case RangeKind::kLex: {
      TM_ASSIGN_OR_RETURN(range.min, ParseLexBound(min));
      TM_ASSIGN_OR_RETURN(range.max, ParseLexBound(max));
      break;
    }
  }
  return range;
}

// Places in the set, and which of the rows in between.
struct Slice {
  ScoreRange rows;
  uint64_t skip = 0;
  uint64_t limit = Zset::kNoLimit;
};

Slice Nothing() { return Slice{{}, 0, 0}; }

Slice RankSlice(const Zset& zset, int64_t start, int64_t stop) {
  const auto size = static_cast<int64_t>(zset.size());
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  stop = std::min(stop, size - 1);
  if (start > stop) return Nothing();
  return {{}, static_cast<uint64_t>(start), static_cast<uint64_t>(stop - start + 1)};
}

bool IsAbove(const LexBound& min, std::string_view member) {
  if (min.kind != LexBound::Kind::kMember) return min.kind == LexBound::Kind::kFirst;
  return min.exclusive ? member > min.member : member >= min.member;
}

bool IsBelow(const LexBound& max, std::string_view member) {
  if (max.kind != LexBound::Kind::kMember) return max.kind == LexBound::Kind::kLast;
  return max.exclusive ? member < max.member : member <= max.member;
}

// Where scores differ the alphabet is no order. Redis then takes, from the end where it begins, the first member that
// is within one bound, if it is within the other, and those that follow until one is not.
absl::StatusOr<Slice> MixedLexSlice(Zset& zset, const LexBound& min, const LexBound& max, bool backward) {
  bool found = false;
  std::string near;
  std::optional<std::string> beyond;
  TM_RETURN_IF_ERROR(zset.Visit({}, backward, 0, Zset::kNoLimit, [&](std::string_view member, double score) {
    const bool begins = backward ? IsBelow(max, member) : IsAbove(min, member);
    const bool goes_on = backward ? IsAbove(min, member) : IsBelow(max, member);
    if (!found && !begins) return true;
    if (!goes_on) {
      beyond = types::ScoreOrder(score, member);
      return false;
    }
    if (!found) near = types::ScoreOrder(score, member);
    found = true;
    return true;
  }));
  if (!found) return Nothing();
  if (!backward) return Slice{{std::move(near), std::move(beyond)}};
  return Slice{{beyond ? *beyond + '\0' : std::string(), near + '\0'}};
}

struct Place {
  std::string member;
  double score = 0;
};

absl::StatusOr<Place> OutermostOf(Zset& zset, bool backward) {
  Place place;
  TM_RETURN_IF_ERROR(zset.Visit({}, backward, 0, 1, [&](std::string_view member, double score) {
    place = {std::string(member), score};
    return true;
  }));
  return place;
}

absl::StatusOr<Slice> LexSlice(Zset& zset, const LexBound& min, const LexBound& max, bool backward) {
  if (zset.size() == 0) return Nothing();
  if (min.kind == LexBound::Kind::kFirst && max.kind == LexBound::Kind::kLast) return Slice{};
  TM_ASSIGN_OR_RETURN(const Place first, OutermostOf(zset, false));
  TM_ASSIGN_OR_RETURN(const Place last, OutermostOf(zset, true));
  if (!IsAbove(min, last.member) || !IsBelow(max, first.member)) return Nothing();
  if (first.score != last.score) return MixedLexSlice(zset, min, max, backward);
  Slice slice;
  if (min.kind == LexBound::Kind::kMember) {
    slice.rows.begin = types::ScoreOrder(first.score, min.member);
    if (min.exclusive) slice.rows.begin += '\0';
  }
  if (max.kind == LexBound::Kind::kMember) {
    slice.rows.end = types::ScoreOrder(first.score, max.member);
    if (!max.exclusive) *slice.rows.end += '\0';
  }
  return slice;
}

absl::StatusOr<Slice> SliceOf(Zset& zset, const Range& range, bool backward = false) {
  switch (range.kind) {
    case RangeKind::kScore:
      return Slice{range.scores};
    case RangeKind::kLex:
      return LexSlice(zset, range.min, range.max, backward);
    default:
      return RankSlice(zset, range.start, range.stop);
  }
}

// What the commands of the ZRANGE family ask for.
struct RangeRequest {
  std::string_view key;
  Range range = {};
  bool backward = false;
  bool with_scores = false;
  int64_t offset = 0;
  int64_t limit = -1;
};

struct RangeForm {
  size_t key = 1;  // min and max follow it
  RangeKind kind = RangeKind::kAny;
  std::optional<bool> backward = std::nullopt;
  bool store = false;
};

// Options behind key, min and max. `form` says which of them the command fixes.
absl::StatusOr<RangeRequest> ParseOptions(Args args, const RangeForm& form) {
  RangeRequest request{.key = args[form.key], .range = {.kind = form.kind}, .backward = form.backward.value_or(false)};
  for (size_t i = form.key + 3; i < args.size(); ++i) {
    const std::string_view word = args[i];
    if (!form.store && EqualsIgnoreCase(word, "withscores")) {
      request.with_scores = true;
    } else if (EqualsIgnoreCase(word, "limit") && args.size() - i > 2) {
      TM_ASSIGN_OR_RETURN(request.offset, IntegerArg(args[i + 1]));
      TM_ASSIGN_OR_RETURN(request.limit, IntegerArg(args[i + 2]));
      i += 2;
    } else if (!form.backward && EqualsIgnoreCase(word, "rev")) {
      request.backward = true;
    } else if (form.kind == RangeKind::kAny && EqualsIgnoreCase(word, "bylex")) {
      request.range.kind = RangeKind::kLex;
    } else if (form.kind == RangeKind::kAny && EqualsIgnoreCase(word, "byscore")) {
      request.range.kind = RangeKind::kScore;
    } else {
      return SyntaxError();
    }
  }
  return request;
}

absl::StatusOr<RangeRequest> ParseRequest(Args args, const RangeForm& form) {
  TM_ASSIGN_OR_RETURN(RangeRequest request, ParseOptions(args, form));
  if (request.range.kind == RangeKind::kAny) request.range.kind = RangeKind::kRank;
  const RangeKind kind = request.range.kind;
  if (request.limit != -1 && kind == RangeKind::kRank) {
    return InvalidArgument("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
  }
  if (request.with_scores && kind == RangeKind::kLex) {
    return InvalidArgument("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
  }
  std::string_view min = args[form.key + 1];
  std::string_view max = args[form.key + 2];
  if (request.backward && kind != RangeKind::kRank) std::swap(min, max);
  TM_ASSIGN_OR_RETURN(request.range, ParseRange(kind, min, max));
  return request;
}

absl::Status VisitRequest(Zset& zset, const RangeRequest& request, Zset::Visitor visit) {
  if (request.offset < 0 && request.range.kind != RangeKind::kRank) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(Slice slice, SliceOf(zset, request.range, request.backward));
  if (request.range.kind != RangeKind::kRank && slice.limit > 0) {
    slice.skip = static_cast<uint64_t>(request.offset);
    if (request.limit >= 0) slice.limit = static_cast<uint64_t>(request.limit);
  }
  return zset.Visit(slice.rows, request.backward, slice.skip, slice.limit, visit);
}

// Outside the commit lock the key may lose this collection meanwhile, and the sweeper may have been at it, or the set
// its index: then all is read again.
absl::Status ReplyRange(Context& ctx, const RangeForm& form) {
  TM_ASSIGN_OR_RETURN(const RangeRequest request, ParseRequest(ctx.args, form));
  MemberReply reply(ctx.out, request.with_scores);
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), request.key));
  while (zset.key()) {
    const absl::Status visited = VisitRequest(zset, request, [&](std::string_view member, double score) {
      reply.Add(member, score);
      return true;
    });
    if (kv::IsColdRow(visited)) return visited;
    const types::Key read = zset.key();
    TM_ASSIGN_OR_RETURN(zset, Zset::Find(ctx.keys(), request.key));
    const bool same = zset.key() && zset.key().collection == read.collection;
    if (same && (visited.ok() || zset.key().extra == read.extra)) {
      TM_RETURN_IF_ERROR(visited);
      break;
    }
    reply.Restart();
  }
  reply.End();
  return absl::OkStatus();
}

absl::Status RemoveRange(Context& ctx, RangeKind kind, std::string_view event) {
  TM_ASSIGN_OR_RETURN(const Range range, ParseRange(kind, ctx.args[2], ctx.args[3]));
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Find(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const Slice slice, SliceOf(zset, range));
  std::vector<ScoredMember> members;
  TM_RETURN_IF_ERROR(zset.Visit(slice.rows, false, slice.skip, slice.limit, [&](std::string_view member, double score) {
    members.push_back({std::string(member), score});
    return true;
  }));
  if (members.size() == zset.size()) {
    zset.Clear();
  } else {
    for (const ScoredMember& member : members) TM_RETURN_IF_ERROR(zset.Remove(member.member, member.score));
  }
  TM_RETURN_IF_ERROR(zset.Commit());
  if (!members.empty()) ctx.keys().Notify(EventClass::kZset, event, ctx.args[1]);
  if (!members.empty() && zset.size() == 0) ctx.keys().Notify(EventClass::kGeneric, "del", ctx.args[1]);
  ctx.out.Integer(static_cast<int64_t>(members.size()));
  return absl::OkStatus();
}

absl::Status CountRange(Context& ctx, RangeKind kind) {
  TM_ASSIGN_OR_RETURN(const Range range, ParseRange(kind, ctx.args[2], ctx.args[3]));
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const Slice slice, SliceOf(zset, range));
  uint64_t count = 0;
  if (slice.limit > 0) {
    TM_ASSIGN_OR_RETURN(count, zset.Count(slice.rows));
  }
  ctx.out.Integer(static_cast<int64_t>(count));
  return absl::OkStatus();
}

}  // namespace

absl::Status ZRange(Context& ctx) { return ReplyRange(ctx, {}); }
absl::Status ZRevRange(Context& ctx) { return ReplyRange(ctx, {.kind = RangeKind::kRank, .backward = true}); }
absl::Status ZRangeByScore(Context& ctx) { return ReplyRange(ctx, {.kind = RangeKind::kScore, .backward = false}); }
absl::Status ZRevRangeByScore(Context& ctx) { return ReplyRange(ctx, {.kind = RangeKind::kScore, .backward = true}); }
absl::Status ZRangeByLex(Context& ctx) { return ReplyRange(ctx, {.kind = RangeKind::kLex, .backward = false}); }
absl::Status ZRevRangeByLex(Context& ctx) { return ReplyRange(ctx, {.kind = RangeKind::kLex, .backward = true}); }

absl::Status ZRangeStore(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const RangeRequest request, ParseRequest(ctx.args, {.key = 2, .store = true}));
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), request.key));
  std::vector<ScoredMember> members;
  TM_RETURN_IF_ERROR(VisitRequest(zset, request, [&](std::string_view member, double score) {
    members.push_back({std::string(member), score});
    return true;
  }));
  return StoreMembers(ctx, ctx.args[1], members, "zrangestore");
}

absl::Status ZCount(Context& ctx) { return CountRange(ctx, RangeKind::kScore); }
absl::Status ZLexCount(Context& ctx) { return CountRange(ctx, RangeKind::kLex); }

absl::Status ZRemRangeByRank(Context& ctx) { return RemoveRange(ctx, RangeKind::kRank, "zremrangebyrank"); }
absl::Status ZRemRangeByScore(Context& ctx) { return RemoveRange(ctx, RangeKind::kScore, "zremrangebyscore"); }
absl::Status ZRemRangeByLex(Context& ctx) { return RemoveRange(ctx, RangeKind::kLex, "zremrangebylex"); }

}  // namespace tidemark::commands
