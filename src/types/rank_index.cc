#include "types/rank_index.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"

namespace tidemark::types {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr char kDirectoryTag = 0;
constexpr char kCountTag = 1;
// Longer separators are not taken: directories are read at every insert. A block without a shorter one stays whole
// until it has doubled, and so on.
constexpr size_t kSeparatorBytesMax = 128;
// Reads of one tree before a reader outside the commit lock gives up.
constexpr int kAttempts = 8;

absl::Status Damaged(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "rank index of a sorted set: {}", what);
}

std::string NodeKey(uint32_t node) {
  std::string key;
  AppendBig(&key, node);
  return key;
}

std::string DirectoryKey(uint32_t node) { return NodeKey(node) + kDirectoryTag; }

std::string CountKey(uint32_t node, uint32_t child) {
  std::string key = NodeKey(node) + kCountTag;
  AppendBig(&key, child);
  return key;
}

// Bytes of `next` that tell it from `last`, the row before it.
size_t SeparatorLength(std::string_view last, std::string_view next) {
  const auto differ = std::mismatch(last.begin(), last.end(), next.begin(), next.end());
  return static_cast<size_t>(differ.second - next.begin()) + 1;
}

// The place among the rows of a block where it is best cut: where the separator is shortest, and of these the nearest
// to the middle.
class Cutter {
 public:
  // The cut leaves from `low` to `high` rows before it.
  Cutter(uint64_t low, uint64_t high) : low_(low), high_(high) {}

  void Add(std::string_view order) {
    if (rows_ >= low_ && rows_ <= high_ && rows_ > 0) Consider(order);
    last_.assign(order);
    ++rows_;
  }
  uint64_t rows() const { return rows_; }
  bool found() const { return cut_ != 0; }
  // Rows before the cut, and where the row behind it begins.
  uint64_t cut() const { return cut_; }
  const std::string& separator() const { return separator_; }
  // Goes on with the rows behind the cut as a block of their own.
  void Restart() {
    rows_ -= cut_;
    cut_ = 0;
  }

 private:
  void Consider(std::string_view order) {
    const size_t length = SeparatorLength(last_, order);
    if (length > kSeparatorBytesMax) return;
    const uint64_t middle = low_ + (high_ - low_) / 2;
    const auto away = [middle](uint64_t place) { return place > middle ? place - middle : middle - place; };
    if (cut_ != 0 && std::pair(length, away(rows_)) >= std::pair(separator_.size(), away(cut_))) return;
    cut_ = rows_;
    separator_ = order.substr(0, length);
  }

  const uint64_t low_;
  const uint64_t high_;
  std::string last_;
  uint64_t rows_ = 0;
  uint64_t cut_ = 0;
  std::string separator_;
};

}  // namespace

// A directory row in place: looking up a child does not copy it.
class RankIndex::Directory {
 public:
  // `bytes` is the row's value without its version.
  static std::optional<Directory> Decode(std::string_view bytes) {
    if (bytes.size() < 4) return std::nullopt;
    Directory directory;
    directory.size_ = LoadLittle<uint32_t>(bytes.data());
    if (directory.size_ == 0 || (bytes.size() - 4) / 8 < directory.size_) return std::nullopt;
    directory.entries_ = bytes.data() + 4;
    directory.separators_ = bytes.substr(4 + directory.size_ * 8);
    if (directory.end(directory.size_ - 1) != directory.separators_.size()) return std::nullopt;
    return directory;
  }
  static std::string Encode(const std::vector<Child>& children) {
    std::string bytes;
    AppendLittle(&bytes, static_cast<uint32_t>(children.size()));
    uint32_t end = 0;
    for (const Child& child : children) {
      end += static_cast<uint32_t>(child.separator.size());
      AppendLittle(&bytes, child.id);
      AppendLittle(&bytes, end);
    }
    for (const Child& child : children) bytes += child.separator;
    return bytes;
  }

