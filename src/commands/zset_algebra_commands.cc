// Union, intersection and difference of sorted sets and of sets, whose members count with the score 1.
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "commands/zset_handlers.h"
#include "resp/numbers.h"
#include "types/pages.h"

namespace tidemark::commands {
namespace {

using types::Key;
using types::Keyspace;
using types::Type;

constexpr size_t kPageMembers = 1024;

enum class Operation : uint8_t { kUnion, kInter, kDiff };
enum class Aggregate : uint8_t { kSum, kMin, kMax };

struct Input {
  Key key;
  double weight = 1;
};

struct Algebra {
  std::string_view name;  // of the command
  Operation operation;
  bool store = false;
  bool only_count = false;
};

struct Request {
  std::vector<Input> inputs;
  Aggregate aggregate = Aggregate::kSum;
  bool with_scores = false;
  uint64_t limit = 0;  // 0: none
};

absl::StatusOr<double> MemberScore(const Key& key, std::string_view value) {
  if (key.type == Type::kSet) return 1.0;
  return types::DecodeScore(value);
}

double Weighted(double weight, double score) {
  const double product = weight * score;
  return std::isnan(product) ? 0 : product;
}

double Combine(Aggregate aggregate, double a, double b) {
  switch (aggregate) {
    case Aggregate::kMin:
      return std::min(a, b);
    case Aggregate::kMax:
      return std::max(a, b);
    case Aggregate::kSum:
      break;
  }
  // Infinities of both signs.
  return std::isnan(a + b) ? 0 : a + b;
}

// Visits the members of an input a page at a time, so that `visit` may read other keys; it returns false to stop.
template <typename Visit>
absl::Status VisitInput(Keyspace& keys, const Key& key, const Visit& visit) {
  if (!key) return absl::OkStatus();
  uint64_t cursor = 0;
  do {
    TM_ASSIGN_OR_RETURN(types::MemberPage page, types::ReadMemberPage(keys, key.collection, cursor, kPageMembers,
                                                                      [](std::string_view) { return true; }));
    for (types::MemberPage::Member& member : page.members) {
      TM_ASSIGN_OR_RETURN(const double score, MemberScore(key, member.value));
      TM_ASSIGN_OR_RETURN(const bool more, visit(std::move(member.name), score));
      if (!more) return absl::OkStatus();
    }
    cursor = page.next;
  } while (cursor != 0);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<double>> ScoreIn(Keyspace& keys, const Key& key, std::string_view member) {
  if (!key) return std::nullopt;
  TM_ASSIGN_OR_RETURN(const kv::Value row, keys.GetMemberRow(key.collection, member));
  if (!row) return std::nullopt;
  TM_ASSIGN_OR_RETURN(const double score, MemberScore(key, Keyspace::MemberBytes(row)));
  return score;
}

absl::StatusOr<std::vector<ScoredMember>> Union(Keyspace& keys, const Request& request) {
  absl::flat_hash_map<std::string, double> scores;
  for (const Input& input : request.inputs) {
    TM_RETURN_IF_ERROR(VisitInput(keys, input.key, [&](std::string member, double score) -> absl::StatusOr<bool> {
      const double weighted = Weighted(input.weight, score);
      const auto [found, is_new] = scores.try_emplace(std::move(member), weighted);
      if (!is_new) found->second = Combine(request.aggregate, found->second, weighted);
      return true;
    }));
  }
  std::vector<ScoredMember> members;
  members.reserve(scores.size());
  while (!scores.empty()) {
    const auto node = scores.extract(scores.begin());
    members.push_back({std::string(node.key()), node.mapped()});
  }
  return members;
}

absl::StatusOr<std::vector<ScoredMember>> Inter(Keyspace& keys, const Request& request) {
  std::vector<ScoredMember> members;
  const Input& smallest = request.inputs.front();
  TM_RETURN_IF_ERROR(VisitInput(keys, smallest.key, [&](std::string member, double score) -> absl::StatusOr<bool> {
    double sum = Weighted(smallest.weight, score);
    for (size_t i = 1; i < request.inputs.size(); ++i) {
      const Input& input = request.inputs[i];
      TM_ASSIGN_OR_RETURN(const std::optional<double> other, ScoreIn(keys, input.key, member));
      if (!other) return true;
      sum = Combine(request.aggregate, sum, Weighted(input.weight, *other));
    }
    members.push_back({std::move(member), sum});
    return request.limit == 0 || members.size() < request.limit;
  }));
  return members;
}

absl::StatusOr<std::vector<ScoredMember>> Diff(Keyspace& keys, const Request& request) {
  std::vector<ScoredMember> members;
  TM_RETURN_IF_ERROR(
      VisitInput(keys, request.inputs.front().key, [&](std::string member, double score) -> absl::StatusOr<bool> {
        for (size_t i = 1; i < request.inputs.size(); ++i) {
          TM_ASSIGN_OR_RETURN(const std::optional<double> other, ScoreIn(keys, request.inputs[i].key, member));
          if (other) return true;
        }
        members.push_back({std::move(member), score});
        return true;
      }));
  return members;
}

absl::StatusOr<std::vector<ScoredMember>> Result(Keyspace& keys, Operation operation, Request& request) {
  if (operation == Operation::kDiff) return Diff(keys, request);
  // Small sets first: they decide what an intersection looks up, and the order in which scores are added.
  std::stable_sort(request.inputs.begin(), request.inputs.end(),
                   [](const Input& a, const Input& b) { return a.key.count < b.key.count; });
  return operation == Operation::kUnion ? Union(keys, request) : Inter(keys, request);
}

absl::Status ParseWeights(Args words, std::vector<Input>* inputs) {
  for (size_t i = 0; i < inputs->size(); ++i) {
    const std::optional<double> weight = resp::ParseDouble(words[i]);
    if (!weight) return InvalidArgument("ERR weight value is not a float");
    (*inputs)[i].weight = *weight;
  }
  return absl::OkStatus();
}

std::optional<Aggregate> ParseAggregate(std::string_view word) {
  if (EqualsIgnoreCase(word, "sum")) return Aggregate::kSum;
  if (EqualsIgnoreCase(word, "min")) return Aggregate::kMin;
  if (EqualsIgnoreCase(word, "max")) return Aggregate::kMax;
  return std::nullopt;
}

absl::Status ParseOptions(Args options, const Algebra& algebra, Request* request) {
  const bool scored = algebra.operation != Operation::kDiff && !algebra.only_count;
  for (size_t i = 0; i < options.size(); ++i) {
    const size_t behind = options.size() - i - 1;
    if (scored && behind >= request->inputs.size() && EqualsIgnoreCase(options[i], "weights")) {
      TM_RETURN_IF_ERROR(ParseWeights(options.subspan(i + 1), &request->inputs));
      i += request->inputs.size();
    } else if (scored && behind >= 1 && EqualsIgnoreCase(options[i], "aggregate")) {
      const std::optional<Aggregate> aggregate = ParseAggregate(options[++i]);
      if (!aggregate) return SyntaxError();
      request->aggregate = *aggregate;
    } else if (!algebra.store && !algebra.only_count && EqualsIgnoreCase(options[i], "withscores")) {
      request->with_scores = true;
    } else if (algebra.only_count && behind >= 1 && EqualsIgnoreCase(options[i], "limit")) {
      TM_ASSIGN_OR_RETURN(const int64_t limit,
                          BoundedArg(options[++i], 0, std::numeric_limits<int64_t>::max(), "LIMIT can't be negative"));
      request->limit = static_cast<uint64_t>(limit);
    } else {
      return SyntaxError();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Request> ParseRequest(Context& ctx, const Algebra& algebra) {
  const Args words = ctx.args.subspan(algebra.store ? 2 : 1);
  TM_ASSIGN_OR_RETURN(const int64_t count, IntegerArg(words[0]));
  if (count < 1) return InvalidArgument("ERR at least 1 input key is needed for '{}' command", algebra.name);
  if (count > static_cast<int64_t>(words.size()) - 1) return SyntaxError();
  Request request;
  for (const std::string_view name : words.subspan(1, static_cast<size_t>(count))) {
    TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(name));
    if (key && key.type != Type::kZset && key.type != Type::kSet) return types::WrongType();
    request.inputs.push_back({std::move(key)});
  }
  TM_RETURN_IF_ERROR(ParseOptions(words.subspan(static_cast<size_t>(count) + 1), algebra, &request));
  return request;
}

absl::Status Run(Context& ctx, const Algebra& algebra) {
  TM_ASSIGN_OR_RETURN(Request request, ParseRequest(ctx, algebra));
  TM_ASSIGN_OR_RETURN(std::vector<ScoredMember> members, Result(ctx.keys(), algebra.operation, request));
  if (algebra.only_count) {
    ctx.out.Integer(static_cast<int64_t>(members.size()));
    return absl::OkStatus();
  }
  if (algebra.store) return StoreMembers(ctx, ctx.args[1], members, algebra.name);
  std::sort(members.begin(), members.end(), [](const ScoredMember& a, const ScoredMember& b) {
    return a.score != b.score ? a.score < b.score : a.member < b.member;
  });
  MemberReply reply(ctx.out, request.with_scores);
  for (const ScoredMember& member : members) reply.Add(member.member, member.score);
  reply.End();
  return absl::OkStatus();
}

// Keys behind their number at args[at], after those that `positions` has; none when the number fits no keys.
std::vector<int> KeysBehind(Args args, size_t at, std::vector<int> positions) {
  const std::optional<int64_t> count = at < args.size() ? resp::ParseInt64(args[at]) : std::nullopt;
  if (!count || *count < 1 || *count > static_cast<int64_t>(args.size() - at) - 1) return {};
  for (int64_t i = 1; i <= *count; ++i) positions.push_back(static_cast<int>(at) + static_cast<int>(i));
  return positions;
}

}  // namespace

absl::Status ZUnion(Context& ctx) { return Run(ctx, {.name = "zunion", .operation = Operation::kUnion}); }
absl::Status ZUnionStore(Context& ctx) {
  return Run(ctx, {.name = "zunionstore", .operation = Operation::kUnion, .store = true});
}
absl::Status ZInter(Context& ctx) { return Run(ctx, {.name = "zinter", .operation = Operation::kInter}); }
absl::Status ZInterStore(Context& ctx) {
  return Run(ctx, {.name = "zinterstore", .operation = Operation::kInter, .store = true});
}
absl::Status ZInterCard(Context& ctx) {
  return Run(ctx, {.name = "zintercard", .operation = Operation::kInter, .only_count = true});
}
absl::Status ZDiff(Context& ctx) { return Run(ctx, {.name = "zdiff", .operation = Operation::kDiff}); }
absl::Status ZDiffStore(Context& ctx) {
  return Run(ctx, {.name = "zdiffstore", .operation = Operation::kDiff, .store = true});
}

std::vector<int> CountedKeys(Args args) { return KeysBehind(args, 1, {}); }
std::vector<int> CountedKeysBehindTimeout(Args args) { return KeysBehind(args, 2, {}); }
std::vector<int> StoredCountedKeys(Args args) { return KeysBehind(args, 2, {1}); }

}  // namespace tidemark::commands
