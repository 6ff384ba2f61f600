// Inside the commands of sets: the handlers over several sets (set_algebra_commands.cc), which the table in
// set_commands.cc names.
#pragma once

#include <vector>

#include "commands/command.h"

namespace tidemark::commands {

absl::Status SInter(Context& ctx);
absl::Status SInterCard(Context& ctx);
absl::Status SInterStore(Context& ctx);
absl::Status SUnion(Context& ctx);
absl::Status SUnionStore(Context& ctx);
absl::Status SDiff(Context& ctx);
absl::Status SDiffStore(Context& ctx);
std::vector<int> SInterCardKeys(Args args);

}  // namespace tidemark::commands
