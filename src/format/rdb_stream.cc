#include "format/rdb_stream.h"

#include <absl/container/btree_map.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "format/rdb_packed.h"

namespace tidemark::format {
namespace {

constexpr size_t kIdBytes = 16;
constexpr int64_t kDeleted = 1;
constexpr int64_t kSameFields = 2;

absl::Status Malformed(std::string_view what) { return InvalidArgument("malformed {} of a stream", what); }

absl::StatusOr<RdbStreamId> ReadRawId(RdbInput* in) {
  RdbStreamId id;
  TM_ASSIGN_OR_RETURN(id.ms, in->Big<uint64_t>());
  TM_ASSIGN_OR_RETURN(id.sequence, in->Big<uint64_t>());
  return id;
}

absl::StatusOr<RdbStreamId> ReadLengthsId(RdbInput* in) {
  RdbStreamId id;
  TM_ASSIGN_OR_RETURN(id.ms, in->Length());
  TM_ASSIGN_OR_RETURN(id.sequence, in->Length());
  return id;
}

class StreamReader {
 public:
  StreamReader(int form, RdbInput* in, RdbSink* sink) : form_(form), in_(*in), sink_(*sink) {}

  absl::Status Read() {
    TM_RETURN_IF_ERROR(sink_.Begin(RdbKind::kStream, std::nullopt));
    TM_ASSIGN_OR_RETURN(const uint64_t nodes, in_.Length());
    for (uint64_t i = 0; i < nodes; ++i) TM_RETURN_IF_ERROR(ReadNode());
    TM_ASSIGN_OR_RETURN(const uint64_t groups, ReadState());
    for (uint64_t i = 0; i < groups; ++i) TM_RETURN_IF_ERROR(ReadGroup());
    return sink_.End();
  }

 private:
  struct Delivery {
    int64_t delivered_ms = 0;
    uint64_t deliveries = 0;
    bool owned = false;
  };

  // One listpack: number of live entries, of deleted ones, field names that many entries share, 0; then the entries,
  // each with how many listpack entries it takes, to be walked backwards.
  absl::Status ReadNode() {
    TM_RETURN_IF_ERROR(in_.String(&node_));
    if (node_.size() != kIdBytes) return Malformed("id");
    const RdbStreamId master{LoadBig<uint64_t>(node_.data()), LoadBig<uint64_t>(node_.data() + 8)};
    TM_RETURN_IF_ERROR(in_.String(&node_));
    TM_ASSIGN_OR_RETURN(PackedList list, PackedList::Open(PackedKind::kListpack, node_));
    TM_ASSIGN_OR_RETURN(const int64_t live, list.NextInteger());
    TM_ASSIGN_OR_RETURN(const int64_t deleted, list.NextInteger());
    TM_RETURN_IF_ERROR(ReadMasterFields(&list));
    if (live < 0 || deleted < 0 || live + deleted < live) return Malformed("count");
    int64_t seen_live = 0;
    for (int64_t i = 0; i < live + deleted; ++i) {
      TM_ASSIGN_OR_RETURN(const bool is_live, ReadEntry(master, &list));
      seen_live += is_live ? 1 : 0;
    }
    TM_ASSIGN_OR_RETURN(const std::optional<std::string_view> more, list.Next());
    return more || seen_live != live ? Malformed("count") : absl::OkStatus();
  }

  absl::Status ReadMasterFields(PackedList* list) {
    TM_ASSIGN_OR_RETURN(const int64_t count, list->NextInteger());
    if (count < 0) return Malformed("count of fields");
    master_fields_.clear();
    for (int64_t i = 0; i < count; ++i) {
      TM_ASSIGN_OR_RETURN(const std::string_view field, list->NextEntry());
      master_fields_.emplace_back(field);
    }
    return list->NextInteger().status();
  }

  // True when the entry is not a deleted one.
  absl::StatusOr<bool> ReadEntry(const RdbStreamId& master, PackedList* list) {
    TM_ASSIGN_OR_RETURN(const int64_t flags, list->NextInteger());
    TM_ASSIGN_OR_RETURN(const int64_t ms, list->NextInteger());
    TM_ASSIGN_OR_RETURN(const int64_t sequence, list->NextInteger());
    const RdbStreamId id{master.ms + static_cast<uint64_t>(ms), master.sequence + static_cast<uint64_t>(sequence)};
    fields_.clear();
    if ((flags & kSameFields) != 0) {
      for (const std::string& field : master_fields_) {
        fields_.push_back(field);
        TM_ASSIGN_OR_RETURN(const std::string_view value, list->NextEntry());
        fields_.emplace_back(value);
      }
    } else {
      TM_ASSIGN_OR_RETURN(const int64_t count, list->NextInteger());
      if (count < 0) return Malformed("count of fields");
      for (int64_t i = 0; i < count; ++i) {
        for (int part = 0; part < 2; ++part) {
          TM_ASSIGN_OR_RETURN(const std::string_view bytes, list->NextEntry());
          fields_.emplace_back(bytes);
        }
      }
    }
    TM_RETURN_IF_ERROR(list->NextInteger().status());
    if ((flags & kDeleted) != 0) return false;
    if (fields_.empty()) return Malformed("entry");
    if (entries_ != 0 && id <= last_entry_) return Malformed("order");
    if (entries_ == 0) first_entry_ = id;
    last_entry_ = id;
    ++entries_;
    TM_RETURN_IF_ERROR(sink_.Entry(id, fields_));
    return true;
  }

