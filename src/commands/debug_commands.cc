// DEBUG: for tests of clients and of the server, and to compare copies. Off unless the configuration allows it.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/numbers.h"
#include "commands/client.h"
#include "commands/command_stats.h"
#include "commands/deferred.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "engine/digest.h"

namespace tidemark::commands {
namespace {

bool Allowed(const Context& ctx) {
  const std::string who = ctx.server.config.Text("enable-debug-command");
  const std::string_view address = ctx.client.address;
  return who == "yes" || (who == "local" &&
                          (address.starts_with("127.") || address.starts_with("[::1]") || address.starts_with("::1")));
}

void WriteDigest(const engine::StoreDigest& digest, bool with_lsn, resp::Writer& out) {
  if (with_lsn) {
    out.Array(3);
    out.Integer(static_cast<int64_t>(digest.lsn.value));
  }
  out.Bulk(digest.Hex());
  if (with_lsn) out.Integer(static_cast<int64_t>(digest.keys));
}

// Reads the whole store, so on a worker thread; it ends early when nobody waits for it any more, or the server stops.
absl::Status Digest(Context& ctx, bool with_lsn) {
  if (!ctx.may_wait) return InvalidArgument("ERR DEBUG DIGEST takes its time, so it is not allowed in a transaction");
  Server& server = ctx.server;
  const auto deferred = std::make_shared<Deferred>();
  const auto unwanted = std::make_shared<std::atomic<bool>>(false);
  deferred->OnCancel([unwanted] { *unwanted = true; });
  server.host.RunInBackground([&server, deferred, unwanted, with_lsn, protocol = ctx.client.protocol.load()] {
    resp::Writer out;
    out.SetProtocol(protocol);
    const auto digest = engine::DigestNow(server.engine, [&] { return *unwanted || server.stopping; });
    if (digest.ok()) {
      WriteDigest(*digest, with_lsn, out);
    } else {
      const std::string error = fmt::format("ERR {}", Message(digest.status()));
      server.stats.CountError(error);
      out.Error(error);
    }
    deferred->Answer(std::move(out.buffer()));
  });
  ctx.client.deferred = deferred;
  return absl::OkStatus();
}

// SLEEP holds up the I/O thread of this client, for tests of what then happens; that is its purpose.
absl::Status Debug(Context& ctx) {
  if (!Allowed(ctx)) {
    return InvalidArgument(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a "
        "local connection, otherwise you need to set this option in the configuration file, and then restart the "
        "server.");
  }
  const Args words = ctx.args.subspan(1);
  if (EqualsIgnoreCase(words[0], "DIGEST") && words.size() == 1) return Digest(ctx, /*with_lsn=*/false);
  if (EqualsIgnoreCase(words[0], "DIGEST") && words.size() == 2 && EqualsIgnoreCase(words[1], "LSN")) {
    return Digest(ctx, /*with_lsn=*/true);
  }
  if (words.size() == 2 && EqualsIgnoreCase(words[0], "SLEEP")) {
    const double seconds = ParseDouble(words[1]).value_or(0);
    std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(seconds, 0.0, 3600.0)));
  } else if (words.size() == 2 && EqualsIgnoreCase(words[0], "SET-ACTIVE-EXPIRE")) {
    ctx.server.engine.SetActiveExpire(words[1] != "0");
  } else {
    return InvalidArgument(
        "ERR Tidemark has DEBUG DIGEST, DEBUG SLEEP and DEBUG SET-ACTIVE-EXPIRE only, not '{}' with {} arguments",
        words[0].substr(0, 128), words.size() - 1);
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

constexpr CommandSpec kCommands[] = {
    {.name = "debug",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "1.0.0",
     .summary = "For tests of clients and of the server, and to compare copies.",
     .complexity = "Depends on subcommand; O(N) for DIGEST with N the number of keys and members",
     .syntax = "<DIGEST [LSN] | SLEEP seconds | SET-ACTIVE-EXPIRE on-off>",
     .handler = Debug},
};

}  // namespace

std::span<const CommandSpec> DebugFamily() { return kCommands; }

}  // namespace tidemark::commands
