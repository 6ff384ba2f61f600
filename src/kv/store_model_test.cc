// Random work against a model: a std::map for the rows as they are now, and a copy of it for each LSN that may come
// back after a crash. Sizes are tiny, so that every path is met: eviction, cold reads, cuts within cuts, compactions.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <random>

#include "kv/test_store.h"

namespace tidemark::kv {
namespace {

struct Model {
  Rows rows;
  std::array<DbState, 3> dbs;
};

bool operator==(const DbState& a, const DbState& b) {
  return a.contents == b.contents && a.keys == b.keys && a.expires == b.expires;
}

class ModelRun {
 public:
  explicit ModelRun(uint32_t seed) : random_(seed) {
    options_.folder = folder_ / "store";
    options_.databases = 3;
    options_.hot_bytes = 8 << 10;
    options_.block_cache_bytes = 4 << 10;
    options_.dirty_bytes = 4 << 10;
    for (uint16_t i = 0; i < 3; ++i) now_.dbs[i].contents = CollectionId{0, i};
    at_[0] = now_;
    store_ = MustOpen(options_);
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) Step();
    Crash();
  }

 private:
  size_t Below(size_t n) { return random_() % n; }
  std::string RandomRow() { return fmt::format("{}:{:03}", static_cast<char>('a' + Below(6)), Below(60)); }
  std::pair<std::string, std::string> RandomRange() {
    if (Below(2) == 0) {
      const char collection = static_cast<char>('a' + Below(6));
      return {std::string(1, collection), std::string(1, static_cast<char>(collection + 1))};
    }
    std::string a = RandomRow();
    std::string b = RandomRow();
    if (b < a) std::swap(a, b);
    return {a, b};
  }

  void Step() {
    const size_t dice = Below(100);
    if (dice < 45) {
      Commit();
    } else if (dice < 65) {
      Read();
    } else if (dice < 85) {
      CheckScan();
    } else if (dice < 97) {
      Persist();
    } else if (dice < 98) {
      Crash();
    } else {
      Snapshot();
    }
  }

  void Change(Store::Writer& writer) {
    const size_t dice = Below(20);
    if (dice < 12) {
      const std::string row = RandomRow();
      const std::string value(Below(60), static_cast<char>('A' + Below(26)));
      writer.Put(row, value);
      now_.rows[row] = value;
    } else if (dice < 16) {
      const std::string row = RandomRow();
      writer.Delete(row);
      now_.rows.erase(row);
    } else if (dice < 17) {
      const auto [begin, end] = RandomRange();
      writer.DeleteRange(begin, end);
      now_.rows.erase(now_.rows.lower_bound(begin), now_.rows.lower_bound(end));
    } else if (dice < 18) {
      const DbIndex db{static_cast<uint16_t>(Below(3))};
      DbState state = writer.db(db);
      EXPECT_TRUE(state == now_.dbs[db.value]);
      state.contents = CollectionId{lsn_ + 1, static_cast<uint16_t>(Below(9))};
      state.keys += 3;
      state.expires -= 1;
      writer.SetDb(db, state);
      now_.dbs[db.value] = state;
    } else {
      const std::string row = RandomRow();
      EXPECT_EQ(GetRow(writer, row), Expected(row));
    }
  }

  std::string Expected(const std::string& row) const {
    const auto it = now_.rows.find(row);
    return it == now_.rows.end() ? "(none)" : it->second;
  }

  // A few records under one lock, some of them taken back in part or wholly.
  void Commit() {
    auto writer = store_->Write();
    for (size_t records = 1 + Below(3); records > 0; --records) {
      for (size_t changes = Below(12); changes > 0; --changes) Change(writer);
      const Model at_mark = now_;
      const size_t mark = writer.Mark();
      for (size_t changes = Below(12); changes > 0; --changes) Change(writer);
      if (Below(2) == 0) {
        writer.UndoTo(mark);
        now_ = at_mark;
        EXPECT_EQ(GetRow(writer, "a:001"), Expected("a:001"));
      }
      writer.SetApplied(Lsn{++lsn_});
      at_[lsn_] = now_;
    }
  }

  void Read() {
    const std::string row = RandomRow();
    switch (Below(3)) {
      case 0:
        EXPECT_EQ(GetRow(*store_, row), Expected(row));
        break;
      case 1: {
        auto reader = store_->Read();
        EXPECT_EQ(GetRow(reader, row), Expected(row));
        break;
      }
      default: {
        auto value = store_->Get(row, Tier::kMemory);
        if (!value.ok()) {
          EXPECT_TRUE(IsColdRow(value.status())) << value.status();
        } else {
          EXPECT_EQ(*value ? std::string(value->view()) : "(none)", Expected(row));
        }
      }
    }
  }

