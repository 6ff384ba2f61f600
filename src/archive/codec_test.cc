#include "archive/codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "archive/archive_testing.h"
#include "base/bytes.h"
#include "base/hash.h"

namespace tidemark::archive {
namespace {

std::string Incompressible(size_t size, uint64_t seed) {
  std::string bytes;
  while (bytes.size() < size) AppendLittle<uint64_t>(&bytes, seed = Hash64({reinterpret_cast<char*>(&seed), 8}));
  bytes.resize(size);
  return bytes;
}

// Every way of storing an object.
struct Variant {
  const char* name;
  CodecOptions options;
};
std::vector<Variant> Variants() {
  const auto ring = TestRing(kTestKey);
  return {{"stored", {0, KeyRing::Empty()}},
          {"compressed", {1, KeyRing::Empty()}},
          {"encrypted", {0, ring}},
          {"both", {3, ring}}};
}

TEST(LogObject, HoldsTheRecordsAsTheyStandInTheLog) {
  for (const Variant& variant : Variants()) {
    SCOPED_TRACE(variant.name);
    TestLog log;
    LogObjectWriter writer(variant.options, TestOrigin(), log.end(), 0);
    std::string plain;
    // Small ones, one that spans several blocks, small ones again.
    for (const size_t size : {10u, 0u, 5000u, 3'500'000u, 100u, 1'048'576u, 7u}) {
      const std::string raw = log.Next(std::string(size, static_cast<char>('a' + size % 7)));
      ASSERT_TRUE(writer.Add(raw).ok());
      plain += raw;
    }
    EXPECT_EQ(writer.plain_bytes(), plain.size());
    const auto object = writer.Finish(Timestamp{log.timestamp().micros + 5});
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(object->name.first, format::kFirstLsn);
    EXPECT_EQ(object->name.end, log.end());
    EXPECT_EQ(object->name.closed_timestamp.micros, log.timestamp().micros + 5);
    const auto decoded = DecodeLogObject(object->bytes, *variant.options.keys);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(decoded->plain == plain);
    EXPECT_EQ(decoded->header.records, 7u);
    EXPECT_EQ(decoded->header.last_crc, log.crc());
    EXPECT_EQ(NameOf(decoded->header), object->name);
    if (variant.options.zstd_level > 0) {
      EXPECT_LT(object->bytes.size(), plain.size() / 10);
    }
    EXPECT_EQ(object->bytes.find("aaaaaaaaaaaaaaaa") == std::string::npos,
              variant.options.zstd_level > 0 || !variant.options.keys->empty());
  }
}

TEST(LogObject, WhatDoesNotCompressIsStoredAsItIs) {
  TestLog log;
  const auto object = TestObject(&log, {Incompressible(1'000'000, 1), Incompressible(1'500'000, 2)});
  EXPECT_LT(object.bytes.size(), object.header.plain_bytes + 1000);
  EXPECT_TRUE(DecodeLogObject(object.bytes, *KeyRing::Empty()).ok());
}

// Compression is tried again after a while, so a stretch of images does not leave the text after it large.
TEST(LogObject, CompressesAgainAfterWhatDidNot) {
  TestLog log;
  std::vector<std::string> payloads{Incompressible(5 << 20, 3)};
  for (int i = 0; i < 40; ++i) payloads.push_back(std::string(1 << 20, 't'));
  const auto object = TestObject(&log, payloads);
  EXPECT_LT(object.bytes.size(), 20u << 20);
  EXPECT_TRUE(DecodeLogObject(object.bytes, *KeyRing::Empty()).ok());
}

TEST(LogObject, WithoutRecordsSaysOnlyWhatTimeIsClosed) {
  LogObjectWriter writer({}, TestOrigin(), Lsn{5000}, 77);
  const auto object = writer.Finish(Timestamp{900});
  ASSERT_TRUE(object.ok());
  EXPECT_EQ(object->name.first, object->name.end);
  EXPECT_EQ(object->name.first_timestamp, Timestamp{900});
  const auto decoded = DecodeLogObject(object->bytes, *KeyRing::Empty());
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(decoded->plain.empty());
  EXPECT_EQ(decoded->header.last_crc, 77u);
}

TEST(LogObject, TheWriterTakesOnlyTheNextWholeRecord) {
  TestLog log;
  LogObjectWriter writer({}, TestOrigin(), log.end(), 0);
  const std::string first = log.Next("first");
  ASSERT_TRUE(writer.Add(first).ok());
  EXPECT_FALSE(writer.Add(first).ok());  // again
  const std::string second = log.Next("second");
  log.Next("third, left out");
  EXPECT_FALSE(writer.Add(log.Next("fourth")).ok());
  std::string damaged = second;
  damaged.back() ^= 1;
  EXPECT_EQ(writer.Add(damaged).code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(writer.Add(second + "x").ok());
  EXPECT_FALSE(writer.Finish(Timestamp{5}).ok());  // closed before its own record
}

TEST(LogObject, ARecordOfAnotherChainOrTimelineIsRefused) {
  TestLog log;
  TestLog other(Timeline{1}, format::kFirstLsn, 0, 5);
  LogObjectWriter writer({}, TestOrigin(), log.end(), 0);
  ASSERT_TRUE(writer.Add(log.Next("same length")).ok());
  other.Next("other bytes");
  EXPECT_EQ(writer.Add(other.Next("x")).code(), absl::StatusCode::kDataLoss);
  TestLog forked(Timeline{2}, log.end(), log.crc(), log.timestamp().micros);
  EXPECT_EQ(writer.Add(forked.Next("x")).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(writer.Add(log.Next("x")).ok());
}

TEST(LogObject, AnyFlippedBitAndAnyCutIsAnError) {
  for (const Variant& variant : Variants()) {
    SCOPED_TRACE(variant.name);
    TestLog log;
    const std::string good = TestObject(&log, {"first", std::string(200, 'a'), "last"}, variant.options).bytes;
    ASSERT_TRUE(DecodeLogObject(good, *variant.options.keys).ok());
    for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      ASSERT_FALSE(DecodeLogObject(bad, *variant.options.keys).ok()) << "bit " << bit;
    }
    for (size_t length = 0; length < good.size(); ++length) {
      ASSERT_FALSE(DecodeLogObject(std::string_view(good).substr(0, length), *variant.options.keys).ok()) << length;
    }
    ASSERT_FALSE(DecodeLogObject(good + '\0', *variant.options.keys).ok());
  }
}

// Somebody who can compute CRCs but has no key: the blocks are changed and every CRC is put right again.
TEST(LogObject, AForgedBlockFailsItsAuthentication) {
  const CodecOptions options{1, TestRing(kTestKey)};
  TestLog log;
  const std::string good = TestObject(&log, {std::string(300, 'a')}, options).bytes;
  const size_t block = format::kObjectHeaderSize;
  const auto forge = [&](size_t offset) {
    std::string bad = good;
    bad[block + offset] = static_cast<char>(bad[block + offset] ^ 1);
    const uint32_t crc = Crc32c(std::string_view(bad).substr(block + 4));
    StoreLittle<uint32_t>(bad.data() + block, crc);
    return DecodeLogObject(bad, *options.keys).status();
  };
  for (const size_t offset : {12u, 13u, 24u, 36u, 51u, 52u, 70u}) {  // flags, nonce, tag, content
    EXPECT_EQ(forge(offset).code(), absl::StatusCode::kDataLoss) << offset;
  }
  // Taken over into an object of another cluster.
  format::ObjectHeader header = *format::DecodeObjectHeader(good);
  header.cluster_id = TestId(9);
  const std::string moved = EncodeObjectHeader(header) + good.substr(format::kObjectHeaderSize);
  EXPECT_EQ(DecodeLogObject(moved, *options.keys).status().code(), absl::StatusCode::kDataLoss);
  // Replaced by a plain block.
  BlockSealer plain(0, nullptr, header);
  std::string forged(EncodeObjectHeader(header));
  ASSERT_TRUE(plain.Seal(4096, TestLog().Next(std::string(300, 'b')), &forged).ok());
  header.cluster_id = TestOrigin().cluster_id;
  header.stored_bytes = forged.size() - format::kObjectHeaderSize;
  forged.replace(0, format::kObjectHeaderSize, EncodeObjectHeader(header));
  EXPECT_EQ(DecodeLogObject(forged, *options.keys).status().code(), absl::StatusCode::kDataLoss);
}

TEST(LogObject, NoNonceIsUsedTwice) {
  const CodecOptions options{0, TestRing(kTestKey)};
  TestLog log;
  TestLog same;
  const std::string a = TestObject(&log, {"payload"}, options).bytes;
  const std::string b = TestObject(&same, {"payload"}, options).bytes;
  EXPECT_NE(a.substr(format::kObjectHeaderSize + 24, 12), b.substr(format::kObjectHeaderSize + 24, 12));
  EXPECT_EQ(a.substr(0, format::kObjectHeaderSize), b.substr(0, format::kObjectHeaderSize));
}

TEST(LogObject, AKeyIsNamedWhenItIsMissingAndOldKeysStayGoodAfterRotation) {
  TestLog log;
  const auto old = TestRing(kTestKey);
  const std::string bytes = TestObject(&log, {"secret"}, {1, old}).bytes;
  for (const auto& ring : {KeyRing::Empty(), TestRing(kOtherKey)}) {
    const absl::Status status = DecodeLogObject(bytes, *ring).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_NE(Message(status).find(IdToHex(old->current().id)), std::string_view::npos) << status;
  }
  const auto rotated = TestRing(std::string(kOtherKey) + kTestKey);
  EXPECT_TRUE(DecodeLogObject(bytes, *rotated).ok());
  const std::string fresh = TestObject(&log, {"secret"}, {1, rotated}).bytes;
  EXPECT_EQ(format::DecodeObjectHeader(fresh)->key_id, rotated->current().id);
  EXPECT_EQ(DecodeLogObject(fresh, *old).status().code(), absl::StatusCode::kPermissionDenied);
}

// A header may claim any count: the decoder must not believe it before the bytes are there.
TEST(LogObject, ALyingHeaderCostsNoMemory) {
  TestLog log;
  const std::string good = TestObject(&log, {"x"}).bytes;
  format::ObjectHeader header = *format::DecodeObjectHeader(good);
  header.end = Lsn{1ull << 60};
  header.plain_bytes = header.end - header.first;
  header.blocks = 0xffffffff;
  const std::string bad = EncodeObjectHeader(header) + good.substr(format::kObjectHeaderSize);
  EXPECT_EQ(DecodeLogObject(bad, *KeyRing::Empty()).status().code(), absl::StatusCode::kDataLoss);
}

TEST(MergeLogObjects, IsTheObjectsOneAfterTheOther) {
  for (const Variant& variant : Variants()) {
    SCOPED_TRACE(variant.name);
    TestLog log;
    std::vector<std::string> objects;
    std::string plain;
    for (int i = 0; i < 5; ++i) {
      const auto object = TestObject(&log, {"some", std::string(100 * i, 'x')}, variant.options);
      plain += DecodeLogObject(object.bytes, *variant.options.keys)->plain;
      objects.push_back(object.bytes);
      LogObjectWriter idle(variant.options, TestOrigin(), log.end(), log.crc());
      objects.push_back(idle.Finish(log.timestamp())->bytes);
    }
    const auto merged = MergeLogObjects(objects, *variant.options.keys);
    ASSERT_TRUE(merged.ok()) << merged.status();
    EXPECT_EQ(merged->name.first, format::kFirstLsn);
    EXPECT_EQ(merged->name.end, log.end());
    EXPECT_EQ(merged->header.blocks, 5u);
    const auto decoded = DecodeLogObject(merged->bytes, *variant.options.keys);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->plain, plain);
  }
}

TEST(MergeLogObjects, OverARotationEncryptsAgainAndNeverMixesPlainWithSecret) {
  TestLog log;
  const auto old = TestRing(kTestKey);
  const auto rotated = TestRing(std::string(kOtherKey) + kTestKey);
  const std::string idle_in_the_open =
      LogObjectWriter({}, TestOrigin(), log.end(), 0).Finish(Timestamp{1}).value().bytes;
  const std::string a = TestObject(&log, {std::string(300, 'a')}, {1, old}).bytes;
  const auto same = MergeLogObjects({idle_in_the_open, a}, *rotated);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->header.key_id, old->current().id);
  EXPECT_TRUE(DecodeLogObject(same->bytes, *old).ok());
  const std::string b = TestObject(&log, {std::string(300, 'b')}, {1, rotated}).bytes;
  const std::string c = TestObject(&log, {std::string(300, 'c')}, {0, KeyRing::Empty()}).bytes;
  const auto merged = MergeLogObjects({a, b, c}, *rotated);
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->header.key_id, rotated->current().id);
  EXPECT_EQ(merged->bytes.find("cccc"), std::string::npos);
  const auto decoded = DecodeLogObject(merged->bytes, *TestRing(kOtherKey));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->header.records, 3u);
  EXPECT_EQ(MergeLogObjects({a, b, c}, *KeyRing::Empty()).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(MergeLogObjects, RefusesWhatDoesNotFollow) {
  TestLog log;
  const std::string a = TestObject(&log, {"a"}).bytes;
  TestLog fork = log;
  const std::string b = TestObject(&log, {"b"}).bytes;
  const std::string c = TestObject(&log, {"c"}).bytes;
  const KeyRing& keys = *KeyRing::Empty();
  EXPECT_FALSE(MergeLogObjects({}, keys).ok());
  EXPECT_FALSE(MergeLogObjects({a, c}, keys).ok());
  EXPECT_FALSE(MergeLogObjects({b, a}, keys).ok());
  fork.Next("z");
  const std::string other = TestObject(&fork, {"c"}).bytes;  // after another b
  EXPECT_EQ(MergeLogObjects({a, b, other}, keys).status().code(), absl::StatusCode::kDataLoss);
  std::string damaged = b;
  damaged.back() ^= 1;
  const absl::Status status = MergeLogObjects({a, damaged, c}, keys).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(Message(status).find("object 2"), std::string_view::npos) << status;
  EXPECT_TRUE(MergeLogObjects({a, b, c}, keys).ok());
}

TEST(KeyRing, TakesCommentsAndNamesTheWrongLineWithoutItsKey) {
  const auto ring = KeyRing::Parse(std::string("# rotated in May\n\n  ") + kOtherKey + kTestKey, "keys");
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_EQ((*ring)->current().id, TestRing(kOtherKey)->current().id);
  EXPECT_NE((*ring)->Find(TestRing(kTestKey)->current().id), nullptr);
  EXPECT_EQ((*ring)->Find(TestId(0)), nullptr);
  const auto bad = KeyRing::Parse(std::string(kTestKey) + "0011secret\n", "keys");
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Message(bad.status()).find("line 2"), std::string_view::npos);
  EXPECT_EQ(Message(bad.status()).find("0011"), std::string_view::npos);
  EXPECT_FALSE(KeyRing::Parse("# nothing\n", "keys").ok());
}

TEST(KeyRing, AFileThatEverybodyCanReadIsRefused) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "key_ring_test";
  std::filesystem::create_directories(folder);
  const auto path = folder / "keys";
  std::ofstream(path) << kTestKey;
  using std::filesystem::perms;
  std::filesystem::permissions(path, perms::owner_read | perms::owner_write);
  EXPECT_TRUE(KeyRing::Load(FileSystem::Posix(), path).ok());
  std::filesystem::permissions(path, perms::others_read, std::filesystem::perm_options::add);
  EXPECT_EQ(KeyRing::Load(FileSystem::Posix(), path).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(KeyRing::Load(FileSystem::Posix(), folder / "none").status().code(), absl::StatusCode::kNotFound);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tidemark::archive
