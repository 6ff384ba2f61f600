// From a request to a reply: looks the command up, checks what Redis checks before every command (arity, AUTH, MULTI,
// subscribed mode, pauses, a full disk), runs the handler in a transaction of the right kind, and keeps the statistics.
#pragma once

#include <cstdint>

#include "commands/client.h"
#include "commands/command.h"
#include "commands/server.h"

namespace tidemark::commands {

enum class Outcome : uint8_t {
  kReplied,
  // A row is on disk only. Nothing happened; call Rehearse on a worker thread, then Execute again with `attempt` + 1,
  // unless Rehearse says that its reply is the answer.
  kCold,
  // The store must catch up, or CLIENT PAUSE is on. Nothing happened; try again a little later.
  kStalled,
};

class Dispatcher {
 public:
  explicit Dispatcher(Server& server) : server_(server) {}

  // On the client's I/O thread. Appends the reply to `out`, whose protocol is set by the session from client.protocol.
  // After kMaxRehearsals attempts it reads from the disk under the lock rather than fail again.
  Outcome Execute(Client& client, Args args, resp::Writer& out, int attempt);
  // On a worker thread, after Execute said kCold, while the client does nothing else. True: `out` holds the final
  // reply.
  bool Rehearse(Client& client, Args args, resp::Writer& out);

  static constexpr int kMaxRehearsals = 8;

 private:
  Server& server_;
};

}  // namespace tidemark::commands
