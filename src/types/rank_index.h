// Where in a large sorted set a rank is: how many score rows stand in each block of some hundred, so that ZRANK and
// ranges by rank read a few hundred rows of a million.
//
// A tree of three levels over the score rows: the root, its nodes, their blocks. A block is a range of score rows,
// which begins at its *separator* (bytes in the order of score rows, the first empty) and ends where the next begins.
// Root and nodes each have one directory row, which lists their children with separators in order, and a row with a
// count for each child. An insert reads two directories and changes two counts, all by point reads; directories change
// when a block is split or merged. What is split, and where, follows from the rows alone.
//
// Ordered rows of kind 'i', numbers in their keys big-endian, in values little-endian:
//   node (4) · 0               → children (4) · for each: child (4), end of its separator (4) · separators
//   node (4) · 1 · child (4)   → score rows under it (8)
// The root is node 0; the other numbers count up from 1 and are not used again. The next one stands in the key row's
// `extra` (varint); without one the set has no index. Everything follows from the score rows, so digests leave it out.
//
// Not thread-safe: lives within one transaction, on its thread. Errors: the transaction's, DATA_LOSS where index and
// rows do not fit together.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "types/keyspace.h"

namespace tidemark::types {

class RankIndex {
 public:
  // When blocks and nodes are split and merged.
  struct Sizes {
    uint64_t block_max = 512;  // rows at which a block is split
    size_t node_max = 256;     // children of a node above which it is split

    // Below these they are merged with a neighbour, if what comes of it is not soon split again.
    uint64_t block_min() const { return block_max / 8; }
    size_t node_min() const { return node_max / 8; }
    uint64_t block_full() const { return block_max * 3 / 4; }
    size_t node_full() const { return node_max * 3 / 4; }
    // What Build puts into one, at least.
    uint64_t block_built() const { return block_max / 2; }
    size_t node_built() const { return node_max / 2; }
  };

  // `extra` as the key row has it; decides whether there is an index. `keyspace` outlives this object.
  RankIndex(Keyspace& keyspace, const kv::CollectionId& collection, std::string_view extra)
      : RankIndex(keyspace, collection, extra, Sizes()) {}
  // Other sizes than the server's, for tests.
  RankIndex(Keyspace& keyspace, const kv::CollectionId& collection, std::string_view extra, const Sizes& sizes);

  bool exists() const { return next_id_ != 0; }
  // What the key row shall have.
  std::string extra() const;

  // Makes the index of the score rows that stand. One pass over them.
  absl::Status Build();
  // Removes it.
  absl::Status Drop();

  // A score row that has been put, that has been deleted, or that has been deleted and put in another place.
  absl::Status Inserted(std::string_view order);
  absl::Status Removed(std::string_view order);
  absl::Status Moved(std::string_view from, std::string_view to);

  struct Block {
    std::string begin;
    uint64_t before = 0;  // score rows before it
  };
  // The block in which `order` stands or would stand, and that in which the row of that rank stands. Outside the
  // commit lock counts may be of different moments, but never of different trees.
  absl::StatusOr<Block> BlockOf(std::string_view order);
  absl::StatusOr<Block> BlockAt(uint64_t rank);

  // DATA_LOSS unless every count is that of its rows. Reads all of them.
  absl::Status Verify();

 private:
  struct Child {
    uint32_t id = 0;
    std::string separator;
    uint64_t count = 0;
  };
  struct Node {
    std::string directory;  // as in its row
    std::vector<Child> children;
  };
  class Directory;
  struct Path;

  static constexpr uint32_t kRoot = 0;

  absl::StatusOr<Directory> ReadDirectory(uint32_t node);
  absl::StatusOr<Node> ReadNode(uint32_t node);
  absl::StatusOr<Path> Find(std::string_view order);
  using Pick = absl::FunctionRef<size_t(const Node& node, uint64_t before)>;
  absl::StatusOr<Block> Descend(Pick pick);

  absl::StatusOr<uint64_t> Count(uint32_t node, uint32_t child);
  absl::StatusOr<uint64_t> Adjust(uint32_t node, uint32_t child, int64_t change);
  void PutCount(uint32_t node, uint32_t child, uint64_t count);
  void DeleteCount(uint32_t node, uint32_t child);
  void PutDirectory(uint32_t node, const std::vector<Child>& children);
  // Directory and counts.
  void PutNode(uint32_t node, const std::vector<Child>& children);

  absl::Status SplitBlock(const Path& path, uint64_t count);
  absl::Status SplitNode(size_t node_at);
  absl::Status MergeBlock(const Path& path);
  absl::Status MergeNode(size_t node_at);

  Keyspace* keyspace_;
  kv::CollectionId collection_;
  Sizes sizes_;
  uint32_t next_id_ = 0;
};

}  // namespace tidemark::types
