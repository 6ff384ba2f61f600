// Dirty rows in key order. A row becomes dirty on the write path with the store's lock held, so entering it has to be
// cheap, and what costs in an ordered set of pointers is fetching the keys that it compares with. Here the nodes hold
// the part of the key that decides: a trie of B-trees (the idea of Masstree: Mao, Kohler, Morris, "Cache craftiness for
// fast multicore key-value storage", EuroSys 2012). Each layer orders eight bytes of the key as one number; rows that
// have these in common are told apart by a layer of their own, made when a second one arrives.
//
// Covered by the store's lock; a cursor lives until the order next changes.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "kv/hot_table.h"

namespace tidemark::kv {

// Holds each row at most once; the entries belong to the hot table.
class DirtyOrder {
 private:
  struct Layer;

  // Eight bytes of a key, zeros where it ends before. `size` tells rows apart that differ in trailing zeros: the number
  // of bytes, or kMore when the key goes on.
  struct Slice {
    uint64_t bytes;
    uint64_t size;
    static constexpr size_t kBytes = 8;
    static constexpr uint64_t kMore = 9;
    bool operator<(const Slice& other) const { return bytes != other.bytes ? bytes < other.bytes : size < other.size; }
    bool operator==(const Slice&) const = default;
  };
  // An entry, or where several share a slice that goes on, the layer of what follows.
  class Place {
   public:
    explicit Place(Entry* entry) : bits_(reinterpret_cast<uintptr_t>(entry)) {}
    explicit Place(Layer* layer) : bits_(reinterpret_cast<uintptr_t>(layer) | 1) {}
    // NOLINTBEGIN(performance-no-int-to-ptr): a tagged pointer
    Layer* layer() const { return (bits_ & 1) != 0 ? reinterpret_cast<Layer*>(bits_ & ~uintptr_t{1}) : nullptr; }
    Entry* entry() const { return reinterpret_cast<Entry*>(bits_); }
    // NOLINTEND(performance-no-int-to-ptr)

   private:
    uintptr_t bits_;
  };
  using Places = absl::btree_map<Slice, Place>;
  struct Layer {
    Places places;
  };

 public:
  DirtyOrder() = default;
  ~DirtyOrder() { clear(); }
  DirtyOrder(const DirtyOrder&) = delete;
  DirtyOrder& operator=(const DirtyOrder&) = delete;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  bool Contains(std::string_view key) const;
  // The row is not in the order.
  void Insert(Entry* entry);
  // The row is in the order.
  void Erase(const Entry* entry);
  void clear();
  void swap(DirtyOrder& other);

  class Cursor {
   public:
    // At the first row.
    explicit Cursor(const DirtyOrder& order);
    // At the first row whose key is not below `key`.
    Cursor(const DirtyOrder& order, std::string_view key);
    bool Valid() const { return !path_.empty(); }
    Entry* entry() const { return path_.back().at->second.entry(); }
    void Next();

   private:
    struct Step {
      Places::const_iterator at;
      Places::const_iterator end;
    };
    void Descend();
    void LeaveEnded();

    // From the root to the layer that holds the entry.
    absl::InlinedVector<Step, 6> path_;
  };

  // The same downwards.
  class DownCursor {
   public:
    // At the last row whose key is below `key`.
    DownCursor(const DirtyOrder& order, std::string_view key);
    bool Valid() const { return !path_.empty(); }
    Entry* entry() const { return path_.back().at->second.entry(); }
    void Next();

   private:
    struct Step {
      Places::const_iterator at;
      Places::const_iterator begin;
    };
    // From the place at hand, which is visited already or above the start, to the entry before it.
    void StepDown();

    absl::InlinedVector<Step, 6> path_;
  };

 private:
  static Slice SliceAt(std::string_view key, size_t offset);
  static void FreeBelow(Layer& layer);

  Layer root_;
  size_t size_ = 0;
};

}  // namespace tidemark::kv
