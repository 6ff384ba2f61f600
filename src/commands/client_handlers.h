// Inside CLIENT: the handlers that stand in other files than its table.
#pragma once

#include "base/status.h"
#include "commands/command.h"

namespace tidemark::commands {

// tracking_commands.cc
absl::Status ClientTrackingSwitch(Context& ctx);
absl::Status ClientTrackinginfo(Context& ctx);
absl::Status ClientGetredir(Context& ctx);
absl::Status ClientCaching(Context& ctx);

}  // namespace tidemark::commands
