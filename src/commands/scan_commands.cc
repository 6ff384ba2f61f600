// SCAN, and what it shares with HSCAN.
#include <limits>
#include <utility>

#include "commands/scan_options.h"
#include "commands/spec.h"
#include "types/pages.h"

namespace tidemark::commands {
namespace {

absl::Status Scan(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const uint64_t cursor, ParseCursor(ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const ScanOptions options, ScanOptions::Parse(ctx.args.subspan(2), true));
  const auto wanted = [&](const types::Key& key) {
    return (!options.type || EqualsIgnoreCase(*options.type, types::TypeName(key.type))) && options.Matches(key.name);
  };
  TM_ASSIGN_OR_RETURN(const types::KeyPage page, types::ReadKeyPage(ctx.keys(), cursor, options.count, wanted));
  ctx.out.Array(2);
  ctx.out.Bulk(fmt::format_int(page.next).c_str());
  ctx.out.Array(page.names.size());
  for (const std::string& name : page.names) ctx.out.Bulk(name);
  return absl::OkStatus();
}

constexpr CommandSpec kScanCommands[] = {
    MakeSpec("generic", "scan", -2, kReadonly | kRange, kNoKeys, {}, "2.8.0", Scan,
             "cursor [MATCH pattern] [COUNT count] [TYPE type]",
             "O(COUNT) a call, O(N) for the whole walk, N being the number of keys",
             "Walks the keys of the database a page at a time."),
};

}  // namespace

absl::StatusOr<uint64_t> ParseCursor(std::string_view arg) {
  const auto invalid = [] { return InvalidArgument("ERR invalid cursor"); };
  const bool negative = arg.starts_with('-');
  if (negative || arg.starts_with('+')) {
    arg.remove_prefix(1);
    if (arg.empty()) return invalid();
  }
  uint64_t value = 0;
  for (const char c : arg) {
    if (c < '0' || c > '9') return invalid();
    if (__builtin_mul_overflow(value, uint64_t{10}, &value)) return invalid();
    if (__builtin_add_overflow(value, static_cast<uint64_t>(c - '0'), &value)) return invalid();
  }
  return negative ? 0 - value : value;
}

absl::StatusOr<ScanOptions> ScanOptions::Parse(Args args, bool allow_type) {
  ScanOptions options;
  for (size_t i = 0; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return SyntaxError();
    const std::string_view value = args[i + 1];
    if (EqualsIgnoreCase(args[i], "count")) {
      TM_ASSIGN_OR_RETURN(const int64_t count, IntegerArg(value));
      if (count < 1) return SyntaxError();
      options.count = static_cast<size_t>(count);
    } else if (EqualsIgnoreCase(args[i], "match")) {
      options.pattern = value;
    } else if (allow_type && EqualsIgnoreCase(args[i], "type")) {
      options.type = value;
    } else {
      return SyntaxError();
    }
  }
  return options;
}

std::span<const CommandSpec> ScanCommands() { return kScanCommands; }

}  // namespace tidemark::commands
