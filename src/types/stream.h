// Streams: one ordered row an entry, under its id; what belongs to the whole stands in the key row. Consumer groups are
// rows of their own (stream_groups.h).
//
// Not thread-safe: all of this lives within one transaction, on its thread.
#pragma once

#include <absl/functional/function_ref.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "types/keyspace.h"

namespace tidemark::types {

struct StreamId {
  uint64_t ms = 0;
  uint64_t seq = 0;
  auto operator<=>(const StreamId&) const = default;
  bool is_zero() const { return ms == 0 && seq == 0; }
};
inline constexpr StreamId kMaxStreamId{UINT64_MAX, UINT64_MAX};

// The neighbours in the order of ids; nullopt beyond the last and the first.
std::optional<StreamId> IdAfter(StreamId id);
std::optional<StreamId> IdBefore(StreamId id);
// "1526919030474-55".
std::string FormatStreamId(StreamId id);
// 16 bytes whose order is that of ids, and back; `order` has that many at least.
std::string StreamIdOrder(StreamId id);
StreamId StreamIdOfOrder(std::string_view order);

// Fields and values of an entry, alternately, as the value of its row has them: how many, then each with its length.
std::string EncodeEntry(std::span<const std::string_view> words);
// The words point into `bytes`. DATA_LOSS when it is damaged.
absl::StatusOr<std::vector<std::string_view>> DecodeEntry(std::string_view bytes);

// What the key row keeps of a stream beside the number of its entries.
struct StreamHead {
  StreamId last_id;         // the greatest that was ever added, or what XSETID made of it
  StreamId max_deleted_id;  // the greatest that XDEL removed
  StreamId first_id;        // of the first entry; zero without entries
  uint64_t entries_added = 0;
  uint64_t groups_made = 0;  // numbers given to groups: none is given twice
};
std::string EncodeStreamHead(const StreamHead& head);
absl::StatusOr<StreamHead> DecodeStreamHead(std::string_view bytes);

// One stream in one transaction. Changes of entries are rows at once; Commit writes the key row once for all of them.
class Stream {
 public:
  // An absent key is an empty stream that the first Commit brings into being. WrongType() for another type.
  static absl::StatusOr<Stream> Find(Keyspace& keyspace, std::string_view name);
  // As Find, counted as Keyspace::Lookup counts.
  static absl::StatusOr<Stream> Lookup(Keyspace& keyspace, std::string_view name);
  // `key`: as found in this transaction; a stream's, or absent.
  static absl::StatusOr<Stream> Of(Keyspace& keyspace, Key key);

  Keyspace& keyspace() const { return *keyspace_; }
  const Key& key() const { return key_; }
  // False until the Commit that makes it.
  bool exists() const { return static_cast<bool>(key_); }
  uint64_t length() const { return length_; }
  const StreamHead& head() const { return head_; }
  // Its own, or the one that Commit will give it.
  const kv::CollectionId& collection();

  // `id` is above last_id; `entry` as EncodeEntry makes it.
  void Append(StreamId id, std::string_view entry);
  // True when there was such an entry.
  absl::StatusOr<bool> Delete(StreamId id);
  // Removes the first `count` entries, or all when there are no more. Reads about as many rows as the smaller of
  // what goes and what stays; however many go, a few rows are written where they are more than a few hundred.
  absl::Status RemoveFirst(uint64_t count);
  // Without the checks that XSETID makes. Where ids could come again that were removed, the stream moves to a new
  // collection.
  absl::Status SetHead(const StreamHead& head);
  // A new group's number.
  uint64_t NewGroup() { return ++head_.groups_made; }

  // The entry's row (Keyspace::MemberBytes: what DecodeEntry reads), null when there is none.
  absl::StatusOr<kv::Value> Get(StreamId id);
  // Visits entries with first ≤ id ≤ last, at most `limit`, upwards or downwards; the visitor returns false to stop.
  using Visitor = absl::FunctionRef<bool(StreamId id, std::string_view entry)>;
  absl::Status Visit(StreamId first, StreamId last, size_t limit, bool backward, Visitor visit);
  // The id of the entry that is last now; zero when there is none.
  absl::StatusOr<StreamId> LastEntry();

  // Call once, after the last change: writes the key row. An empty stream stays.
  absl::Status Commit();

 private:
  Stream(Keyspace& keyspace, Key key) : keyspace_(&keyspace), key_(std::move(key)), length_(key_.count) {}
  // As one range. No id below `end` (nullopt: of them all) will come again.
  void DeleteBelow(std::optional<StreamId> end);

  Keyspace* keyspace_;
  Key key_;
  uint64_t length_;
  StreamHead head_;
  std::optional<kv::CollectionId> new_collection_;
  bool first_is_gone_ = false;  // head_.first_id has to be found again
};

}  // namespace tidemark::types
