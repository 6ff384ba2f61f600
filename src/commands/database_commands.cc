// Whole databases, and keys that go from one to another: DBSIZE, FLUSHALL, SWAPDB, MOVE, COPY.
#include <limits>
#include <optional>

#include "commands/key_families.h"
#include "commands/server.h"
#include "commands/spec.h"
#include "types/hash.h"

namespace tidemark::commands {
namespace {

using types::Key;
using types::Keyspace;

int64_t Databases(const Context& ctx) { return ctx.server.config.Integer("databases"); }

absl::Status DbOutOfRange() { return InvalidArgument("ERR DB index is out of range"); }
absl::Status SameObject() { return InvalidArgument("ERR source and destination objects are the same"); }

// The database that `arg` names, as COPY and MOVE read it.
absl::StatusOr<DbIndex> DbArg(const Context& ctx, std::string_view arg) {
  constexpr int64_t kMin = std::numeric_limits<int32_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  TM_ASSIGN_OR_RETURN(const int64_t index, IntegerArg(arg));
  if (index < kMin || index > kMax) {
    return InvalidArgument("ERR value is out of range, value must between {} and {}", kMin, kMax);
  }
  if (index < 0 || index >= Databases(ctx)) return DbOutOfRange();
  return DbIndex{static_cast<uint16_t>(index)};
}

absl::Status DbSize(Context& ctx) {
  ctx.out.Integer(ctx.keys().txn().db(ctx.keys().db()).keys);
  return absl::OkStatus();
}

// SYNC or ASYNC: either way the database is empty at once and its old rows are swept later.
absl::Status CheckFlushMode(Args args) {
  if (args.size() == 1) return absl::OkStatus();
  if (args.size() == 2 && (EqualsIgnoreCase(args[1], "sync") || EqualsIgnoreCase(args[1], "async"))) {
    return absl::OkStatus();
  }
  return SyntaxError();
}

void Flush(kv::Txn& txn, DbIndex db) {
  if (txn.db(db).keys != 0) txn.ReplaceContents(db);
}

absl::Status FlushDb(Context& ctx) {
  TM_RETURN_IF_ERROR(CheckFlushMode(ctx.args));
  Flush(ctx.keys().txn(), ctx.keys().db());
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status FlushAll(Context& ctx) {
  TM_RETURN_IF_ERROR(CheckFlushMode(ctx.args));
  for (int64_t db = 0; db < Databases(ctx); ++db) Flush(ctx.keys().txn(), DbIndex{static_cast<uint16_t>(db)});
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status SwapDb(Context& ctx) {
  const auto index = [](std::string_view arg) -> std::optional<int64_t> {
    const absl::StatusOr<int64_t> value = IntegerArg(arg);
    if (!value.ok() || *value != static_cast<int32_t>(*value)) return std::nullopt;
    return *value;
  };
  const std::optional<int64_t> first = index(ctx.args[1]);
  if (!first) return InvalidArgument("ERR invalid first DB index");
  const std::optional<int64_t> second = index(ctx.args[2]);
  if (!second) return InvalidArgument("ERR invalid second DB index");
  for (const int64_t db : {*first, *second}) {
    if (db < 0 || db >= Databases(ctx)) return DbOutOfRange();
  }
  if (*first != *second) {
    ctx.keys().txn().SwapContents(DbIndex{static_cast<uint16_t>(*first)}, DbIndex{static_cast<uint16_t>(*second)});
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Move(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const DbIndex db, DbArg(ctx, ctx.args[2]));
  if (db == ctx.keys().db()) return SameObject();
  Keyspace target = ctx.keys_of(db);
  TM_ASSIGN_OR_RETURN(Key from, ctx.keys().Find(ctx.args[1]));
  TM_ASSIGN_OR_RETURN(Key to, target.Find(ctx.args[1]));
  const bool moves = from && !to;
  if (moves) {
    ctx.keys().Move(&from, target, &to);
    ctx.keys().Notify(types::EventClass::kGeneric, "move_from", from.name);
    target.Notify(types::EventClass::kGeneric, "move_to", to.name);
  }
  ctx.out.Integer(moves ? 1 : 0);
  return absl::OkStatus();
}

struct CopyOptions {
  DbIndex db;
  bool replace = false;
};

absl::StatusOr<CopyOptions> ParseCopyOptions(Context& ctx) {
  CopyOptions options{ctx.keys().db()};
  for (size_t i = 3; i < ctx.args.size(); ++i) {
    if (EqualsIgnoreCase(ctx.args[i], "replace")) {
      options.replace = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "db") && i + 1 < ctx.args.size()) {
      TM_ASSIGN_OR_RETURN(options.db, DbArg(ctx, ctx.args[++i]));
    } else {
      return SyntaxError();
    }
  }
  return options;
}

absl::Status Copy(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const CopyOptions options, ParseCopyOptions(ctx));
  if (options.db == ctx.keys().db() && ctx.args[1] == ctx.args[2]) return SameObject();
  Keyspace target = ctx.keys_of(options.db);
  TM_ASSIGN_OR_RETURN(const Key from, ctx.keys().Lookup(ctx.args[1]));
  TM_ASSIGN_OR_RETURN(Key to, target.Find(ctx.args[2]));
  if (!from || (to && !options.replace)) {
    ctx.out.Integer(0);
    return absl::OkStatus();
  }
  // What stood there goes first, as in Redis, so that the name is new in any case.
  if (to) target.Notify(types::EventClass::kNew, "new", to.name);
  if (from.type == types::Type::kString) {
    target.PutString(&to, from.string, from.expire_ms);
  } else {
    const kv::CollectionId collection = target.txn().NewCollectionId();
    TM_RETURN_IF_ERROR(target.CopyRows(from.collection, collection));
    target.PutCollection(&to, from.type, collection, from.count, from.expire_ms, from.extra);
  }
  target.Notify(types::EventClass::kGeneric, "copy_to", to.name);
  ctx.out.Integer(1);
  return absl::OkStatus();
}

constexpr CommandSpec kDatabaseCommands[] = {
    MakeSpec("generic", "copy", -3, kWrite | kDenyOom, kTwoKeys, "RO access/OW update", "6.2.0", Copy,
             "source destination [DB destination-db] [REPLACE]",
             "O(N), N being the number of members of a collection; O(1) for strings",
             "Copies what a key holds, with its expiry, to another key."),
    MakeSpec("generic", "move", 3, kWrite | kFast, kFirstKey, "RW access update", "1.0.0", Move, "key db", "O(1)",
             "Moves a key to another database unless it exists there."),
    MakeSpec("server", "dbsize", 1, kReadonly | kFast, kNoKeys, {}, "1.0.0", DbSize, "", "O(1)",
             "Returns the number of keys in the database."),
    MakeSpec("server", "flushdb", -1, kWrite, kNoKeys, {}, "1.0.0", FlushDb, "[ASYNC | SYNC]", "O(1)",
             "Removes all keys of the database."),
    MakeSpec("server", "flushall", -1, kWrite, kNoKeys, {}, "1.0.0", FlushAll, "[ASYNC | SYNC]",
             "O(N), N being the number of databases", "Removes all keys of all databases."),
    MakeSpec("server", "swapdb", 3, kWrite | kFast, kNoKeys, {}, "4.0.0", SwapDb, "index1 index2",
             "O(N), N being the number of clients that watch keys of the two", "Swaps the contents of two databases."),
};

}  // namespace

std::span<const CommandSpec> DatabaseCommands() { return kDatabaseCommands; }

}  // namespace tidemark::commands
