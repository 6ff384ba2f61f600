// HyperLogLogs: PFADD and its family, over strings in Redis's format (types/hyperloglog.h).
//
// PFCOUNT reads the cached cardinality where it is good and never writes it: a read stays a read.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "commands/data_families.h"
#include "commands/server.h"
#include "commands/spec.h"
#include "types/hyperloglog.h"

namespace tidemark::commands {
namespace {

using types::HyperLogLog;
using types::Key;
using types::Type;

size_t SparseBytesMax(const Context& ctx) {
  return static_cast<size_t>(ctx.server.config.Integer("hll-sparse-max-bytes"));
}

void Store(Context& ctx, Key* key, const HyperLogLog& log) { ctx.keys().PutString(key, log.bytes(), key->expire_ms); }

// Every change of one tells the same event.
void NotifyAdded(Context& ctx) { ctx.keys().Notify(types::EventClass::kString, "pfadd", ctx.args[1]); }

absl::Status PfAdd(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1], Type::kString));
  HyperLogLog log;
  if (key) {
    TM_ASSIGN_OR_RETURN(log, HyperLogLog::Parse(key.string));
  }
  const size_t sparse_bytes_max = SparseBytesMax(ctx);
  bool changed = !key;
  if (changed) log.MarkStale();  // as Redis leaves one that was never counted
  for (const std::string_view element : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const bool raised, log.Add(element, sparse_bytes_max));
    changed = changed || raised;
  }
  if (changed) {
    Store(ctx, &key, log);
    NotifyAdded(ctx);
  }
  ctx.out.Integer(changed ? 1 : 0);
  return absl::OkStatus();
}

absl::Status PfCount(Context& ctx) {
  std::optional<HyperLogLog> only;
  HyperLogLog::Registers registers{};
  for (const std::string_view name : ctx.args.subspan(1)) {
    TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(name, Type::kString));
    if (!key) continue;
    TM_ASSIGN_OR_RETURN(HyperLogLog log, HyperLogLog::Parse(key.string));
    if (ctx.args.size() == 2) {
      only = std::move(log);
    } else {
      TM_RETURN_IF_ERROR(log.MergeInto(&registers));
    }
  }
  uint64_t count = 0;
  if (only) {
    TM_ASSIGN_OR_RETURN(count, only->Cardinality());
  } else {
    count = HyperLogLog::Estimate(registers);
  }
  ctx.out.Integer(static_cast<int64_t>(count));
  return absl::OkStatus();
}

// The destination is merged too, and becomes dense when one of the sources is.
absl::Status PfMerge(Context& ctx) {
  HyperLogLog::Registers registers{};
  bool dense = false;
  for (const std::string_view name : ctx.args.subspan(1)) {
    TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(name, Type::kString));
    if (!key) continue;
    TM_ASSIGN_OR_RETURN(const HyperLogLog source, HyperLogLog::Parse(key.string));
    TM_RETURN_IF_ERROR(source.MergeInto(&registers));
    dense = dense || source.is_dense();
  }
  TM_ASSIGN_OR_RETURN(Key target, ctx.keys().Find(ctx.args[1]));
  HyperLogLog log;
  if (target) {
    TM_ASSIGN_OR_RETURN(log, HyperLogLog::Parse(target.string));
  }
  if (dense) TM_RETURN_IF_ERROR(log.MakeDense().status());
  const size_t sparse_bytes_max = SparseBytesMax(ctx);
  for (size_t i = 0; i < registers.size(); ++i) {
    if (registers[i] != 0) TM_RETURN_IF_ERROR(log.Raise(i, registers[i], sparse_bytes_max).status());
  }
  log.MarkStale();
  Store(ctx, &target, log);
  NotifyAdded(ctx);
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status WriteRegisters(Context& ctx, const HyperLogLog& log) {
  HyperLogLog::Registers registers{};
  TM_RETURN_IF_ERROR(log.MergeInto(&registers));
  ctx.out.Array(registers.size());
  for (const uint8_t value : registers) ctx.out.Integer(value);
  return absl::OkStatus();
}