  size_t size() const { return size_; }
  uint32_t child(size_t i) const { return LoadLittle<uint32_t>(entries_ + i * 8); }
  // Empty where damage has put its end before its beginning.
  std::string_view separator(size_t i) const {
    const uint32_t begin = i == 0 ? 0 : end(i - 1);
    const uint32_t last = std::min<uint32_t>(end(i), static_cast<uint32_t>(separators_.size()));
    return begin < last ? separators_.substr(begin, last - begin) : std::string_view();
  }
  // The child under which `order` stands.
  size_t Find(std::string_view order) const {
    size_t low = 0;
    for (size_t high = size_; high - low > 1;) {
      const size_t middle = (low + high) / 2;
      (separator(middle) <= order ? low : high) = middle;
    }
    return low;
  }
  // Without counts.
  std::vector<Child> children() const {
    std::vector<Child> children(size_);
    for (size_t i = 0; i < size_; ++i) children[i] = {child(i), std::string(separator(i)), 0};
    return children;
  }
  // Keeps the bytes.
  kv::Value row;

 private:
  uint32_t end(size_t i) const { return LoadLittle<uint32_t>(entries_ + i * 8 + 4); }

  size_t size_ = 0;
  const char* entries_ = nullptr;
  std::string_view separators_;
};

struct RankIndex::Path {
  Directory root;
  Directory node;
  size_t node_at = 0;
  size_t block_at = 0;

  uint32_t node_id() const { return root.child(node_at); }
  uint32_t block_id() const { return node.child(block_at); }
  std::string_view begin() const { return node.separator(block_at); }
  std::optional<std::string_view> end() const {
    if (block_at + 1 < node.size()) return node.separator(block_at + 1);
    if (node_at + 1 < root.size()) return root.separator(node_at + 1);
    return std::nullopt;
  }
};

RankIndex::RankIndex(Keyspace& keyspace, const kv::CollectionId& collection, std::string_view extra, const Sizes& sizes)
    : keyspace_(&keyspace), collection_(collection), sizes_(sizes) {
  uint64_t next = 0;
  if (ConsumeVarint(&extra, &next)) next_id_ = static_cast<uint32_t>(next);
}

std::string RankIndex::extra() const {
  std::string extra;
  if (exists()) AppendVarint(&extra, next_id_);
  return extra;
}

absl::StatusOr<RankIndex::Directory> RankIndex::ReadDirectory(uint32_t node) {
  TM_ASSIGN_OR_RETURN(kv::Value row, keyspace_->GetOrderedRow(collection_, OrderedKind::kIndex, DirectoryKey(node)));
  std::optional<Directory> directory = Directory::Decode(Keyspace::MemberBytes(row));
  if (!directory) return Damaged(row ? "a directory is malformed" : "a directory is missing");
  directory->row = std::move(row);
  return *std::move(directory);
}

absl::StatusOr<RankIndex::Node> RankIndex::ReadNode(uint32_t id) {
  Node node;
  absl::flat_hash_map<uint32_t, uint64_t> counts;
  bool malformed = false;
  TM_RETURN_IF_ERROR(keyspace_->VisitOrdered(collection_, OrderedKind::kIndex, NodeKey(id), NodeKey(id + 1), kNoLimit,
                                             [&](std::string_view order, std::string_view value) {
                                               const std::string_view rest = order.substr(4);
                                               if (rest.size() == 1) {
                                                 node.directory = value;
                                               } else if (rest.size() == 5 && value.size() == 8) {
                                                 counts[LoadBig<uint32_t>(rest.data() + 1)] =
                                                     LoadLittle<uint64_t>(value.data());
                                               } else {
                                                 malformed = true;
                                               }
                                               return true;
                                             }));
  const std::optional<Directory> directory = Directory::Decode(node.directory);
  if (malformed || !directory || counts.size() != directory->size())
    return Damaged("a node is malformed or incomplete");
  node.children = directory->children();
  for (Child& child : node.children) {
    const auto count = counts.find(child.id);
    if (count == counts.end()) return Damaged("a node lacks a count");
    child.count = count->second;
  }
  return node;
}

absl::StatusOr<RankIndex::Path> RankIndex::Find(std::string_view order) {
  Path path;
  TM_ASSIGN_OR_RETURN(path.root, ReadDirectory(kRoot));
  path.node_at = path.root.Find(order);
  TM_ASSIGN_OR_RETURN(path.node, ReadDirectory(path.node_id()));
  path.block_at = path.node.Find(order);
  return path;
}