  // The number of groups that follow.
  absl::StatusOr<uint64_t> ReadState() {
    RdbStreamState state;
    TM_ASSIGN_OR_RETURN(state.length, in_.Length());
    TM_ASSIGN_OR_RETURN(state.last, ReadLengthsId(&in_));
    state.first = first_entry_;
    state.entries_added = state.length;
    if (form_ >= 2) {
      TM_ASSIGN_OR_RETURN(state.first, ReadLengthsId(&in_));
      TM_ASSIGN_OR_RETURN(state.max_deleted, ReadLengthsId(&in_));
      TM_ASSIGN_OR_RETURN(state.entries_added, in_.Length());
    }
    if (state.length != entries_ || (entries_ != 0 && state.last < last_entry_)) return Malformed("length");
    TM_ASSIGN_OR_RETURN(state.groups, in_.Length());
    TM_RETURN_IF_ERROR(sink_.State(state));
    return state.groups;
  }

  absl::Status ReadGroup() {
    RdbGroup group;
    if (form_ < 2) group.entries_read = RdbGroup::kNotKept;
    TM_RETURN_IF_ERROR(in_.String(&name_));
    group.name = name_;
    TM_ASSIGN_OR_RETURN(group.last, ReadLengthsId(&in_));
    if (form_ >= 2) {
      TM_ASSIGN_OR_RETURN(const uint64_t read, in_.Length());
      group.entries_read = static_cast<int64_t>(read);
    }
    TM_RETURN_IF_ERROR(ReadPendingOfGroup());
    TM_RETURN_IF_ERROR(sink_.Group(group));
    TM_ASSIGN_OR_RETURN(const uint64_t consumers, in_.Length());
    uint64_t owned = 0;
    for (uint64_t i = 0; i < consumers; ++i) TM_RETURN_IF_ERROR(ReadConsumer(&owned));
    return owned == pending_.size() ? absl::OkStatus() : Malformed("pending entry without consumer");
  }

  absl::Status ReadPendingOfGroup() {
    pending_.clear();
    TM_ASSIGN_OR_RETURN(const uint64_t count, in_.Length());
    for (uint64_t i = 0; i < count; ++i) {
      TM_ASSIGN_OR_RETURN(const RdbStreamId id, ReadRawId(&in_));
      Delivery delivery;
      TM_ASSIGN_OR_RETURN(delivery.delivered_ms, in_.Little<int64_t>());
      TM_ASSIGN_OR_RETURN(delivery.deliveries, in_.Length());
      if (!pending_.emplace(id, delivery).second) return Malformed("pending entry that stands twice");
    }
    return absl::OkStatus();
  }

  absl::Status ReadConsumer(uint64_t* owned) {
    RdbConsumer consumer;
    TM_RETURN_IF_ERROR(in_.String(&name_));
    consumer.name = name_;
    TM_ASSIGN_OR_RETURN(consumer.seen_ms, in_.Little<int64_t>());
    consumer.active_ms = -1;
    if (form_ >= 3) {
      TM_ASSIGN_OR_RETURN(consumer.active_ms, in_.Little<int64_t>());
    }
    TM_RETURN_IF_ERROR(sink_.Consumer(consumer));
    TM_ASSIGN_OR_RETURN(const uint64_t count, in_.Length());
    for (uint64_t i = 0; i < count; ++i) {
      TM_ASSIGN_OR_RETURN(const RdbStreamId id, ReadRawId(&in_));
      const auto found = pending_.find(id);
      if (found == pending_.end() || found->second.owned) return Malformed("pending entry of a consumer");
      found->second.owned = true;
      ++*owned;
      TM_RETURN_IF_ERROR(sink_.Pending({id, found->second.delivered_ms, found->second.deliveries}));
    }
    return absl::OkStatus();
  }

  const int form_;
  RdbInput& in_;
  RdbSink& sink_;
  std::string node_;
  std::string name_;
  std::vector<std::string> master_fields_;
  std::vector<std::string> fields_;
  absl::btree_map<RdbStreamId, Delivery> pending_;
  RdbStreamId first_entry_;
  RdbStreamId last_entry_;
  uint64_t entries_ = 0;
};

}  // namespace

absl::Status ReadRdbStream(int form, RdbInput* in, RdbSink* sink) { return StreamReader(form, in, sink).Read(); }

}  // namespace tidemark::format
