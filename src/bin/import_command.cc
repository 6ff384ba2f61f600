#include "bin/import_command.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "bin/import.h"
#include "bin/output.h"
#include "env/clock.h"

namespace tidemark::bin {
namespace {

constexpr int kUsage = 1;
constexpr int kDamage = 2;
constexpr int kFailed = 4;

constexpr const char* kFooter =
    "The target is any server that speaks Redis's protocol. Keys are made by commands, so they go through its log, its "
    "replicas and its backups like any others. An import that was interrupted is begun anew with --replace.\n"
    "Exit codes: 0 all there; 1 wrong use, or a target that is not empty; 2 a file is damaged (named); 4 the target "
    "cannot be reached, or refused a command.";

struct ImportArguments {
  std::string path;
  std::string to = "127.0.0.1:6379";
  Credentials credentials;
  bool replace = false;
  bool drop_field_expiries = false;
};

// A line on standard error: drawn over on a terminal, else one every few seconds.
class Progress {
 public:
  explicit Progress(uint64_t total) : total_(total), terminal_(isatty(STDERR_FILENO) != 0), started_(Now()) {}
  ~Progress() {
    if (terminal_ && shown_at_ != 0) fmt::print(stderr, "\n");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void BeginFile(uint64_t before) { before_ = before; }
  void Tell(uint64_t read) {
    const uint64_t now = Now();
    const uint64_t every = terminal_ ? 200'000 : 5'000'000;
    if (now - std::max(shown_at_, started_) < every) return;
    shown_at_ = now;
    const uint64_t done = before_ + read;
    const double percent = total_ == 0 ? 100 : 100 * static_cast<double>(done) / static_cast<double>(total_);
    fmt::print(stderr, "{}{:5.1f} %  {} of {}  {}{}", terminal_ ? "\r" : "", percent, HumanSize(done),
               HumanSize(total_), HumanDuration(now - started_), terminal_ ? "   " : "\n");
    std::fflush(stderr);
  }

 private:
  static uint64_t Now() { return Clock::System().WallMicros(); }

  const uint64_t total_;
  const bool terminal_;
  const uint64_t started_;
  uint64_t shown_at_ = 0;
  uint64_t before_ = 0;
};

void PrintReport(const ImportReport& report, const Pipeline& target, uint64_t micros) {
  uint64_t keys = 0;
  for (const auto& [kind, count] : report.keys) keys += count;
  fmt::print("keys      {}", keys);
  for (const auto& [kind, count] : report.keys)
    fmt::print("{} {} {}", kind == report.keys.begin()->first ? ":" : ",", count, kind);
  fmt::print("\n");
  if (report.commands > 0) fmt::print("commands  {} from the append-only file\n", report.commands);
  if (report.functions > 0) {
    fmt::print("functions {} libraries{}\n", report.functions,
               target.failed_optional() == 0 ? "" : ", NOT taken: " + target.last_failure());
  }
  if (report.expired > 0) fmt::print("expired   {} keys left out: their time was over\n", report.expired);
  for (const auto& [module, count] : report.modules) {
    fmt::print("SKIPPED   {} values of the module type '{}', which only that module can read\n", count, module);
  }
  if (report.dropped_field_expiries > 0) {
    fmt::print("NOTE      {} fields of hashes had times to live of their own; they stay now\n",
               report.dropped_field_expiries);
  }
  if (report.cut_bytes > 0)
    fmt::print("NOTE      the append-only file ends in a command that is not whole: left out\n");
  fmt::print("read      {} in {}\n", HumanSize(report.bytes), HumanDuration(micros));
}

absl::Status CheckEmpty(Pipeline& target, const std::string& name) {
  TM_ASSIGN_OR_RETURN(const Reply info, target.Ask({"INFO", "keyspace"}));
  if (info.text.find("db") == std::string::npos) return absl::OkStatus();
  return InvalidArgument("{} is not empty. With --replace its keys stay, except those that the files have, too", name);
}

int Import(const ImportArguments& arguments) {
  const auto fail = [](const absl::Status& status, int code) {
    PrintFailure(status);
    return code;
  };
  const absl::StatusOr<std::vector<ImportFile>> files = FindImportFiles(arguments.path);
  if (!files.ok()) return fail(files.status(), kUsage);
  const absl::StatusOr<NodeAddress> node = ParseNode(arguments.to);
  if (!node.ok()) return fail(node.status(), kUsage);
  absl::StatusOr<Pipeline> target = Pipeline::Connect(*node, arguments.credentials);
  if (!target.ok()) return fail(target.status(), kFailed);
  if (!arguments.replace) {
    if (const absl::Status empty = CheckEmpty(*target, node->text()); !empty.ok()) return fail(empty, kUsage);
  }
  uint64_t total = 0;
  for (const ImportFile& file : *files) total += file.bytes;
  const uint64_t started = Clock::System().WallMicros();
  Progress progress(total);
  Importer importer(
      *target,
      {.replace = arguments.replace, .drop_field_expiries = arguments.drop_field_expiries, .now_ms = started / 1000},
      [&](uint64_t read) { progress.Tell(read); });
  uint64_t before = 0;
  absl::Status done;
  for (const ImportFile& file : *files) {
    progress.BeginFile(before);
    before += file.bytes;
    done = importer.Import(file);
    if (!done.ok()) break;
  }
  if (done.ok()) done = target->Drain();
  PrintReport(importer.report(), *target, Clock::System().WallMicros() - started);
  if (done.ok()) return 0;
  return fail(done, absl::IsDataLoss(done) || absl::IsUnimplemented(done) ? kDamage : kFailed);
}

}  // namespace

void AddImportCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* import = app.add_subcommand("import", "Put what a Redis or Valkey has on disk into a running server");
  import->add_option("path", arguments->path, "dump.rdb, an append-only file, or the folder appendonlydir")->required();
  import->add_option("--to", arguments->to, "host:port of the server (127.0.0.1:6379)");
  import->add_option("--user", arguments->credentials.user, "User to authenticate as");
  import->add_option("--password", arguments->credentials.password, "Its password; better in REDISCLI_AUTH")
      ->envname("REDISCLI_AUTH");
  import->add_flag("--replace", arguments->replace, "Also into a server that has keys; those of the same name go");
  import->add_flag("--drop-field-expiries", arguments->drop_field_expiries,
                   "Take hashes whose fields have times to live of their own, without these");
  import->footer(kFooter);
  import->callback([=] { *exit_code = Import(*arguments); });
}

}  // namespace tidemark::bin
