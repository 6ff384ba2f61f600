#include "commands/commands_page.h"

#include <algorithm>

#include "base/check.h"
#include "commands/command.h"

namespace tidemark::commands {
namespace {

struct Difference {
  std::string_view command;  // full name
  std::string_view text;
};

// Where a command answers otherwise than Redis 7.0.15 would.
constexpr Difference kDifferences[] = {
    {"acl|cat", "Knows the commands served here."},
    {"bgrewriteaof", "An error: the log is purged by itself."},
    {"bgsave", "Makes a snapshot by hard links instead of a dump file."},
    {"client|caching", "An error: there is no tracking yet."},
    {"client|kill", "The only user is `default`."},
    {"client|list", "Buffer sizes that Tidemark does not have are 0."},
    {"client|tracking", "`OFF` only."},
    {"command|docs", "No history; names of compound arguments may be others."},
    {"command|info", "No command tips."},
    {"debug", "`DIGEST`, `SLEEP` and `SET-ACTIVE-EXPIRE` only."},
    {"expiry|help", "Redis has no such command."},
    {"expiry|status", "Redis has no such command."},
    {"expiry|thaw", "Redis has no such command."},
    {"info", "More sections: Log, Store and Backup."},
    {"lastsave", "Time of the last snapshot; of the start when there was none."},
    {"lolwut", "A tide."},
    {"memory|malloc-stats", "Empty where the server was built without jemalloc."},
    {"memory|stats", "Figures of the caches; no `db.N` entries."},
    {"memory|usage", "Bytes of the rows of key and value, in memory or on disk."},
    {"module|list", "Empty: there are no modules."},
    {"export", "Redis has no such command."},
    {"leases", "Redis has no such command."},
    {"pfcount", "Does not write the estimate back into the value; a read changes nothing."},
    {"pfselftest", "Other checks, as thorough."},
    {"replconf", "`rpc-port` without a value tells the port of gRPC, which replicas use."},
    {"save", "Makes a snapshot by hard links instead of a dump file."},
    {"script|debug", "`NO` only: there is no debugger."},
    {"shutdown",
     "Completes the archives of the backup tasks first, but with `NOSAVE` or `NOW`; `FORCE` changes nothing."},
    {"waitaof", "As in Redis 7.2."},
};

// Commands of Redis 7.0 that are not served yet, by group.
struct Absent {
  std::string_view group;
  std::string_view commands;
};
constexpr Absent kAbsent[] = {
    {"cluster", "cluster readonly readwrite"},
    {"generic", "migrate"},
    {"server", "module|help module|load module|loadex module|unload"},
};

// Arguments in a cell of a table.
std::string Code(std::string_view text) {
  if (text.empty()) return "";
  std::string cell = "`";
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell + "`";
}

std::string Upper(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = c == '|' ? ' ' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return upper;
}

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string_view DifferenceOf(std::string_view full_name) {
  const auto* found = std::find_if(std::begin(kDifferences), std::end(kDifferences),
                                   [full_name](const Difference& d) { return d.command == full_name; });
  return found == std::end(kDifferences) ? "" : found->text;
}

}  // namespace

std::string CommandsPage() {
  const CommandTable& table = CommandTable::Get();
  std::string page =
      "# Commands\n\n"
      "Written from the command table; to change it, change the table in `src/commands/` and run\n"
      "`TM_WRITE_DOCS=1 commands_test`. Names, arguments, replies and errors are those of Redis 7.0.15, but where the "
      "last\n"
      "column says otherwise. The group `backup` is Tidemark's own; `since` counts its versions there.\n";
  std::vector<const CommandTable::Row*> rows;
  for (const CommandTable::Row& row : table.rows()) {
    if (row.spec->subcommands.empty() || row.spec->name == "command") rows.push_back(&row);
  }
  std::sort(rows.begin(), rows.end(), [](const auto* a, const auto* b) {
    return std::pair(a->spec->group, a->full_name) < std::pair(b->spec->group, b->full_name);
  });
  for (const Difference& difference : kDifferences) {
    TM_CHECK(
        std::any_of(rows.begin(), rows.end(), [&](const auto* row) { return row->full_name == difference.command; }),
        "{} differs, but is no command", difference.command);
  }
  for (const Absent& absent : kAbsent) {
    for (const std::string_view name : Words(absent.commands)) {
      TM_CHECK(std::none_of(rows.begin(), rows.end(), [name](const auto* row) { return row->full_name == name; }),
               "{} is served, and listed as if it were not", name);
    }
  }
  std::string_view group;
  for (const CommandTable::Row* row : rows) {
    const CommandSpec& spec = *row->spec;
    if (spec.group != group) {
      group = spec.group;
      page += fmt::format(
          "\n## {}\n\n| command | since | arguments | what it does | differs from Redis |\n"
          "|---|---|---|---|---|\n",
          group);
    }
    page += fmt::format("| {} | {} | {} | {} | {} |\n", Upper(row->full_name), spec.since, Code(spec.syntax),
                        spec.summary, DifferenceOf(row->full_name));
  }
  page += "\n## Not served yet\n\n| group | commands |\n|---|---|\n";
  for (const Absent& absent : kAbsent) page += fmt::format("| {} | {} |\n", absent.group, Upper(absent.commands));
  return page;
}

}  // namespace tidemark::commands
