#include "types/list.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/bytes.h"

namespace tidemark::types {
namespace {

// Where the first element of a new list stands: so far from both ends that no list reaches them.
constexpr uint64_t kMiddle = uint64_t{1} << 63;
// Trimming fewer elements than this deletes them one by one rather than give the rest a new collection.
constexpr uint64_t kTrimByRow = 64;

// The row key of an element, made once for many.
class ElementRow {
 public:
  explicit ElementRow(const kv::CollectionId& collection) {
    const RowKey prefix = OrderedRows(collection, OrderedKind::kElement);
    std::copy(prefix.view().begin(), prefix.view().end(), bytes_.begin());
  }
  std::string_view at(uint64_t position) {
    StoreBig(bytes_.data() + kPrefix, position);
    return {bytes_.data(), bytes_.size()};
  }

 private:
  static constexpr size_t kPrefix = 1 + kv::CollectionId::kSize + 1;
  std::array<char, kPrefix + sizeof(uint64_t)> bytes_;
};

}  // namespace

absl::StatusOr<List> List::Of(Keyspace& keyspace, Key key) {
  List list(keyspace, std::move(key));
  list.first_ = kMiddle;
  if (!list.key_) return list;
  if (list.key_.extra.size() != sizeof(uint64_t)) {
    return Errorf(absl::StatusCode::kDataLoss, "the key row of a list does not say where it begins");
  }
  list.first_ = LoadLittle<uint64_t>(list.key_.extra.data());
  list.collection_ = list.key_.collection;
  return list;
}

absl::StatusOr<List> List::Find(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name, Type::kList));
  return Of(keyspace, std::move(key));
}

absl::StatusOr<List> List::Lookup(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Lookup(name, Type::kList));
  return Of(keyspace, std::move(key));
}

absl::Status List::CheckUnchanged() {
  TM_ASSIGN_OR_RETURN(const Key now, keyspace_->Find(key_.name));
  return now.row.view() == key_.row.view() ? absl::OkStatus() : kv::ColdRow();
}

absl::Status List::Missing() {
  TM_RETURN_IF_ERROR(CheckUnchanged());
  return Errorf(absl::StatusCode::kDataLoss, "a list lacks an element that its key row counts");
}

absl::StatusOr<kv::Value> List::At(uint64_t position) {
  TM_ASSIGN_OR_RETURN(kv::Value row, keyspace_->txn().Get(ElementRow(collection_).at(position)));
  if (!row) return Missing();
  TM_RETURN_IF_ERROR(DecodeMemberValue(row.view()).status());
  return row;
}

RowKey List::RowAt(uint64_t index) const {
  std::string order;
  AppendBig(&order, first_ + index);
  return OrderedRow(collection_, OrderedKind::kElement, order);
}

absl::StatusOr<kv::Value> List::Get(uint64_t index) { return At(first_ + index); }

absl::Status List::Visit(uint64_t index, uint64_t count, const Visitor& visit) {
  ElementRow key(collection_);
  for (uint64_t i = index; i < index + count; ++i) {
    TM_ASSIGN_OR_RETURN(const kv::Value row, keyspace_->txn().Get(key.at(first_ + i)));
    if (!row) return Missing();
    TM_ASSIGN_OR_RETURN(const std::string_view element, DecodeMemberValue(row.view()));
    if (!visit(i, element)) break;
  }
  return count > 1 ? CheckUnchanged() : absl::OkStatus();
}

absl::Status List::VisitBackward(uint64_t index, uint64_t count, const Visitor& visit) {
  ElementRow key(collection_);
  for (uint64_t i = index; i > index - count; --i) {
    TM_ASSIGN_OR_RETURN(const kv::Value row, keyspace_->txn().Get(key.at(first_ + i - 1)));
    if (!row) return Missing();
    TM_ASSIGN_OR_RETURN(const std::string_view element, DecodeMemberValue(row.view()));
    if (!visit(i - 1, element)) break;
  }
  return count > 1 ? CheckUnchanged() : absl::OkStatus();
}

void List::Put(uint64_t position, std::string_view element) {
  if (collection_ == kv::CollectionId{}) collection_ = keyspace_->txn().NewCollectionId();
  keyspace_->txn().PutShared(ElementRow(collection_).at(position), EncodeMemberValue(element));
  changed_ = true;
}

