#include "types/zset.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace tidemark::types {
namespace {

constexpr size_t kScoreBytes = 8;
constexpr uint64_t kSign = uint64_t{1} << 63;

uint64_t OrderOf(double score) {
  TM_CHECK(!std::isnan(score));
  const auto bits = std::bit_cast<uint64_t>(score == 0 ? 0.0 : score);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

double ScoreOf(uint64_t order) { return std::bit_cast<double>((order & kSign) != 0 ? order & ~kSign : ~order); }

std::string BigBytes(uint64_t number) {
  std::string bytes;
  AppendBig(&bytes, number);
  return bytes;
}

absl::Status CheckMember(std::string_view member) {
  if (member.size() <= kMaxKeyBytes) return absl::OkStatus();
  return InvalidArgument("ERR member of {} bytes is longer than the limit of {} bytes", member.size(), kMaxKeyBytes);
}

absl::Status Damaged(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "rows of a sorted set: {}", what);
}

size_t Limit(uint64_t skip, uint64_t limit) {
  return limit > std::numeric_limits<size_t>::max() - skip ? std::numeric_limits<size_t>::max() : skip + limit;
}

}  // namespace

std::string ScoreBegin(double score) { return BigBytes(OrderOf(score)); }
std::string ScoreEnd(double score) { return BigBytes(OrderOf(score) + 1); }

std::string ScoreOrder(double score, std::string_view member) {
  std::string order;
  order.reserve(kScoreBytes + member.size());
  AppendBig(&order, OrderOf(score));
  order += member;
  return order;
}

absl::StatusOr<double> DecodeScore(std::string_view bytes) {
  if (bytes.size() != kScoreBytes) return Damaged("a score is malformed");
  return std::bit_cast<double>(LoadLittle<uint64_t>(bytes.data()));
}

namespace {

void PutScoredMember(Keyspace& keyspace, const kv::CollectionId& collection, std::string_view member, double score) {
  char bytes[kScoreBytes];
  StoreLittle(bytes, std::bit_cast<uint64_t>(score == 0 ? 0.0 : score));
  keyspace.PutMember(collection, member, {bytes, sizeof(bytes)});
  keyspace.PutOrdered(collection, OrderedKind::kScore, ScoreOrder(score, member), {});
}

}  // namespace

Zset Zset::Of(Keyspace& keyspace, Key key) {
  // An expired key is replaced as a whole: it is an empty set of a new collection.
  const kv::CollectionId collection = key ? key.collection : kv::CollectionId{};
  const uint64_t size = key ? key.count : 0;
  const std::string_view extra = key ? key.extra : std::string_view();
  return Zset(keyspace, std::move(key), collection, size, extra);
}

absl::StatusOr<Zset> Zset::Find(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name, Type::kZset));
  return Of(keyspace, std::move(key));
}

absl::StatusOr<Zset> Zset::Lookup(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Lookup(name, Type::kZset));
  return Of(keyspace, std::move(key));
}

Zset Zset::Replacing(Keyspace& keyspace, Key key) {
  Zset zset(keyspace, std::move(key), {}, 0, {});
  zset.changed_ = true;
  return zset;
}

absl::StatusOr<std::optional<double>> Zset::Score(std::string_view member) {
  TM_RETURN_IF_ERROR(CheckMember(member));
  if (size_ == 0) return std::nullopt;
  TM_ASSIGN_OR_RETURN(const kv::Value row, keyspace_->GetMemberRow(collection_, member));
  if (!row) return std::nullopt;
  TM_ASSIGN_OR_RETURN(const double score, DecodeScore(Keyspace::MemberBytes(row)));
  return score;
}

absl::Status Zset::Put(std::string_view member, double score, std::optional<double> former) {
  TM_RETURN_IF_ERROR(CheckMember(member));
  if (collection_ == kv::CollectionId{}) {
    collection_ = keyspace_->txn().NewCollectionId();
    index_ = RankIndex(*keyspace_, collection_, {});
  }
  changed_ = true;
  const std::string order = ScoreOrder(score, member);
  const bool moves = former && *former != score;
  const std::string old_order = moves ? ScoreOrder(*former, member) : std::string();
  if (moves) keyspace_->DeleteOrdered(collection_, OrderedKind::kScore, old_order);
  PutScoredMember(*keyspace_, collection_, member, score);
  if (!former) ++size_;
  if (!index_.exists()) return absl::OkStatus();
  if (!former) return index_.Inserted(order);
  return moves ? index_.Moved(old_order, order) : absl::OkStatus();
}

absl::Status Zset::Remove(std::string_view member, double score) {
  const std::string order = ScoreOrder(score, member);
  keyspace_->DeleteMember(collection_, member);
  keyspace_->DeleteOrdered(collection_, OrderedKind::kScore, order);
  --size_;
  changed_ = true;
  return index_.exists() && size_ > 0 ? index_.Removed(order) : absl::OkStatus();
}

