// Carries out what a Redis that this node follows has done: the commands of its stream, as handlers run them, but under
// nobody's rights, roles or limits, and by the primary's clock alone: nothing expires here until the primary says so.
//
// Threads: one at a time, which may wait for the disk; not an I/O thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "commands/client.h"
#include "commands/command.h"
#include "commands/server.h"
#include "replication/psync_port.h"

namespace tidemark::commands {

class ReplicatedCommands final : public replication::CommandSink {
 public:
  // Both outlive it; `dispatcher` may be null in tests.
  ReplicatedCommands(Server& server, Dispatcher* dispatcher);
  ~ReplicatedCommands() override;

  absl::Status Apply(std::span<const replication::PsyncCommand> commands,
                     const std::optional<replication::PsyncPosition>& position) override;
  absl::StatusOr<std::optional<replication::PsyncPosition>> Position() override;

 private:
  absl::Status RunAll(kv::Txn& txn, std::span<const replication::PsyncCommand> commands,
                      std::vector<types::KeyEvent>* events);
  absl::Status RunOne(kv::Txn& txn, const replication::PsyncCommand& command, std::vector<types::KeyEvent>* events);
  // Effects beside the keyspace: messages to subscribers.
  void RunOthers(std::span<const replication::PsyncCommand> commands);

  Server& server_;
  Dispatcher* const dispatcher_;
  const std::unique_ptr<Client> client_;
};

}  // namespace tidemark::commands
