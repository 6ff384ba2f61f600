// Holds docs/formats/archive.md, the code and the bytes together: the example there are the golden bytes of version 1,
// and never change.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "archive/codec.h"
#include "format/write_batch.h"

namespace tidemark::archive {
namespace {

std::string DocumentText() {
  for (auto folder = std::filesystem::current_path(); folder != folder.root_path(); folder = folder.parent_path()) {
    std::ifstream in(folder / "docs/formats/archive.md");
    if (in) return {std::istreambuf_iterator<char>(in), {}};
  }
  return {};
}

// The bytes of the hex block: "0000  54 4d …  | what it is".
std::string DocumentBytes() {
  std::istringstream in(DocumentText());
  std::string bytes;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = line == "```hex";
    } else if (inside) {
      std::istringstream fields(line.substr(4, line.find('|') - 4));
      for (unsigned byte; fields >> std::hex >> byte;) bytes.push_back(static_cast<char>(byte));
    }
  }
  return bytes;
}

std::string Record(uint64_t lsn, uint64_t micros, uint32_t previous_crc, std::string_view payload) {
  format::RecordHeader header;
  header.lsn = Lsn{lsn};
  header.timestamp = Timestamp{micros};
  header.timeline = Timeline{1};
  header.durable = Lsn{4096};
  header.previous_crc = previous_crc;
  std::string raw(format::kRecordHeaderSize, '\0');
  format::EncodeRecordHeader(header, payload, raw.data());
  return raw.append(payload);
}

LogObjectWriter::Object ExampleObject() {
  Origin origin;
  origin.cluster_id = *IdFromHex("00112233445566778899aabbccddeeff");
  origin.timeline = Timeline{1};
  origin.timeline_id = *IdFromHex("0f0e0d0c0b0a09080706050403020100");
  format::WriteBatchBuilder batch;
  batch.Put("k", "v");
  const std::string first = Record(4096, 1'700'000'000'000'001, 0, batch.Finish());
  batch.Clear();
  const uint32_t crc = format::DecodeRecordHeader(first.data()).crc;
  const std::string second = Record(4096 + first.size(), 1'700'000'000'000'002, crc, batch.Finish());
  CodecOptions options;
  options.zstd_level = 0;
  LogObjectWriter writer(options, origin, Lsn{4096}, 0);
  EXPECT_TRUE(writer.Add(first).ok());
  EXPECT_TRUE(writer.Add(second).ok());
  return *writer.Finish(Timestamp{1'700'000'000'000'500});
}

TEST(ArchiveDocument, TheExampleIsWhatTheCodeWritesAndReads) {
  const LogObjectWriter::Object object = ExampleObject();
  const std::string bytes = DocumentBytes();
  EXPECT_EQ(bytes, object.bytes);
  EXPECT_NE(DocumentText().find("`" + LogObjectKey(object.name) + "`"), std::string::npos);
  const auto decoded = DecodeLogObject(bytes, *KeyRing::Empty());
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(LogObjectKey(NameOf(decoded->header)), LogObjectKey(object.name));
  EXPECT_EQ(IdToHex(decoded->header.cluster_id), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(decoded->header.records, 2u);
  const format::RecordHeader record = format::DecodeRecordHeader(decoded->plain.data());
  format::WriteBatchReader batch(std::string_view(decoded->plain).substr(format::kRecordHeaderSize, record.length));
  format::WriteBatchEntry entry;
  ASSERT_TRUE(batch.Next(&entry));
  EXPECT_EQ(entry.key, "k");
  EXPECT_EQ(entry.value, "v");
}

}  // namespace
}  // namespace tidemark::archive
