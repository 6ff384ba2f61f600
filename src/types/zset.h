// Sorted sets: a member row with its score and a score row in order of score and member, for each member; the number of
// members in the key row, and for large sets the index of ranks (rank_index.h).
//
//   member row  member                        → score as IEEE 754 double (8, little-endian)
//   score row   's' · score (8) · member      → nothing
// The score of a score row is the double's bits as a big-endian number, all of them inverted when it is negative, else
// the sign alone: byte order is the order of numbers. Minus zero is kept as zero; no score is a NaN.
//
// Not thread-safe: all of this lives within one transaction, on its thread.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "types/keyspace.h"
#include "types/rank_index.h"

namespace tidemark::types {

// What gives the order of a score row.
std::string ScoreOrder(double score, std::string_view member);
// The place where rows with that score begin, and where they end.
std::string ScoreBegin(double score);
std::string ScoreEnd(double score);
// A score as a member row has it without its version. DATA_LOSS when malformed.
absl::StatusOr<double> DecodeScore(std::string_view bytes);

// Score rows with begin ≤ order < end; no `end`: to the last.
struct ScoreRange {
  std::string begin;
  std::optional<std::string> end;
};

// One sorted set in one transaction. Members change one by one; Commit writes the key row once for all of them.
class Zset {
 public:
  // With more members than this a set gets an index of ranks; with fewer than the minimum it loses it.
  static constexpr uint64_t kPlainMax = 512;
  static constexpr uint64_t kIndexedMin = 128;
  static constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

  // An absent key is an empty set that the first member brings into being. WrongType() for another type.
  static absl::StatusOr<Zset> Find(Keyspace& keyspace, std::string_view name);
  // As Find, counted as Keyspace::Lookup counts.
  static absl::StatusOr<Zset> Lookup(Keyspace& keyspace, std::string_view name);
  // An empty set that takes the place of whatever `key` holds, with Commit. Its members may come in any order.
  static Zset Replacing(Keyspace& keyspace, Key key);

  const Key& key() const { return key_; }
  uint64_t size() const { return size_; }

  absl::StatusOr<std::optional<double>> Score(std::string_view member);
  // `former`: as Score said in this transaction.
  absl::Status Put(std::string_view member, double score, std::optional<double> former);
  // A member that is there, with its score.
  absl::Status Remove(std::string_view member, double score);
  // Removes all of them at once.
  void Clear() {
    changed_ = changed_ || size_ > 0;
    size_ = 0;
  }
  // Call once, after the last change. Without members left, the key goes.
  absl::Status Commit();

  // Visits members of the range upwards or downwards in order of score and member, leaving out the first `skip`, at
  // most `limit`, until `visit` returns false. The views last for the call of `visit`, which must not read or write.
  // Skipping many costs two short reads where there is an index.
  using Visitor = absl::FunctionRef<bool(std::string_view member, double score)>;
  absl::Status Visit(const ScoreRange& range, bool backward, uint64_t skip, uint64_t limit, Visitor visit);

  // Members whose score row stands before `order`.
  absl::StatusOr<uint64_t> CountBefore(std::string_view order);
  absl::StatusOr<uint64_t> Count(const ScoreRange& range);

  // DATA_LOSS unless score rows, member rows, index and count agree. Reads everything.
  absl::Status Verify();

 private:
  Zset(Keyspace& keyspace, Key key, const kv::CollectionId& collection, uint64_t size, std::string_view extra)
      : keyspace_(&keyspace),
        key_(std::move(key)),
        size_(size),
        collection_(collection),
        index_(keyspace, collection, extra) {}
  static Zset Of(Keyspace& keyspace, Key key);

  absl::StatusOr<uint64_t> CountRows(std::string_view begin, std::optional<std::string_view> end);
  absl::Status VisitRows(std::string_view begin, std::optional<std::string_view> end, bool backward, uint64_t skip,
                         uint64_t limit, Visitor visit);
  absl::Status VisitFarRows(const ScoreRange& range, bool backward, uint64_t skip, uint64_t limit, Visitor visit);
  // The score row with `rank` rows before it; empty when there is none.
  absl::StatusOr<std::string> OrderAt(uint64_t rank);

  Keyspace* keyspace_;
  Key key_;
  uint64_t size_;
  kv::CollectionId collection_;  // the key's own, or a new one once there is a member
  RankIndex index_;
  bool changed_ = false;
};

}  // namespace tidemark::types
