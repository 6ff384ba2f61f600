// Holds the two writers of one encoding equal: format/write_batch.h, which the log uses, and RocksDB's WriteBatch.
#include "format/write_batch.h"

#include <gtest/gtest.h>
#include <rocksdb/write_batch.h>

#include <string>
#include <vector>

namespace tidemark::kv {
namespace {

class Collector : public rocksdb::WriteBatch::Handler {
 public:
  rocksdb::Status PutCF(uint32_t, const rocksdb::Slice& key, const rocksdb::Slice& value) override {
    entries.push_back("put " + key.ToString() + " " + value.ToString());
    return rocksdb::Status::OK();
  }
  rocksdb::Status DeleteCF(uint32_t, const rocksdb::Slice& key) override {
    entries.push_back("delete " + key.ToString());
    return rocksdb::Status::OK();
  }
  rocksdb::Status DeleteRangeCF(uint32_t, const rocksdb::Slice& begin, const rocksdb::Slice& end) override {
    entries.push_back("range " + begin.ToString() + " " + end.ToString());
    return rocksdb::Status::OK();
  }
  void LogData(const rocksdb::Slice& blob) override { entries.push_back("note " + blob.ToString()); }

  std::vector<std::string> entries;
};

const std::string kLong(300, 'x');

TEST(WriteBatchEncoding, RocksDbWritesTheSameBytes) {
  format::WriteBatchBuilder ours;
  rocksdb::WriteBatch theirs;
  ours.Put("row", kLong);
  theirs.Put("row", kLong);
  ours.LogData("note");
  theirs.PutLogData("note");
  ours.Delete(kLong);
  theirs.Delete(kLong);
  ours.DeleteRange("a", "b");
  theirs.DeleteRange("a", "b");
  ours.Put("", "");
  theirs.Put("", "");
  EXPECT_EQ(ours.Finish(), theirs.Data());
}

TEST(WriteBatchEncoding, RocksDbReadsOurs) {
  format::WriteBatchBuilder ours;
  ours.Put("row", "value");
  ours.LogData("about it");
  ours.Delete("other");
  ours.DeleteRange("a", "b");
  Collector collector;
  const rocksdb::WriteBatch theirs{std::string(ours.Finish())};
  const rocksdb::Status status = theirs.Iterate(&collector);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(collector.entries,
            (std::vector<std::string>{"put row value", "note about it", "delete other", "range a b"}));
}

TEST(WriteBatchEncoding, WeReadTheirs) {
  rocksdb::WriteBatch theirs;
  theirs.Put("row", kLong);
  theirs.PutLogData("note");
  theirs.DeleteRange("a", "b");
  theirs.Delete("gone");
  format::WriteBatchReader reader(theirs.Data());
  std::vector<std::string> entries;
  for (format::WriteBatchEntry entry; reader.Next(&entry);) {
    entries.push_back(fmt::format("{} {} {}", static_cast<int>(entry.kind), entry.key, entry.value));
  }
  EXPECT_TRUE(reader.status().ok()) << reader.status();
  EXPECT_EQ(entries, (std::vector<std::string>{"1 row " + kLong, "3 note ", "15 a b", "0 gone "}));
}

}  // namespace
}  // namespace tidemark::kv
