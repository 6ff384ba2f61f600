// A list against a deque through random changes: contents, dense rows without anything left over, and that a list that
// lost everything leaves nothing but work for the sweeper.
#include "types/list.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "types/testing.h"

namespace tidemark::types {
namespace {

using testing::MemoryTxn;

constexpr DbIndex kDb = {2};

class ListTest : public ::testing::Test {
 protected:
  List Find() {
    absl::StatusOr<List> list = List::Find(keys_, "queue");
    TM_CHECK(list.ok(), "{}", Message(list.status()));
    return *std::move(list);
  }

  void Check(const absl::Status& status) { TM_CHECK(status.ok(), "{}", Message(status)); }

  std::deque<std::string> Contents() {
    std::deque<std::string> all;
    List list = Find();
    Check(list.Visit(0, list.size(), [&](uint64_t index, std::string_view element) {
      TM_CHECK(index == all.size());
      all.emplace_back(element);
      return true;
    }));
    return all;
  }

  // Element rows of the list's own collection.
  size_t Rows() {
    const List list = Find();
    size_t rows = 0;
    for (const auto& [row, value] : txn_.rows()) {
      const auto parts = ParseOrderedRow(row);
      if (parts && list.key() && parts->collection == list.key().collection) ++rows;
    }
    return rows;
  }

  std::string NewElement() { return std::to_string(random_() % 5); }
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  void Step(std::deque<std::string>& model) {
    List list = Find();
    const ListEnd end = Below(2) == 0 ? ListEnd::kLeft : ListEnd::kRight;
    const std::string element = NewElement();
    switch (Below(8)) {
      case 0:
      case 1:
      case 2:
        list.Push(end, element);
        end == ListEnd::kLeft ? model.push_front(element) : model.push_back(element);
        break;
      case 3:
        if (model.empty()) break;
        EXPECT_EQ(Keyspace::MemberBytes(*list.Pop(end)), end == ListEnd::kLeft ? model.front() : model.back());
        end == ListEnd::kLeft ? model.pop_front() : model.pop_back();
        break;
      case 4: {
        const uint64_t at = Below(model.size() + 1);
        Check(list.Insert(at, element));
        model.insert(model.begin() + static_cast<ptrdiff_t>(at), element);
        break;
      }
      case 5: {
        if (model.empty()) break;
        const uint64_t at = Below(model.size());
        list.Set(at, element);
        model[at] = element;
        break;
      }
      case 6:
        RemoveSome(list, model);
        break;
      default:
        if (Below(4) == 0) TrimSome(list, model);
    }
    list.Commit();
  }

  void RemoveSome(List& list, std::deque<std::string>& model) {
    std::set<uint64_t> chosen;
    for (uint64_t i = Below(4); i > 0 && !model.empty(); --i) chosen.insert(Below(model.size()));
    Check(list.Remove(std::vector<uint64_t>(chosen.begin(), chosen.end())));
    for (auto index = chosen.rbegin(); index != chosen.rend(); ++index) {
      model.erase(model.begin() + static_cast<ptrdiff_t>(*index));
    }
  }

  void TrimSome(List& list, std::deque<std::string>& model) {
    const uint64_t from = Below(model.size() + 1);
    const uint64_t count = Below(model.size() - from + 1);
    Check(list.Trim(from, count));
    model = {model.begin() + static_cast<ptrdiff_t>(from), model.begin() + static_cast<ptrdiff_t>(from + count)};
  }

  std::mt19937_64 random_{7};
  MemoryTxn txn_;
  Keyspace keys_{txn_, kDb};
};

TEST_F(ListTest, EqualsADequeWhateverIsDoneToIt) {
  std::deque<std::string> model;
  for (int step = 0; step < 4000; ++step) {
    txn_.Begin(true);
    Step(model);
    txn_.Commit();
    const std::deque<std::string> contents = Contents();
    ASSERT_EQ(contents, model) << "step " << step;
    ASSERT_EQ(Rows(), model.size()) << "step " << step;
    ASSERT_EQ(txn_.db(kDb).keys, model.empty() ? 0 : 1);
  }
}

TEST_F(ListTest, ReadsByIndexAndBackwards) {
  List list = Find();
  for (const char* element : {"a", "b", "c", "d"}) list.Push(ListEnd::kRight, element);
  list.Push(ListEnd::kLeft, "z");
  list.Commit();
  List found = Find();
  EXPECT_EQ(Keyspace::MemberBytes(*found.Get(0)), "z");
  EXPECT_EQ(Keyspace::MemberBytes(*found.Get(4)), "d");
  std::string seen;
  Check(found.VisitBackward(4, 3, [&](uint64_t index, std::string_view element) {
    seen += std::to_string(index) + std::string(element);
    return true;
  }));
  EXPECT_EQ(seen, "3c2b1a");
}

TEST_F(ListTest, TrimmingMostOfALongListCostsWhatStays) {
  {
    List list = Find();
    for (int i = 0; i < 10000; ++i) list.Push(ListEnd::kRight, std::to_string(i));
    list.Commit();
  }
  txn_.Begin(true);
  List list = Find();
  Check(list.Trim(5000, 3));
  list.Commit();
  EXPECT_LT(txn_.reads(), 10);
  EXPECT_EQ(Contents(), (std::deque<std::string>{"5000", "5001", "5002"}));
  size_t dead = 0;
  for (const auto& [row, value] : txn_.rows()) dead += ParseDeadRow(row) ? 1 : 0;
  EXPECT_EQ(dead, 1u);
}

TEST_F(ListTest, ALostElementIsDamageAndAListThatChangedMeanwhileIsReadAgain) {
  {
    List list = Find();
    for (const char* element : {"a", "b", "c"}) list.Push(ListEnd::kRight, element);
    list.Commit();
  }
  List reader = Find();
  {
    List other = Find();
    TM_CHECK(other.Pop(ListEnd::kLeft).ok());
    other.Commit();
  }
  // As in a rehearsal, whose reads see a moment each.
  EXPECT_TRUE(kv::IsColdRow(reader.Get(0).status()));
  EXPECT_TRUE(kv::IsColdRow(reader.Visit(1, 2, [](uint64_t, std::string_view) { return true; })));
  List list = Find();
  txn_.Delete(
      OrderedRow(list.key().collection, OrderedKind::kElement, std::string_view("\x80\0\0\0\0\0\0\x02", 8)).view());
  EXPECT_EQ(list.Get(1).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(List::Find(keys_, "queue").status().code(), absl::StatusCode::kOk);
}

TEST_F(ListTest, AnotherTypeIsRefused) {
  Key key = *keys_.Find("queue");
  keys_.PutString(&key, "text", 0);
  EXPECT_EQ(List::Find(keys_, "queue").status(), WrongType());
  EXPECT_EQ(List::Lookup(keys_, "queue").status(), WrongType());
}

}  // namespace
}  // namespace tidemark::types
