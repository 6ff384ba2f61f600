// Hashes: HSET and its family. The rows are kept by types/hash.h.
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "commands/member_replies.h"
#include "commands/spec.h"
#include "resp/numbers.h"
#include "types/hash.h"
#include "types/random_members.h"

namespace tidemark::commands {
namespace {

using types::Hash;
using types::Key;
using types::Keyspace;
using types::RandomMember;
using types::Type;

void NotifyHash(Context& ctx, std::string_view event) {
  ctx.keys().Notify(types::EventClass::kHash, event, ctx.args[1]);
}

// Sets the pairs from args[2] on; the number of fields that are new.
absl::StatusOr<int64_t> SetPairs(Context& ctx, std::string_view name) {
  if (ctx.args.size() % 2 != 0) return WrongArity(name);
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Find(ctx.keys(), ctx.args[1]));
  int64_t created = 0;
  for (size_t i = 2; i < ctx.args.size(); i += 2) {
    TM_ASSIGN_OR_RETURN(const bool is_new, hash.Set(ctx.args[i], ctx.args[i + 1]));
    created += is_new ? 1 : 0;
  }
  hash.Commit();
  NotifyHash(ctx, "hset");
  return created;
}

absl::Status HSet(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t created, SetPairs(ctx, "hset"));
  ctx.out.Integer(created);
  return absl::OkStatus();
}

absl::Status HMSet(Context& ctx) {
  TM_RETURN_IF_ERROR(SetPairs(ctx, "hmset").status());
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status HSetNx(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Find(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const kv::Value found, hash.Get(ctx.args[2]));
  if (!found) {
    hash.Put(ctx.args[2], ctx.args[3], false);
    hash.Commit();
    NotifyHash(ctx, "hset");
  }
  ctx.out.Integer(found ? 0 : 1);
  return absl::OkStatus();
}

absl::Status HGet(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Lookup(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const kv::Value found, hash.Get(ctx.args[2]));
  if (found) {
    ctx.out.Bulk(Keyspace::MemberBytes(found));
  } else {
    ctx.out.Null();
  }
  return absl::OkStatus();
}

absl::Status HMGet(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Array(ctx.args.size() - 2);
  for (const std::string_view field : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const kv::Value found, hash.Get(field));
    if (found) {
      ctx.out.Bulk(Keyspace::MemberBytes(found));
    } else {
      ctx.out.Null();
    }
  }
  return absl::OkStatus();
}

absl::Status HExists(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Lookup(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const kv::Value found, hash.Get(ctx.args[2]));
  ctx.out.Integer(found ? 1 : 0);
  return absl::OkStatus();
}

absl::Status HStrLen(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Lookup(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const kv::Value found, hash.Get(ctx.args[2]));
  ctx.out.Integer(static_cast<int64_t>(Keyspace::MemberBytes(found).size()));
  return absl::OkStatus();
}

absl::Status HLen(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Hash hash, Hash::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Integer(static_cast<int64_t>(hash.size()));
  return absl::OkStatus();
}

absl::Status HDel(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Find(ctx.keys(), ctx.args[1]));
  int64_t deleted = 0;
  for (const std::string_view field : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const bool existed, hash.Delete(field));
    deleted += existed ? 1 : 0;
  }
  const bool gone = hash.Commit();
  if (deleted > 0) NotifyHash(ctx, "hdel");
  if (gone) ctx.keys().Notify(types::EventClass::kGeneric, "del", ctx.args[1]);
  ctx.out.Integer(deleted);
  return absl::OkStatus();
}

absl::Status HIncrBy(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t increment, IntegerArg(ctx.args[3]));
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Find(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const kv::Value found, hash.Get(ctx.args[2]));
  int64_t value = 0;
  if (found) {
    const std::optional<int64_t> parsed = resp::ParseInt64(Keyspace::MemberBytes(found));
    if (!parsed) return InvalidArgument("ERR hash value is not an integer");
    value = *parsed;
  }
  if (__builtin_add_overflow(value, increment, &value)) {
    return InvalidArgument("ERR increment or decrement would overflow");
  }
  hash.Put(ctx.args[2], fmt::format_int(value).c_str(), static_cast<bool>(found));
  hash.Commit();
  NotifyHash(ctx, "hincrby");
  ctx.out.Integer(value);
  return absl::OkStatus();
}

absl::Status HIncrByFloat(Context& ctx) {
  const std::optional<long double> increment = resp::ParseLongDouble(ctx.args[3]);
  if (!increment) return NotAFloat();
  if (!std::isfinite(*increment)) return InvalidArgument("ERR value is NaN or Infinity");
  TM_ASSIGN_OR_RETURN(Hash hash, Hash::Find(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const kv::Value found, hash.Get(ctx.args[2]));
  long double value = 0;
  if (found) {
    const std::optional<long double> parsed = resp::ParseLongDouble(Keyspace::MemberBytes(found));
    if (!parsed) return InvalidArgument("ERR hash value is not a float");
    value = *parsed;
  }
  value += *increment;
  if (!std::isfinite(value)) return InvalidArgument("ERR increment would produce NaN or Infinity");
  const std::string text = resp::FormatLongDouble(value);
  hash.Put(ctx.args[2], text, static_cast<bool>(found));
  hash.Commit();
  NotifyHash(ctx, "hincrbyfloat");
  ctx.out.Bulk(text);
  return absl::OkStatus();
}

absl::Status HGetAll(Context& ctx) { return WriteMembers(ctx, Type::kHash, resp::Writer::Kind::kMap, true, true); }
absl::Status HKeys(Context& ctx) { return WriteMembers(ctx, Type::kHash, resp::Writer::Kind::kArray, true, false); }
absl::Status HVals(Context& ctx) { return WriteMembers(ctx, Type::kHash, resp::Writer::Kind::kArray, false, true); }

std::mt19937_64& Random() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random;
}

