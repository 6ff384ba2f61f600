// Keys of one database, whatever they hold: DEL, RENAME, KEYS and their kind.
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "commands/key_families.h"
#include "commands/spec.h"
#include "resp/glob.h"
#include "types/pages.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::Key;

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

absl::Status NoSuchKey() { return InvalidArgument("ERR no such key"); }

// DEL and UNLINK: what a collection leaves behind is swept later in either case.
absl::Status Del(Context& ctx) {
  int64_t removed = 0;
  for (const std::string_view name : ctx.args.subspan(1)) {
    TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Find(name));
    if (!ctx.keys().Remove(&key)) continue;
    ctx.keys().Notify(EventClass::kGeneric, "del", name);
    ++removed;
  }
  ctx.out.Integer(removed);
  return absl::OkStatus();
}

// EXISTS and TOUCH: nothing is evicted here, so there is no time of the last access to renew.
absl::Status Exists(Context& ctx) {
  int64_t found = 0;
  for (const std::string_view name : ctx.args.subspan(1)) {
    TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(name));
    found += key ? 1 : 0;
  }
  ctx.out.Integer(found);
  return absl::OkStatus();
}

absl::Status Type(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1]));
  ctx.out.Simple(types::TypeName(key.type));
  return absl::OkStatus();
}

void RenameAndTell(Context& ctx, Key* from, Key* to) {
  ctx.keys().Rename(from, to);
  ctx.keys().Notify(EventClass::kGeneric, "rename_from", from->name);
  ctx.keys().Notify(EventClass::kGeneric, "rename_to", to->name);
}

absl::Status Rename(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key from, ctx.keys().Find(ctx.args[1]));
  if (!from) return NoSuchKey();
  if (ctx.args[1] != ctx.args[2]) {
    TM_ASSIGN_OR_RETURN(Key to, ctx.keys().Find(ctx.args[2]));
    RenameAndTell(ctx, &from, &to);
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status RenameNx(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Key from, ctx.keys().Find(ctx.args[1]));
  if (!from) return NoSuchKey();
  TM_ASSIGN_OR_RETURN(Key to, ctx.keys().Find(ctx.args[2]));
  if (!to) RenameAndTell(ctx, &from, &to);
  ctx.out.Integer(from ? 0 : 1);
  return absl::OkStatus();
}

// One read of all keys. Outside the commit lock the database may be flushed under way: then what is left of the old
// contents is no answer, and it is read again.
absl::Status Keys(Context& ctx) {
  const auto contents = [&] { return ctx.keys().txn().db(ctx.keys().db()).contents; };
  const size_t start = ctx.out.size();
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t count = 0;
  kv::CollectionId before;
  do {
    ctx.out.Truncate(start);
    count = 0;
    before = contents();
    TM_RETURN_IF_ERROR(ctx.keys().VisitKeys(0, kNoLimit, [&](const Key& key, uint64_t) {
      if (key && resp::GlobMatch(ctx.args[1], key.name)) {
        ctx.out.Bulk(key.name);
        ++count;
      }
      return true;
    }));
  } while (contents() != before);
  ctx.out.EndDeferred(length, count);
  return absl::OkStatus();
}

// From a random place in the order of keys: one of the next that are alive, so that a key's chance hardly depends on
// the gap before it. Pages grow where much has expired.
absl::Status RandomKey(Context& ctx) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  const auto alive = [](const Key&) { return true; };
  const uint64_t start = random() >> (64 - types::kKeyOrderBits);
  uint64_t cursor = start;
  bool wrapped = false;
  for (size_t rows = 16; !wrapped || cursor <= start; rows = std::min<size_t>(rows * 2, 1024)) {
    TM_ASSIGN_OR_RETURN(const types::KeyPage page, types::ReadKeyPage(ctx.keys(), cursor, rows, alive));
    if (!page.names.empty()) {
      ctx.out.Bulk(page.names[random() % page.names.size()]);
      return absl::OkStatus();
    }
    cursor = page.next;
    if (cursor == 0 && wrapped) break;
    wrapped = wrapped || cursor == 0;
  }
  ctx.out.Null();
  return absl::OkStatus();
}

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, KeyPositions keys,
                           std::string_view key_flags, std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("generic", name, arity, flags, keys, key_flags, since, handler, syntax, complexity, summary);
}

constexpr std::string_view kPerKey = "O(N), N being the number of keys named";

constexpr CommandSpec kKeyCommands[] = {
    Spec("del", -2, kWrite, kEveryKey, "RM delete", "1.0.0", Del, "key [key ...]", kPerKey,
         "Removes keys, whatever they hold."),
    Spec("unlink", -2, kWrite | kFast, kEveryKey, "RM delete", "4.0.0", Del, "key [key ...]", kPerKey,
         "Removes keys; DEL is as fast, since members are swept later in either case."),
    Spec("exists", -2, kReadonly | kFast | kRange, kEveryKey, "RO", "1.0.0", Exists, "key [key ...]", kPerKey,
         "Counts how many of the keys exist; a key named twice counts twice."),
    Spec("touch", -2, kReadonly | kFast | kRange, kEveryKey, "RO", "3.2.1", Exists, "key [key ...]", kPerKey,
         "Counts how many of the keys exist, as EXISTS does."),
    Spec("type", 2, kReadonly | kFast, kFirstKey, "RO", "1.0.0", Type, "key", "O(1)",
         "Returns the type of what a key holds, or none."),
    Spec("rename", 3, kWrite, kTwoKeys, "RW access delete/OW update", "1.0.0", Rename, "key newkey", "O(1)",
         "Gives a key another name, replacing what stood there."),
    Spec("renamenx", 3, kWrite | kFast, kTwoKeys, "RW access delete/OW insert", "1.0.0", RenameNx, "key newkey", "O(1)",
         "Gives a key another name unless that one is taken."),
    Spec("keys", 2, kReadonly | kRange, kNoKeys, {}, "1.0.0", Keys, "pattern",
         "O(N), N being the number of keys in the database", "Returns all keys that match a pattern."),
    Spec("randomkey", 1, kReadonly | kRange, kNoKeys, {}, "1.0.0", RandomKey, "", "O(1)",
         "Returns a key chosen at random."),
};

}  // namespace

std::span<const CommandSpec> KeyCommands() {
  static const auto* const all = [] {
    auto* joined = new std::vector<CommandSpec>(std::begin(kKeyCommands), std::end(kKeyCommands));
    for (const auto family : {DatabaseCommands(), ObjectCommands(), ExpireCommands(), DumpCommands()}) {
      joined->insert(joined->end(), family.begin(), family.end());
    }
    return joined;
  }();
  return *all;
}

}  // namespace tidemark::commands