absl::StatusOr<uint64_t> RankIndex::Count(uint32_t node, uint32_t child) {
  TM_ASSIGN_OR_RETURN(const kv::Value row,
                      keyspace_->GetOrderedRow(collection_, OrderedKind::kIndex, CountKey(node, child)));
  const std::string_view bytes = Keyspace::MemberBytes(row);
  if (bytes.size() != 8) return Damaged("a count is missing or malformed");
  return LoadLittle<uint64_t>(bytes.data());
}

absl::StatusOr<uint64_t> RankIndex::Adjust(uint32_t node, uint32_t child, int64_t change) {
  TM_ASSIGN_OR_RETURN(uint64_t count, Count(node, child));
  if (change < 0 && count == 0) return Damaged("a count is less than its rows");
  count += static_cast<uint64_t>(change);
  PutCount(node, child, count);
  return count;
}

void RankIndex::PutCount(uint32_t node, uint32_t child, uint64_t count) {
  char bytes[8];
  StoreLittle(bytes, count);
  keyspace_->PutOrdered(collection_, OrderedKind::kIndex, CountKey(node, child), {bytes, sizeof(bytes)});
}

void RankIndex::DeleteCount(uint32_t node, uint32_t child) {
  keyspace_->DeleteOrdered(collection_, OrderedKind::kIndex, CountKey(node, child));
}

void RankIndex::PutDirectory(uint32_t node, const std::vector<Child>& children) {
  keyspace_->PutOrdered(collection_, OrderedKind::kIndex, DirectoryKey(node), Directory::Encode(children));
}

void RankIndex::PutNode(uint32_t node, const std::vector<Child>& children) {
  PutDirectory(node, children);
  for (const Child& child : children) PutCount(node, child.id, child.count);
}

absl::Status RankIndex::Build() {
  std::vector<Child> blocks(1);
  Cutter cutter(sizes_.block_built(), kNoLimit);
  TM_RETURN_IF_ERROR(keyspace_->VisitOrdered(collection_, OrderedKind::kScore, {}, std::nullopt, kNoLimit,
                                             [&](std::string_view order, std::string_view) {
                                               cutter.Add(order);
                                               if (cutter.rows() < sizes_.block_full() || !cutter.found()) return true;
                                               blocks.back().count = cutter.cut();
                                               blocks.push_back({0, cutter.separator(), 0});
                                               cutter.Restart();
                                               return true;
                                             }));
  blocks.back().count = cutter.rows();

  next_id_ = 1;
  std::vector<Child> nodes;
  for (size_t begin = 0; begin < blocks.size(); begin += sizes_.node_built()) {
    const auto first = blocks.begin() + static_cast<ptrdiff_t>(begin);
    const auto last = blocks.begin() + static_cast<ptrdiff_t>(std::min(begin + sizes_.node_built(), blocks.size()));
    Child node{next_id_++, first->separator, 0};
    for (auto block = first; block != last; ++block) {
      block->id = next_id_++;
      node.count += block->count;
    }
    PutNode(node.id, {first, last});
    nodes.push_back(std::move(node));
  }
  PutNode(kRoot, nodes);
  return absl::OkStatus();
}

absl::Status RankIndex::Drop() {
  std::vector<std::string> rows;
  TM_RETURN_IF_ERROR(keyspace_->VisitOrdered(collection_, OrderedKind::kIndex, {}, std::nullopt, kNoLimit,
                                             [&](std::string_view order, std::string_view) {
                                               rows.emplace_back(order);
                                               return true;
                                             }));
  for (const std::string& order : rows) keyspace_->DeleteOrdered(collection_, OrderedKind::kIndex, order);
  next_id_ = 0;
  return absl::OkStatus();
}

absl::Status RankIndex::Inserted(std::string_view order) {
  TM_ASSIGN_OR_RETURN(const Path path, Find(order));
  TM_ASSIGN_OR_RETURN(const uint64_t count, Adjust(path.node_id(), path.block_id(), 1));
  TM_RETURN_IF_ERROR(Adjust(kRoot, path.node_id(), 1).status());
  return count % sizes_.block_max == 0 ? SplitBlock(path, count) : absl::OkStatus();
}

absl::Status RankIndex::Removed(std::string_view order) {
  TM_ASSIGN_OR_RETURN(const Path path, Find(order));
  TM_ASSIGN_OR_RETURN(const uint64_t count, Adjust(path.node_id(), path.block_id(), -1));
  TM_RETURN_IF_ERROR(Adjust(kRoot, path.node_id(), -1).status());
  return count < sizes_.block_min() ? MergeBlock(path) : absl::OkStatus();
}

