// FUNCTION and FCALL. Libraries are rows (function_set.h); an interpreter compiles the one it needs when it first needs
// it.
#include <algorithm>
#include <chrono>

#include "base/arguments.h"
#include "base/glob.h"
#include "commands/data_families.h"
#include "commands/function_set.h"
#include "commands/script_arguments.h"
#include "commands/script_run.h"
#include "commands/scripts.h"
#include "commands/server.h"
#include "commands/spec.h"
#include "format/rdb_functions.h"
#include "scripting/sha1.h"

namespace tidemark::commands {
namespace {

using scripting::FunctionInfo;

constexpr std::string_view kBadName =
    "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
constexpr std::chrono::milliseconds kLoadMax{500};

// Who a library talks to while it loads: nobody.
class LoadingHost final : public scripting::Host {
 public:
  explicit LoadingHost(Server& server) : server_(server) {}
  bool Call(scripting::Words, resp::Writer& reply) override {
    reply.Error("ERR redis.call can only be called inside a script invocation");
    return true;
  }
  absl::StatusOr<bool> MayCall(scripting::Words) override { return false; }
  void Log(int level, std::string_view text) override { server_.host.LogOfScript(level, text); }
  Verdict Check() override {
    return std::chrono::steady_clock::now() - begun_ < kLoadMax ? Verdict::kGoOn : Verdict::kTimeout;
  }

 private:
  Server& server_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

bool IsLibraryName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](unsigned char c) { return c == '_' || (c < 0x80 && std::isalnum(c) != 0); });
}

// "#!lua name=NAME" of the first line.
absl::StatusOr<std::string> ReadLibraryName(std::string_view code) {
  if (!code.starts_with("#!")) return InvalidArgument("ERR Missing library metadata");
  const size_t end = code.find('\n');
  std::string storage;
  std::vector<std::string_view> words;
  if (end == std::string_view::npos || !SplitArguments(code.substr(0, end), &storage, &words) || words.empty()) {
    return InvalidArgument("ERR Invalid library metadata");
  }
  std::optional<std::string> name;
  for (const std::string_view word : std::span(words).subspan(1)) {
    constexpr std::string_view kName = "name=";
    if (!word.starts_with(kName)) return InvalidArgument("ERR Invalid metadata value given: {}", word);
    if (name) return InvalidArgument("ERR Invalid metadata value, name argument was given multiple times");
    name = word.substr(kName.size());
  }
  if (!name) return InvalidArgument("ERR Library name was not given");
  if (!IsLibraryName(*name)) return absl::InvalidArgumentError(ToAbsl(kBadName));
  const std::string_view engine = words[0].substr(2);
  if (!EqualsIgnoreCase(engine, "lua")) return InvalidArgument("ERR Engine '{}' not found", engine);
  return *name;
}

std::string IdentityOf(std::string_view code) {
  const scripting::Sha1Name name = scripting::Sha1(code);
  return {name.data(), name.size()};
}

// Runs the code of a library to learn what it registers.
absl::StatusOr<std::shared_ptr<const FunctionLibrary>> MakeLibrary(Context& ctx, std::string_view name,
                                                                   std::string_view code) {
  auto library = std::make_shared<FunctionLibrary>();
  library->name = name;
  library->code = code;
  library->identity = IdentityOf(code);
  Scripts::Lease lease(*ctx.server.scripts);
  LoadingHost host(ctx.server);
  auto functions = lease.interpreter().LoadLibrary(library->identity, library->body(), host);
  if (!functions.ok()) return InvalidArgument("ERR {}", Message(functions.status()));
  library->functions = *std::move(functions);
  return library;
}

