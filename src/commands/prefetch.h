// Looking ahead in a pipeline: the rows of commands that are about to run are brought into the processor's cache
// together. Each look-up of a row in a large hot table waits for memory three times, one after the other; sixteen at
// once wait little more than one does. Hints only: nothing here decides what a command does.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "commands/client.h"
#include "commands/command.h"
#include "engine/engine.h"
#include "resp/parser.h"

namespace tidemark::commands {

// One for each I/O thread; not thread-safe.
class Prefetcher {
 public:
  static constexpr size_t kCommands = 16;
  // Fewer than so many are not worth a look-up of their own.
  static constexpr size_t kCommandsMin = 4;

  explicit Prefetcher(engine::Engine& engine) : engine_(engine) {}

  // `input`: what the client has sent and is not parsed yet. Looks at the first kCommands whole commands in it and
  // returns how many these were: call again when they have been executed. Nothing is done for fewer than kCommandsMin.
  size_t Ahead(const Client& client, std::string_view input, const resp::Limits& limits);

 private:
  // A command on a member of a collection (HGET): the key's row, then the member's, is wanted.
  struct Member {
    std::string_view key;
    std::string_view member;
  };
  void Gather(Args args, const kv::CollectionId& contents);
  void GatherMembers(const kv::CollectionId& contents);

  engine::Engine& engine_;
  std::vector<resp::Request> requests_{kCommands};
  std::vector<uint64_t> hashes_;
  std::vector<Member> members_;
};

}  // namespace tidemark::commands
