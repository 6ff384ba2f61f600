#include "commands/reply_stream.h"

#include <algorithm>

#include "commands/client.h"
#include "commands/deferred.h"

namespace tidemark::commands {

absl::StatusOr<bool> ReplyStream::Next(resp::Writer& out) {
  constexpr uint64_t kPartRows = 16384;
  const size_t full = out.size() + kPartBytes;
  absl::Status damage;
  TM_ASSIGN_OR_RETURN(const bool more,
                      rows_->VisitNext(std::min(left_, kPartRows), [&](std::string_view row, const kv::Value& value) {
                        damage = write_(row, value.view(), out);
                        --left_;
                        return damage.ok() && out.size() < full;
                      }));
  TM_RETURN_IF_ERROR(damage);
  if (!more && left_ > 0) {
    return Errorf(absl::StatusCode::kDataLoss, "a collection has {} members fewer than its key says", left_);
  }
  return left_ > 0;
}

absl::StatusOr<bool> StreamRows(Context& ctx, resp::Writer::Kind kind, const types::RowKey& begin,
                                const types::RowKey& end, uint64_t count, ReplyStream::WriteRow write) {
  // Alone, not as part of a transaction, and where somebody wants the reply.
  const bool may_stream = ctx.may_wait && ctx.client.reply_mode == ReplyMode::kOn;
  auto* const source = dynamic_cast<kv::RangeSource*>(&ctx.keys().txn());
  if (!may_stream || source == nullptr || count < ReplyStream::kFromMembers) return false;
  TM_ASSIGN_OR_RETURN(std::unique_ptr<kv::RangeView> view, source->View(begin.view(), end.view()));
  if (view == nullptr) return false;
  resp::Writer header;
  header.SetProtocol(ctx.out.protocol());
  header.EndDeferred(header.BeginDeferred(kind), count);
  ctx.client.deferred = std::make_shared<Deferred>();
  ctx.client.deferred->Stream(std::move(header.buffer()),
                              std::make_shared<ReplyStream>(std::move(view), count, std::move(write)));
  return true;
}

}  // namespace tidemark::commands
