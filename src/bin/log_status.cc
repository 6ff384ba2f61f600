#include "bin/log_status.h"

#include <fmt/format.h>

#include <string>

#include "bin/output.h"
#include "bin/reply_json.h"
#include "env/clock.h"

namespace tidemark::bin {
namespace {

// What somebody should do about a state, where there is something.
std::string Hint(const std::string& state, bool stalled) {
  if (state == "erroring") return "it retries by itself; look at the store's address, credentials and room";
  if (state == "paused") return "tidemark log resume lets it go on";
  if (state == "gap") return "log was let go before it was archived; a new base is on its way, nothing to do";
  if (state == "fenced") return "another server writes this archive: this one must not; stop the task here";
  if (stalled) return "the checkpoint stands still though the log grows: look at the server's log";
  return "";
}

void Line(std::string_view name, std::string_view text) { fmt::print("  {:<14}{}\n", name, text); }

void PrintTask(const Reply& task, uint64_t now) {
  const auto number = [&task](std::string_view field) { return static_cast<uint64_t>(task.Number(field)); };
  const std::string state = task.Text("state");
  const bool stalled = number("stalled") != 0;
  const std::string cause = task.Text("cause");
  const uint64_t checkpoint = number("checkpoint_time");
  fmt::print("{}: {}{}\n", task.Text("name"), state, stalled ? ", STALLED" : "");
  Line("storage", task.Text("storage"));
  if (number("restorable") != 0) {
    const uint64_t from = number("restorable_from");
    Line("restorable", fmt::format("{} … {}", from == 0 ? "the first write" : HumanTime(from), HumanTime(checkpoint)));
  } else {
    Line("restorable", (number("restorable_known") != 0 ? "NO: " : "") + task.Text("not_restorable"));
  }
  Line("checkpoint", fmt::format("{}; gap={} (lsn:{:x} of lsn:{:x})", HumanTime(checkpoint),
                                 checkpoint == 0 || checkpoint > now ? "0 s" : HumanDuration(now - checkpoint),
                                 number("checkpoint"), number("log_end")));
  Line("RPO", number("rpo_micros") == 0 ? "0: nothing could be lost"
                                        : HumanDuration(number("rpo_micros")) + " of writes could be lost now");
  Line("lag", HumanSize(number("lag_bytes")));
  Line("last base", HumanTime(number("last_base")));
  Line("flushes", fmt::format("{}, for {} calls of force flush; {} failed; {} objects, {} stored of {}",
                              number("flushes"), number("forced_flushes"), number("failures"), number("objects"),
                              HumanSize(number("bytes_stored")), HumanSize(number("bytes_plain"))));
  if (const std::string message = task.Text("pause_message"); !message.empty()) Line("paused", message);
  if (!cause.empty()) Line("last error", cause);
  if (const std::string hint = Hint(state, stalled); !hint.empty()) Line("hint", hint);
}

}  // namespace

void PrintStatus(const Reply& tasks, bool json) {
  if (json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const Reply& task : tasks.elements) all.push_back(ToJson(task));
    PrintJson(all);
    return;
  }
  if (tasks.elements.empty()) fmt::print("There is no backup task; tidemark log start makes one\n");
  const uint64_t now = Clock::System().WallMicros();
  for (size_t i = 0; i < tasks.elements.size(); ++i) {
    if (i > 0) fmt::print("\n");
    PrintTask(tasks.elements[i], now);
  }
}

}  // namespace tidemark::bin