absl::Status Zset::Commit() {
  if (!changed_) return absl::OkStatus();
  changed_ = false;
  if (index_.exists() && size_ < kIndexedMin && size_ > 0) TM_RETURN_IF_ERROR(index_.Drop());
  if (!index_.exists() && size_ > kPlainMax) TM_RETURN_IF_ERROR(index_.Build());
  const std::string extra = index_.extra();
  if (size_ > 0 && key_ && collection_ == key_.collection && size_ == key_.count && extra == key_.extra) {
    keyspace_->txn().Touched(keyspace_->db(), key_.name);
  } else {
    const uint64_t expire_ms = collection_ == key_.collection ? key_.expire_ms : 0;
    keyspace_->PutCollection(&key_, Type::kZset, collection_, size_, expire_ms, extra);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Zset::CountRows(std::string_view begin, std::optional<std::string_view> end) {
  uint64_t rows = 0;
  TM_RETURN_IF_ERROR(keyspace_->VisitOrdered(collection_, OrderedKind::kScore, begin, end,
                                             std::numeric_limits<size_t>::max(),
                                             [&](std::string_view, std::string_view) {
                                               ++rows;
                                               return true;
                                             }));
  return rows;
}

absl::StatusOr<uint64_t> Zset::CountBefore(std::string_view order) {
  if (size_ == 0) return 0;
  if (!index_.exists()) return CountRows({}, order);
  TM_ASSIGN_OR_RETURN(const RankIndex::Block block, index_.BlockOf(order));
  TM_ASSIGN_OR_RETURN(const uint64_t rows, CountRows(block.begin, order));
  return block.before + rows;
}

absl::StatusOr<uint64_t> Zset::Count(const ScoreRange& range) {
  if (size_ == 0 || (range.end && *range.end <= range.begin)) return 0;
  if (!index_.exists()) return CountRows(range.begin, range.end);
  uint64_t last = size_;
  uint64_t first = 0;
  if (range.end) {
    TM_ASSIGN_OR_RETURN(last, CountBefore(*range.end));
  }
  if (!range.begin.empty()) {
    TM_ASSIGN_OR_RETURN(first, CountBefore(range.begin));
  }
  return last > first ? last - first : 0;
}

absl::StatusOr<std::string> Zset::OrderAt(uint64_t rank) {
  TM_ASSIGN_OR_RETURN(const RankIndex::Block block, index_.BlockAt(rank));
  std::string found;
  uint64_t left = rank - block.before;
  TM_RETURN_IF_ERROR(keyspace_->VisitOrdered(collection_, OrderedKind::kScore, block.begin, std::nullopt,
                                             Limit(left, 1), [&](std::string_view order, std::string_view) {
                                               if (left-- == 0) found = order;
                                               return true;
                                             }));
  return found;
}

absl::Status Zset::VisitRows(std::string_view begin, std::optional<std::string_view> end, bool backward, uint64_t skip,
                             uint64_t limit, Visitor visit) {
  bool damaged = false;
  const Keyspace::OrderedVisitor each = [&](std::string_view order, std::string_view) {
    if (skip > 0) {
      --skip;
      return true;
    }
    damaged = order.size() < kScoreBytes;
    if (damaged) return false;
    return visit(order.substr(kScoreBytes), ScoreOf(LoadBig<uint64_t>(order.data())));
  };
  const size_t rows = Limit(skip, limit);
  TM_RETURN_IF_ERROR(backward
                         ? keyspace_->VisitOrderedBackward(collection_, OrderedKind::kScore, begin, end, rows, each)
                         : keyspace_->VisitOrdered(collection_, OrderedKind::kScore, begin, end, rows, each));
  return damaged ? Damaged("a score row is too short") : absl::OkStatus();
}

absl::Status Zset::VisitFarRows(const ScoreRange& range, bool backward, uint64_t skip, uint64_t limit, Visitor visit) {
  uint64_t first = 0;
  uint64_t last = size_;
  if (!range.begin.empty()) {
    TM_ASSIGN_OR_RETURN(first, CountBefore(range.begin));
  }
  if (range.end) {
    TM_ASSIGN_OR_RETURN(last, CountBefore(*range.end));
  }
  if (first >= last || skip >= last - first) return absl::OkStatus();
  if (backward) {
    TM_ASSIGN_OR_RETURN(std::string order, OrderAt(last - 1 - skip));
    if (order.empty()) return absl::OkStatus();
    return VisitRows(range.begin, order + '\0', true, 0, limit, visit);
  }
  TM_ASSIGN_OR_RETURN(const RankIndex::Block block, index_.BlockAt(first + skip));
  return VisitRows(block.begin, range.end, false, first + skip - block.before, limit, visit);
}

absl::Status Zset::Visit(const ScoreRange& range, bool backward, uint64_t skip, uint64_t limit, Visitor visit) {
  if (size_ == 0 || limit == 0 || (range.end && *range.end <= range.begin)) return absl::OkStatus();
  if (skip > kPlainMax && index_.exists()) return VisitFarRows(range, backward, skip, limit, visit);
  return VisitRows(range.begin, range.end, backward, skip, limit, visit);
}

absl::Status Zset::Verify() {
  uint64_t rows = 0;
  std::vector<std::pair<std::string, double>> members;
  TM_RETURN_IF_ERROR(Visit({}, false, 0, kNoLimit, [&](std::string_view member, double score) {
    members.emplace_back(member, score);
    return true;
  }));
  for (const auto& [member, score] : members) {
    TM_ASSIGN_OR_RETURN(const std::optional<double> found, Score(member));
    if (!found || *found != score) return Damaged("a score row and its member row differ");
  }
  TM_RETURN_IF_ERROR(keyspace_->VisitMembers(collection_, 0, std::numeric_limits<size_t>::max(),
                                             [&](std::string_view, std::string_view, uint32_t) {
                                               ++rows;
                                               return true;
                                             }));
  if (rows != members.size() || rows != size_) return Damaged("there are other than the rows that were counted");
  return index_.exists() ? index_.Verify() : absl::OkStatus();
}

}  // namespace tidemark::types
