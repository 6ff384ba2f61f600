#include "bin/restore_command.h"

#include <csignal>
#include <memory>
#include <string>

#include "bin/archive_arguments.h"
#include "bin/output.h"

namespace tidemark::bin {
namespace {

constexpr int kExact = 0;
constexpr int kUsage = 1;
constexpr int kDamage = 2;
constexpr int kShort = 3;
constexpr int kInterrupted = 4;

constexpr const char* kFooter =
    "Exit codes: 0 the moment was reached exactly; 1 wrong use, a folder that is not empty, or an archive that cannot "
    "be reached; 2 log is missing or an object is damaged (named); 3 restored, but the archive ends before the moment "
    "(by how much is said); 4 interrupted: the same command with --resume goes on.\n"
    "The folder is then ready for tidemark-server --dir.";

struct RestoreArguments {
  ArchiveArguments archive;
  std::string folder;
  bool dry_run = false;
  bool resume = false;
  bool continue_cluster = false;
  std::string expiry = "freeze";
  std::string memory = "512MiB";
};

int ExitCodeOf(const absl::Status& status) {
  if (absl::IsDataLoss(status) || absl::IsNotFound(status)) return kDamage;
  if (absl::IsCancelled(status) || objstore::IsPassing(status)) return kInterrupted;
  return kUsage;
}

// What a signal interrupts; a second one ends the process at once.
std::atomic<restore::Progress*> g_progress{nullptr};

void Interrupt(int signal) {
  if (restore::Progress* progress = g_progress.load()) progress->Cancel();
  std::signal(signal, SIG_DFL);
}

class InterruptGuard {
 public:
  explicit InterruptGuard(restore::Progress* progress) {
    g_progress = progress;
    std::signal(SIGINT, Interrupt);
    std::signal(SIGTERM, Interrupt);
  }
  ~InterruptGuard() {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    g_progress = nullptr;
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

std::string ExpiryHint(restore::ExpiryMode mode, Timestamp reached, uint64_t shifted) {
  switch (mode) {
    case restore::ExpiryMode::kFreeze:
      return fmt::format("expiry    stands still at {}: EXPIRY THAW, asked of the running server, lets it go on\n",
                         restore::FormatTime(reached));
    case restore::ExpiryMode::kShift:
      return fmt::format("expiry    of {} keys was moved: each has as long to live as it had then\n", shifted);
    case restore::ExpiryMode::kApply:
      return "expiry    counts as it is: what is due by now goes when the server starts\n";
  }
  return {};
}

std::string LastLine(const restore::Result& result) {
  if (result.short_micros != 0) {
    return fmt::format("reached {} (lsn:{:x}), SHORT of the target by {}: the archive ends there\n",
                       restore::FormatTime(result.reached), result.reached_lsn.value,
                       HumanDuration(result.short_micros));
  }
  if (result.short_bytes != 0) {
    return fmt::format("reached {} (lsn:{:x}), SHORT of the target by {} bytes of log: the archive ends there\n",
                       restore::FormatTime(result.reached), result.reached_lsn.value, result.short_bytes);
  }
  return fmt::format("reached {} exactly (lsn:{:x}, last record {})\n", restore::FormatTime(result.reached),
                     result.reached_lsn.value, restore::FormatTime(result.last_record));
}

nlohmann::ordered_json ResultJson(const restore::Result& result) {
  return {{"reached", restore::FormatTime(result.reached)},
          {"reached_micros", result.reached.micros},
          {"reached_lsn", result.reached_lsn.value},
          {"last_record", restore::FormatTime(result.last_record)},
          {"exact", result.short_micros == 0 && result.short_bytes == 0},
          {"short_micros", result.short_micros},
          {"short_bytes", result.short_bytes},
          {"records", result.records},
          {"timeline", result.timeline.value},
          {"cluster_id", result.cluster_id},
          {"shifted_keys", result.shifted_keys}};
}

void PrintResult(const RestoreArguments& arguments, const restore::Plan& plan, const restore::Result& result,
                 restore::ExpiryMode expiry) {
  if (arguments.archive.json) {
    nlohmann::ordered_json json = ResultJson(result);
    json["plan"] = PlanJson(plan);
    fmt::print("{}\n", json.dump());
    return;
  }
  fmt::print("applied   {} records\n", result.records);
  fmt::print("timeline  {}, {} cluster {}\n", result.timeline.value,
             arguments.continue_cluster ? "of the same" : "of a new", result.cluster_id);
  fmt::print("{}{}", ExpiryHint(expiry, result.reached, result.shifted_keys), LastLine(result));
}

struct Planned {
  OpenedArchive archive;
  restore::Plan plan;
};

// The plan, with the base of the restore that was begun in the folder, if one was.
absl::StatusOr<Planned> MakePlan(const RestoreArguments& arguments, bool* from_plan) {
  TM_ASSIGN_OR_RETURN(OpenedArchive archive, OpenArchive(arguments.archive));
  std::optional<restore::Begun> begun;
  if (arguments.resume) {
    TM_ASSIGN_OR_RETURN(begun, restore::ReadBegun(FileSystem::Posix(), arguments.folder));
  }
  restore::Target target = archive.target;
  if (begun) target.timeline = begun->timeline;
  *from_plan = true;
  absl::StatusOr<restore::Plan> plan =
      restore::MakePlan(*archive.store, archive.catalog, target, begun ? begun->base : std::string());
  if (!plan.ok()) return WithWhatIsLeft(archive, plan.status());
  return Planned{std::move(archive), *std::move(plan)};
}

absl::StatusOr<restore::Result> Run(const Planned& planned, const restore::Options& options) {
  restore::Progress progress;
  const InterruptGuard guard(&progress);
  const ProgressLine line(planned.plan, progress);
  return restore::Run(FileSystem::Posix(), Clock::System(), *planned.archive.store, planned.archive.catalog,
                      planned.archive.target, planned.plan, options, &progress);
}

int Restore(const RestoreArguments& arguments) {
  restore::Options options;
  const auto fail = [](const absl::Status& status, int code) {
    PrintFailure(status);
    return code;
  };
  const std::optional<restore::ExpiryMode> expiry = restore::ParseExpiryMode(arguments.expiry);
  if (!expiry) return fail(InvalidArgument("--expiry is freeze, shift or apply, not '{}'", arguments.expiry), kUsage);
  const absl::StatusOr<uint64_t> memory = ParseSize(arguments.memory);
  if (!memory.ok()) return fail(memory.status(), kUsage);
  bool from_plan = false;
  const absl::StatusOr<Planned> planned = MakePlan(arguments, &from_plan);
  if (!planned.ok()) {
    const bool gap = absl::IsDataLoss(planned.status()) || (from_plan && absl::IsFailedPrecondition(planned.status()));
    return fail(planned.status(), gap ? kDamage : kUsage);
  }
  if (!arguments.archive.json) {
    fmt::print("archive   {}\n{}", planned->archive.store->display_uri(),
               DescribePlan(planned->plan, planned->archive.target));
    std::fflush(stdout);
  }
  if (arguments.dry_run) {
    if (arguments.archive.json) fmt::print("{}\n", PlanJson(planned->plan).dump());
    return planned->plan.exact() ? kExact : kShort;
  }
  options.folder = arguments.folder;
  options.expiry = *expiry;
  options.resume = arguments.resume;
  options.continue_cluster = arguments.continue_cluster;
  options.jobs = arguments.archive.jobs;
  options.memory = *memory;
  options.keys = planned->archive.keys;
  options.report = [](const std::string& text) { fmt::print(stderr, "tidemark: {}\n", text); };
  const absl::StatusOr<restore::Result> result = Run(*planned, options);
  if (!result.ok()) {
    const int code = ExitCodeOf(result.status());
    if (code == kInterrupted) {
      return fail(
          Errorf(result.status().code(), "{}; the same command with --resume goes on", Message(result.status())), code);
    }
    return fail(WithWhatIsLeft(planned->archive, result.status()), code);
  }
  PrintResult(arguments, planned->plan, *result, *expiry);
  return result->short_micros == 0 && result->short_bytes == 0 ? kExact : kShort;
}

}  // namespace

void AddRestoreCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<RestoreArguments>();
  CLI::App* restore = app.add_subcommand("restore", "Restore an archive to a moment, into an empty data directory");
  AddArchiveOptions(*restore, "--to", &arguments->archive);
  restore->add_option("--data", arguments->folder, "The data directory to make")->required();
  restore->add_flag("--dry-run", arguments->dry_run, "Only show what would be read and how far it reaches");
  restore->add_flag("--resume", arguments->resume, "Go on with a restore that was interrupted");
  restore->add_flag("--continue-cluster", arguments->continue_cluster,
                    "Go on as the same cluster: its tasks run on, and whoever wrote to the archive before is fenced. "
                    "Else a new cluster with its tasks off");
  restore->add_option("--expiry", arguments->expiry,
                      "freeze (default): nothing expires until EXPIRY THAW; shift: every expiry is moved by the time "
                      "since; apply: expiries count as they are");
  restore->add_option("--memory", arguments->memory, "Memory to work with (512MiB)");
  restore->footer(kFooter);
  restore->callback([=] { *exit_code = Restore(*arguments); });
}

}  // namespace tidemark::bin
