#include "bin/archive_arguments.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>

#include "archive/around.h"
#include "bin/output.h"

namespace tidemark::bin {
namespace {

constexpr std::chrono::milliseconds kRedraw{200};
constexpr std::chrono::milliseconds kLineEvery{5000};
constexpr size_t kBarWidth = 24;

std::string StepName(restore::Progress::Step step) {
  switch (step) {
    case restore::Progress::Step::kPlan:
      return "plan";
    case restore::Progress::Step::kBase:
      return "base";
    case restore::Progress::Step::kLog:
      return "log";
    case restore::Progress::Step::kFinish:
      return "finish";
  }
  return {};
}

}  // namespace

void AddArchiveOptions(CLI::App& command, const std::string& moment_flag, ArchiveArguments* arguments) {
  command
      .add_option("--from,--storage", arguments->from,
                  "The archive: local:///path or s3://bucket/prefix?endpoint=…; credentials also from the environment "
                  "(AWS_ACCESS_KEY_ID …)")
      ->required();
  command
      .add_option(moment_flag, arguments->moment,
                  "latest, a time with its zone (2026-03-01T12:00:00.5Z, '2026-03-01 13:00:00+0100'), lsn:HEX, "
                  "offset:DECIMAL, a TSO, "
                  "or Unix seconds with a decimal point; inclusive")
      ->required();
  command.add_option("--timeline", arguments->timeline,
                     "Follow this timeline; else the newest that existed at that moment");
  command.add_option("--crypter-key-file", arguments->key_file, "Keys of an encrypted archive");
  command.add_option("--without", arguments->without,
                     "Go around this object, which is damaged; as verify and errors name it. May be repeated");
  command.add_option("--jobs", arguments->jobs, "Downloads at the same time")->check(CLI::Range(1, 256));
  command.add_flag("--json", arguments->json, "One JSON object on standard output");
}

absl::StatusOr<OpenedArchive> OpenArchive(const ArchiveArguments& arguments) {
  OpenedArchive opened;
  TM_ASSIGN_OR_RETURN(opened.target, restore::ParseTarget(arguments.moment));
  if (arguments.timeline) opened.target.timeline = Timeline{*arguments.timeline};
  opened.keys = archive::KeyRing::Empty();
  if (!arguments.key_file.empty()) {
    TM_ASSIGN_OR_RETURN(opened.keys, archive::KeyRing::Load(FileSystem::Posix(), arguments.key_file));
  }
  objstore::OpenOptions options;
  options.connections = std::max(options.connections, arguments.jobs);
  options.must_exist = true;
  TM_ASSIGN_OR_RETURN(opened.store, objstore::Open(arguments.from, options));
  TM_ASSIGN_OR_RETURN(opened.catalog, archive::Catalog::Load(*opened.store, /*with_files=*/true));
  if (!arguments.without.empty()) {
    const std::set<std::string> without(arguments.without.begin(), arguments.without.end());
    TM_ASSIGN_OR_RETURN(opened.catalog, archive::Around(*opened.store, opened.catalog, without));
  }
  return opened;
}

absl::Status WithWhatIsLeft(const OpenedArchive& archive, const absl::Status& status) {
  if (!absl::IsDataLoss(status) && !absl::IsNotFound(status)) return status;
  const std::set<std::string> lost = archive::KeysNamedIn(archive.catalog, Message(status));
  if (lost.empty()) return status;
  const absl::StatusOr<archive::Catalog> rest = archive::Around(*archive.store, archive.catalog, lost);
  if (!rest.ok()) return status;
  return Errorf(status.code(), "{}; without it, {}; --without {} goes around it", Message(status),
                restore::DescribeWindows(*rest), fmt::join(lost, " --without "));
}

std::string DescribePlan(const restore::Plan& plan, const restore::Target& target) {
  std::string text;
  if (plan.base) {
    text += fmt::format("base      {} ({} in {} files), as of {}\n", plan.base->key, HumanSize(plan.base_bytes),
                        plan.base_files, restore::FormatTime(plan.base->name.timestamp));
  } else {
    text += "base      none: from the log's origin\n";
  }
  text += fmt::format("log       {} in {} objects, from lsn:{:x}, along timeline {}\n", HumanSize(plan.log_bytes),
                      plan.log_objects, plan.from.value, plan.timeline.value);
  text += fmt::format("target    {}: ", restore::FormatTarget(target));
  if (plan.exact()) {
    text += "can be reached exactly\n";
  } else if (plan.short_micros != 0) {
    text += fmt::format("the archive ends at {}, {} before it\n", restore::FormatTime(plan.reaches),
                        HumanDuration(plan.short_micros));
  } else {
    text += fmt::format("the archive ends at {}, {} bytes of log before it\n", restore::FormatTime(plan.reaches),
                        plan.short_bytes);
  }
  if (!plan.warning.empty()) text += fmt::format("note      {}\n", plan.warning);
  return text;
}

nlohmann::ordered_json PlanJson(const restore::Plan& plan) {
  nlohmann::ordered_json json;
  json["base"] = plan.base ? nlohmann::ordered_json(plan.base->key) : nlohmann::ordered_json(nullptr);
  json["base_bytes"] = plan.base_bytes;
  json["base_files"] = plan.base_files;
  json["from_lsn"] = plan.from.value;
  json["timeline"] = plan.timeline.value;
  json["log_objects"] = plan.log_objects;
  json["log_bytes"] = plan.log_bytes;
  json["reaches"] = restore::FormatTime(plan.reaches);
  json["exact"] = plan.exact();
  json["short_micros"] = plan.short_micros;
  json["short_bytes"] = plan.short_bytes;
  json["warning"] = plan.warning;
  return json;
}

ProgressLine::ProgressLine(const restore::Plan& plan, const restore::Progress& progress)
    : plan_(plan), progress_(progress), terminal_(isatty(STDERR_FILENO) == 1), thread_([this] { Run(); }) {}

ProgressLine::~ProgressLine() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.SignalAll();
  }
  thread_.join();
  if (terminal_) fmt::print(stderr, "\r\033[K");
}

