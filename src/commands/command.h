// What a command is: one row of a table (name, arity, flags, key positions, documentation) and one function. COMMAND
// and its subcommands, the dispatcher, ACL categories and docs/commands.md all come from the table; nothing about a
// command is said twice.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "resp/writer.h"
#include "types/keyspace.h"

namespace tidemark::commands {

class Client;
class Dispatcher;
struct Server;

// The words of a request; args[0] is the command as the client spelled it. The views last for the call.
using Args = std::span<const std::string_view>;

// Which keys a command waits for, and how long (key_wait.h makes one). What a handler that may wait relies on
// (BLPOP, BZPOPMIN, XREAD; flag kBlocking, and kWrite or kReadonly):
//
// - First run, `ready_key` unset: who finds something replies. Who finds nothing sets `key_wait` where `may_wait`, and
//   returns OK without having changed or written anything; in EXEC or a script, where it may not, it replies with what
//   means nothing. The dispatcher notes the waiter before the transaction ends, so that no change falls between.
// - Each time that a committed transaction has changed one of the keys (whatever did: LPUSH, RENAME, RESTORE, SWAPDB,
//   also their removal), the handler runs again with the same arguments (or `args`) in a transaction of the same kind,
//   over the database of then, with `ready_key` set to that key: it looks at that one alone. What is not there, or has
//   another type, makes it set `key_wait` once more (only that it is set counts), and it keeps its place in the line. A
//   reply or an error ends the waiting.
// - A key's waiters are served in order of arrival, keys in order of their changes, all by the thread that committed,
//   before it runs its next command. `ctx.client` then is a stand-in with what the client was when it began to wait.
struct KeyWait {
  std::vector<std::string> keys;
  uint64_t timeout_ms = 0;  // 0: for ever
  std::string timed_out;    // reply, as RESP
  // What one waiter of this command's group finds missing at a key, every other of the group finds missing: they are
  // not tried then. False for streams, whose waiters differ in ids and groups.
  bool alike = true;
  // The arguments with which the handler runs again, where those of the request would mean something else by then
  // (XREAD's "$"); empty: the same.
  std::vector<std::string> args = {};
};

// How long a script may run where it runs.
enum class ScriptPace : uint8_t {
  kToTheEnd,   // until it ends; others wait
  kShort,      // on an I/O thread: after some milliseconds it fails with TooSlow() and shall run again on a worker
  kLong,       // on a worker, while others are turned away: until it ends or is killed
  kRehearsal,  // on a worker, without effect: after some time it fails with TooSlow()
};
absl::Status TooSlow();
bool IsTooSlow(const absl::Status& status);

// A message that a script publishes: sent once its transaction has committed.
struct Publication {
  bool sharded;
  std::string channel;
  std::string message;
};

// What a handler works with. `keys` is there for commands with kWrite or kReadonly only.
struct Context {
  Args args;
  resp::Writer& out;
  Client& client;
  Server& server;
  types::Keyspace* keyspace = nullptr;
  // The handler may set client.deferred and answer later (deferred.h).
  bool may_wait = false;
  // Called by a script, or within EXEC.
  bool in_script = false;
  bool in_exec = false;
  // Who runs this command, for those that run others (EVAL). Null in tests that have none.
  Dispatcher* dispatcher = nullptr;
  // Waiting for keys, as KeyWait says.
  std::optional<std::string_view> ready_key = std::nullopt;
  ScriptPace pace = ScriptPace::kToTheEnd;
  // Where messages go that must wait for the commit; null: nowhere, they may be sent at once.
  std::vector<Publication>* publications = nullptr;
  // Set by a script whose error a command of its own made: that was counted then.
  bool error_counted = false;
  std::optional<KeyWait> key_wait = std::nullopt;

