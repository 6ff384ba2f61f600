// The words behind a script or a function: numkeys, keys, arguments.
#pragma once

#include <string_view>
#include <vector>

#include "commands/command.h"

namespace tidemark::commands {

// Views into the request's words.
struct ScriptArguments {
  Args keys;
  Args argv;
};

// Of EVAL, whose words begin with its name, the script and numkeys; the errors are Redis's.
absl::StatusOr<ScriptArguments> ReadEvalArguments(Args args);
// Of FCALL.
absl::StatusOr<ScriptArguments> ReadCallArguments(Args args);
// Positions of the keys of either.
std::vector<int> FindScriptKeys(Args args);

}  // namespace tidemark::commands
