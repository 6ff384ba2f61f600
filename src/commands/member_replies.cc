#include "commands/member_replies.h"

#include <limits>

#include "commands/reply_stream.h"
#include "commands/scan_options.h"
#include "types/pages.h"

namespace tidemark::commands {
namespace {

using types::Key;

struct Shown {
  bool names;
  bool values;

  void Write(std::string_view name, std::string_view value, resp::Writer& out) const {
    if (names) out.Bulk(name);
    if (values) out.Bulk(value);
  }
};

absl::StatusOr<bool> Stream(Context& ctx, const Key& key, resp::Writer::Kind kind, Shown shown) {
  const types::RowKey rows = types::MemberRows(key.collection);
  const auto write = [shown](std::string_view row, std::string_view value, resp::Writer& out) {
    const auto parts = types::ParseMemberRow(row);
    if (!parts) return Errorf(absl::StatusCode::kDataLoss, "member row key is malformed");
    TM_ASSIGN_OR_RETURN(const std::string_view bytes, types::DecodeMemberValue(value));
    shown.Write(parts->member, bytes, out);
    return absl::OkStatus();
  };
  return StreamRows(ctx, kind, rows, rows.PrefixEnd(), key.count, write);
}

}  // namespace

// Outside the commit lock the key row's count may be of another moment, so the length is that of what was read; and if
// the key lost this collection meanwhile, the sweeper may have been at it: then all is read again.
absl::Status WriteMembers(Context& ctx, types::Type type, resp::Writer::Kind kind, bool names, bool values) {
  constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  const Shown shown{names, values};
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(ctx.args[1], type));
  TM_ASSIGN_OR_RETURN(const bool streams, Stream(ctx, key, kind, shown));
  if (streams) return absl::OkStatus();
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(kind);
  size_t count = 0;
  const auto write = [&](std::string_view name, std::string_view value, uint32_t) {
    shown.Write(name, value, ctx.out);
    ++count;
    return true;
  };
  while (key) {
    TM_RETURN_IF_ERROR(ctx.keys().VisitMembers(key.collection, 0, kNoLimit, write));
    const kv::CollectionId visited = key.collection;
    TM_ASSIGN_OR_RETURN(key, ctx.keys().Find(ctx.args[1], type));
    if (key.collection == visited) break;
    ctx.out.Truncate(length.position);
    count = 0;
  }
  ctx.out.EndDeferred(length, count);
  return absl::OkStatus();
}

absl::Status ScanMembers(Context& ctx, types::Type type, bool values) {
  TM_ASSIGN_OR_RETURN(const uint64_t cursor, ParseCursor(ctx.args[2]));
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], type));
  types::MemberPage page;
  if (key) {
    TM_ASSIGN_OR_RETURN(const ScanOptions options, ScanOptions::Parse(ctx.args.subspan(3), false));
    TM_ASSIGN_OR_RETURN(page, types::ReadMemberPage(ctx.keys(), key.collection, cursor, options.count,
                                                    [&](std::string_view name) { return options.Matches(name); }));
  }
  ctx.out.Array(2);
  ctx.out.Bulk(fmt::format_int(page.next).c_str());
  ctx.out.Array(page.members.size() * (values ? 2 : 1));
  for (const types::MemberPage::Member& member : page.members) {
    ctx.out.Bulk(member.name);
    if (values) ctx.out.Bulk(member.value);
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> RandomCountArg(std::string_view arg) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  TM_ASSIGN_OR_RETURN(const int64_t count, IntegerArg(arg));
  if (count < -kMax) return InvalidArgument("ERR value is out of range, value must between {} and {}", -kMax, kMax);
  return count;
}

}  // namespace tidemark::commands
