#include "commands/script_arguments.h"

namespace tidemark::commands {
namespace {

constexpr size_t kFirstKeyAt = 3;

absl::StatusOr<ScriptArguments> Split(Args args, int64_t keys) {
  if (keys > static_cast<int64_t>(args.size() - kFirstKeyAt)) {
    return InvalidArgument("ERR Number of keys can't be greater than number of args");
  }
  if (keys < 0) return InvalidArgument("ERR Number of keys can't be negative");
  const Args rest = args.subspan(kFirstKeyAt);
  const auto count = static_cast<size_t>(keys);
  return ScriptArguments{.keys = rest.first(count), .argv = rest.subspan(count)};
}

}  // namespace

absl::StatusOr<ScriptArguments> ReadEvalArguments(Args args) {
  TM_ASSIGN_OR_RETURN(const int64_t keys, IntegerArg(args[2]));
  return Split(args, keys);
}

absl::StatusOr<ScriptArguments> ReadCallArguments(Args args) {
  const absl::StatusOr<int64_t> keys = IntegerArg(args[2]);
  if (!keys.ok()) return InvalidArgument("ERR Bad number of keys provided");
  return Split(args, *keys);
}

std::vector<int> FindScriptKeys(Args args) {
  std::vector<int> positions;
  if (args.size() < kFirstKeyAt) return positions;
  const absl::StatusOr<ScriptArguments> arguments = ReadEvalArguments(args);
  if (!arguments.ok()) return positions;
  for (size_t i = 0; i < arguments->keys.size(); ++i) positions.push_back(static_cast<int>(kFirstKeyAt + i));
  return positions;
}

}  // namespace tidemark::commands