// INVALID_ARGUMENT when a function of `library` is one of another library's, too.
absl::Status RefuseCollisions(const FunctionSet::Libraries& libraries, const FunctionLibrary& library) {
  for (const auto& [name, other] : libraries) {
    if (name == library.name) continue;
    for (const FunctionInfo& theirs : other->functions) {
      for (const FunctionInfo& ours : library.functions) {
        if (EqualsIgnoreCase(theirs.name, ours.name))
          return InvalidArgument("ERR Function {} already exists", ours.name);
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const FunctionSet>> Now(Context& ctx) {
  return ctx.server.scripts->functions().Get(ctx.keys().txn());
}

absl::Status Load(Context& ctx) {
  bool replace = false;
  for (const std::string_view word : ctx.args.subspan(2, ctx.args.size() - 3)) {
    if (!EqualsIgnoreCase(word, "REPLACE")) return InvalidArgument("ERR Unknown option given: {}", word);
    replace = true;
  }
  const std::string_view code = ctx.args.back();
  TM_ASSIGN_OR_RETURN(const std::string name, ReadLibraryName(code));
  TM_ASSIGN_OR_RETURN(const auto now, Now(ctx));
  if (!replace && now->libraries().contains(name)) return InvalidArgument("ERR Library '{}' already exists", name);
  TM_ASSIGN_OR_RETURN(const auto library, MakeLibrary(ctx, name, code));
  TM_RETURN_IF_ERROR(RefuseCollisions(now->libraries(), *library));
  FunctionSet::Libraries libraries = now->libraries();
  libraries.insert_or_assign(name, library);
  ctx.server.scripts->functions().Put(ctx.keys().txn(), *now, std::move(libraries));
  ctx.out.Bulk(name);
  return absl::OkStatus();
}

absl::Status Delete(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const auto now, Now(ctx));
  FunctionSet::Libraries libraries = now->libraries();
  const auto found = libraries.find(ctx.args[2]);
  if (found == libraries.end()) return InvalidArgument("ERR Library not found");
  libraries.erase(found);
  ctx.server.scripts->functions().Put(ctx.keys().txn(), *now, std::move(libraries));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status WrongSubcommandArity(std::string_view name) {
  return InvalidArgument("ERR unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.", name);
}

absl::Status Flush(Context& ctx) {
  if (ctx.args.size() > 3) return WrongSubcommandArity(ctx.args[1]);
  if (ctx.args.size() == 3 && !EqualsIgnoreCase(ctx.args[2], "SYNC") && !EqualsIgnoreCase(ctx.args[2], "ASYNC")) {
    return InvalidArgument("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  }
  TM_ASSIGN_OR_RETURN(const auto now, Now(ctx));
  if (!now->libraries().empty()) ctx.server.scripts->functions().Put(ctx.keys().txn(), *now, {});
  ctx.out.Ok();
  return absl::OkStatus();
}

void WriteFunction(resp::Writer& out, const FunctionInfo& function) {
  out.Map(3);
  out.Bulk("name");
  out.Bulk(function.name);
  out.Bulk("description");
  function.description.empty() ? out.Null() : out.Bulk(function.description);
  out.Bulk("flags");
  const auto flags = out.BeginDeferred(resp::Writer::Kind::kSet);
  size_t count = 0;
  for (const scripting::FlagName& flag : scripting::FlagNames()) {
    if ((function.flags & flag.flag) == 0) continue;
    out.Simple(flag.name);
    ++count;
  }
  out.EndDeferred(flags, count);
}

void WriteLibrary(resp::Writer& out, const FunctionLibrary& library, bool with_code) {
  out.Map(with_code ? 4 : 3);
  out.Bulk("library_name");
  out.Bulk(library.name);
  out.Bulk("engine");
  out.Bulk("LUA");
  out.Bulk("functions");
  out.Array(library.functions.size());
  for (const FunctionInfo& function : library.functions) WriteFunction(out, function);
  if (!with_code) return;
  out.Bulk("library_code");
  out.Bulk(library.code);
}

absl::Status List(Context& ctx) {
  bool with_code = false;
  std::optional<std::string_view> pattern;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const std::string_view word = ctx.args[i];
    if (!with_code && EqualsIgnoreCase(word, "WITHCODE")) {
      with_code = true;
    } else if (!pattern && EqualsIgnoreCase(word, "LIBRARYNAME")) {
      if (++i == ctx.args.size()) return InvalidArgument("ERR library name argument was not given");
      pattern = ctx.args[i];
    } else {
      return InvalidArgument("ERR Unknown argument {}", word);
    }
  }
  TM_ASSIGN_OR_RETURN(const auto now, Now(ctx));
  const auto list = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t count = 0;
  for (const auto& [name, library] : now->libraries()) {
    if (pattern && !GlobMatch(*pattern, name, /*nocase=*/true)) continue;
    WriteLibrary(ctx.out, *library, with_code);
    ++count;
  }
  ctx.out.EndDeferred(list, count);
  return absl::OkStatus();
}

absl::Status Dump(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const auto now, Now(ctx));
  std::vector<std::string_view> codes;
  for (const auto& [name, library] : now->libraries()) codes.push_back(library->code);
  ctx.out.Bulk(format::RdbFunctionsPayload(codes));
  return absl::OkStatus();
}

absl::Status Restore(Context& ctx) {
  if (ctx.args.size() > 4) return WrongSubcommandArity(ctx.args[1]);
  const std::string_view policy = ctx.args.size() == 4 ? ctx.args[3] : "APPEND";
  const bool flush = EqualsIgnoreCase(policy, "FLUSH");
  const bool replace = EqualsIgnoreCase(policy, "REPLACE");
  if (!flush && !replace && !EqualsIgnoreCase(policy, "APPEND")) {
    return InvalidArgument("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
  }
  const auto codes = format::DecodeRdbFunctions(ctx.args[2]);
  if (absl::IsDataLoss(codes.status())) return InvalidArgument("ERR DUMP payload version or checksum are wrong");
  if (!codes.ok()) return InvalidArgument("ERR {}", Message(codes.status()));
  TM_ASSIGN_OR_RETURN(const auto now, Now(ctx));
  FunctionSet::Libraries libraries = flush ? FunctionSet::Libraries() : now->libraries();
  std::vector<std::shared_ptr<const FunctionLibrary>> restored;
  for (const std::string& code : *codes) {
    TM_ASSIGN_OR_RETURN(const std::string name, ReadLibraryName(code));
    TM_ASSIGN_OR_RETURN(const auto library, MakeLibrary(ctx, name, code));
    if (!replace && libraries.contains(name)) return InvalidArgument("ERR Library {} already exists", name);
    libraries.insert_or_assign(name, library);
    restored.push_back(library);
  }
  for (const auto& library : restored) TM_RETURN_IF_ERROR(RefuseCollisions(libraries, *library));
  ctx.server.scripts->functions().Put(ctx.keys().txn(), *now, std::move(libraries));
  ctx.out.Ok();
  return absl::OkStatus();
}

void WriteRunning(resp::Writer& out, const LongScript& script) {
  const auto elapsed = std::chrono::steady_clock::now() - script.begun;
  out.Map(3);
  out.Bulk("name");
  out.Bulk(script.name);
  out.Bulk("command");
  out.Array(script.command.size());
  for (const std::string& word : script.command) out.Bulk(word);
  out.Bulk("duration_ms");
  out.Integer(std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count());
}

// Beside a slow function it tells of that; what it knows of libraries is then what was known before.
absl::Status Stats(Context& ctx) {
  Scripts& scripts = *ctx.server.scripts;
  const std::shared_ptr<LongScript> running = scripts.Busy();
  if (running != nullptr && !running->is_function) return scripts.RefuseIfBusy();
  if (running == nullptr) {
    absl::Status read =
        ctx.server.engine.TryRead(kv::Tier::kDisk, [&](kv::Txn& txn) { return scripts.functions().Get(txn).status(); });
    if (!read.ok() && !engine::IsStalled(read)) return read;
  }
  const std::shared_ptr<const FunctionSet> now = scripts.functions().latest();
  ctx.out.Map(2);
  ctx.out.Bulk("running_script");
  running == nullptr ? ctx.out.Null() : WriteRunning(ctx.out, *running);
  ctx.out.Bulk("engines");
  ctx.out.Map(1);
  ctx.out.Bulk("LUA");
  ctx.out.Map(2);
  ctx.out.Bulk("libraries_count");
  ctx.out.Integer(static_cast<int64_t>(now->libraries().size()));
  ctx.out.Bulk("functions_count");
  ctx.out.Integer(static_cast<int64_t>(now->functions()));
  return absl::OkStatus();
}

absl::Status Kill(Context& ctx) {
  TM_RETURN_IF_ERROR(ctx.server.scripts->Kill(/*function=*/true));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Help(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "DELETE <library>",
      "    Remove a library with its functions.",
      "DUMP",
      "    All libraries as one string, for FUNCTION RESTORE.",
      "FLUSH [ASYNC | SYNC]",
      "    Remove all libraries; both words mean the same here.",
      "KILL",
      "    End the function that runs, unless it has written.",
      "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
      "    Describe the libraries and their functions.",
      "LOAD [REPLACE] <code>",
      "    Make a library; the first line of its code names it.",
      "RESTORE <payload> [FLUSH | APPEND | REPLACE]",
      "    Take in what FUNCTION DUMP gave: instead of all, beside what is there (as by default), or replacing names.",
      "STATS",
      "    Which function runs, and what engines there are.",
  };
  HelpReply(ctx, "FUNCTION", kLines);
  return absl::OkStatus();
}

// The interpreter has the library compiled, and none that is no more.
absl::Status Prepare(Context& ctx, Scripts::Lease& lease, const FunctionSet& set, const FunctionLibrary& library) {
  scripting::Interpreter& interpreter = lease.interpreter();
  if (lease.functions() != set.generation()) {
    std::vector<std::string> identities;
    for (const auto& [name, known] : set.libraries()) identities.push_back(known->identity);
    interpreter.KeepLibraries(identities);
    lease.functions() = set.generation();
  }
  if (interpreter.HasLibrary(library.identity)) return absl::OkStatus();
  LoadingHost host(ctx.server);
  const absl::Status loaded = interpreter.LoadLibrary(library.identity, library.body(), host).status();
  return loaded.ok() ? loaded : InvalidArgument("ERR {}", Message(loaded));
}

absl::Status CallFunction(Context& ctx, bool read_only) {
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<const FunctionSet> set, Now(ctx));
  const FunctionSet::Place* place = set->Find(ctx.args[1]);
  if (place == nullptr) return InvalidArgument("ERR Function not found");
  TM_ASSIGN_OR_RETURN(const ScriptArguments arguments, ReadCallArguments(ctx.args));
  const FunctionInfo& function = *place->function;
  Scripts::Lease lease(*ctx.server.scripts);
  TM_RETURN_IF_ERROR(Prepare(ctx, lease, *set, *place->library));
  ScriptRun run(ctx, function.name, /*is_function=*/true, function.flags, read_only);
  TM_RETURN_IF_ERROR(run.Admit());
  return run.Finish(lease.interpreter().RunFunction(place->library->identity, function.name, arguments.keys,
                                                    arguments.argv, run.seed(), run, ctx.out));
}

absl::Status Fcall(Context& ctx) { return CallFunction(ctx, false); }
absl::Status FcallRo(Context& ctx) { return CallFunction(ctx, true); }

constexpr std::string_view kGroup = "scripting";
constexpr std::string_view kCallSyntax = "function numkeys [key [key ...]] [arg [arg ...]]";
// Redis does not call it reading, and what is read is small.
constexpr uint32_t kReadsLibraries = kReadonly | kStateful;

const CommandSpec kSubcommands[] = {
    MakeSpec(kGroup, "delete", 3, kNoScript | kWrite, kNoKeys, {}, "7.0.0", Delete, "library-name", "O(1)",
             "Deletes a library with all its functions."),
    MakeSpec(kGroup, "dump", 2, kNoScript | kReadsLibraries, kNoKeys, {}, "7.0.0", Dump, "",
             "O(N) where N is the number of functions", "Serializes all libraries."),
    MakeSpec(kGroup, "flush", -2, kNoScript | kWrite, kNoKeys, {}, "7.0.0", Flush, "[ASYNC | SYNC]",
             "O(N) where N is the number of functions deleted", "Deletes all libraries."),
    MakeSpec(kGroup, "help", 2, kLoading | kStale, kNoKeys, {}, "7.0.0", Help, "", "O(1)",
             "Describes the subcommands."),
    MakeSpec(kGroup, "kill", 2, kNoScript | kAllowBusy, kNoKeys, {}, "7.0.0", Kill, "", "O(1)",
             "Ends the function that runs, if it has not written yet."),
    MakeSpec(kGroup, "list", -2, kNoScript | kReadsLibraries, kNoKeys, {}, "7.0.0", List,
             "[LIBRARYNAME library-name-pattern] [WITHCODE]", "O(N) where N is the number of functions",
             "Lists libraries and their functions."),
    MakeSpec(kGroup, "load", -3, kNoScript | kWrite | kDenyOom, kNoKeys, {}, "7.0.0", Load, "[REPLACE] function-code",
             "O(1) (considering compilation time is redundant)", "Makes a library of functions."),
    MakeSpec(kGroup, "restore", -3, kNoScript | kWrite | kDenyOom, kNoKeys, {}, "7.0.0", Restore,
             "serialized-value [FLUSH | APPEND | REPLACE]", "O(N) where N is the number of functions on the payload",
             "Makes the libraries that FUNCTION DUMP serialized."),
    MakeSpec(kGroup, "stats", 2, kNoScript | kAllowBusy, kNoKeys, {}, "7.0.0", Stats, "", "O(1)",
             "Tells of the function that runs now, and how many there are."),
};

CommandSpec MakeCall(std::string_view name, uint32_t flags, Handler handler, std::string_view summary) {
  CommandSpec spec = MakeSpec(kGroup, name, -3, flags | kScript | kNoScript | kStale | kSkipMonitor | kMovableKeys,
                              kNoKeys, (flags & kReadonly) != 0 ? "RO access" : "RW access update", "7.0.0", handler,
                              kCallSyntax, "Depends on the function that is executed.", summary);
  spec.find_keys = FindScriptKeys;
  return spec;
}

const CommandSpec kCommands[] = {
    MakeCall("fcall", kMayReplicate, Fcall, "Calls a function of a library as one atomic step."),
    MakeCall("fcall_ro", kReadonly, FcallRo, "Calls a function that only reads."),
    {.name = "function",
     .arity = -2,
     .flags = 0,
     .group = kGroup,
     .since = "7.0.0",
     .summary = "About functions in Lua.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> FunctionCommands() { return kCommands; }

}  // namespace tidemark::commands
