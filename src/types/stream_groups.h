// Consumer groups of streams: a row a group, a row a consumer, and two rows for each entry that was delivered and not
// acknowledged yet: one by id, with all that is known of it, and one that finds it by its consumer.
//
//   g  name of the group                                   → GroupState
//   h  number of the group (8) · name of the consumer      → ConsumerState
//   p  number of the group (8) · 'i' · id (16)             → Pending
//   p  number of the group (8) · 'c' · length of the consumer's name (4) · the name · id (16) → nothing
//
// A group's number is never used twice in its stream, so that a group of many rows can go as a range.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "types/stream.h"

namespace tidemark::types {

struct GroupState {
  static constexpr int64_t kUnknown = -1;

  uint64_t number = 0;
  StreamId last_id;                 // delivered last
  int64_t entries_read = kUnknown;  // how many entries there ever were up to last_id
  uint64_t pending = 0;
  StreamId max_pending;  // no entry above was ever pending: spares looking for what new ones replace
};
struct ConsumerState {
  uint64_t seen_ms = 0;  // since 1970
  uint64_t pending = 0;
};
// An entry that was delivered and not acknowledged.
struct Pending {
  std::string consumer;
  uint64_t delivered_ms = 0;  // since 1970
  uint64_t deliveries = 0;
};

// One group in one transaction. Commit writes what has changed of the group and its consumers; pending entries are
// rows at once. `stream` outlives it and keeps its collection meanwhile.
class StreamGroup {
 public:
  static absl::StatusOr<std::optional<StreamGroup>> Find(Stream& stream, std::string_view name);
  // The caller has looked that there is none of that name. Commit of the group, then of the stream.
  static StreamGroup Create(Stream& stream, std::string_view name, StreamId last_id, int64_t entries_read);
  // Names in byte order.
  static absl::StatusOr<std::vector<std::string>> Names(Stream& stream);

  const std::string& name() const { return name_; }
  const GroupState& state() const { return state_; }
  void SetLastId(StreamId last_id, int64_t entries_read);

  // Null when there is none. The pointer lasts as long as this object does, and what it points to may be changed by
  // the methods below only.
  absl::StatusOr<const ConsumerState*> FindConsumer(std::string_view consumer);
  // The consumer has been looked for, and there is none.
  void CreateConsumer(std::string_view consumer, uint64_t now_ms);
  // The consumer is there.
  void Seen(std::string_view consumer, uint64_t now_ms);
  // With its pending entries; how many there were. The consumer is there.
  absl::StatusOr<uint64_t> DeleteConsumer(std::string_view consumer);
  struct NamedConsumer {
    std::string name;
    ConsumerState state;
  };
  // As of the last Commit.
  absl::StatusOr<std::vector<NamedConsumer>> Consumers();

  absl::StatusOr<std::optional<Pending>> FindPending(StreamId id);
  // Makes an entry pending for `pending.consumer`, which is there; `former`: as FindPending found it.
  absl::Status PutPending(StreamId id, const Pending& pending, const std::optional<Pending>& former);
  absl::Status RemovePending(StreamId id, const Pending& former);
  // Pending entries with first ≤ id ≤ last in order of ids, upwards or downwards, until the visitor returns false.
  absl::Status VisitPending(StreamId first, StreamId last, size_t limit, bool backward,
                            absl::FunctionRef<bool(StreamId id, const Pending& pending)> visit);
  // Ids of those of one consumer, at most `limit`.
  absl::StatusOr<std::vector<StreamId>> PendingOf(std::string_view consumer, StreamId first, StreamId last,
                                                  size_t limit);

  void Commit();
  // All of it, instead of Commit.
  absl::Status Destroy();

 private:
  struct CachedConsumer {
    bool exists = false;
    bool changed = false;
    ConsumerState state;
  };
  StreamGroup(Stream& stream, std::string_view name) : stream_(&stream), name_(name) {}
  std::string ConsumerOrder(std::string_view consumer) const;
  std::string PendingOrder(StreamId id) const;
  std::string OwnedOrder(std::string_view consumer, StreamId id) const;
  absl::StatusOr<CachedConsumer*> Load(std::string_view consumer);
  absl::Status DestroyRows(OrderedKind kind);

  Stream* stream_;
  std::string name_;
  GroupState state_;
  bool changed_ = false;
  // Nodes stay where they are.
  std::map<std::string, CachedConsumer, std::less<>> consumers_;
};

// What Redis estimates of an id's place among all entries that were ever added: GroupState::entries_read of a group
// that has read up to it, or kUnknown.
int64_t EntriesReadAt(const Stream& stream, StreamId id);
// True when an entry at or above `first` may have been deleted, so that counting on from a known place is wrong.
bool MayMissEntriesFrom(const Stream& stream, StreamId first);
// How many entries the group has not been given yet; nullopt where deletions made that unknown.
std::optional<int64_t> GroupLag(const Stream& stream, const GroupState& group);

}  // namespace tidemark::types