absl::Status RankIndex::Moved(std::string_view from, std::string_view to) {
  TM_ASSIGN_OR_RETURN(const Path old_path, Find(from));
  TM_ASSIGN_OR_RETURN(const Path new_path, Find(to));
  if (old_path.block_id() == new_path.block_id()) return absl::OkStatus();
  TM_RETURN_IF_ERROR(Removed(from));
  return Inserted(to);
}

absl::Status RankIndex::SplitBlock(const Path& path, uint64_t count) {
  if (next_id_ > std::numeric_limits<uint32_t>::max() - 2) return absl::OkStatus();
  Cutter cutter(count * 3 / 8, count * 5 / 8);
  TM_RETURN_IF_ERROR(keyspace_->VisitOrdered(collection_, OrderedKind::kScore, path.begin(), path.end(), kNoLimit,
                                             [&](std::string_view order, std::string_view) {
                                               cutter.Add(order);
                                               return true;
                                             }));
  if (cutter.rows() != count) return Damaged("a block has other than the rows that were counted");
  if (!cutter.found()) return absl::OkStatus();
  std::vector<Child> children = path.node.children();
  const uint32_t added = next_id_++;
  children.insert(children.begin() + static_cast<ptrdiff_t>(path.block_at) + 1, {added, cutter.separator(), 0});
  PutDirectory(path.node_id(), children);
  PutCount(path.node_id(), path.block_id(), cutter.cut());
  PutCount(path.node_id(), added, count - cutter.cut());
  return children.size() > sizes_.node_max ? SplitNode(path.node_at) : absl::OkStatus();
}

absl::Status RankIndex::SplitNode(size_t node_at) {
  TM_ASSIGN_OR_RETURN(const Directory root, ReadDirectory(kRoot));
  const uint32_t left_id = root.child(node_at);
  TM_ASSIGN_OR_RETURN(Node left, ReadNode(left_id));
  const auto middle = left.children.begin() + static_cast<ptrdiff_t>(left.children.size() / 2);
  const std::vector<Child> right(middle, left.children.end());
  left.children.erase(middle, left.children.end());

  const uint32_t right_id = next_id_++;
  PutNode(right_id, right);
  PutDirectory(left_id, left.children);
  uint64_t moved = 0;
  for (const Child& child : right) {
    DeleteCount(left_id, child.id);
    moved += child.count;
  }
  std::vector<Child> nodes = root.children();
  nodes.insert(nodes.begin() + static_cast<ptrdiff_t>(node_at) + 1, {right_id, right.front().separator, 0});
  PutDirectory(kRoot, nodes);
  PutCount(kRoot, right_id, moved);
  return Adjust(kRoot, left_id, -static_cast<int64_t>(moved)).status();
}