void ProgressLine::Run() {
  const auto started = std::chrono::steady_clock::now();
  auto due = started;
  MutexLock lock(mutex_);
  while (!stop_) {
    due += terminal_ ? kRedraw : kLineEvery;
    while (!stop_ && changed_.WaitUntil(mutex_, due)) continue;
    if (stop_) return;
    const auto elapsed = std::chrono::steady_clock::now() - started;
    const std::string line =
        Line(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count()));
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r\033[K" : "", line, terminal_ ? "" : "\n");
    std::fflush(stderr);
  }
}

std::string ProgressLine::Line(uint64_t elapsed_micros) {
  const uint64_t total = plan_.base_bytes + plan_.log_bytes;
  const uint64_t done = std::min(total, progress_.base.bytes_done.load() + progress_.log_bytes.load());
  const double share = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  const auto filled = static_cast<size_t>(share * kBarWidth);
  std::string line = fmt::format("{:<6} ", StepName(progress_.step));
  if (terminal_) line += fmt::format("[{:#<{}}{:-<{}}] ", "", filled, "", kBarWidth - filled);
  const double seconds = static_cast<double>(elapsed_micros) / 1e6;
  const auto rate = static_cast<uint64_t>(static_cast<double>(done) / std::max(seconds, 0.001));
  line += fmt::format("{:3.0f} %  {} of {}  {}/s", share * 100, HumanSize(done), HumanSize(total), HumanSize(rate));
  if (rate > 0 && done < total) line += fmt::format("  {} left", HumanDuration((total - done) * 1'000'000 / rate));
  if (const uint64_t reached = progress_.reached_micros; reached != 0) {
    line += fmt::format("  at {}, {} records", restore::FormatTime(Timestamp{reached}), progress_.records.load());
  }
  return line;
}

}  // namespace tidemark::bin
