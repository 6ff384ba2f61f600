#include "format/rdb_commands.h"

#include "base/numbers.h"

namespace tidemark::format {

void RdbCommands::SetKey(std::string_view name, bool has_expiry, uint64_t expire_ms) {
  key_.assign(name);
  has_expiry_ = has_expiry;
  expire_ms_ = expire_ms;
}

absl::Status RdbCommands::Emit(std::initializer_list<std::string_view> words) {
  return emit_(std::span(words.begin(), words.size()));
}

absl::Status RdbCommands::Begin(RdbKind kind, std::optional<uint64_t> /*count*/) {
  kind_ = kind;
  batch_.clear();
  batch_bytes_ = 0;
  any_entry_ = false;
  switch (kind) {
    case RdbKind::kList:
      verb_ = "RPUSH";
      break;
    case RdbKind::kSet:
      verb_ = "SADD";
      break;
    case RdbKind::kZset:
      verb_ = "ZADD";
      break;
    case RdbKind::kHash:
      verb_ = "HSET";
      break;
    case RdbKind::kString:
    case RdbKind::kStream:
      verb_ = {};
      break;
  }
  return absl::OkStatus();
}

void RdbCommands::Add(std::string_view word) {
  batch_.emplace_back(word);
  batch_bytes_ += word.size();
}

absl::Status RdbCommands::SendBatch() {
  if (batch_.empty()) return absl::OkStatus();
  std::vector<std::string_view> words = {verb_, key_};
  words.insert(words.end(), batch_.begin(), batch_.end());
  const absl::Status sent = emit_(words);
  batch_.clear();
  batch_bytes_ = 0;
  return sent;
}

absl::Status RdbCommands::String(std::string_view bytes) { return Emit({"SET", key_, bytes}); }

absl::Status RdbCommands::Element(std::string_view element) {
  Add(element);
  return batch_.size() >= kWordsMax || batch_bytes_ >= kBytesMax ? SendBatch() : absl::OkStatus();
}

absl::Status RdbCommands::Member(std::string_view member) { return Element(member); }

absl::Status RdbCommands::Scored(std::string_view member, double score) {
  Add(FormatDouble(score));
  return Element(member);
}

absl::Status RdbCommands::Field(std::string_view field, std::string_view value, uint64_t expire_ms) {
  if (expire_ms != 0) {
    if (!drop_field_expiries_) {
      return absl::InvalidArgumentError("the hash has fields with times to live of their own, which Tidemark has not");
    }
    ++dropped_;
  }
  Add(field);
  return Element(value);
}

absl::Status RdbCommands::Entry(const RdbStreamId& id, std::span<const std::string> fields) {
  any_entry_ = true;
  const std::string text = id.text();
  std::vector<std::string_view> words = {"XADD", key_, text};
  words.insert(words.end(), fields.begin(), fields.end());
  return emit_(words);
}

// A stream without entries comes into being by one that is trimmed away at once.
absl::Status RdbCommands::State(const RdbStreamState& state) {
  const std::string last = state.last.text();
  if (!any_entry_) {
    const std::string id = state.last == RdbStreamId{} ? "0-1" : last;
    TM_RETURN_IF_ERROR(Emit({"XADD", key_, "MAXLEN", "0", id, "x", "y"}));
  }
  return Emit({"XSETID", key_, last, "ENTRIESADDED", fmt::format("{}", state.entries_added), "MAXDELETEDID",
               state.max_deleted.text()});
}

absl::Status RdbCommands::Group(const RdbGroup& group) {
  group_.assign(group.name);
  const std::string last = group.last.text();
  if (group.entries_read < 0) return Emit({"XGROUP", "CREATE", key_, group_, last});
  return Emit({"XGROUP", "CREATE", key_, group_, last, "ENTRIESREAD", fmt::format("{}", group.entries_read)});
}

absl::Status RdbCommands::Consumer(const RdbConsumer& consumer) {
  consumer_.assign(consumer.name);
  return Emit({"XGROUP", "CREATECONSUMER", key_, group_, consumer_});
}

absl::Status RdbCommands::Pending(const RdbPending& pending) {
  return Emit({"XCLAIM", key_, group_, consumer_, "0", pending.id.text(), "TIME",
               fmt::format("{}", pending.delivered_ms), "RETRYCOUNT", fmt::format("{}", pending.deliveries), "JUSTID",
               "FORCE"});
}

absl::Status RdbCommands::End() {
  TM_RETURN_IF_ERROR(SendBatch());
  return has_expiry_ ? Emit({"PEXPIREAT", key_, fmt::format("{}", expire_ms_)}) : absl::OkStatus();
}

}  // namespace tidemark::format