  types::Keyspace& keys() { return *keyspace; }
  // A keyspace over another database within the same transaction (COPY, MOVE).
  types::Keyspace keys_of(DbIndex db) {
    types::Keyspace other(keyspace->txn(), db);
    other.GatherEvents(keyspace->events());
    return other;
  }
};

// A handler either writes one whole reply to ctx.out and returns OK, or sets client.deferred and returns OK, or returns
// the error that the client shall get, whole and as Redis words it ("ERR syntax error"), by InvalidArgument(…). After
// an error the dispatcher takes back every change of the command and whatever stands of its reply. Errors of the
// keyspace (a cold row among them) are passed up as they are. A handler may run more than once for one request and on a
// worker thread (rehearsed, to bring rows into memory): with kWrite or kReadonly it must have no effect but through
// ctx.keyspace and ctx.out, unless it also has kStateful.
using Handler = absl::Status (*)(Context& ctx);

// Redis's flags (COMMAND INFO), then ours.
enum Flag : uint32_t {
  kWrite = 1u << 0,
  kReadonly = 1u << 1,
  kDenyOom = 1u << 2,  // may grow the data: refused while the disk is nearly full
  kAdmin = 1u << 3,
  kPubsub = 1u << 4,
  kNoScript = 1u << 5,
  kBlocking = 1u << 6,
  kLoading = 1u << 7,
  kStale = 1u << 8,
  kFast = 1u << 9,
  kNoAuth = 1u << 10,
  kNoMulti = 1u << 11,
  kMovableKeys = 1u << 12,
  kMayReplicate = 1u << 13,
  kSkipSlowlog = 1u << 14,
  kSkipMonitor = 1u << 15,
  kAllowBusy = 1u << 16,
  kNoAsyncLoading = 1u << 17,
  // Reads more than a few rows, or keys in several places: when rehearsed on a worker its reply from there is final.
  kRange = 1u << 24,
  // Has effects beside the keyspace (WATCH); never rehearsed.
  kStateful = 1u << 25,
  // Runs commands of its own (EVAL, FCALL): in a transaction that may write, unless kReadonly or the node is a replica.
  kScript = 1u << 26,
};

struct KeyPositions {
  int first = 0;  // 0: no keys
  int last = 0;   // negative: counted from the end
  int step = 0;
};

struct CommandSpec {
  std::string_view name;  // lower case; a subcommand's own word
  int arity;              // as Redis counts: with the name; negative is "at least"
  uint32_t flags;
  KeyPositions keys = {};
  std::string_view group;    // "string", "hash", "generic", "bitmap", "connection", "server", "pubsub", "transactions"
  std::string_view since;    // Redis version that introduced it
  std::string_view summary;  // our own words
  std::string_view complexity;
  std::string_view syntax;  // arguments as Redis's documentation writes them: "key value [NX | XX] [GET]"
  Handler handler;
  std::span<const CommandSpec> subcommands = {};
  // For commands with kMovableKeys or key positions that depend on the arguments: positions of keys in args.
  std::vector<int> (*find_keys)(Args args) = nullptr;
  // Key specification flags of COMMAND INFO where the default ("RO access" / "RW update") is not right, e.g. "OW
  // update".
  // For several specifications of one key each, the last of which takes all keys that are left: "OW update/RO access".
  std::string_view key_flags = {};
};

// One table a family, each in a file of its own (string_commands.cc …).
std::span<const CommandSpec> StringCommands();
std::span<const CommandSpec> BitCommands();
std::span<const CommandSpec> HashCommands();
std::span<const CommandSpec> KeyCommands();
std::span<const CommandSpec> ScanCommands();
std::span<const CommandSpec> TransactionCommands();
std::span<const CommandSpec> PubsubCommands();
std::span<const CommandSpec> ConnectionCommands();
std::span<const CommandSpec> ClientCommands();
std::span<const CommandSpec> ServerCommands();
std::span<const CommandSpec> BackupCommands();
std::span<const CommandSpec> IntrospectionCommands();

class CommandTable {
 public:
  // The one table of all families, made at the first call.
  static const CommandTable& Get();

  // Case-insensitive; null when unknown.
  const CommandSpec* Find(std::string_view name) const;
  // The row that applies to a request: a subcommand's where the command has them and args[1] names one, else the
  // command's own.
  const CommandSpec* Resolve(Args args) const;
  // Every command, without subcommands.
  std::span<const CommandSpec* const> all() const { return all_; }

  // Every command and subcommand; a row's place is its number, by which statistics are kept.
  struct Row {
    const CommandSpec* spec;
    const CommandSpec* parent;  // null for a command
    std::string full_name;
  };
  std::span<const Row> rows() const { return rows_; }
  // Place in rows() of a spec of this table. A few ns.
  size_t Number(const CommandSpec& spec) const;
  const Row& row(const CommandSpec& spec) const { return rows_[Number(spec)]; }

 private:
  CommandTable();
  ~CommandTable();
  std::vector<const CommandSpec*> all_;
  std::vector<Row> rows_;
  struct Index;
  std::unique_ptr<Index> index_;
};

// Positions (in args) of the request's keys.
std::vector<int> FindKeys(const CommandSpec& spec, Args args);
// "config|get" for a subcommand, else the name: as COMMAND, SLOWLOG and LATENCY call it. `parent` may be null.
std::string FullName(const CommandSpec* parent, const CommandSpec& spec);

// A status of a handler, the engine or the keyspace as a line for the client: those that handlers make are whole
// already.
std::string ErrorLine(const absl::Status& status);

// Errors that many commands share, as Redis words them.
absl::Status SyntaxError();                                     // ERR syntax error
absl::Status NotAnInteger();                                    // ERR value is not an integer or out of range
absl::Status NotAFloat();                                       // ERR value is not a valid float
absl::Status WrongArity(std::string_view full_name);            // ERR wrong number of arguments for 'x' command
absl::Status InvalidExpire(std::string_view command);           // ERR invalid expire time in 'x' command
absl::StatusOr<int64_t> IntegerArg(std::string_view arg);       // or NotAnInteger()
bool EqualsIgnoreCase(std::string_view a, std::string_view b);  // ASCII

// Handler of a command that only has subcommands: what a client gets whose args[1] names none of them.
absl::Status UnknownSubcommand(Context& ctx);
// The reply to "COMMAND HELP": Redis's first and last lines around `lines`, two for each subcommand.
void HelpReply(Context& ctx, std::string_view command, std::span<const std::string_view> lines);

}  // namespace tidemark::commands