absl::Status PfDebug(Context& ctx) {
  const auto wanted = [&](std::string_view name) { return EqualsIgnoreCase(ctx.args[1], name); };
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[2]));
  if (!key) return InvalidArgument("ERR The specified key does not exist");
  if (key.type != Type::kString) return types::WrongType();
  TM_ASSIGN_OR_RETURN(HyperLogLog log, HyperLogLog::Parse(key.string));
  if (wanted("encoding")) {
    ctx.out.Simple(log.is_dense() ? "dense" : "sparse");
  } else if (wanted("decode")) {
    if (log.is_dense()) return InvalidArgument("ERR HLL encoding is not sparse");
    TM_ASSIGN_OR_RETURN(const std::string runs, log.Runs());
    ctx.out.Bulk(runs);
  } else if (wanted("todense") || wanted("getreg")) {
    TM_ASSIGN_OR_RETURN(const bool was_sparse, log.MakeDense());
    if (was_sparse) Store(ctx, &key, log);
    if (wanted("getreg")) return WriteRegisters(ctx, log);
    ctx.out.Integer(was_sparse ? 1 : 0);
  } else {
    return InvalidArgument("ERR Unknown PFDEBUG subcommand '{}'", ctx.args[1]);
  }
  return absl::OkStatus();
}

// Many elements into one that is sparse at first and into a dense one: equal estimates, within five standard errors.
absl::Status PfSelfTest(Context& ctx) {
  constexpr int kElements = 100'000;
  constexpr double kStandardError = 1.04 / 128;
  constexpr size_t kSparseBytesMax = 3000;
  HyperLogLog sparse;
  HyperLogLog dense;
  TM_RETURN_IF_ERROR(dense.MakeDense().status());
  for (int count = 1; count <= kElements; ++count) {
    const std::string element = fmt::format("{:016x}", count);
    TM_RETURN_IF_ERROR(sparse.Add(element, kSparseBytesMax).status());
    TM_RETURN_IF_ERROR(dense.Add(element, kSparseBytesMax).status());
    if (count % 1000 != 0 && count != 10 && count != 100) continue;
    TM_ASSIGN_OR_RETURN(const uint64_t estimate, dense.Cardinality());
    TM_ASSIGN_OR_RETURN(const uint64_t other, sparse.Cardinality());
    if (estimate != other) return InvalidArgument("TESTFAILED dense/sparse disagree");
    const double error = std::abs(static_cast<double>(estimate) - count);
    if (error > std::max(1.0, 5 * kStandardError * count)) {
      return InvalidArgument("TESTFAILED Too big error. card:{} estimate:{}", count, estimate);
    }
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, KeyPositions keys,
                           std::string_view key_flags, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("hyperloglog", name, arity, flags, keys, key_flags, "2.8.9", handler, syntax, complexity, summary);
}

constexpr KeyPositions kSecond{2, 2, 1};

constexpr CommandSpec kHyperLogLogCommands[] = {
    Spec("pfadd", -2, kWrite | kDenyOom | kFast, kFirstKey, "RW insert", PfAdd, "key [element [element ...]]",
         "O(1) an element; a change rewrites the value, 12 KiB at most",
         "Adds elements to a HyperLogLog and says whether its estimate may have changed."),
    Spec("pfcount", -2, kReadonly, kEveryKey, "RW access", PfCount, "key [key ...]",
         "O(N), N being the number of keys, at most 12 KiB each",
         "Estimates how many different elements one HyperLogLog, or several together, have seen."),
    Spec("pfdebug", 3, kWrite | kDenyOom | kAdmin, kSecond, "RW access", PfDebug, "subcommand key", "O(1)",
         "Shows how a HyperLogLog is encoded: ENCODING, DECODE, GETREG, TODENSE."),
    Spec("pfmerge", -2, kWrite | kDenyOom, kEveryKey, "RW access insert/RO access", PfMerge,
         "destkey [sourcekey [sourcekey ...]]", "O(N), N being the number of HyperLogLogs",
         "Merges HyperLogLogs into one, which itself counts among them."),
    Spec("pfselftest", 1, kAdmin, kNoKeys, {}, PfSelfTest, "", "O(1), part of a second",
         "Checks the estimates of HyperLogLogs against known numbers."),
};

}  // namespace

std::span<const CommandSpec> HyperLogLogCommands() { return kHyperLogLogCommands; }

}  // namespace tidemark::commands