  void CheckScan() {
    const auto [begin, end] = RandomRange();
    const size_t limit = Below(3) == 0 ? kNoLimit : 1 + Below(20);
    const auto first = now_.rows.lower_bound(begin);
    const auto last = now_.rows.lower_bound(end);
    const auto size = static_cast<size_t>(std::distance(first, last));
    const auto taken = static_cast<std::ptrdiff_t>(std::min(limit, size));
    const Rows head(first, std::next(first, taken));
    const Rows tail(std::prev(last, taken), last);
    switch (Below(5)) {
      case 0:
        EXPECT_EQ(ScanRows(*store_, begin, end, limit), head);
        break;
      case 1:
        EXPECT_EQ(ScanRowsBackward(*store_, begin, end, limit), tail);
        break;
      case 2: {
        auto reader = store_->Read();
        EXPECT_EQ(ScanRows(reader, begin, end, limit), head);
        break;
      }
      case 3: {
        auto reader = store_->Read();
        EXPECT_EQ(ScanRowsBackward(reader, begin, end, limit), tail);
        break;
      }
      default:
        CheckScanOfMemory(begin, end, limit, head, tail);
    }
  }

  void CheckScanOfMemory(std::string_view begin, std::string_view end, size_t limit, const Rows& head,
                         const Rows& tail) {
    const bool backward = Below(2) == 0;
    Rows rows;
    const Txn::Visitor visit = [&](std::string_view row, const Value& value) {
      rows.emplace(row, value.view());
      return true;
    };
    const absl::Status status = backward ? store_->ScanBackward(begin, end, limit, Tier::kMemory, visit)
                                         : store_->Scan(begin, end, limit, Tier::kMemory, visit);
    if (status.ok()) {
      EXPECT_EQ(rows, backward ? tail : head);
    } else {
      EXPECT_TRUE(IsColdRow(status)) << status;
    }
  }

  // Work goes on while the log is synced, with the rows frozen; sometimes syncing fails, and they stay so.
  void Persist() {
    const absl::Status status = store_->Persist([this](Lsn cut) {
      EXPECT_LE(cut.value, lsn_);
      for (size_t i = Below(12); i > 0; --i) {
        Commit();
        Read();
        CheckScan();
      }
      return Below(3) == 0 ? absl::UnavailableError("no sync") : absl::OkStatus();
    });
    if (status.ok()) {
      at_.erase(at_.begin(), at_.find(store_->persisted().value));
    } else {
      EXPECT_EQ(Message(status), "no sync");
    }
  }

  void CheckWhole(Store& store) {
    EXPECT_EQ(ScanRows(store), now_.rows);
    for (uint16_t i = 0; i < 3; ++i) EXPECT_TRUE(store.db(DbIndex{i}) == now_.dbs[i]);
  }

  void Crash() {
    const uint64_t persisted = store_->persisted().value;
    CheckWhole(*store_);
    store_.reset();
    store_ = MustOpen(options_);
    EXPECT_EQ(store_->persisted().value, persisted);
    EXPECT_EQ(store_->applied().value, persisted);
    lsn_ = persisted;
    now_ = at_[persisted];
    CheckWhole(*store_);
  }

  void Snapshot() {
    const std::string folder = folder_ / "snapshot";
    auto lsn = store_->Snapshot(folder, SyncNothing);
    ASSERT_TRUE(lsn.ok()) << lsn.status();
    EXPECT_EQ(lsn->value, lsn_);
    StoreOptions options = options_;
    options.folder = folder;
    auto snapshot = MustOpen(options);
    EXPECT_EQ(snapshot->persisted(), *lsn);
    CheckWhole(*snapshot);
    snapshot.reset();
    std::filesystem::remove_all(folder);
  }

  TestFolder folder_;
  StoreOptions options_;
  std::mt19937 random_;
  std::unique_ptr<Store> store_;
  Model now_;
  uint64_t lsn_ = 0;
  std::map<uint64_t, Model> at_;
};

TEST(StoreModel, RandomWorkAgreesWithAMap) {
  for (uint32_t seed = 1; seed <= 16 && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    ModelRun(seed).Run(300);
  }
}

}  // namespace
}  // namespace tidemark::kv
