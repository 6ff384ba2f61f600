// OBJECT: what Redis would say about how a value is kept in memory, by the rules that its clients know.
#include "commands/key_families.h"
#include "commands/server.h"
#include "commands/spec.h"
#include "resp/numbers.h"

namespace tidemark::commands {
namespace {

using types::Key;

// Redis 7.0, object.c: tryObjectEncoding and OBJ_ENCODING_EMBSTR_SIZE_LIMIT.
constexpr size_t kIntCharsMax = 20;
constexpr size_t kEmbstrBytesMax = 44;

std::string_view StringEncoding(std::string_view value) {
  if (value.size() <= kIntCharsMax && resp::ParseInt64(value)) return "int";
  return value.size() <= kEmbstrBytesMax ? "embstr" : "raw";
}

absl::StatusOr<std::string_view> HashEncoding(Context& ctx, const Key& key) {
  const auto entries = static_cast<uint64_t>(ctx.server.config.Integer("hash-max-listpack-entries"));
  const auto bytes = static_cast<uint64_t>(ctx.server.config.Integer("hash-max-listpack-value"));
  if (key.count > entries) return "hashtable";
  bool small = true;
  TM_RETURN_IF_ERROR(ctx.keys().VisitMembers(key.collection, 0, key.count,
                                             [&](std::string_view field, std::string_view value, uint32_t) {
                                               small = field.size() <= bytes && value.size() <= bytes;
                                               return small;
                                             }));
  return small ? "listpack" : "hashtable";
}

absl::StatusOr<std::string_view> SetEncoding(Context& ctx, const Key& key) {
  if (key.count > static_cast<uint64_t>(ctx.server.config.Integer("set-max-intset-entries"))) return "hashtable";
  bool integers = true;
  TM_RETURN_IF_ERROR(
      ctx.keys().VisitMembers(key.collection, 0, key.count, [&](std::string_view member, std::string_view, uint32_t) {
        integers = resp::ParseInt64(member).has_value();
        return integers;
      }));
  return integers ? "intset" : "hashtable";
}

absl::StatusOr<std::string_view> ZsetEncoding(Context& ctx, const Key& key) {
  const auto entries = static_cast<uint64_t>(ctx.server.config.Integer("zset-max-listpack-entries"));
  const auto bytes = static_cast<uint64_t>(ctx.server.config.Integer("zset-max-listpack-value"));
  if (key.count > entries) return "skiplist";
  bool small = true;
  TM_RETURN_IF_ERROR(
      ctx.keys().VisitMembers(key.collection, 0, key.count, [&](std::string_view member, std::string_view, uint32_t) {
        small = member.size() <= bytes;
        return small;
      }));
  return small ? "listpack" : "skiplist";
}

absl::Status Encoding(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[2]));
  switch (key.type) {
    case types::Type::kNone:
      ctx.out.Null();
      break;
    case types::Type::kString:
      ctx.out.Bulk(StringEncoding(key.string));
      break;
    case types::Type::kList:
      ctx.out.Bulk("quicklist");
      break;
    case types::Type::kStream:
      ctx.out.Bulk("stream");
      break;
    case types::Type::kSet: {
      TM_ASSIGN_OR_RETURN(const std::string_view encoding, SetEncoding(ctx, key));
      ctx.out.Bulk(encoding);
      break;
    }
    case types::Type::kZset: {
      TM_ASSIGN_OR_RETURN(const std::string_view encoding, ZsetEncoding(ctx, key));
      ctx.out.Bulk(encoding);
      break;
    }
    default: {
      TM_ASSIGN_OR_RETURN(const std::string_view encoding, HashEncoding(ctx, key));
      ctx.out.Bulk(encoding);
    }
  }
  return absl::OkStatus();
}

absl::Status Freq(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[2]));
  if (key) {
    return InvalidArgument(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
        "between policies at runtime LRU and LFU data will take some time to adjust.");
  }
  ctx.out.Null();
  return absl::OkStatus();
}

absl::Status NumberOrNull(Context& ctx, int64_t number) {
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[2]));
  if (key) {
    ctx.out.Integer(number);
  } else {
    ctx.out.Null();
  }
  return absl::OkStatus();
}

// Nothing is evicted, so nobody keeps the time of the last access.
absl::Status IdleTime(Context& ctx) { return NumberOrNull(ctx, 0); }
absl::Status RefCount(Context& ctx) { return NumberOrNull(ctx, 1); }

absl::Status Help(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "ENCODING <key>", "    Return the encoding that Redis would use for the value of <key>.",
      "FREQ <key>",     "    Return the access frequency of <key>. Needs an LFU policy, which a store on disk has not.",
      "IDLETIME <key>", "    Return the seconds since <key> was used. Always 0: nothing is evicted.",
      "REFCOUNT <key>", "    Return the number of references to the value of <key>. Always 1."};
  HelpReply(ctx, "OBJECT", kLines);
  return absl::OkStatus();
}

constexpr KeyPositions kSecond{2, 2, 1};

constexpr CommandSpec Sub(std::string_view name, std::string_view since, Handler handler, std::string_view complexity,
                          std::string_view summary) {
  return MakeSpec("generic", name, 3, kReadonly, kSecond, "RO", since, handler, "key", complexity, summary);
}

constexpr CommandSpec kSubcommands[] = {
    Sub("encoding", "2.2.3", Encoding, "O(1); a small hash is read",
        "Returns the encoding that Redis would use for a value."),
    Sub("freq", "4.0.0", Freq, "O(1)", "Returns how often a key is used, where a policy keeps count."),
    Sub("idletime", "2.2.3", IdleTime, "O(1)", "Returns the seconds since a key was last used; always 0."),
    Sub("refcount", "2.2.3", RefCount, "O(1)", "Returns the number of references to a value; always 1."),
    MakeSpec("generic", "help", 2, kLoading | kStale, kNoKeys, {}, "6.2.0", Help, "", "O(1)",
             "Lists the subcommands of OBJECT."),
};

constexpr CommandSpec ObjectCommand() {
  CommandSpec spec = MakeSpec("generic", "object", -2, 0, kNoKeys, {}, "2.2.3", UnknownSubcommand, "", "By subcommand.",
                              "Says how values are kept.");
  spec.subcommands = kSubcommands;
  return spec;
}

constexpr CommandSpec kObjectCommands[] = {ObjectCommand()};

}  // namespace

std::span<const CommandSpec> ObjectCommands() { return kObjectCommands; }

}  // namespace tidemark::commands
