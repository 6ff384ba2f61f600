// Strings: reading and replacing whole values, and the family's table. What changes a value in place stands in
// string_change_commands.cc. Behaviour after Redis 7.0's t_string.c.
#include <algorithm>
#include <array>
#include <limits>

#include "commands/spec.h"
#include "commands/string_handlers.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::Key;
using types::Type;

void NotifySet(Context& ctx, std::string_view name, bool expires = false) {
  ctx.keys().Notify(EventClass::kString, "set", name);
  if (expires) ctx.keys().Notify(EventClass::kGeneric, "expire", name);
}

// ---- SET and GETEX: options ----

enum class ExpireUnit : uint8_t { kNone, kEx, kPx, kExAt, kPxAt };

struct Options {
  bool nx = false;
  bool xx = false;
  bool get = false;
  bool keep_ttl = false;
  bool persist = false;
  ExpireUnit unit = ExpireUnit::kNone;
  std::string_view expire;
};

ExpireUnit UnitOf(std::string_view word) {
  if (EqualsIgnoreCase(word, "ex")) return ExpireUnit::kEx;
  if (EqualsIgnoreCase(word, "px")) return ExpireUnit::kPx;
  if (EqualsIgnoreCase(word, "exat")) return ExpireUnit::kExAt;
  if (EqualsIgnoreCase(word, "pxat")) return ExpireUnit::kPxAt;
  return ExpireUnit::kNone;
}

// Takes one option off SET's own; false when `word` is none that may stand here.
bool TakeSetOption(std::string_view word, Options* options) {
  if (EqualsIgnoreCase(word, "nx") && !options->xx) return options->nx = true;
  if (EqualsIgnoreCase(word, "xx") && !options->nx) return options->xx = true;
  if (EqualsIgnoreCase(word, "get")) return options->get = true;
  if (EqualsIgnoreCase(word, "keepttl") && options->unit == ExpireUnit::kNone) return options->keep_ttl = true;
  return false;
}

// `words` follow the key and the value of SET, the key of GETEX. As Redis has it, an option may be said twice (the last
// EX counts), one that contradicts another may not.
absl::StatusOr<Options> ParseOptions(Args words, bool is_set) {
  Options options;
  for (size_t i = 0; i < words.size(); ++i) {
    const ExpireUnit unit = UnitOf(words[i]);
    if (unit != ExpireUnit::kNone) {
      const bool fits = options.unit == ExpireUnit::kNone || options.unit == unit;
      if (!fits || options.keep_ttl || options.persist || i + 1 == words.size()) return SyntaxError();
      options.unit = unit;
      options.expire = words[++i];
    } else if (is_set) {
      if (!TakeSetOption(words[i], &options)) return SyntaxError();
    } else {
      if (!EqualsIgnoreCase(words[i], "persist") || options.unit != ExpireUnit::kNone) return SyntaxError();
      options.persist = true;
    }
  }
  return options;
}

// The moment `arg` names, in ms since 1970; it may lie in the past, but is never 0.
absl::StatusOr<uint64_t> ExpireArg(std::string_view arg, ExpireUnit unit, uint64_t now_ms, std::string_view command) {
  TM_ASSIGN_OR_RETURN(int64_t ms, IntegerArg(arg));
  const bool seconds = unit == ExpireUnit::kEx || unit == ExpireUnit::kExAt;
  if (ms <= 0 || (seconds && ms > std::numeric_limits<int64_t>::max() / 1000)) return InvalidExpire(command);
  if (seconds) ms *= 1000;
  const bool relative = unit == ExpireUnit::kEx || unit == ExpireUnit::kPx;
  if (relative && __builtin_add_overflow(ms, static_cast<int64_t>(now_ms), &ms)) return InvalidExpire(command);
  return static_cast<uint64_t>(ms);
}

void ReplyValue(Context& ctx, const Key& key) { key ? ctx.out.Bulk(key.string) : ctx.out.Null(); }

