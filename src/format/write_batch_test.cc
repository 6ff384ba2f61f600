#include "format/write_batch.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tidemark::format {
namespace {

std::vector<std::string> Entries(std::string_view batch, absl::Status* status) {
  std::vector<std::string> entries;
  WriteBatchReader reader(batch);
  WriteBatchEntry entry;
  while (reader.Next(&entry)) {
    entries.push_back(fmt::format("{} {} {}", static_cast<int>(entry.kind), entry.key, entry.value));
  }
  *status = reader.status();
  return entries;
}

std::string Sample() {
  WriteBatchBuilder builder;
  builder.Put("key", std::string(300, 'v'));
  builder.Delete("gone");
  builder.LogData("note");
  builder.DeleteRange("a", "b");
  builder.Put("", "");
  return std::string(builder.Finish());
}

TEST(WriteBatch, ReadsBackWhatWasBuilt) {
  absl::Status status;
  EXPECT_EQ(Entries(Sample(), &status),
            (std::vector<std::string>{"1 key " + std::string(300, 'v'), "0 gone ", "3 note ", "15 a b", "1  "}));
  EXPECT_TRUE(status.ok()) << status;
}

TEST(WriteBatch, RollBackForgetsWhatCameAfterTheMark) {
  WriteBatchBuilder builder;
  builder.Put("a", "1");
  const std::string before(builder.Finish());
  const auto mark = builder.mark();
  builder.Delete("a");
  builder.LogData("x");
  builder.RollBackTo(mark);
  EXPECT_EQ(builder.Finish(), before);
  builder.Clear();
  EXPECT_TRUE(builder.empty());
}

TEST(WriteBatch, EveryCutIsAnError) {
  const std::string whole = Sample();
  for (size_t length = 0; length < whole.size(); ++length) {
    absl::Status status;
    Entries(std::string_view(whole).substr(0, length), &status);
    EXPECT_TRUE(absl::IsDataLoss(status)) << "cut to " << length;
  }
}

TEST(WriteBatch, RandomBytesNeverReadOutside) {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    // In a heap block of its own size, so that the address sanitizer sees a step outside.
    std::string bytes = round % 2 == 0 ? Sample() : std::string(random() % 64, '\0');
    if (round % 2 == 0) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    } else {
      for (char& c : bytes) c = static_cast<char>(random());
    }
    bytes.shrink_to_fit();
    absl::Status status;
    for (const std::string& entry : Entries(bytes, &status)) EXPECT_LE(entry.size(), bytes.size() + 10);
  }
}

}  // namespace
}  // namespace tidemark::format
