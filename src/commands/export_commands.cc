// EXPORT: the whole of the data, for another server. The file is sent as it is made, in bulk strings, each a reply of
// its own, and a status at the end: so it may be of any size, and neither side holds it.
#include "commands/export_commands.h"

#include <chrono>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "commands/client.h"
#include "commands/client_registry.h"
#include "commands/deferred.h"
#include "commands/server.h"
#include "engine/rdb_export.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

// What may stand in the connection's buffer before more is made.
constexpr size_t kBacklogMax = 8u << 20;
constexpr std::chrono::milliseconds kLookAgain{5};

// One export under way: between the worker that makes it and the connection that may end.
class Stream {
 public:
  Stream(Server& server, uint64_t client) : server_(server), client_(client) {}

  void Cancel() {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    changed_.SignalAll();
  }
  bool cancelled() {
    const MutexLock lock(mutex_);
    return cancelled_ || server_.stopping;
  }

  absl::Status Send(std::string_view piece) {
    if (piece.empty()) return absl::OkStatus();
    std::string reply = fmt::format("${}\r\n", piece.size());
    reply.append(piece);
    reply.append("\r\n");
    std::optional<size_t> backlog =
        server_.clients.Deliver(client_, std::make_shared<const std::string>(std::move(reply)));
    while (backlog && *backlog > kBacklogMax) {
      const MutexLock lock(mutex_);
      if (cancelled_ || server_.stopping) break;
      changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + kLookAgain);
      backlog = server_.clients.Deliver(client_, nullptr);
    }
    return backlog && !cancelled() ? absl::OkStatus() : absl::CancelledError("the client has gone");
  }

 private:
  Server& server_;
  const uint64_t client_;
  Mutex mutex_;
  CondVar changed_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

absl::Status Export(Context& ctx) {
  if (!EqualsIgnoreCase(ctx.args[1], "RDB")) return SyntaxError();
  if (!ctx.may_wait) return InvalidArgument("ERR EXPORT takes its time, so it is not allowed in a transaction");
  Server& server = ctx.server;
  const auto deferred = std::make_shared<Deferred>();
  const auto stream = std::make_shared<Stream>(server, ctx.client.id);
  deferred->OnCancel([stream] { stream->Cancel(); });
  server.host.RunInBackground([&server, deferred, stream] {
    const uint64_t now_seconds = Clock::System().WallMicros() / 1'000'000;
    const auto done = engine::WriteRdbNow(
        server.engine, now_seconds, [&](std::string_view piece) { return stream->Send(piece); },
        [&] { return stream->cancelled(); });
    deferred->Answer(done.ok() ? fmt::format("+OK {} keys at lsn:{:x}\r\n", done->keys, done->lsn.value)
                               : fmt::format("-ERR {}\r\n", Message(done.status())));
  });
  ctx.client.deferred = deferred;
  return absl::OkStatus();
}

constexpr CommandSpec kCommands[] = {
    {.name = "export",
     .arity = 2,
     .flags = kAdmin | kNoScript | kNoMulti | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary =
         "Sends everything, as of one moment, as an RDB file that Redis 7.0 loads: bulk strings, each a reply of "
         "its own, then a status. What tidemark export asks for.",
     .complexity = "O(N) with N the bytes of all keys and values",
     .syntax = "RDB",
     .handler = Export},
};

}  // namespace

std::span<const CommandSpec> ExportFamily() { return kCommands; }

}  // namespace tidemark::commands
