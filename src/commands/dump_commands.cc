// DUMP and RESTORE: one value as Redis serializes it. The bytes are format/rdb_value.h's, the rows types/rdb_rows.h's.
#include "commands/key_families.h"
#include "commands/spec.h"
#include "format/rdb_writer.h"
#include "types/rdb_rows.h"

namespace tidemark::commands {
namespace {

using types::Key;

absl::Status Dump(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1]));
  if (!key) {
    ctx.out.Null();
    return absl::OkStatus();
  }
  format::RdbValueWriter writer;
  const absl::Status visited = types::VisitValue(ctx.keys(), key, &writer);
  if (absl::IsInvalidArgument(visited)) return InvalidArgument("ERR {}", Message(visited));
  TM_RETURN_IF_ERROR(visited);
  writer.FinishPayload();
  ctx.out.Bulk(writer.bytes());
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

// An error of the payload's as the client shall get it; others as they are.
absl::Status RestoreError(const absl::Status& read) {
  if (absl::IsDataLoss(read)) return InvalidArgument("ERR DUMP payload version or checksum are wrong");
  if (absl::IsUnimplemented(read)) return InvalidArgument("ERR {}", Message(read));
  return absl::IsInvalidArgument(read) ? InvalidArgument("ERR Bad data format") : read;
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

absl::Status Restore(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const RestoreOptions options, RestoreOptions::Parse(ctx.args.subspan(4)));
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1]));
  if (key && !options.replace) return InvalidArgument("BUSYKEY Target key name already exists.");
  TM_ASSIGN_OR_RETURN(const uint64_t expire_ms, ExpireArg(ctx, options.absolute_ttl));
  if (expire_ms != 0 && expire_ms <= ctx.keys().now_ms()) {
    format::RdbNullSink checked;
    TM_RETURN_IF_ERROR(RestoreError(format::ReadRdbPayload(ctx.args[3], &checked)));
    if (ctx.keys().Remove(&key)) ctx.keys().Notify(types::EventClass::kGeneric, "del", key.name);
  } else {
    types::ValueRows rows(ctx.keys(), &key);
    TM_RETURN_IF_ERROR(RestoreError(format::ReadRdbPayload(ctx.args[3], &rows)));
    // What stood there goes first, as in Redis, so that the name is new in any case.
    if (key) ctx.keys().Notify(types::EventClass::kNew, "new", key.name);
    TM_RETURN_IF_ERROR(rows.Finish(expire_ms));
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