absl::Status RankIndex::MergeBlock(const Path& path) {
  const size_t size = path.node.size();
  if (size == 1) return MergeNode(path.node_at);
  for (const size_t left : {path.block_at - 1, path.block_at}) {
    if (left >= size - 1) continue;
    const uint32_t left_id = path.node.child(left);
    const uint32_t right_id = path.node.child(left + 1);
    TM_ASSIGN_OR_RETURN(const uint64_t left_count, Count(path.node_id(), left_id));
    TM_ASSIGN_OR_RETURN(const uint64_t right_count, Count(path.node_id(), right_id));
    if (left_count != 0 && right_count != 0 && left_count + right_count > sizes_.block_full()) continue;
    std::vector<Child> children = path.node.children();
    children.erase(children.begin() + static_cast<ptrdiff_t>(left) + 1);
    PutDirectory(path.node_id(), children);
    PutCount(path.node_id(), left_id, left_count + right_count);
    DeleteCount(path.node_id(), right_id);
    return children.size() < sizes_.node_min() ? MergeNode(path.node_at) : absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status RankIndex::MergeNode(size_t node_at) {
  TM_ASSIGN_OR_RETURN(const Directory root, ReadDirectory(kRoot));
  for (const size_t left : {node_at - 1, node_at}) {
    if (left >= root.size() - 1) continue;
    const uint32_t left_id = root.child(left);
    const uint32_t right_id = root.child(left + 1);
    TM_ASSIGN_OR_RETURN(Node merged, ReadNode(left_id));
    TM_ASSIGN_OR_RETURN(const Node right, ReadNode(right_id));
    if (merged.children.size() + right.children.size() > sizes_.node_full()) continue;
    uint64_t moved = 0;
    for (const Child& child : right.children) {
      merged.children.push_back(child);
      PutCount(left_id, child.id, child.count);
      DeleteCount(right_id, child.id);
      moved += child.count;
    }
    PutDirectory(left_id, merged.children);
    keyspace_->DeleteOrdered(collection_, OrderedKind::kIndex, DirectoryKey(right_id));
    std::vector<Child> nodes = root.children();
    nodes.erase(nodes.begin() + static_cast<ptrdiff_t>(left) + 1);
    PutDirectory(kRoot, nodes);
    DeleteCount(kRoot, right_id);
    return Adjust(kRoot, left_id, static_cast<int64_t>(moved)).status();
  }
  return absl::OkStatus();
}

// Readers outside the commit lock may meet a node that was split or merged after they read the root: then the root has
// another directory by now. Counts and directory of one node are read by one scan.
absl::StatusOr<RankIndex::Block> RankIndex::Descend(Pick pick) {
  for (int attempt = 1;; ++attempt) {
    TM_ASSIGN_OR_RETURN(const Node root, ReadNode(kRoot));
    Block block;
    const auto enter = [&](const Node& node) -> const Child& {
      const size_t at = pick(node, block.before);
      for (size_t i = 0; i < at; ++i) block.before += node.children[i].count;
      return node.children[at];
    };
    const absl::StatusOr<Node> node = ReadNode(enter(root).id);
    if (kv::IsColdRow(node.status())) return node.status();
    TM_ASSIGN_OR_RETURN(const kv::Value now,
                        keyspace_->GetOrderedRow(collection_, OrderedKind::kIndex, DirectoryKey(kRoot)));
    if (Keyspace::MemberBytes(now) != root.directory && attempt < kAttempts) continue;
    if (!node.ok()) return node.status();
    block.begin = enter(*node).separator;
    return block;
  }
}

absl::StatusOr<RankIndex::Block> RankIndex::BlockOf(std::string_view order) {
  return Descend([order](const Node& node, uint64_t) {
    const auto above = std::upper_bound(
        node.children.begin() + 1, node.children.end(), order,
        [](std::string_view wanted, const Child& child) { return wanted < std::string_view(child.separator); });
    return static_cast<size_t>(above - node.children.begin()) - 1;
  });
}

absl::StatusOr<RankIndex::Block> RankIndex::BlockAt(uint64_t rank) {
  return Descend([rank](const Node& node, uint64_t before) {
    size_t at = 0;
    for (; at + 1 < node.children.size() && before + node.children[at].count <= rank; ++at) {
      before += node.children[at].count;
    }
    return at;
  });
}

absl::Status RankIndex::Verify() {
  TM_ASSIGN_OR_RETURN(const Node root, ReadNode(kRoot));
  std::vector<Child> blocks;
  for (const Child& child : root.children) {
    TM_ASSIGN_OR_RETURN(const Node node, ReadNode(child.id));
    if (node.children.front().separator != child.separator)
      return Damaged("a node begins elsewhere than the root says");
    uint64_t sum = 0;
    for (const Child& block : node.children) {
      sum += block.count;
      blocks.push_back(block);
    }
    if (sum != child.count) return Damaged("the root counts otherwise than a node");
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    if ((i == 0) != blocks[i].separator.empty()) return Damaged("the blocks leave out rows");
    const bool last = i + 1 == blocks.size();
    if (!last && blocks[i].separator >= blocks[i + 1].separator) return Damaged("blocks are out of order");
    uint64_t rows = 0;
    TM_RETURN_IF_ERROR(
        keyspace_->VisitOrdered(collection_, OrderedKind::kScore, blocks[i].separator,
                                last ? std::nullopt : std::optional<std::string_view>(blocks[i + 1].separator),
                                kNoLimit, [&](std::string_view, std::string_view) {
                                  ++rows;
                                  return true;
                                }));
    if (rows != blocks[i].count) return Damaged("a block has other than the rows that were counted");
  }
  return absl::OkStatus();
}

}  // namespace tidemark::types
