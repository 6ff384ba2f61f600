// EVAL and its forms, and SCRIPT. How a script runs: script_run.h; when on which thread: scripts.h.
#include <algorithm>

#include "commands/data_families.h"
#include "commands/script_arguments.h"
#include "commands/script_run.h"
#include "commands/scripts.h"
#include "commands/server.h"
#include "commands/spec.h"
#include "scripting/sha1.h"

namespace tidemark::commands {
namespace {

using scripting::Sha1;
using scripting::Sha1Name;

std::string_view ViewOf(const Sha1Name& name) { return {name.data(), name.size()}; }

absl::Status CompileIn(scripting::Interpreter& interpreter, const Script& script) {
  absl::Status compiled = interpreter.Compile(script.name, std::string_view(script.source).substr(script.body));
  if (compiled.ok()) return compiled;
  return InvalidArgument("ERR Error compiling script (new function): {}", Message(compiled));
}

// The script of that source, compiled in `interpreter` and kept from now on.
absl::StatusOr<std::shared_ptr<const Script>> Keep(Scripts& scripts, scripting::Interpreter& interpreter,
                                                   std::string_view source) {
  const Sha1Name name = Sha1(source);
  std::shared_ptr<const Script> known = scripts.Find(ViewOf(name));
  std::shared_ptr<const Script> script = known;
  if (script == nullptr) {
    TM_ASSIGN_OR_RETURN(Script parsed, ParseScript(ViewOf(name), source));
    script = std::make_shared<Script>(std::move(parsed));
  }
  TM_RETURN_IF_ERROR(CompileIn(interpreter, *script));
  if (known == nullptr) scripts.Add(script);
  return script;
}

absl::StatusOr<std::shared_ptr<const Script>> FindBySha1(Scripts& scripts, scripting::Interpreter& interpreter,
                                                         std::string_view sha1) {
  std::string name(sha1);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  std::shared_ptr<const Script> script = scripts.Find(name);
  if (script == nullptr) return InvalidArgument("NOSCRIPT No matching script. Please use EVAL.");
  TM_RETURN_IF_ERROR(CompileIn(interpreter, *script));
  return script;
}

absl::Status RunScript(Context& ctx, bool by_sha1, bool read_only) {
  TM_ASSIGN_OR_RETURN(const ScriptArguments arguments, ReadEvalArguments(ctx.args));
  Scripts& scripts = *ctx.server.scripts;
  Scripts::Lease lease(scripts);
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<const Script> script,
                      by_sha1 ? FindBySha1(scripts, lease.interpreter(), ctx.args[1])
                              : Keep(scripts, lease.interpreter(), ctx.args[1]));
  ScriptRun run(ctx, script->name, /*is_function=*/false, script->flags, read_only);
  TM_RETURN_IF_ERROR(run.Admit());
  return run.Finish(lease.interpreter().Run(script->name, arguments.keys, arguments.argv, run.seed(), run, ctx.out));
}

absl::Status Eval(Context& ctx) { return RunScript(ctx, false, false); }
absl::Status EvalRo(Context& ctx) { return RunScript(ctx, false, true); }
absl::Status Evalsha(Context& ctx) { return RunScript(ctx, true, false); }
absl::Status EvalshaRo(Context& ctx) { return RunScript(ctx, true, true); }

absl::Status Load(Context& ctx) {
  Scripts::Lease lease(*ctx.server.scripts);
  TM_ASSIGN_OR_RETURN(const auto script, Keep(*ctx.server.scripts, lease.interpreter(), ctx.args[2]));
  ctx.out.Bulk(script->name);
  return absl::OkStatus();
}

absl::Status Exists(Context& ctx) {
  ctx.out.Array(ctx.args.size() - 2);
  for (const std::string_view sha1 : ctx.args.subspan(2)) {
    ctx.out.Integer(ctx.server.scripts->Find(sha1) == nullptr ? 0 : 1);
  }
  return absl::OkStatus();
}

absl::Status Flush(Context& ctx) {
  const Args words = ctx.args.subspan(2);
  const bool known = words.empty() ||
                     (words.size() == 1 && (EqualsIgnoreCase(words[0], "SYNC") || EqualsIgnoreCase(words[0], "ASYNC")));
  if (!known) return InvalidArgument("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  ctx.server.scripts->Flush();
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Kill(Context& ctx) {
  TM_RETURN_IF_ERROR(ctx.server.scripts->Kill(/*function=*/false));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Debug(Context& ctx) {
  if (EqualsIgnoreCase(ctx.args[2], "NO")) {
    ctx.out.Ok();
    return absl::OkStatus();
  }
  if (EqualsIgnoreCase(ctx.args[2], "YES") || EqualsIgnoreCase(ctx.args[2], "SYNC")) {
    return InvalidArgument("ERR the debugger of scripts is not supported");
  }
  return InvalidArgument("ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

absl::Status Help(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "DEBUG <YES | SYNC | NO>",
      "    NO only: there is no debugger.",
      "EXISTS <sha1> [<sha1> ...]",
      "    Which of the scripts are kept.",
      "FLUSH [ASYNC | SYNC]",
      "    Forget all scripts; both words mean the same here.",
      "KILL",
      "    End the script that runs, unless it has written.",
      "LOAD <script>",
      "    Keep a script for EVALSHA, without running it.",
  };
  HelpReply(ctx, "SCRIPT", kLines);
  return absl::OkStatus();
}

constexpr std::string_view kGroup = "scripting";
constexpr std::string_view kDepends = "Depends on the script that is executed.";
constexpr std::string_view kScriptSyntax = "script numkeys [key [key ...]] [arg [arg ...]]";
constexpr std::string_view kSha1Syntax = "sha1 numkeys [key [key ...]] [arg [arg ...]]";

const CommandSpec kSubcommands[] = {
    MakeSpec(kGroup, "debug", 3, kNoScript, kNoKeys, {}, "3.2.0", Debug, "<YES | SYNC | NO>", "O(1)",
             "Answers NO only: there is no debugger."),
    MakeSpec(kGroup, "exists", -3, kNoScript, kNoKeys, {}, "2.6.0", Exists, "sha1 [sha1 ...]",
             "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation)",
             "Tells which scripts are kept."),
    MakeSpec(kGroup, "flush", -2, kNoScript, kNoKeys, {}, "2.6.0", Flush, "[ASYNC | SYNC]",
             "O(N) with N being the number of scripts in cache", "Forgets all scripts."),
    MakeSpec(kGroup, "help", 2, kLoading | kStale, kNoKeys, {}, "5.0.0", Help, "", "O(1)",
             "Describes the subcommands."),
    MakeSpec(kGroup, "kill", 2, kNoScript | kAllowBusy, kNoKeys, {}, "2.6.0", Kill, "", "O(1)",
             "Ends the script that runs, if it has not written yet."),
    MakeSpec(kGroup, "load", 3, kNoScript | kStale, kNoKeys, {}, "2.6.0", Load, "script",
             "O(N) with N being the length in bytes of the script body.",
             "Keeps a script for EVALSHA and returns its SHA-1."),
};

CommandSpec MakeEval(std::string_view name, uint32_t flags, std::string_view since, Handler handler,
                     std::string_view syntax, std::string_view summary) {
  CommandSpec spec =
      MakeSpec(kGroup, name, -3, flags | kScript | kNoScript | kStale | kSkipMonitor | kMovableKeys, kNoKeys,
               (flags & kReadonly) != 0 ? "RO access" : "RW access update", since, handler, syntax, kDepends, summary);
  spec.find_keys = FindScriptKeys;
  return spec;
}

const CommandSpec kCommands[] = {
    MakeEval("eval", kMayReplicate, "2.6.0", Eval, kScriptSyntax, "Runs a script in Lua as one atomic step."),
    MakeEval("eval_ro", kReadonly, "7.0.0", EvalRo, kScriptSyntax, "Runs a script that only reads."),
    MakeEval("evalsha", kMayReplicate, "2.6.0", Evalsha, kSha1Syntax, "Runs a script that is kept, by its SHA-1."),
    MakeEval("evalsha_ro", kReadonly, "7.0.0", EvalshaRo, kSha1Syntax,
             "Runs a script that is kept and only reads, by its SHA-1."),
    {.name = "script",
     .arity = -2,
     .flags = 0,
     .group = kGroup,
     .since = "2.6.0",
     .summary = "About scripts in Lua.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> ScriptCommands() { return kCommands; }

}  // namespace tidemark::commands
