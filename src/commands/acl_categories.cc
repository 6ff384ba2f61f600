// Which categories a command is in. Redis derives most of them from a command's flags (server.c,
// setImplicitACLCategories); the rest follow from its group, and a short list has what follows from neither.
#include <algorithm>

#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

constexpr std::string_view kNames[] = {"keyspace",   "read",        "write",    "set",         "sortedset", "list",
                                       "hash",       "string",      "bitmap",   "hyperloglog", "geo",       "stream",
                                       "pubsub",     "admin",       "fast",     "slow",        "blocking",  "dangerous",
                                       "connection", "transaction", "scripting"};

constexpr std::pair<std::string_view, std::string_view> kOfGroup[] = {{"generic", "keyspace"},
                                                                      {"set", "set"},
                                                                      {"sorted-set", "sortedset"},
                                                                      {"list", "list"},
                                                                      {"hash", "hash"},
                                                                      {"string", "string"},
                                                                      {"bitmap", "bitmap"},
                                                                      {"hyperloglog", "hyperloglog"},
                                                                      {"geo", "geo"},
                                                                      {"stream", "stream"},
                                                                      {"connection", "connection"},
                                                                      {"transactions", "transaction"},
                                                                      {"scripting", "scripting"}};

constexpr std::string_view kDangerous[] = {"flushall", "flushdb", "info", "keys",    "lastsave", "migrate",
                                           "restore",  "role",    "sort", "sort_ro", "swapdb",   "restore-asking"};
constexpr std::string_view kAdminToo[] = {"lastsave", "role"};
constexpr std::string_view kKeyspaceToo[] = {"flushall", "flushdb", "dbsize", "swapdb"};

bool Among(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsIn(const CommandTable::Row& row, std::string_view category) {
  const CommandSpec& spec = *row.spec;
  const auto has = [&spec](uint32_t flag) { return (spec.flags & flag) != 0; };
  // A command that only has subcommands has no category but @slow.
  const bool container = !spec.subcommands.empty() && spec.name != "command";
  if (category == "read") return has(kReadonly) && !has(kStateful) && spec.group != "scripting";
  if (category == "write") return has(kWrite);
  if (category == "admin") return has(kAdmin) || Among(kAdminToo, row.full_name);
  if (category == "dangerous") return has(kAdmin) || Among(kDangerous, row.full_name);
  if (category == "pubsub") return has(kPubsub);
  if (category == "fast") return has(kFast);
  if (category == "slow") return !has(kFast);
  if (category == "blocking") return has(kBlocking);
  if (container) return false;
  if (row.full_name == "wait" || row.full_name == "waitaof" ||
      (row.parent != nullptr && row.parent->name == "command") || spec.name == "command") {
    return category == "connection";
  }
  if (category == "keyspace" && Among(kKeyspaceToo, row.full_name)) return true;
  return std::find(std::begin(kOfGroup), std::end(kOfGroup), std::pair(spec.group, category)) != std::end(kOfGroup);
}

}  // namespace

std::span<const std::string_view> AclCategoryNames() { return kNames; }

std::vector<std::string_view> AclCategories(const CommandTable::Row& row) {
  std::vector<std::string_view> categories;
  for (const std::string_view name : kNames) {
    if (IsIn(row, name)) categories.push_back(name);
  }
  return categories;
}

}  // namespace tidemark::commands
