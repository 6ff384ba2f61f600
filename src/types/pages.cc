#include "types/pages.h"

#include <utility>

namespace tidemark::types {
namespace {

// Rows of one page as they are visited, with the order by which they are grouped. One row more than asked for is read:
// only when another order begins is it known that the group before is complete.
template <typename Item>
class Groups {
 public:
  void Visit(uint64_t order) {
    several_ = several_ || (rows_ > 0 && order != last_);
    last_ = order;
    ++rows_;
  }
  void Keep(Item item) { kept_.push_back({std::move(item), last_}); }

  size_t rows() const { return rows_; }
  // True when there is at least one group that is complete although the read ended at its limit.
  bool several() const { return several_; }

  // The kept rows of complete groups, and the cursor of what follows.
  uint64_t TakeComplete(bool at_end, std::vector<Item>* items) {
    if (!at_end) {
      while (!kept_.empty() && kept_.back().order == last_) kept_.pop_back();
    }
    items->reserve(kept_.size());
    for (Entry& entry : kept_) items->push_back(std::move(entry.item));
    return at_end ? 0 : last_;
  }

 private:
  struct Entry {
    Item item;
    uint64_t order;
  };
  std::vector<Entry> kept_;
  size_t rows_ = 0;
  uint64_t last_ = 0;
  bool several_ = false;
};

// `visit(limit, &groups)` reads up to `limit` rows from the page's beginning. Repeated with a larger limit while all
// are of one order.
template <typename Item, typename Visit>
absl::StatusOr<uint64_t> ReadPage(size_t count, std::vector<Item>* items, const Visit& visit) {
  for (size_t limit = count + 1;; limit *= 2) {
    Groups<Item> groups;
    TM_RETURN_IF_ERROR(visit(limit, &groups));
    const bool at_end = groups.rows() < limit;
    if (at_end || groups.several()) return groups.TakeComplete(at_end, items);
  }
}

}  // namespace

absl::StatusOr<KeyPage> ReadKeyPage(Keyspace& keyspace, uint64_t cursor, size_t count,
                                    absl::FunctionRef<bool(const Key&)> wanted) {
  KeyPage page;
  if (cursor >> kKeyOrderBits != 0) return page;
  TM_ASSIGN_OR_RETURN(page.next, ReadPage(count, &page.names, [&](size_t limit, Groups<std::string>* groups) {
                        return keyspace.VisitKeys(cursor, limit, [&](const Key& key, uint64_t order) {
                          groups->Visit(order);
                          if (key && wanted(key)) groups->Keep(std::string(key.name));
                          return true;
                        });
                      }));
  return page;
}

absl::StatusOr<MemberPage> ReadMemberPage(Keyspace& keyspace, const kv::CollectionId& collection, uint64_t cursor,
                                          size_t count, absl::FunctionRef<bool(std::string_view member)> wanted) {
  using Member = MemberPage::Member;
  MemberPage page;
  if (cursor > UINT32_MAX) return page;
  TM_ASSIGN_OR_RETURN(page.next, ReadPage(count, &page.members, [&](size_t limit, Groups<Member>* groups) {
                        return keyspace.VisitMembers(
                            collection, static_cast<uint32_t>(cursor), limit,
                            [&](std::string_view member, std::string_view value, uint32_t order) {
                              groups->Visit(order);
                              if (wanted(member)) groups->Keep({std::string(member), std::string(value)});
                              return true;
                            });
                      }));
  return page;
}

}  // namespace tidemark::types
