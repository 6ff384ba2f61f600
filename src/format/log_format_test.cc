#include "format/log_format.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/bytes.h"
#include "format/lease_file.h"
#include "format/write_batch.h"

namespace tidemark::format {
namespace {

// The example of docs/formats/log.md: these are the golden bytes of version 1. They never change.
std::string ExampleBytes() {
  WriteBatchBuilder batch;
  batch.Put("k", "v");
  const std::string first(batch.Finish());
  batch.Clear();
  const std::string second(batch.Finish());
  std::string bytes(kSegmentHeaderSize + 2 * kRecordHeaderSize, '\0');
  EncodeSegmentHeader({.timeline = Timeline{1},
                       .base = Lsn{4096},
                       .capacity = 65536,
                       .previous_crc = 0,
                       .created_micros = 1'700'000'000'000'000,
                       .durable = Lsn{4096}},
                      bytes.data());
  RecordHeader header;
  header.lsn = Lsn{4096};
  header.timestamp = Timestamp{1'700'000'000'000'001};
  header.timeline = Timeline{1};
  header.durable = Lsn{4096};
  header.previous_crc = EncodeRecordHeader(header, first, bytes.data() + kSegmentHeaderSize);
  header.lsn = header.lsn + kRecordHeaderSize + first.size();
  header.timestamp.micros += 1;
  EncodeRecordHeader(header, second, bytes.data() + kSegmentHeaderSize + kRecordHeaderSize);
  bytes.insert(kSegmentHeaderSize + kRecordHeaderSize, first);
  return bytes + second;
}

// The bytes of the hex block in the document, found from wherever the test runs.
std::string DocumentBytes() {
  for (auto folder = std::filesystem::current_path(); folder != folder.root_path(); folder = folder.parent_path()) {
    std::ifstream in(folder / "docs/formats/log.md");
    std::string bytes;
    bool inside = false;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("```")) {
        inside = line == "```hex";
        continue;
      }
      if (!inside) continue;
      // "0000  54 4d …  | what it is"
      std::istringstream fields(line.substr(4, line.find('|') - 4));
      for (unsigned byte; fields >> std::hex >> byte;) bytes.push_back(static_cast<char>(byte));
    }
    if (!bytes.empty()) return bytes;
  }
  return {};
}

TEST(LogFormat, TheDocumentsExampleIsWhatTheCodeWritesAndReads) {
  const std::string bytes = DocumentBytes();
  EXPECT_EQ(bytes, ExampleBytes());
  const auto segment = DecodeSegmentHeader(bytes);
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->base, kFirstLsn);
  EXPECT_EQ(segment->capacity, 65536u);
  RecordHeader first;
  std::string_view rest = std::string_view(bytes).substr(kSegmentHeaderSize);
  ASSERT_EQ(ParseRecord(rest, kFirstLsn, &first), RecordState::kWhole);
  EXPECT_EQ(first.timestamp.micros, 1'700'000'000'000'001u);
  WriteBatchReader batch(rest.substr(kRecordHeaderSize, first.length));
  WriteBatchEntry entry;
  ASSERT_TRUE(batch.Next(&entry));
  EXPECT_EQ(entry.key, "k");
  EXPECT_EQ(entry.value, "v");
  EXPECT_FALSE(batch.Next(&entry));
  EXPECT_TRUE(batch.status().ok());
  RecordHeader second;
  rest.remove_prefix(first.size());
  ASSERT_EQ(ParseRecord(rest, kFirstLsn + first.size(), &second), RecordState::kWhole);
  EXPECT_EQ(second.previous_crc, first.crc);
  EXPECT_EQ(second.size(), rest.size());
}

TEST(LogFormat, AnyFlippedBitIsFound) {
  const std::string good = ExampleBytes();
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    RecordHeader first;
    RecordHeader second;
    const auto records = std::string_view(bad).substr(kSegmentHeaderSize);
    const bool whole =
        DecodeSegmentHeader(bad).ok() && ParseRecord(records, kFirstLsn, &first) == RecordState::kWhole &&
        ParseRecord(records.substr(first.size()), kFirstLsn + first.size(), &second) == RecordState::kWhole;
    EXPECT_FALSE(whole) << "bit " << bit;
  }
}

TEST(LogFormat, ACutRecordIsShortAndZerosAreTheEnd) {
  const std::string bytes = ExampleBytes().substr(kSegmentHeaderSize);
  RecordHeader header;
  ASSERT_EQ(ParseRecord(bytes, kFirstLsn, &header), RecordState::kWhole);
  const uint64_t size = header.size();
  for (size_t length = 0; length < size; ++length) {
    EXPECT_EQ(ParseRecord(std::string_view(bytes).substr(0, length), kFirstLsn, &header), RecordState::kShort);
  }
  EXPECT_EQ(ParseRecord(std::string(100, '\0'), kFirstLsn, &header), RecordState::kEnd);
  EXPECT_EQ(ParseRecord(bytes, kFirstLsn + 1, &header), RecordState::kBad);
}

TEST(LogFormat, SegmentNamesSortAsPositionsDo) {
  EXPECT_EQ(SegmentName(Timeline{1}, Lsn{4096}), "00000001-0000000000001000.log");
  const auto id = ParseSegmentName("00000001-0000000000001000.log");
  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(id->base, Lsn{4096});
  for (const char* other : {"next.tmp", "00000001-000000000000100.log", "00000001-0000000000001000.bak",
                            "00000001-000000000000100G.log", "0000001A-0000000000001000.log", ""}) {
    EXPECT_FALSE(ParseSegmentName(other).has_value()) << other;
  }
}

TEST(LeaseFile, ComesBackAsWrittenAndDamageIsFound) {
  LeaseFile file;
  file.durable = Lsn{9000};
  file.leases.push_back({"engine", 0, Lsn{4096}, 0, 0, 17, ""});
  file.leases.push_back({"replica:a", 1, Lsn{5000}, 1 << 20, 1000, 18, "held too much"});
  const std::string bytes = EncodeLeaseFile(file);
  const auto read = DecodeLeaseFile(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->leases.size(), 2u);
  EXPECT_EQ(read->durable, file.durable);
  EXPECT_EQ(read->leases[1].name, "replica:a");
  EXPECT_EQ(read->leases[1].position, Lsn{5000});
  EXPECT_EQ(read->leases[1].broken, "held too much");
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(DecodeLeaseFile(bad).ok()) << i;
    EXPECT_FALSE(DecodeLeaseFile(std::string_view(bytes).substr(0, i)).ok()) << i;
  }
}

}  // namespace
}  // namespace tidemark::format