// ---- Reading ----

absl::Status Get(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  ReplyValue(ctx, key);
  return absl::OkStatus();
}

absl::Status Mget(Context& ctx) {
  ctx.out.Array(ctx.args.size() - 1);
  for (const std::string_view name : ctx.args.subspan(1)) {
    TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(name));
    key.type == Type::kString ? ctx.out.Bulk(key.string) : ctx.out.Null();
  }
  return absl::OkStatus();
}

absl::Status Strlen(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  ctx.out.Integer(static_cast<int64_t>(key.string.size()));
  return absl::OkStatus();
}

absl::Status GetRange(Context& ctx) {
  TM_ASSIGN_OR_RETURN(int64_t start, IntegerArg(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(int64_t end, IntegerArg(ctx.args[3]));
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  const auto length = static_cast<int64_t>(key.string.size());
  const bool reversed = start < 0 && end < 0 && start > end;
  if (start < 0) start = std::max<int64_t>(start + length, 0);
  // An end before the first byte means the first byte: GETRANGE k 0 -100 has answered so since Redis 1.0.
  if (end < 0) end = std::max<int64_t>(end + length, 0);
  end = std::min(end, length - 1);
  const bool empty = reversed || start > end;
  ctx.out.Bulk(empty ? std::string_view()
                     : key.string.substr(static_cast<size_t>(start), static_cast<size_t>(end - start + 1)));
  return absl::OkStatus();
}

// ---- Replacing ----

absl::Status SetWithOptions(Context& ctx, const Options& options) {
  uint64_t expire_ms = 0;
  if (options.unit != ExpireUnit::kNone) {
    TM_ASSIGN_OR_RETURN(expire_ms, ExpireArg(options.expire, options.unit, ctx.keys().now_ms(), "set"));
  }
  TM_ASSIGN_OR_RETURN(Key key, options.get ? ctx.keys().Lookup(ctx.args[1]) : ctx.keys().Find(ctx.args[1]));
  if (options.get) {
    if (key && key.type != Type::kString) return types::WrongType();
    ReplyValue(ctx, key);
  }
  if ((options.nx && key) || (options.xx && !key)) {
    if (!options.get) ctx.out.Null();
    return absl::OkStatus();
  }
  ctx.keys().PutString(&key, ctx.args[2], options.keep_ttl ? key.expire_ms : expire_ms);
  NotifySet(ctx, key.name, expire_ms != 0);
  if (!options.get) ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Set(Context& ctx) {
  if (ctx.args.size() > 3) {
    TM_ASSIGN_OR_RETURN(const Options options, ParseOptions(ctx.args.subspan(3), true));
    return SetWithOptions(ctx, options);
  }
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1]));
  ctx.keys().PutString(&key, ctx.args[2], 0);
  NotifySet(ctx, key.name);
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Setnx(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1]));
  const bool set = !key;
  if (set) {
    ctx.keys().PutString(&key, ctx.args[2], 0);
    NotifySet(ctx, key.name);
  }
  ctx.out.Integer(set ? 1 : 0);
  return absl::OkStatus();
}

absl::Status SetExpiring(Context& ctx, ExpireUnit unit, std::string_view command) {
  TM_ASSIGN_OR_RETURN(const uint64_t expire_ms, ExpireArg(ctx.args[2], unit, ctx.keys().now_ms(), command));
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[1]));
  ctx.keys().PutString(&key, ctx.args[3], expire_ms);
  NotifySet(ctx, key.name, true);
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Setex(Context& ctx) { return SetExpiring(ctx, ExpireUnit::kEx, "setex"); }
absl::Status Psetex(Context& ctx) { return SetExpiring(ctx, ExpireUnit::kPx, "psetex"); }

absl::Status Getset(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  ReplyValue(ctx, key);
  ctx.keys().PutString(&key, ctx.args[2], 0);
  NotifySet(ctx, key.name);
  return absl::OkStatus();
}

