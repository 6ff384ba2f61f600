// A transaction over memory for tests of types and commands: stricter than the engine's, so that what passes here is
// fit for it. It takes back a statement's changes as the dispatcher does, can pretend that any read is cold, and
// stops the test when a contract of kv/txn.h is broken.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kv/txn.h"

namespace tidemark::types::testing {

class MemoryTxn : public kv::Txn {
 public:
  static constexpr size_t kDatabases = 16;
  using Rows = std::map<std::string, kv::Value, std::less<>>;

  MemoryTxn() {
    for (DbState& db : dbs_) db.contents = NewCollectionId();
  }

  // A statement: what changes between Begin and Rollback never happened. Commit keeps it.
  void Begin(bool writable) {
    writable_ = writable;
    undo_.clear();
    touched_.clear();
    begin_dbs_ = dbs_;
    reads_ = 0;
    cold_read_ = -1;
  }
  void Commit() { undo_.clear(); }
  void Rollback() {
    for (auto change = undo_.rbegin(); change != undo_.rend(); ++change) {
      Restore(change->first, std::move(change->second));
    }
    undo_.clear();
    touched_.clear();
    dbs_ = begin_dbs_;
  }

  // Read number `n` of the running statement (Get or Scan, from 0) fails as a row that is on disk only.
  void FailRead(int n) { cold_read_ = n; }
  // Reads since Begin.
  int reads() const { return reads_; }

  void set_now_ms(uint64_t ms) { now_ms_ = ms; }
  uint64_t now_ms() const { return now_ms_; }
  const Rows& rows() const { return rows_; }
  // Keys told to watchers since Begin, in order.
  const std::vector<std::pair<DbIndex, std::string>>& touched() const { return touched_; }
  // A row behind the back of the code under test, as damage would do it.
  void Overwrite(std::string_view row, std::string_view value) { rows_[std::string(row)] = kv::Value(value); }

  absl::StatusOr<kv::Value> Get(std::string_view row) override {
    if (reads_++ == cold_read_) return kv::ColdRow();
    const auto found = rows_.find(row);
    return found == rows_.end() ? kv::Value() : found->second;
  }

  absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override {
    if (reads_++ == cold_read_) return kv::ColdRow();
    TM_CHECK(!visiting_, "a Scan within a Scan");
    visiting_ = true;
    size_t visited = 0;
    for (auto row = rows_.lower_bound(begin); row != rows_.end() && row->first < end && visited < limit; ++row) {
      ++visited;
      if (!visit(row->first, row->second)) break;
    }
    visiting_ = false;
    return absl::OkStatus();
  }

  absl::Status ScanBackward(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override {
    if (reads_++ == cold_read_) return kv::ColdRow();
    TM_CHECK(!visiting_, "a Scan within a Scan");
    visiting_ = true;
    size_t visited = 0;
    for (auto row = rows_.lower_bound(end); row != rows_.begin() && visited < limit;) {
      --row;
      if (row->first < begin) break;
      ++visited;
      if (!visit(row->first, row->second)) break;
    }
    visiting_ = false;
    return absl::OkStatus();
  }

  void Put(std::string_view row, std::string_view value) override {
    CheckWritable();
    // Copied first: `value` may point into the row that it replaces.
    kv::Value copy(value);
    Remember(row);
    rows_.insert_or_assign(std::string(row), std::move(copy));
  }

  void Delete(std::string_view row) override {
    CheckWritable();
    Remember(row);
    if (const auto found = rows_.find(row); found != rows_.end()) rows_.erase(found);
  }

  void DeleteRange(std::string_view begin, std::string_view end) override {
    CheckWritable();
    const auto last = rows_.lower_bound(end);
    for (auto row = rows_.lower_bound(begin); row != last;) {
      Remember(row->first);
      row = rows_.erase(row);
    }
  }

  kv::DbState db(DbIndex db) const override { return dbs_[db.value]; }

  void AddKeys(DbIndex db, int64_t keys, int64_t expires) override {
    CheckWritable();
    DbState& state = dbs_[db.value];
    state.keys += keys;
    state.expires += expires;
    TM_CHECK(state.expires >= 0 && state.keys >= state.expires, "{} keys, {} expires", state.keys, state.expires);
  }

  void ReplaceContents(DbIndex db) override {
    CheckWritable();
    dbs_[db.value] = DbState{.contents = NewCollectionId(), .keys = 0, .expires = 0};
  }

  void SwapContents(DbIndex a, DbIndex b) override {
    CheckWritable();
    std::swap(dbs_[a.value], dbs_[b.value]);
  }

  // Not taken back by Rollback: an id is never used twice.
  kv::CollectionId NewCollectionId() override {
    return {.lsn = 1000 + (next_id_ / 3) * 100, .ordinal = static_cast<uint16_t>(next_id_++ % 3)};
  }

  void Touched(DbIndex db, std::string_view key) override {
    CheckWritable();
    touched_.emplace_back(db, key);
  }

  Timestamp now() const override { return {now_ms_ * 1000 + 7}; }
  bool writable() const override { return writable_; }

 private:
  using DbState = kv::DbState;

  void CheckWritable() const {
    TM_CHECK(writable_, "a change in a transaction for reading");
    TM_CHECK(!visiting_, "a change while visiting");
  }

  void Remember(std::string_view row) {
    const auto found = rows_.find(row);
    undo_.emplace_back(row, found == rows_.end() ? kv::Value() : found->second);
  }

  void Restore(const std::string& row, kv::Value value) {
    if (value) {
      rows_[row] = std::move(value);
    } else {
      rows_.erase(row);
    }
  }

  Rows rows_;
  std::array<DbState, kDatabases> dbs_;
  std::array<DbState, kDatabases> begin_dbs_;
  std::vector<std::pair<std::string, kv::Value>> undo_;
  std::vector<std::pair<DbIndex, std::string>> touched_;
  uint64_t now_ms_ = 1'700'000'000'000;
  uint64_t next_id_ = 0;
  int reads_ = 0;
  int cold_read_ = -1;
  bool writable_ = true;
  bool visiting_ = false;
};

}  // namespace tidemark::types::testing
