// Keeps passwords and keys out of the process title, which everybody on the machine can read.
#pragma once

#include <string>
#include <vector>

namespace tidemark::bin {

// A copy of the arguments; in `argv` itself what is secret (the values of secret parameters of a storage URI, and of
// --requirepass, --masterauth, --password) becomes asterisks. Call before anything else looks at `argv`.
std::vector<std::string> TakeArguments(int argc, char** argv);

}  // namespace tidemark::bin