absl::Status Getdel(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  ReplyValue(ctx, key);
  if (key) {
    ctx.keys().Remove(&key);
    ctx.keys().Notify(EventClass::kGeneric, "del", key.name);
  }
  return absl::OkStatus();
}

absl::Status Getex(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Options options, ParseOptions(ctx.args.subspan(2), false));
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(ctx.args[1], Type::kString));
  ReplyValue(ctx, key);
  if (!key) return absl::OkStatus();
  if (options.unit != ExpireUnit::kNone) {
    const uint64_t now_ms = ctx.keys().now_ms();
    TM_ASSIGN_OR_RETURN(const uint64_t expire_ms, ExpireArg(options.expire, options.unit, now_ms, "getex"));
    if (expire_ms <= now_ms) {
      ctx.keys().Remove(&key);
      ctx.keys().Notify(EventClass::kGeneric, "del", key.name);
    } else {
      ctx.keys().SetExpire(&key, expire_ms);
      ctx.keys().Notify(EventClass::kGeneric, "expire", key.name);
    }
  } else if (options.persist && key.expire_ms != 0) {
    ctx.keys().SetExpire(&key, 0);
    ctx.keys().Notify(EventClass::kGeneric, "persist", key.name);
  }
  return absl::OkStatus();
}

// ---- Several keys ----

// Each key is looked up when its turn comes: a key that is named twice keeps the later value.
absl::Status PutPairs(Context& ctx) {
  for (size_t i = 1; i < ctx.args.size(); i += 2) {
    TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(ctx.args[i]));
    ctx.keys().PutString(&key, ctx.args[i + 1], 0);
    NotifySet(ctx, key.name);
  }
  return absl::OkStatus();
}

absl::Status Mset(Context& ctx) {
  if (ctx.args.size() % 2 == 0) return WrongArity("mset");
  TM_RETURN_IF_ERROR(PutPairs(ctx));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Msetnx(Context& ctx) {
  if (ctx.args.size() % 2 == 0) return WrongArity("msetnx");
  for (size_t i = 1; i < ctx.args.size(); i += 2) {
    TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Find(ctx.args[i]));
    if (key) {
      ctx.out.Integer(0);
      return absl::OkStatus();
    }
  }
  TM_RETURN_IF_ERROR(PutPairs(ctx));
  ctx.out.Integer(1);
  return absl::OkStatus();
}

// ---- The table ----

constexpr KeyPositions kPairs = {1, -1, 2};

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, KeyPositions keys,
                           std::string_view key_flags, std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("string", name, arity, flags, keys, key_flags, since, handler, syntax, complexity, summary);
}

