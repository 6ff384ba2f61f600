// Any bytes as an object of an archive: log, a file of a base, an identity, a history, a manifest. The readers must
// neither read outside nor spend memory that the bytes do not justify, nor take records that are not whole. Checksums
// are put right first on a second try, so that what stands behind them is reached.
#include <cstdint>
#include <string>
#include <string_view>

#include "archive/base.h"
#include "archive/catalog.h"
#include "archive/codec.h"
#include "archive/file_codec.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace {

namespace archive = tidemark::archive;
namespace format = tidemark::format;

const archive::KeyRing& Keys() {
  static const auto ring =
      *archive::KeyRing::Parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "fuzz");
  return *ring;
}

void ReadObject(std::string_view bytes) {
  const auto header = format::DecodeObjectHeader(bytes);
  if (!header.ok()) return;
  const auto decoded = archive::DecodeLogObject(bytes, Keys());
  TM_CHECK(decoded.ok() == archive::CheckLogObject(bytes, Keys()).ok());
  if (decoded.ok()) {
    TM_CHECK(decoded->plain.size() == header->end - header->first);
    const auto merged = archive::MergeLogObjects({std::string(bytes)}, Keys());
    TM_CHECK(merged.ok() && archive::DecodeLogObject(merged->bytes, Keys())->plain == decoded->plain);
  }
  archive::FileDecoder file(Keys(), {header->plain_hash, header->plain_bytes},
                            [](std::string_view) { return absl::OkStatus(); });
  for (std::string_view rest = bytes; !rest.empty() && file.Feed(rest.substr(0, 100)).ok();) {
    rest.remove_prefix(std::min<size_t>(rest.size(), 100));
  }
  (void)file.Finish();
}

std::string WithRightChecksums(std::string bytes) {
  if (bytes.size() < format::kObjectHeaderSize) return bytes;
  tidemark::StoreLittle<uint32_t>(bytes.data() + 160, tidemark::Crc32c({bytes.data(), 160}));
  for (size_t at = format::kObjectHeaderSize; bytes.size() - at >= format::kBlockHeaderSize;) {
    const uint64_t size = format::kBlockHeaderSize + tidemark::LoadLittle<uint32_t>(bytes.data() + at + 4);
    if (size > bytes.size() - at) break;
    tidemark::StoreLittle<uint32_t>(bytes.data() + at, tidemark::Crc32c({bytes.data() + at + 4, size - 4}));
    at += size;
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ReadObject(bytes);
  ReadObject(WithRightChecksums(std::string(bytes)));
  (void)archive::DecodeIdentity(bytes).ok();
  (void)archive::DecodeTimeline(bytes).ok();
  (void)archive::DecodeManifest(bytes).ok();
  if (const auto name = format::ParseLogObjectKey(bytes)) TM_CHECK(format::LogObjectKey(*name) == bytes);
  if (const auto name = format::ParseFileKey(bytes)) TM_CHECK(format::FileKey(*name) == bytes);
  if (const auto name = format::ParseBaseKey(bytes)) TM_CHECK(format::BaseKey(*name) == bytes);
  return 0;
}
