// Expiry: EXPIRE and its kind set the time at which a key goes, TTL and its kind tell it.
#include <algorithm>
#include <limits>

#include "commands/key_families.h"
#include "commands/spec.h"

namespace tidemark::commands {
namespace {

using types::Key;

enum class Unit : uint8_t { kSeconds, kMilliseconds };
enum class From : uint8_t { kNow, k1970 };

struct Conditions {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;

  static absl::StatusOr<Conditions> Parse(Args args) {
    Conditions set;
    for (const std::string_view arg : args) {
      if (EqualsIgnoreCase(arg, "nx")) {
        set.nx = true;
      } else if (EqualsIgnoreCase(arg, "xx")) {
        set.xx = true;
      } else if (EqualsIgnoreCase(arg, "gt")) {
        set.gt = true;
      } else if (EqualsIgnoreCase(arg, "lt")) {
        set.lt = true;
      } else {
        return InvalidArgument("ERR Unsupported option {}", arg);
      }
    }
    if (set.nx && (set.xx || set.gt || set.lt)) {
      return InvalidArgument("ERR NX and XX, GT or LT options at the same time are not compatible");
    }
    if (set.gt && set.lt) return InvalidArgument("ERR GT and LT options at the same time are not compatible");
    return set;
  }

  // `current` 0: the key never expires, which counts as later than any time.
  bool Allow(uint64_t current, int64_t wanted) const {
    const auto now_set = static_cast<int64_t>(current);
    if (nx && current != 0) return false;
    if (xx && current == 0) return false;
    if (gt && (current == 0 || wanted <= now_set)) return false;
    return !(lt && current != 0 && wanted >= now_set);
  }
};

// ms since 1970 that `arg` means; may lie in the past, before 1970 too.
absl::StatusOr<int64_t> ExpireTime(Context& ctx, std::string_view command, Unit unit, From from) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  TM_ASSIGN_OR_RETURN(int64_t when, IntegerArg(ctx.args[2]));
  if (unit == Unit::kSeconds) {
    if (when > kMax / 1000 || when < kMin / 1000) return InvalidExpire(command);
    when *= 1000;
  }
  const int64_t base = from == From::kNow ? static_cast<int64_t>(ctx.keys().now_ms()) : 0;
  if (when > kMax - base) return InvalidExpire(command);
  return when + base;
}

absl::Status SetExpire(Context& ctx, std::string_view command, Unit unit, From from) {
  TM_ASSIGN_OR_RETURN(const Conditions conditions, Conditions::Parse(ctx.args.subspan(3)));
  TM_ASSIGN_OR_RETURN(const int64_t when, ExpireTime(ctx, command, unit, from));
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1]));
  const bool sets = key && conditions.Allow(key.expire_ms, when);
  if (sets && when <= static_cast<int64_t>(ctx.keys().now_ms())) {
    ctx.keys().Remove(&key);
    ctx.keys().Notify(types::EventClass::kGeneric, "del", key.name);
  } else if (sets) {
    ctx.keys().SetExpire(&key, static_cast<uint64_t>(when));
    ctx.keys().Notify(types::EventClass::kGeneric, "expire", key.name);
  }
  ctx.out.Integer(sets ? 1 : 0);
  return absl::OkStatus();
}

absl::Status Expire(Context& ctx) { return SetExpire(ctx, "expire", Unit::kSeconds, From::kNow); }
absl::Status PExpire(Context& ctx) { return SetExpire(ctx, "pexpire", Unit::kMilliseconds, From::kNow); }
absl::Status ExpireAt(Context& ctx) { return SetExpire(ctx, "expireat", Unit::kSeconds, From::k1970); }
absl::Status PExpireAt(Context& ctx) { return SetExpire(ctx, "pexpireat", Unit::kMilliseconds, From::k1970); }

// -2 without the key, -1 without an expiry; seconds are rounded, as Redis does.
absl::Status TellExpire(Context& ctx, Unit unit, From from) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1]));
  if (!key || key.expire_ms == 0) {
    ctx.out.Integer(key ? -1 : -2);
    return absl::OkStatus();
  }
  // Nothing is left of a key that is due and there all the same: expiry stands still.
  const uint64_t passed_ms = from == From::kNow ? std::min(key.expire_ms, ctx.keys().now_ms()) : 0;
  const uint64_t time_ms = key.expire_ms - passed_ms;
  ctx.out.Integer(static_cast<int64_t>(unit == Unit::kSeconds ? (time_ms + 500) / 1000 : time_ms));
  return absl::OkStatus();
}

absl::Status Ttl(Context& ctx) { return TellExpire(ctx, Unit::kSeconds, From::kNow); }
absl::Status PTtl(Context& ctx) { return TellExpire(ctx, Unit::kMilliseconds, From::kNow); }
absl::Status ExpireTimeOf(Context& ctx) { return TellExpire(ctx, Unit::kSeconds, From::k1970); }
absl::Status PExpireTimeOf(Context& ctx) { return TellExpire(ctx, Unit::kMilliseconds, From::k1970); }

absl::Status Persist(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1]));
  const bool expires = key && key.expire_ms != 0;
  if (expires) {
    ctx.keys().SetExpire(&key, 0);
    ctx.keys().Notify(types::EventClass::kGeneric, "persist", key.name);
  }
  ctx.out.Integer(expires ? 1 : 0);
  return absl::OkStatus();
}

constexpr CommandSpec Setter(std::string_view name, std::string_view since, Handler handler, std::string_view syntax,
                             std::string_view summary) {
  return MakeSpec("generic", name, -3, kWrite | kFast, kFirstKey, "RW update", since, handler, syntax, "O(1)", summary);
}
constexpr CommandSpec Teller(std::string_view name, std::string_view since, Handler handler, std::string_view summary) {
  return MakeSpec("generic", name, 2, kReadonly | kFast, kFirstKey, "RO access", since, handler, "key", "O(1)",
                  summary);
}

constexpr CommandSpec kExpireCommands[] = {
    Setter("expire", "1.0.0", Expire, "key seconds [NX | XX | GT | LT]",
           "Lets a key expire after so many seconds, on conditions if wanted."),
    Setter("pexpire", "2.6.0", PExpire, "key milliseconds [NX | XX | GT | LT]",
           "Lets a key expire after so many milliseconds, on conditions if wanted."),
    Setter("expireat", "1.2.0", ExpireAt, "key unix-time-seconds [NX | XX | GT | LT]",
           "Lets a key expire at a time in seconds since 1970, on conditions if wanted."),
    Setter("pexpireat", "2.6.0", PExpireAt, "key unix-time-milliseconds [NX | XX | GT | LT]",
           "Lets a key expire at a time in milliseconds since 1970, on conditions if wanted."),
    Teller("ttl", "1.0.0", Ttl, "Returns the seconds until a key expires."),
    Teller("pttl", "2.6.0", PTtl, "Returns the milliseconds until a key expires."),
    Teller("expiretime", "7.0.0", ExpireTimeOf, "Returns when a key expires, in seconds since 1970."),
    Teller("pexpiretime", "7.0.0", PExpireTimeOf, "Returns when a key expires, in milliseconds since 1970."),
    MakeSpec("generic", "persist", 2, kWrite | kFast, kFirstKey, "RW update", "2.2.0", Persist, "key", "O(1)",
             "Takes the expiry from a key, so that it stays."),
};

}  // namespace

std::span<const CommandSpec> ExpireCommands() { return kExpireCommands; }

}  // namespace tidemark::commands
