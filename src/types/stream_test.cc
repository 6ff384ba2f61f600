// Streams and their groups against maps through random changes: entries, first and last ids, counts of what is pending,
// and that nothing is left over of a group that is gone.
#include "types/stream.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "types/stream_groups.h"
#include "types/testing.h"

namespace tidemark::types {
namespace {

using testing::MemoryTxn;

constexpr DbIndex kDb = {1};

class StreamTest : public ::testing::Test {
 protected:
  StreamTest() { txn_.Begin(/*writable=*/true); }

  Stream Find() {
    absl::StatusOr<Stream> stream = Stream::Find(keys_, "s");
    TM_CHECK(stream.ok(), "{}", Message(stream.status()));
    return *std::move(stream);
  }
  void Check(const absl::Status& status) { TM_CHECK(status.ok(), "{}", Message(status)); }
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  void Add(StreamId id) {
    Stream stream = Find();
    stream.Append(id, EncodeEntry(std::vector<std::string_view>{"n", "v"}));
    Check(stream.Commit());
  }
  std::vector<StreamId> Ids(StreamId first, StreamId last, size_t limit, bool backward) {
    std::vector<StreamId> ids;
    Stream stream = Find();
    Check(stream.Visit(first, last, limit, backward, [&](StreamId id, std::string_view) {
      ids.push_back(id);
      return true;
    }));
    return ids;
  }
  size_t Rows(OrderedKind kind) {
    const Stream stream = Find();
    size_t rows = 0;
    for (const auto& [row, value] : txn_.rows()) {
      const auto parts = ParseOrderedRow(row);
      if (parts && stream.exists() && parts->collection == stream.key().collection && parts->kind == kind) ++rows;
    }
    return rows;
  }

