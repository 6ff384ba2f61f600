#include "format/archive_format.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/hash.h"

namespace tidemark::format {
namespace {

Id128 TestId(uint8_t first) {
  Id128 id;
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<uint8_t>(first + i);
  return id;
}

TEST(ArchiveNames, ComeBackAsTheyWere) {
  const LogObjectName log{Timeline{2}, Lsn{4096}, Lsn{8192}, Timestamp{1'700'000'000'000'000},
                          Timestamp{1'700'000'000'500'000}};
  EXPECT_EQ(LogObjectKey(log), "log/00000002/0000000000001000-0000000000002000-00060a24181e4000-00060a241825e120.log");
  EXPECT_EQ(ParseLogObjectKey(LogObjectKey(log)), log);
  const BaseName base{Timeline{2}, Lsn{8192}, Timestamp{1'700'000'000'000'000}};
  EXPECT_EQ(BaseKey(base), "base/00000002-0000000000002000-00060a24181e4000.json");
  EXPECT_EQ(ParseBaseKey(BaseKey(base)), base);
  const FileName file{TestId(0xf0), 123456};
  EXPECT_EQ(FileKey(file), "files/f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff-00000001e240");
  EXPECT_EQ(ParseFileKey(FileKey(file)), file);
  EXPECT_EQ(TimelineKey(Timeline{255}), "timelines/000000ff.json");
  EXPECT_EQ(ParseTimelineKey("timelines/000000ff.json"), Timeline{255});
  const ArchiveLeaseName lease{0xabcdef01, 1'700'000'000'000'000};
  EXPECT_EQ(ArchiveLeaseKey(lease), "leases/abcdef01-00060a24181e4000");
  ASSERT_TRUE(ParseArchiveLeaseKey(ArchiveLeaseKey(lease)).has_value());
  EXPECT_EQ(ParseArchiveLeaseKey(ArchiveLeaseKey(lease))->holder, lease.holder);
  EXPECT_EQ(ParseArchiveLeaseKey(ArchiveLeaseKey(lease))->expires_micros, lease.expires_micros);
}

TEST(ArchiveNames, SortAsPositionsDo) {
  LogObjectName before{Timeline{1}, Lsn{0xfff}, Lsn{0x2000}, Timestamp{5}, Timestamp{9}};
  LogObjectName after{Timeline{1}, Lsn{0x10000}, Lsn{0x10001}, Timestamp{5}, Timestamp{9}};
  EXPECT_LT(LogObjectKey(before), LogObjectKey(after));
  after.timeline = Timeline{16};
  before.first = Lsn{0x20000};
  EXPECT_LT(LogObjectKey(before), LogObjectKey(after));
}

TEST(ArchiveNames, WhatIsNotOursIsNoName) {
  const std::string good = "log/00000001/0000000000001000-0000000000002000-0000000000000005-0000000000000009.log";
  ASSERT_TRUE(ParseLogObjectKey(good).has_value());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = 'X';
    EXPECT_FALSE(ParseLogObjectKey(bad).has_value()) << bad;
    EXPECT_FALSE(ParseLogObjectKey(good.substr(0, i)).has_value()) << i;
  }
  EXPECT_FALSE(ParseLogObjectKey(good + "x").has_value());
  // Ends before it begins; closed before its first record; no timeline 0.
  for (const char* bad : {"log/00000001/0000000000002000-0000000000001000-0000000000000005-0000000000000009.log",
                          "log/00000001/0000000000001000-0000000000002000-0000000000000009-0000000000000005.log",
                          "log/00000000/0000000000001000-0000000000002000-0000000000000005-0000000000000009.log"}) {
    EXPECT_FALSE(ParseLogObjectKey(bad).has_value()) << bad;
  }
  EXPECT_FALSE(ParseBaseKey("base/00000001-0000000000002000-00060A24181e4000.json").has_value());
  EXPECT_FALSE(ParseBaseKey(good).has_value());
  EXPECT_FALSE(ParseFileKey("files/f0f1-00000001e240").has_value());
  EXPECT_FALSE(ParseFileKey("files/f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff-1e240").has_value());
  EXPECT_FALSE(ParseTimelineKey("timelines/00000000.json").has_value());
  EXPECT_FALSE(ParseTimelineKey("timelines/1.json").has_value());
  EXPECT_FALSE(ParseArchiveLeaseKey("leases/abcdef0-100060a24181e4000").has_value());
  EXPECT_FALSE(ParseFileKey("files/f0f1f2f3f4f5f6f7f8f9fafbfcfdfefF-00000001e240").has_value());
}

ObjectHeader TestHeader() {
  ObjectHeader header;
  header.flags = kZstd | kAes256Gcm;
  header.cluster_id = TestId(1);
  header.timeline = Timeline{3};
  header.previous_crc = 0x01020304;
  header.first = Lsn{5000};
  header.end = Lsn{6000};
  header.first_timestamp = Timestamp{70};
  header.closed_timestamp = Timestamp{80};
  header.records = 9;
  header.plain_bytes = 1000;
  header.plain_hash = TestId(2);
  header.timeline_id = TestId(3);
  header.key_id = TestId(4);
  header.last_crc = 0x05060708;
  header.blocks = 1;
  header.stored_bytes = 500;
  return header;
}

TEST(ObjectHeader, ComesBackAsWrittenAndAnyFlippedBitIsFound) {
  const ObjectHeader header = TestHeader();
  const std::string good = EncodeObjectHeader(header);
  ASSERT_EQ(good.size(), kObjectHeaderSize);
  const auto read = DecodeObjectHeader(good);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(EncodeObjectHeader(*read), good);
  EXPECT_EQ(read->cluster_id, header.cluster_id);
  EXPECT_EQ(read->first, header.first);
  EXPECT_EQ(read->closed_timestamp, header.closed_timestamp);
  EXPECT_EQ(read->last_crc, header.last_crc);
  EXPECT_EQ(read->stored_bytes, header.stored_bytes);
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(DecodeObjectHeader(bad).ok()) << "bit " << bit;
  }
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(DecodeObjectHeader(std::string_view(good).substr(0, length)).ok()) << length;
  }
}

TEST(ObjectHeader, AVersionOfTheFutureIsToldFromDamage) {
  std::string bytes = EncodeObjectHeader(TestHeader());
  bytes[8] = 2;
  StoreLittle<uint32_t>(bytes.data() + 160, Crc32c({bytes.data(), 160}));
  EXPECT_EQ(DecodeObjectHeader(bytes).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(ObjectHeader, ARangeThatIsNotAsLongAsItsBytesIsRefused) {
  ObjectHeader header = TestHeader();
  header.plain_bytes = 999;
  EXPECT_FALSE(DecodeObjectHeader(EncodeObjectHeader(header)).ok());
  header.is_file = true;  // a file has no range
  EXPECT_TRUE(DecodeObjectHeader(EncodeObjectHeader(header)).ok());
}

TEST(BlockHeader, ComesBackAsWrittenAndAnyFlippedBitIsFound) {
  const std::string content = "stored bytes";
  BlockHeader header;
  header.plain_bytes = 40;
  header.flags = kZstd;
  header.position = 777;
  header.nonce[0] = 1;
  header.tag[15] = 2;
  const std::string good = EncodeBlockHeader(header, content) + content;
  std::string_view stored;
  const std::string followed = good + "what follows";
  const auto read = DecodeBlock(followed, &stored);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(stored, content);
  EXPECT_EQ(read->plain_bytes, 40u);
  EXPECT_EQ(read->position, 777u);
  EXPECT_EQ(read->nonce, header.nonce);
  EXPECT_EQ(read->tag, header.tag);
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(DecodeBlock(bad, &stored).ok()) << "bit " << bit;
  }
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(DecodeBlock(std::string_view(good).substr(0, length), &stored).ok()) << length;
  }
}

TEST(BlockHeader, SizesThatNoWriterMakesAreRefused) {
  std::string_view stored;
  const std::string content(100, 'c');
  BlockHeader header;
  for (const uint32_t plain : {0u, 99u, 101u, kBlockPlainBytes + 1}) {  // not compressed: exactly 100
    header.plain_bytes = plain;
    EXPECT_FALSE(DecodeBlock(EncodeBlockHeader(header, content) + content, &stored).ok()) << plain;
  }
  header.plain_bytes = 100;
  EXPECT_TRUE(DecodeBlock(EncodeBlockHeader(header, content) + content, &stored).ok());
}

}  // namespace
}  // namespace tidemark::format