void List::Delete(uint64_t position) {
  keyspace_->txn().Delete(ElementRow(collection_).at(position));
  changed_ = true;
}

absl::Status List::MoveRow(uint64_t from, uint64_t to) {
  TM_ASSIGN_OR_RETURN(const kv::Value row, At(from));
  keyspace_->txn().PutShared(ElementRow(collection_).at(to), row);
  return absl::OkStatus();
}

void List::Push(ListEnd end, std::string_view element) {
  Put(end == ListEnd::kLeft ? --first_ : first_ + size_, element);
  ++size_;
}

absl::StatusOr<kv::Value> List::Pop(ListEnd end) {
  const uint64_t position = end == ListEnd::kLeft ? first_ : first_ + size_ - 1;
  TM_ASSIGN_OR_RETURN(kv::Value row, At(position));
  Delete(position);
  if (end == ListEnd::kLeft) ++first_;
  --size_;
  return row;
}

void List::Set(uint64_t index, std::string_view element) { Put(first_ + index, element); }

absl::Status List::Insert(uint64_t index, std::string_view element) {
  if (index < size_ - index) {
    for (uint64_t i = 0; i < index; ++i) TM_RETURN_IF_ERROR(MoveRow(first_ + i, first_ + i - 1));
    --first_;
  } else {
    for (uint64_t i = size_; i > index; --i) TM_RETURN_IF_ERROR(MoveRow(first_ + i - 1, first_ + i));
  }
  ++size_;
  Put(first_ + index, element);
  return absl::OkStatus();
}

absl::Status List::Remove(std::span<const uint64_t> indexes) {
  if (indexes.empty()) return absl::OkStatus();
  const uint64_t removed = indexes.size();
  if (size_ - indexes.front() <= indexes.back() + 1) {
    // What stands behind the first one moves down.
    uint64_t to = indexes.front();
    auto next = indexes.begin();
    for (uint64_t from = to; from < size_; ++from) {
      if (next != indexes.end() && *next == from) {
        ++next;
      } else {
        TM_RETURN_IF_ERROR(MoveRow(first_ + from, first_ + to++));
      }
    }
    for (uint64_t i = to; i < size_; ++i) Delete(first_ + i);
  } else {
    // What stands before the last one moves up; `to` and `from` are one more than the index.
    uint64_t to = indexes.back() + 1;
    auto next = indexes.rbegin();
    for (uint64_t from = to; from > 0; --from) {
      if (next != indexes.rend() && *next == from - 1) {
        ++next;
      } else {
        TM_RETURN_IF_ERROR(MoveRow(first_ + from - 1, first_ + --to));
      }
    }
    for (uint64_t i = 0; i < to; ++i) Delete(first_ + i);
    first_ += removed;
  }
  size_ -= removed;
  return absl::OkStatus();
}

// Gives the elements that stay a collection of their own; what the old one holds is swept later.
absl::Status List::CopyTo(uint64_t index, uint64_t count) {
  const kv::CollectionId collection = keyspace_->txn().NewCollectionId();
  ElementRow copy(collection);
  for (uint64_t i = 0; i < count; ++i) {
    TM_ASSIGN_OR_RETURN(const kv::Value row, At(first_ + index + i));
    keyspace_->txn().PutShared(copy.at(kMiddle + i), row);
  }
  collection_ = collection;
  first_ = kMiddle;
  return absl::OkStatus();
}

absl::Status List::Trim(uint64_t index, uint64_t count) {
  const uint64_t removed = size_ - count;
  changed_ = true;
  if (count > 0 && removed > std::max(count, kTrimByRow)) {
    TM_RETURN_IF_ERROR(CopyTo(index, count));
  } else if (count > 0) {
    for (uint64_t i = 0; i < index; ++i) Delete(first_ + i);
    for (uint64_t i = index + count; i < size_; ++i) Delete(first_ + i);
    first_ += index;
  }
  size_ = count;
  return absl::OkStatus();
}

void List::Commit() {
  if (!changed_) return;
  std::string extra;
  AppendLittle(&extra, first_);
  if (size_ == key_.count && extra == key_.extra && collection_ == key_.collection) {
    keyspace_->txn().Touched(keyspace_->db(), key_.name);
  } else {
    keyspace_->PutCollection(&key_, Type::kList, collection_, size_, key_.expire_ms, extra);
  }
  changed_ = false;
}

}  // namespace tidemark::types