  MemoryTxn txn_;
  Keyspace keys_{txn_, kDb};
  std::mt19937 random_{11};
};

TEST_F(StreamTest, AgreesWithASetOfIds) {
  std::set<StreamId> model;
  StreamId last;
  for (int i = 0; i < 3000; ++i) {
    const uint64_t dice = Below(10);
    if (dice < 6) {
      last = Below(3) == 0 ? StreamId{last.ms + 1 + Below(3), Below(2)} : StreamId{last.ms, last.seq + 1 + Below(3)};
      Add(last);
      model.insert(last);
    } else if (dice < 8) {
      Stream stream = Find();
      const StreamId id{Below(last.ms + 2), Below(4)};
      ASSERT_EQ(*stream.Delete(id), model.erase(id) == 1);
      Check(stream.Commit());
    } else if (dice < 9) {
      Stream stream = Find();
      const uint64_t count = Below(40) == 0 ? 600 + Below(200) : Below(8);
      Check(stream.RemoveFirst(count));
      Check(stream.Commit());
      for (uint64_t n = 0; n < count && !model.empty(); ++n) model.erase(model.begin());
    }
    const Stream stream = Find();
    ASSERT_EQ(stream.length(), model.size());
    ASSERT_EQ(stream.head().last_id, last);
    ASSERT_EQ(stream.head().first_id, model.empty() ? StreamId{} : *model.begin());
    if (i % 10 != 0) continue;
    ASSERT_EQ(Rows(OrderedKind::kEntry), model.size());
    const StreamId first{Below(last.ms + 2), Below(3)};
    const StreamId end{Below(last.ms + 2), Below(3)};
    const size_t limit = 1 + Below(10);
    std::vector<StreamId> expected;
    for (auto it = model.lower_bound(first); it != model.end() && *it <= end; ++it) expected.push_back(*it);
    std::vector<StreamId> backward(expected.rbegin(), expected.rend());
    expected.resize(std::min(limit, expected.size()));
    backward.resize(std::min(limit, backward.size()));
    ASSERT_EQ(Ids(first, end, limit, false), expected);
    ASSERT_EQ(Ids(first, end, limit, true), backward);
  }
}

TEST_F(StreamTest, ManyEntriesGoAsARangeAndLaterOnesStay) {
  for (uint64_t i = 1; i <= 2000; ++i) Add({i, 0});
  for (const uint64_t count : {1500u, 600u}) {
    Stream stream = Find();
    Check(stream.RemoveFirst(count));
    Check(stream.Commit());
  }
  EXPECT_EQ(Find().length(), 0u);
  EXPECT_EQ(Rows(OrderedKind::kEntry), 0u);
  Add({2000, 1});
  EXPECT_EQ(Ids({}, kMaxStreamId, 10, false), (std::vector<StreamId>{{2000, 1}}));
}

TEST_F(StreamTest, IdsThatComeAgainAfterXsetidAreInANewCollection) {
  Add({5, 0});
  Stream stream = Find();
  Check(stream.RemoveFirst(1));
  Check(stream.Commit());
  StreamGroup::Create(stream, "g", {5, 0}, 1).Commit();
  Check(stream.Commit());
  const kv::CollectionId before = stream.key().collection;
  StreamHead head = stream.head();
  head.last_id = {1, 0};
  Check(stream.SetHead(head));
  Check(stream.Commit());
  EXPECT_NE(Find().key().collection, before);
  EXPECT_EQ(Rows(OrderedKind::kGroup), 1u);
  Add({3, 0});
  EXPECT_EQ(Ids({}, kMaxStreamId, 10, false), (std::vector<StreamId>{{3, 0}}));
}

TEST_F(StreamTest, AnEmptyStreamStays) {
  Stream stream = Find();
  EXPECT_FALSE(stream.exists());
  Check(stream.Commit());
  EXPECT_TRUE(Find().exists());
  EXPECT_EQ(Find().length(), 0u);
}

TEST_F(StreamTest, DamagedRowsAreRefused) {
  EXPECT_FALSE(DecodeEntry("\x05").ok());
  EXPECT_FALSE(DecodeEntry(std::string_view("\x01\x01", 2)).ok());
  EXPECT_FALSE(DecodeEntry("").ok());
  EXPECT_FALSE(DecodeStreamHead("\x01\x02").ok());
  const StreamHead head{
      .last_id = {9, 1}, .max_deleted_id = {3, 0}, .first_id = {4, 2}, .entries_added = 300, .groups_made = 2};
  EXPECT_EQ(DecodeStreamHead(EncodeStreamHead(head))->first_id, head.first_id);
  EXPECT_FALSE(DecodeStreamHead(EncodeStreamHead(head) + "x").ok());
}

class GroupTest : public StreamTest {
 protected:
  GroupTest() {
    Stream stream = Find();
    StreamGroup::Create(stream, "g", {}, 0).Commit();
    Check(stream.Commit());
  }
  struct Model {
    std::map<StreamId, Pending> pending;
    std::set<std::string> consumers;
  };
  void CheckGroup(const Model& model) {
    Stream stream = Find();
    std::optional<StreamGroup> group = *StreamGroup::Find(stream, "g");
    ASSERT_TRUE(group);
    ASSERT_EQ(group->state().pending, model.pending.size());
    auto expected = model.pending.begin();
    Check(group->VisitPending({}, kMaxStreamId, SIZE_MAX, false, [&](StreamId id, const Pending& pending) {
      EXPECT_EQ(id, expected->first);
      EXPECT_EQ(pending.consumer, expected->second.consumer);
      EXPECT_EQ(pending.deliveries, expected->second.deliveries);
      ++expected;
      return true;
    }));
    ASSERT_EQ(expected, model.pending.end());
    const auto consumers = *group->Consumers();
    ASSERT_EQ(consumers.size(), model.consumers.size());
    for (const StreamGroup::NamedConsumer& consumer : consumers) {
      std::vector<StreamId> ids;
      for (const auto& [id, pending] : model.pending) {
        if (pending.consumer == consumer.name) ids.push_back(id);
      }
      ASSERT_EQ(*group->PendingOf(consumer.name, {}, kMaxStreamId, SIZE_MAX), ids);
      ASSERT_EQ(consumer.state.pending, ids.size());
    }
    ASSERT_EQ(Rows(OrderedKind::kPending), 2 * model.pending.size());
  }
};

TEST_F(GroupTest, PendingEntriesAgreeWithAMapWhoeverTakesThem) {
  Model model;
  for (int i = 0; i < 600; ++i) {
    Stream stream = Find();
    std::optional<StreamGroup> group = *StreamGroup::Find(stream, "g");
    // One name begins with another, and one is empty.
    const std::string consumer = std::vector<std::string>{"", "a", "a\xff", "ab"}[Below(4)];
    const StreamId id{Below(4), Below(6)};
    const std::optional<Pending> former = *group->FindPending(id);
    ASSERT_EQ(former.has_value(), model.pending.contains(id));
    const uint64_t dice = Below(20);
    if (dice < 10) {
      if (*group->FindConsumer(consumer) == nullptr) group->CreateConsumer(consumer, 5);
      const Pending pending{.consumer = consumer, .delivered_ms = 7, .deliveries = Below(9)};
      Check(group->PutPending(id, pending, former));
      model.pending[id] = pending;
      model.consumers.insert(consumer);
    } else if (dice < 18 && former) {
      Check(group->RemovePending(id, *former));
      model.pending.erase(id);
    } else if (dice == 18 && *group->FindConsumer(consumer) != nullptr) {
      const auto removed =
          std::erase_if(model.pending, [&](const auto& one) { return one.second.consumer == consumer; });
      ASSERT_EQ(*group->DeleteConsumer(consumer), removed);
      model.consumers.erase(consumer);
    }
    group->Commit();
    CheckGroup(model);
    if (HasFailure()) return;
  }
}

TEST_F(GroupTest, ADestroyedGroupLeavesNothingToOneOfItsName) {
  for (const uint64_t entries : {3u, 700u}) {
    Stream stream = Find();
    std::optional<StreamGroup> group = *StreamGroup::Find(stream, "g");
    ASSERT_EQ(*group->FindConsumer("c"), nullptr);
    group->CreateConsumer("c", 1);
    for (uint64_t i = 1; i <= entries; ++i) {
      Check(group->PutPending({i, 0}, {.consumer = "c", .delivered_ms = 1, .deliveries = 1}, std::nullopt));
    }
    group->Commit();
    Check(group->Destroy());
    EXPECT_EQ(Rows(OrderedKind::kPending) + Rows(OrderedKind::kConsumer) + Rows(OrderedKind::kGroup), 0u);
    StreamGroup::Create(stream, "g", {}, 0).Commit();
    Check(stream.Commit());
  }
}

}  // namespace
}  // namespace tidemark::types
