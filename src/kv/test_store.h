// What the store's tests share: a folder of their own, a model of the store, and shorthand.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kv/store.h"

namespace tidemark::kv {

class TestFolder {
 public:
  TestFolder() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() / fmt::format("tidemark_kv_{}_{}", ::getpid(), count++);
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

using Rows = std::map<std::string, std::string>;

constexpr auto kNoLimit = std::numeric_limits<size_t>::max();
// Every user row lies between these.
constexpr std::string_view kFirstRow = "\x01";
constexpr std::string_view kAfterRows = "\xff\xff\xff";

inline absl::Status SyncNothing(Lsn) { return absl::OkStatus(); }

inline std::unique_ptr<Store> MustOpen(const StoreOptions& options) {
  auto store = Store::Open(options);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? std::move(*store) : nullptr;
}

// All rows of [begin, end) by whatever has a Scan.
template <typename Scanned>
Rows ScanRows(Scanned& from, std::string_view begin = kFirstRow, std::string_view end = kAfterRows,
              size_t limit = kNoLimit) {
  Rows rows;
  const absl::Status status = from.Scan(begin, end, limit, Tier::kDisk, [&](std::string_view row, const Value& value) {
    EXPECT_TRUE(value);
    EXPECT_TRUE(rows.empty() || rows.rbegin()->first < row);
    rows.emplace(row, value.view());
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return rows;
}

// The last `limit` rows of [begin, end), read downwards.
template <typename Scanned>
Rows ScanRowsBackward(Scanned& from, std::string_view begin, std::string_view end, size_t limit) {
  Rows rows;
  const absl::Status status =
      from.ScanBackward(begin, end, limit, Tier::kDisk, [&](std::string_view row, const Value& value) {
        EXPECT_TRUE(value);
        EXPECT_TRUE(rows.empty() || row < rows.begin()->first);
        rows.emplace(row, value.view());
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  return rows;
}

// The row's value, or "(none)".
template <typename Read>
std::string GetRow(Read& from, std::string_view row) {
  auto value = from.Get(row, Tier::kDisk);
  EXPECT_TRUE(value.ok()) << value.status();
  if (!value.ok()) return "(error)";
  return *value ? std::string(value->view()) : "(none)";
}

inline void PutRow(Store& store, std::string_view row, std::string_view value, uint64_t lsn) {
  auto writer = store.Write();
  writer.Put(row, value);
  writer.SetApplied(Lsn{lsn});
}

}  // namespace tidemark::kv
