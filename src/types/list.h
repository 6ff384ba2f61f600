// Lists: one ordered row an element, at positions without a gap, so that index i stands at the first position + i and
// every access by index is one Get. The key row keeps the first position; both ends grow away from the middle of 64
// bits.
//
// What that costs: inserting or removing in the middle moves the elements of the shorter side, as an array does.
//
// Not thread-safe: all of this lives within one transaction, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "types/keyspace.h"

namespace tidemark::types {

enum class ListEnd : uint8_t { kLeft, kRight };

// One list in one transaction. Elements change one by one; Commit writes the key row once for all of them.
class List {
 public:
  // An absent key is an empty list that the first element brings into being. WrongType() for another type.
  static absl::StatusOr<List> Find(Keyspace& keyspace, std::string_view name);
  // As Find, counted as Keyspace::Lookup counts.
  static absl::StatusOr<List> Lookup(Keyspace& keyspace, std::string_view name);

  const Key& key() const { return key_; }
  uint64_t size() const { return size_; }

  // Where the row of the element at `index` stands; index ≤ size().
  RowKey RowAt(uint64_t index) const;
  // The element's row (its bytes: Keyspace::MemberBytes). index < size().
  absl::StatusOr<kv::Value> Get(uint64_t index);
  // Elements from `index` on, `count` of them (all there), upwards; downwards, those before `index`, nearest first. The
  // visitor returns false to stop. Together they are the list at one moment: where it changes meanwhile (in a
  // rehearsal, which sees every row at a moment of its own), this fails with kv::ColdRow(), and who comes again finds
  // the rows in memory.
  using Visitor = std::function<bool(uint64_t index, std::string_view element)>;
  absl::Status Visit(uint64_t index, uint64_t count, const Visitor& visit);
  absl::Status VisitBackward(uint64_t index, uint64_t count, const Visitor& visit);

  void Push(ListEnd end, std::string_view element);
  // The row of the element that is gone. The list is not empty.
  absl::StatusOr<kv::Value> Pop(ListEnd end);
  void Set(uint64_t index, std::string_view element);
  // Makes `element` the one at `index` ≤ size(). Moves the elements of the shorter side.
  absl::Status Insert(uint64_t index, std::string_view element);
  // Removes the elements at `indexes`, which rise. Moves those behind the first or before the last, whichever are
  // fewer.
  absl::Status Remove(std::span<const uint64_t> indexes);
  // Keeps `count` elements from `index` on. Costs the smaller one of what is kept and what goes.
  absl::Status Trim(uint64_t index, uint64_t count);

  // Call once, after the last change; watchers hear of it, whatever it was. Without elements left, the key goes.
  void Commit();

 private:
  static absl::StatusOr<List> Of(Keyspace& keyspace, Key key);
  List(Keyspace& keyspace, Key key) : keyspace_(&keyspace), key_(std::move(key)), size_(key_.count) {}

  absl::StatusOr<kv::Value> At(uint64_t position);
  void Put(uint64_t position, std::string_view element);
  void Delete(uint64_t position);
  absl::Status MoveRow(uint64_t from, uint64_t to);
  absl::Status CopyTo(uint64_t index, uint64_t count);
  absl::Status CheckUnchanged();
  absl::Status Missing();

  Keyspace* keyspace_;
  Key key_;
  uint64_t size_;
  uint64_t first_ = 0;           // position of the element with index 0
  kv::CollectionId collection_;  // the key's own, or a new one once there is an element
  bool changed_ = false;
};

}  // namespace tidemark::types
