// DUMP and RESTORE: one value as Redis serializes it. The bytes are format/rdb_value.h's.
#include <limits>
#include <string>

#include "commands/key_families.h"
#include "commands/spec.h"
#include "format/rdb_value.h"

namespace tidemark::commands {
namespace {

using format::RdbValue;
using types::Key;
using types::Type;

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

absl::StatusOr<std::string> HashPayload(Context& ctx, Key key) {
  std::string fields;
  uint64_t count = 0;
  while (key) {
    TM_RETURN_IF_ERROR(ctx.keys().VisitMembers(key.collection, 0, kNoLimit,
                                               [&](std::string_view field, std::string_view value, uint32_t) {
                                                 format::AppendRdbString(field, &fields);
                                                 format::AppendRdbString(value, &fields);
                                                 ++count;
                                                 return true;
                                               }));
    // Outside the commit lock the key may have lost this collection meanwhile, and the sweeper been at it.
    const kv::CollectionId visited = key.collection;
    TM_ASSIGN_OR_RETURN(key, ctx.keys().Find(ctx.args[1], Type::kHash));
    if (key.collection == visited) break;
    fields.clear();
    count = 0;
  }
  return count == 0 ? std::string() : format::RdbHashPayload(count, fields);
}

absl::Status Dump(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(ctx.args[1]));
  std::string payload;
  if (key.type == Type::kString) {
    payload = format::RdbStringPayload(key.string);
  } else if (key) {
    TM_ASSIGN_OR_RETURN(payload, HashPayload(ctx, std::move(key)));
  }
  if (payload.empty()) {
    ctx.out.Null();
  } else {
    ctx.out.Bulk(payload);
  }
  return absl::OkStatus();
}

struct RestoreOptions {
  bool replace = false;
  bool absolute_ttl = false;

  // IDLETIME and FREQ are checked as Redis does and then of no effect: nothing is evicted.
  static absl::StatusOr<RestoreOptions> Parse(Args args) {
    RestoreOptions options;
    bool idle_given = false;
    bool frequency_given = false;
    for (size_t i = 0; i < args.size(); ++i) {
      const bool has_value = i + 1 < args.size();
      if (EqualsIgnoreCase(args[i], "replace")) {
        options.replace = true;
      } else if (EqualsIgnoreCase(args[i], "absttl")) {
        options.absolute_ttl = true;
      } else if (EqualsIgnoreCase(args[i], "idletime") && has_value && !frequency_given) {
        TM_ASSIGN_OR_RETURN(const int64_t seconds, IntegerArg(args[++i]));
        if (seconds < 0) return InvalidArgument("ERR Invalid IDLETIME value, must be >= 0");
        idle_given = true;
      } else if (EqualsIgnoreCase(args[i], "freq") && has_value && !idle_given) {
        TM_ASSIGN_OR_RETURN(const int64_t frequency, IntegerArg(args[++i]));
        if (frequency < 0 || frequency > 255) {
          return InvalidArgument("ERR Invalid FREQ value, must be >= 0 and <= 255");
        }
        frequency_given = true;
      } else {
        return SyntaxError();
      }
    }
    return options;
  }
};

absl::StatusOr<RdbValue> DecodeArg(std::string_view payload) {
  absl::StatusOr<RdbValue> value = format::DecodeRdbPayload(payload);
  if (value.ok()) return value;
  if (absl::IsDataLoss(value.status())) return InvalidArgument("ERR DUMP payload version or checksum are wrong");
  if (absl::IsUnimplemented(value.status())) return InvalidArgument("ERR {}", Message(value.status()));
  return InvalidArgument("ERR Bad data format");
}

// ms since 1970 from RESTORE's ttl; 0: never.
absl::StatusOr<uint64_t> ExpireArg(Context& ctx, bool absolute) {
  TM_ASSIGN_OR_RETURN(int64_t ttl, IntegerArg(ctx.args[2]));
  if (ttl < 0) return InvalidArgument("ERR Invalid TTL value, must be >= 0");
  if (ttl != 0 && !absolute && __builtin_add_overflow(ttl, static_cast<int64_t>(ctx.keys().now_ms()), &ttl)) {
    return InvalidExpire("restore");
  }
  return static_cast<uint64_t>(ttl);
}

absl::Status PutValue(Context& ctx, Key* key, const RdbValue& value, uint64_t expire_ms) {
  if (value.kind == RdbValue::Kind::kString) {
    ctx.keys().PutString(key, value.string, expire_ms);
    return absl::OkStatus();
  }
  const kv::CollectionId collection = ctx.keys().txn().NewCollectionId();
  for (const auto& [field, bytes] : value.fields) {
    if (field.size() > types::kMaxKeyBytes) return InvalidArgument("ERR Bad data format");
    ctx.keys().PutMember(collection, field, bytes);
  }
  ctx.keys().PutCollection(key, Type::kHash, collection, value.fields.size(), expire_ms);
  return absl::OkStatus();
}

absl::Status Restore(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const RestoreOptions options, RestoreOptions::Parse(ctx.args.subspan(4)));
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1]));
  if (key && !options.replace) return InvalidArgument("BUSYKEY Target key name already exists.");
  TM_ASSIGN_OR_RETURN(const uint64_t expire_ms, ExpireArg(ctx, options.absolute_ttl));
  TM_ASSIGN_OR_RETURN(const RdbValue value, DecodeArg(ctx.args[3]));
  if (expire_ms != 0 && expire_ms <= ctx.keys().now_ms()) {
    if (ctx.keys().Remove(&key)) ctx.keys().Notify(types::EventClass::kGeneric, "del", key.name);
  } else {
    // What stood there goes first, as in Redis, so that the name is new in any case.
    if (key) ctx.keys().Notify(types::EventClass::kNew, "new", key.name);
    TM_RETURN_IF_ERROR(PutValue(ctx, &key, value, expire_ms));
    ctx.keys().Notify(types::EventClass::kGeneric, "restore", key.name);
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

constexpr CommandSpec kDumpCommands[] = {
    MakeSpec("generic", "dump", 2, kReadonly | kRange, kFirstKey, "RO access", "2.6.0", Dump, "key",
             "O(N), N being the bytes of the value",
             "Returns what a key holds in Redis's serialized form, for RESTORE here or there."),
    MakeSpec("generic", "restore", -4, kWrite | kDenyOom, kFirstKey, "OW update", "2.6.0", Restore,
             "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
             "O(N), N being the bytes of the value", "Makes a key from what DUMP returned, here or on a Redis server."),
};

}  // namespace

std::span<const CommandSpec> DumpCommands() { return kDumpCommands; }

}  // namespace tidemark::commands
