#include "archive/block.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <zstd.h>

#include <memory>

#include "base/bytes.h"
#include "base/check.h"

namespace tidemark::archive {
namespace {

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

absl::Status Damaged(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "a block of the object {}", what);
}

// What a ciphertext is bound to, so that a block moved elsewhere does not open.
std::string AssociatedData(const format::Id128& cluster_id, Timeline timeline, const format::BlockHeader& header) {
  std::string data(reinterpret_cast<const char*>(cluster_id.data()), cluster_id.size());
  AppendLittle<uint32_t>(&data, timeline.value);
  AppendLittle<uint64_t>(&data, header.position);
  AppendLittle<uint32_t>(&data, header.plain_bytes);
  return data;
}

// Starts AES-256-GCM in one direction with nonce and associated data. False when OpenSSL refuses.
bool StartCipher(EVP_CIPHER_CTX* context, const KeyRing::Key& key, const format::BlockHeader& header,
                 const std::string& associated, int encrypt) {
  TM_CHECK(key.secret.size() == 32);
  int length = 0;
  return context != nullptr &&
         EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nullptr, reinterpret_cast<const uint8_t*>(key.secret.data()),
                           header.nonce.data(), encrypt) == 1 &&
         EVP_CipherUpdate(context, nullptr, &length, reinterpret_cast<const uint8_t*>(associated.data()),
                          static_cast<int>(associated.size())) == 1;
}

absl::Status Encrypt(const KeyRing::Key& key, const std::string& associated, format::BlockHeader* header,
                     std::string* bytes) {
  const auto failed = [] { return Errorf(absl::StatusCode::kInternal, "OpenSSL could not encrypt a block"); };
  if (RAND_bytes(header->nonce.data(), static_cast<int>(header->nonce.size())) != 1) return failed();
  const CipherContext context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  if (!StartCipher(context.get(), key, *header, associated, 1)) return failed();
  auto* data = reinterpret_cast<uint8_t*>(bytes->data());
  int length = 0;
  int rest = 0;
  if (EVP_CipherUpdate(context.get(), data, &length, data, static_cast<int>(bytes->size())) != 1 ||
      EVP_CipherFinal_ex(context.get(), data + length, &rest) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(header->tag.size()),
                          header->tag.data()) != 1) {
    return failed();
  }
  TM_CHECK(static_cast<size_t>(length) == bytes->size() && rest == 0);
  return absl::OkStatus();
}

absl::Status Decrypt(const KeyRing::Key& key, const std::string& associated, format::BlockHeader header,
                     std::string* bytes) {
  const CipherContext context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  auto* data = reinterpret_cast<uint8_t*>(bytes->data());
  int length = 0;
  int rest = 0;
  if (!StartCipher(context.get(), key, header, associated, 0) ||
      EVP_CipherUpdate(context.get(), data, &length, data, static_cast<int>(bytes->size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(header.tag.size()),
                          header.tag.data()) != 1 ||
      EVP_CipherFinal_ex(context.get(), data + length, &rest) != 1) {
    return Damaged("does not decrypt: it was changed, or belongs elsewhere");
  }
  return absl::OkStatus();
}

// What of `plain` is stored before encryption; sets the flag when it is the compressed form.
std::string Compress(int level, std::string_view plain, format::BlockHeader* header) {
  if (level == 0) return std::string(plain);
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  const size_t size = ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), level);
  if (ZSTD_isError(size) != 0 || size >= plain.size()) return std::string(plain);
  packed.resize(size);
  header->flags |= format::kZstd;
  return packed;
}

// Appends the plain bytes that `stored` (decrypted) stands for.
absl::Status Decompress(const format::BlockHeader& header, std::string_view stored, std::string* plain) {
  if ((header.flags & format::kZstd) == 0) {
    if (stored.size() != header.plain_bytes) return Damaged("has another length than its header says");
    plain->append(stored);
    return absl::OkStatus();
  }
  const size_t before = plain->size();
  plain->resize(before + header.plain_bytes);
  const size_t size = ZSTD_decompress(plain->data() + before, header.plain_bytes, stored.data(), stored.size());
  if (ZSTD_isError(size) != 0 || size != header.plain_bytes) {
    plain->resize(before);
    return Damaged("does not decompress");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SealBlock(const CodecOptions& options, const format::Id128& cluster_id, Timeline timeline,
                       uint64_t position, std::string_view plain, std::string* out) {
  TM_CHECK(!plain.empty() && plain.size() <= format::kBlockPlainBytes, "{} bytes", plain.size());
  format::BlockHeader header;
  header.plain_bytes = static_cast<uint32_t>(plain.size());
  header.position = position;
  std::string stored = Compress(options.zstd_level, plain, &header);
  header.stored_bytes = static_cast<uint32_t>(stored.size());
  if (!options.keys->empty()) {
    header.flags |= format::kAes256Gcm;
    TM_RETURN_IF_ERROR(
        Encrypt(options.keys->current(), AssociatedData(cluster_id, timeline, header), &header, &stored));
  }
  out->append(format::EncodeBlockHeader(header, stored));
  out->append(stored);
  return absl::OkStatus();
}

absl::StatusOr<OpenedBlock> OpenBlock(const KeyRing& keys, const format::Id128& key_id, const format::Id128& cluster_id,
                                      Timeline timeline, std::string_view bytes, std::string* plain) {
  std::string_view stored;
  TM_ASSIGN_OR_RETURN(const format::BlockHeader header, format::DecodeBlock(bytes, &stored));
  if (header.plain_bytes == 0 || header.plain_bytes > format::kBlockPlainBytes) return Damaged("has no valid length");
  if ((header.flags & ~uint32_t{format::kZstd | format::kAes256Gcm}) != 0) return Damaged("has unknown flags");
  const bool encrypted = (header.flags & format::kAes256Gcm) != 0;
  if (encrypted != (key_id != format::Id128{})) {
    return Damaged(encrypted ? "is encrypted, though its header says that nothing is"
                             : "is not encrypted, though its header says that everything is");
  }
  const OpenedBlock opened{header.position, header.plain_bytes, format::kBlockHeaderSize + stored.size()};
  if (!encrypted) {
    TM_RETURN_IF_ERROR(Decompress(header, stored, plain));
    return opened;
  }
  const KeyRing::Key* key = keys.Find(key_id);
  if (key == nullptr) {
    return Errorf(absl::StatusCode::kPermissionDenied, "encrypted with the key of id {}, which is not in the key file",
                  IdToHex(key_id));
  }
  std::string decrypted(stored);
  TM_RETURN_IF_ERROR(Decrypt(*key, AssociatedData(cluster_id, timeline, header), header, &decrypted));
  TM_RETURN_IF_ERROR(Decompress(header, decrypted, plain));
  return opened;
}

}  // namespace tidemark::archive
