// A file comes back as it was, or with an error that says why not; never as something else.
#include "archive/file_codec.h"

#include <gtest/gtest.h>

#include "archive/archive_testing.h"
#include "env/faulty_file.h"

namespace tidemark::archive {
namespace {

const Id128 kCluster{5};

class FileCodec : public testing::Test {
 protected:
  std::unique_ptr<File> Write(const std::string& name, std::string_view bytes) {
    EXPECT_TRUE(fs_.CreateFolder("/d").ok());
    auto file = fs_.Open("/d/" + name, FileSystem::Mode::kCreateNew);
    EXPECT_TRUE(file.ok() && (*file)->Write(0, bytes).ok());
    return std::move(*file);
  }
  static std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    uint64_t state = 88172645463325252u + size;
    for (char& c : bytes) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      c = static_cast<char>(state);
    }
    return bytes;
  }
  static absl::StatusOr<std::string> Drain(objstore::ByteSource& source, size_t piece) {
    std::string all;
    while (true) {
      TM_ASSIGN_OR_RETURN(const std::string bytes, source.Read(piece));
      if (bytes.empty()) return all;
      EXPECT_LE(bytes.size(), piece);
      all += bytes;
    }
  }
  static absl::StatusOr<std::string> Decode(const KeyRing& keys, const format::FileName& content,
                                            std::string_view object, size_t piece) {
    std::string plain;
    FileDecoder decoder(keys, content, [&](std::string_view bytes) {
      plain.append(bytes);
      return absl::OkStatus();
    });
    for (size_t at = 0; at < object.size(); at += piece) TM_RETURN_IF_ERROR(decoder.Feed(object.substr(at, piece)));
    TM_RETURN_IF_ERROR(decoder.Finish());
    return plain;
  }
  std::string Object(File& file, const format::FileName& content, std::shared_ptr<const KeyRing> keys, size_t piece) {
    FileEncoder encoder(std::move(keys), kCluster, content, file, nullptr);
    auto object = Drain(encoder, piece);
    EXPECT_TRUE(object.ok()) << object.status();
    return *object;
  }

  FaultyFileSystem fs_;
};

TEST_F(FileCodec, FilesOfEverySizeComeBack) {
  const size_t block = format::kBlockPlainBytes;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{70'000}, block - 1, block, block + 1, 3 * block + 17}) {
    for (const auto& keys : {KeyRing::Empty(), TestRing(kTestKey)}) {
      const std::string bytes = Bytes(size);
      auto file = Write(std::to_string(size) + (keys->empty() ? "" : "e"), bytes);
      const auto content = HashFile(*file, nullptr);
      ASSERT_TRUE(content.ok());
      EXPECT_EQ(content->size, size);
      const std::string object = Object(*file, *content, keys, 100'000);
      EXPECT_EQ(object.size(), FileObjectSize(size));
      for (const size_t piece : {size_t{65'536}, object.size()}) {
        const auto back = Decode(*keys, *content, object, piece);
        ASSERT_TRUE(back.ok()) << back.status();
        EXPECT_TRUE(*back == bytes);
      }
    }
  }
}

TEST_F(FileCodec, AnyDamageIsFound) {
  const std::string bytes = Bytes(200);
  auto file = Write("f", bytes);
  const auto content = HashFile(*file, nullptr);
  const std::string object = Object(*file, *content, KeyRing::Empty(), 1 << 20);
  for (size_t bit = 0; bit < object.size() * 8; ++bit) {
    std::string bad = object;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_FALSE(Decode(*KeyRing::Empty(), *content, bad, 64).ok()) << bit;
  }
  for (size_t size = 0; size < object.size(); ++size) {
    ASSERT_EQ(Decode(*KeyRing::Empty(), *content, object.substr(0, size), 64).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(Decode(*KeyRing::Empty(), *content, object + "x", 64).status().code(), absl::StatusCode::kDataLoss);
}

// Two blocks of one file exchanged, CRCs and all: whoever does it, the file does not come back so.
TEST_F(FileCodec, ExchangedBlocksAreFound) {
  const size_t block = format::kBlockPlainBytes;
  auto file = Write("f", Bytes(2 * block));
  const auto content = HashFile(*file, nullptr);
  const std::string object = Object(*file, *content, KeyRing::Empty(), 1 << 20);
  const size_t whole = format::kBlockHeaderSize + block;
  const std::string bad = object.substr(0, format::kObjectHeaderSize) +
                          object.substr(format::kObjectHeaderSize + whole) +
                          object.substr(format::kObjectHeaderSize, whole);
  EXPECT_EQ(Decode(*KeyRing::Empty(), *content, bad, 1 << 16).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FileCodec, ObjectOfAnotherFileIsRefused) {
  auto one = Write("one", Bytes(300));
  auto two = Write("two", Bytes(301));
  const auto wanted = HashFile(*one, nullptr);
  const std::string object = Object(*two, *HashFile(*two, nullptr), KeyRing::Empty(), 1 << 20);
  EXPECT_EQ(Decode(*KeyRing::Empty(), *wanted, object, 64).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FileCodec, FileThatChangedMakesNoObject) {
  auto file = Write("f", Bytes(3'000'000));
  const auto content = HashFile(*file, nullptr);
  ASSERT_TRUE(file->Write(100, "changed").ok());
  FileEncoder changed(KeyRing::Empty(), kCluster, *content, *file, nullptr);
  EXPECT_EQ(Drain(changed, 1 << 16).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(file->Truncate(2'000'000).ok());
  FileEncoder shorter(KeyRing::Empty(), kCluster, *content, *file, nullptr);
  EXPECT_EQ(Drain(shorter, 1 << 16).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FileCodec, MissingKeyIsNamed) {
  auto file = Write("f", Bytes(300));
  const auto content = HashFile(*file, nullptr);
  const auto keys = TestRing(kTestKey);
  const std::string object = Object(*file, *content, keys, 1 << 20);
  const auto back = Decode(*TestRing(kOtherKey), *content, object, 64);
  EXPECT_EQ(back.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_NE(Message(back.status()).find(IdToHex(keys->current().id)), std::string::npos);
  EXPECT_TRUE(Decode(*TestRing(std::string(kOtherKey) + kTestKey), *content, object, 64).ok());
}

}  // namespace
}  // namespace tidemark::archive