constexpr std::array kStringCommands = {
    Spec("get", 2, kReadonly | kFast, kFirstKey, "RO access", "1.0.0", Get, "key", "O(1)",
         "Returns the value of a key."),
    Spec("set", -3, kWrite | kDenyOom, kFirstKey, "RW access update variable_flags", "1.0.0", Set,
         "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "
         "unix-time-milliseconds | KEEPTTL]",
         "O(1)", "Gives a key a value, whatever it held, on conditions and for a time if wanted."),
    Spec("setnx", 3, kWrite | kDenyOom | kFast, kFirstKey, "OW insert", "1.0.0", Setnx, "key value", "O(1)",
         "Gives a key a value if the key does not exist."),
    Spec("setex", 4, kWrite | kDenyOom, kFirstKey, "OW update", "2.0.0", Setex, "key seconds value", "O(1)",
         "Gives a key a value that expires after so many seconds."),
    Spec("psetex", 4, kWrite | kDenyOom, kFirstKey, "OW update", "2.6.0", Psetex, "key milliseconds value", "O(1)",
         "Gives a key a value that expires after so many milliseconds."),
    Spec("getset", 3, kWrite | kDenyOom | kFast, kFirstKey, "RW access update", "1.0.0", Getset, "key value", "O(1)",
         "Gives a key a value and returns the one before."),
    Spec("getdel", 2, kWrite | kFast, kFirstKey, "RW access delete", "6.2.0", Getdel, "key", "O(1)",
         "Returns the value of a key and removes the key."),
    Spec("getex", -2, kWrite | kFast, kFirstKey, "RW access update", "6.2.0", Getex,
         "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]", "O(1)",
         "Returns the value of a key and changes when the key expires."),
    Spec("mget", -2, kReadonly | kFast | kRange, kEveryKey, "RO access", "1.0.0", Mget, "key [key ...]",
         "O(N), N being the number of keys", "Returns the values of several keys; nil where there is no string."),
    Spec("mset", -3, kWrite | kDenyOom, kPairs, "OW update", "1.0.1", Mset, "key value [key value ...]",
         "O(N), N being the number of keys", "Gives several keys their values, all at once."),
    Spec("msetnx", -3, kWrite | kDenyOom, kPairs, "OW insert", "1.0.1", Msetnx, "key value [key value ...]",
         "O(N), N being the number of keys", "Gives several keys their values if none of them exists."),
    Spec("incr", 2, kWrite | kDenyOom | kFast, kFirstKey, "RW access update", "1.0.0", Incr, "key", "O(1)",
         "Adds one to the integer that a key holds; no key counts as 0."),
    Spec("decr", 2, kWrite | kDenyOom | kFast, kFirstKey, "RW access update", "1.0.0", Decr, "key", "O(1)",
         "Takes one from the integer that a key holds; no key counts as 0."),
    Spec("incrby", 3, kWrite | kDenyOom | kFast, kFirstKey, "RW access update", "1.0.0", IncrBy, "key increment",
         "O(1)", "Adds an integer to the one that a key holds."),
    Spec("decrby", 3, kWrite | kDenyOom | kFast, kFirstKey, "RW access update", "1.0.0", DecrBy, "key decrement",
         "O(1)", "Takes an integer from the one that a key holds."),
    Spec("incrbyfloat", 3, kWrite | kDenyOom | kFast, kFirstKey, "RW access update", "2.6.0", IncrByFloat,
         "key increment", "O(1)", "Adds a decimal number to the one that a key holds."),
    Spec("append", 3, kWrite | kDenyOom | kFast, kFirstKey, "RW insert", "2.0.0", Append, "key value",
         "O(N), N being the length of the value afterwards",
         "Adds bytes at the end of a value, making the key if needed."),
    Spec("setrange", 4, kWrite | kDenyOom, kFirstKey, "RW update", "2.2.0", SetRange, "key offset value",
         "O(N), N being the length of the value afterwards",
         "Writes over part of a value from an offset on, filling a gap with zero bytes."),
    Spec("getrange", 4, kReadonly, kFirstKey, "RO access", "2.4.0", GetRange, "key start end",
         "O(N), N being the number of bytes returned", "Returns part of a value, by first and last byte."),
    Spec("substr", 4, kReadonly, kFirstKey, "RO access", "1.0.0", GetRange, "key start end",
         "O(N), N being the number of bytes returned", "GETRANGE under its first name."),
    Spec("strlen", 2, kReadonly | kFast, kFirstKey, "RO", "2.2.0", Strlen, "key", "O(1)",
         "Returns the length of a value in bytes."),
    Spec("lcs", -3, kReadonly | kRange, kTwoKeys, "RO access", "7.0.0", Lcs,
         "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
         "O(N*M), N and M being the lengths of the two values",
         "Finds the longest common subsequence of two values, its length or where it matches."),
};

}  // namespace

std::span<const CommandSpec> StringCommands() { return kStringCommands; }

absl::Status CheckStringLength(uint64_t length) {
  if (length <= kMaxStringBytes) return absl::OkStatus();
  return absl::InvalidArgumentError("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

}  // namespace tidemark::commands