absl::Status HRandFieldOne(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kHash));
  TM_ASSIGN_OR_RETURN(const std::vector<RandomMember> fields, RandomMembers(ctx.keys(), key, 1, true, Random()));
  if (fields.empty()) {
    ctx.out.Null();
  } else {
    ctx.out.Bulk(fields[0].name);
  }
  return absl::OkStatus();
}

absl::Status HRandField(Context& ctx) {
  if (ctx.args.size() == 2) return HRandFieldOne(ctx);
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  TM_ASSIGN_OR_RETURN(const int64_t count, RandomCountArg(ctx.args[2]));
  const bool with_values = ctx.args.size() == 4 && EqualsIgnoreCase(ctx.args[3], "withvalues");
  if (ctx.args.size() > 3 && !with_values) return SyntaxError();
  if (with_values && (count < -kMax / 2 || count > kMax / 2)) return InvalidArgument("ERR value is out of range");

  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kHash));
  if (key && count < -kMaxDraws) return InvalidArgument("ERR value is out of range");
  const auto wanted = static_cast<uint64_t>(std::abs(count));
  TM_ASSIGN_OR_RETURN(const std::vector<RandomMember> fields,
                      RandomMembers(ctx.keys(), key, wanted, count < 0, Random()));
  const bool pairs = with_values && ctx.out.protocol() == 3;
  ctx.out.Array(fields.size() * (with_values && !pairs ? 2 : 1));
  for (const RandomMember& field : fields) {
    if (pairs) ctx.out.Array(2);
    ctx.out.Bulk(field.name);
    if (with_values) ctx.out.Bulk(field.value);
  }
  return absl::OkStatus();
}

absl::Status HScan(Context& ctx) { return ScanMembers(ctx, Type::kHash, true); }

constexpr uint32_t kFastRead = kReadonly | kFast;
constexpr uint32_t kFastGrow = kWrite | kDenyOom | kFast;

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, std::string_view key_flags,
                           std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("hash", name, arity, flags, kFirstKey, key_flags, since, handler, syntax, complexity, summary);
}

constexpr CommandSpec kHashCommands[] = {
    Spec("hdel", -3, kWrite | kFast, "RW delete", "2.0.0", HDel, "key field [field ...]",
         "O(N), N being the number of fields named", "Removes fields from a hash; the key goes with its last field."),
    Spec("hexists", 3, kFastRead, "RO", "2.0.0", HExists, "key field", "O(1)", "Says whether a hash has a field."),
    Spec("hget", 3, kFastRead, "RO access", "2.0.0", HGet, "key field", "O(1)", "Returns the value of a field."),
    Spec("hgetall", 2, kReadonly | kRange, "RO access", "2.0.0", HGetAll, "key", "O(N), N being the number of fields",
         "Returns all fields of a hash with their values."),
    Spec("hincrby", 4, kFastGrow, "RW access update", "2.0.0", HIncrBy, "key field increment", "O(1)",
         "Adds an integer to the integer in a field; a missing field counts as 0."),
    Spec("hincrbyfloat", 4, kFastGrow, "RW access update", "2.6.0", HIncrByFloat, "key field increment", "O(1)",
         "Adds a decimal number to the number in a field; a missing field counts as 0."),
    Spec("hkeys", 2, kReadonly | kRange, "RO access", "2.0.0", HKeys, "key", "O(N), N being the number of fields",
         "Returns the names of all fields of a hash."),
    Spec("hlen", 2, kFastRead, "RO", "2.0.0", HLen, "key", "O(1)", "Returns the number of fields of a hash."),
    Spec("hmget", -3, kFastRead, "RO access", "2.0.0", HMGet, "key field [field ...]",
         "O(N), N being the number of fields named",
         "Returns the values of several fields, null for those that are missing."),
    Spec("hmset", -4, kFastGrow, "RW update", "2.0.0", HMSet, "key field value [field value ...]",
         "O(N), N being the number of fields named",
         "Sets several fields; HSET does the same and says how many are new."),
    Spec("hrandfield", -2, kReadonly | kRange, "RO access", "6.2.0", HRandField, "key [count [WITHVALUES]]",
         "O(N), N being the number of fields returned",
         "Returns fields chosen at random; a negative count allows the same one again."),
    Spec("hscan", -3, kReadonly | kRange, "RO access", "2.8.0", HScan, "key cursor [MATCH pattern] [COUNT count]",
         "O(1) a call, O(N) for the whole walk, N being the number of fields",
         "Walks the fields of a hash a page at a time."),
    Spec("hset", -4, kFastGrow, "RW update", "2.0.0", HSet, "key field value [field value ...]",
         "O(N), N being the number of fields named", "Sets fields of a hash and returns how many of them are new."),
    Spec("hsetnx", 4, kFastGrow, "RW insert", "2.0.0", HSetNx, "key field value", "O(1)",
         "Sets a field unless the hash has it already."),
    Spec("hstrlen", 3, kFastRead, "RO", "3.2.0", HStrLen, "key field", "O(1)",
         "Returns the length of a field's value in bytes."),
    Spec("hvals", 2, kReadonly | kRange, "RO access", "2.0.0", HVals, "key", "O(N), N being the number of fields",
         "Returns the values of all fields of a hash."),
};

}  // namespace

std::span<const CommandSpec> HashCommands() { return kHashCommands; }

}  // namespace tidemark::commands
