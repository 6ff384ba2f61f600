#include "archive/block.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace tidemark::archive {
namespace {

using format::BlockHeader;
using format::ObjectHeader;

static_assert(sizeof(XXH128_canonical_t) == sizeof(format::Id128));

// What the tag of a block covers beside its stored bytes: see format::BlockHeader.
std::string AssociatedPrefix(const ObjectHeader& object) {
  std::string data(format::ObjectMagic(object.is_file));
  data.append(reinterpret_cast<const char*>(object.cluster_id.data()), object.cluster_id.size());
  data.append(reinterpret_cast<const char*>(object.timeline_id.data()), object.timeline_id.size());
  AppendLittle<uint32_t>(&data, object.timeline.value);
  const format::Id128 content = object.is_file ? object.plain_hash : format::Id128{};
  data.append(reinterpret_cast<const char*>(content.data()), content.size());
  return data;
}

const unsigned char* Bytes(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// AES-256-GCM over one object's blocks, one direction.
class Cipher {
 public:
  Cipher(const KeyRing::Key& key, const ObjectHeader& object, bool encrypt)
      : context_(EVP_CIPHER_CTX_new()), associated_(AssociatedPrefix(object)), prefix_(associated_.size()) {
    TM_CHECK(context_ != nullptr, "out of memory");
    TM_CHECK(EVP_CipherInit_ex(context_, EVP_aes_256_gcm(), nullptr, Bytes(key.secret), nullptr, encrypt ? 1 : 0) == 1,
             "AES-256-GCM is missing");
  }
  ~Cipher() { EVP_CIPHER_CTX_free(context_); }
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;

  // Fills in nonce and tag; writes as many bytes as `in` has to `out`.
  absl::Status Encrypt(BlockHeader* block, std::string_view in, char* out) {
    if (RAND_bytes(block->nonce.data(), static_cast<int>(block->nonce.size())) != 1) {
      return Errorf(absl::StatusCode::kInternal, "OpenSSL has no random bytes");
    }
    if (!Run(*block, in, out) || EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_GCM_GET_TAG,
                                                     static_cast<int>(block->tag.size()), block->tag.data()) != 1) {
      return Errorf(absl::StatusCode::kInternal, "OpenSSL failed to encrypt");
    }
    return absl::OkStatus();
  }
  absl::Status Decrypt(const BlockHeader& block, std::string_view in, char* out) {
    BlockHeader expected = block;
    if (EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_GCM_SET_TAG, static_cast<int>(block.tag.size()), expected.tag.data()) !=
            1 ||
        !Run(block, in, out)) {
      return Errorf(absl::StatusCode::kDataLoss, "block at {} fails its authentication", block.position);
    }
    return absl::OkStatus();
  }

 private:
  bool Run(const BlockHeader& block, std::string_view in, char* out) {
    associated_.resize(prefix_);
    AppendLittle<uint64_t>(&associated_, block.position);
    AppendLittle<uint32_t>(&associated_, block.plain_bytes);
    AppendLittle<uint32_t>(&associated_, block.flags);
    auto* target = reinterpret_cast<unsigned char*>(out);
    int length = 0;
    return EVP_CipherInit_ex(context_, nullptr, nullptr, nullptr, block.nonce.data(), -1) == 1 &&
           EVP_CipherUpdate(context_, nullptr, &length, Bytes(associated_), static_cast<int>(associated_.size())) ==
               1 &&
           EVP_CipherUpdate(context_, target, &length, Bytes(in), static_cast<int>(in.size())) == 1 &&
           static_cast<size_t>(length) == in.size() && EVP_CipherFinal_ex(context_, target + length, &length) == 1;
  }

  EVP_CIPHER_CTX* context_;
  std::string associated_;
  const size_t prefix_;
};

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

ContentHash::ContentHash() : state_(XXH3_createState()) {
  TM_CHECK(state_ != nullptr, "out of memory");
  XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_));
}
ContentHash::~ContentHash() { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }

void ContentHash::Update(std::string_view bytes) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_), bytes.data(), bytes.size());
}

format::Id128 ContentHash::Digest() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(static_cast<const XXH3_state_t*>(state_)));
  format::Id128 hash;
  std::memcpy(hash.data(), canonical.digest, hash.size());
  return hash;
}

struct BlockSealer::Impl {
  int level = 0;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd;
  std::unique_ptr<Cipher> cipher;
  std::string compressed;
  // Blocks in a row that compression did not shorten, and how many of the next are stored without trying.
  int failures = 0;
  int untried = 0;
};

BlockSealer::BlockSealer(int zstd_level, const KeyRing::Key* key, const ObjectHeader& object)
    : impl_(std::make_unique<Impl>()) {
  impl_->level = zstd_level;
  if (zstd_level != 0) {
    impl_->zstd.reset(ZSTD_createCCtx());
    TM_CHECK(impl_->zstd != nullptr, "out of memory");
  }
  if (key != nullptr) impl_->cipher = std::make_unique<Cipher>(*key, object, true);
}
BlockSealer::~BlockSealer() = default;

absl::Status BlockSealer::Seal(uint64_t position, std::string_view plain, std::string* out) {
  if (impl_->level == 0) return SealStored(position, static_cast<uint32_t>(plain.size()), 0, plain, out);
  std::string& compressed = impl_->compressed;
  const auto plain_bytes = static_cast<uint32_t>(plain.size());
  if (impl_->untried > 0) {
    --impl_->untried;
    return SealStored(position, plain_bytes, 0, plain, out);
  }
  // What does not become shorter by a thirty-second is an error here, and stored as it is: to open it costs less then.
  compressed.resize(plain.size() - 1 - plain.size() / 32);
  const size_t size = ZSTD_compressCCtx(impl_->zstd.get(), compressed.data(), compressed.size(), plain.data(),
                                        plain.size(), impl_->level);
  if (ZSTD_isError(size) != 0) {
    impl_->failures = std::min(impl_->failures + 1, 4);
    impl_->untried = (1 << impl_->failures) - 1;
    return SealStored(position, plain_bytes, 0, plain, out);
  }
  impl_->failures = 0;
  return SealStored(position, plain_bytes, format::kZstd, std::string_view(compressed).substr(0, size), out);
}

absl::Status BlockSealer::SealStored(uint64_t position, uint32_t plain_bytes, uint32_t flags, std::string_view stored,
                                     std::string* out) {
  TM_CHECK(plain_bytes > 0 && plain_bytes <= format::kBlockPlainBytes, "a block of {} bytes", plain_bytes);
  BlockHeader block;
  block.plain_bytes = plain_bytes;
  block.position = position;
  block.flags = flags & format::kZstd;
  if (impl_->cipher == nullptr) {
    out->append(EncodeBlockHeader(block, stored));
    out->append(stored);
    return absl::OkStatus();
  }
  block.flags |= format::kAes256Gcm;
  const size_t at = out->size();
  out->resize(at + format::kBlockHeaderSize + stored.size());
  char* const target = out->data() + at + format::kBlockHeaderSize;
  TM_RETURN_IF_ERROR(impl_->cipher->Encrypt(&block, stored, target));
  const std::string header = EncodeBlockHeader(block, {target, stored.size()});
  std::memcpy(out->data() + at, header.data(), header.size());
  return absl::OkStatus();
}

struct BlockOpener::Impl {
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd;
  std::unique_ptr<Cipher> cipher;
  std::string decrypted;
};

BlockOpener::BlockOpener() : impl_(std::make_unique<Impl>()) {
  impl_->zstd.reset(ZSTD_createDCtx());
  TM_CHECK(impl_->zstd != nullptr, "out of memory");
}
BlockOpener::~BlockOpener() = default;

absl::StatusOr<std::unique_ptr<BlockOpener>> BlockOpener::Make(const ObjectHeader& object, const KeyRing& keys) {
  std::unique_ptr<BlockOpener> opener(new BlockOpener);
  if ((object.flags & format::kAes256Gcm) == 0) return opener;
  const KeyRing::Key* const key = keys.Find(object.key_id);
  if (key == nullptr) {
    return Errorf(absl::StatusCode::kPermissionDenied, "encrypted with key {}, which {}", IdToHex(object.key_id),
                  keys.empty() ? "needs a key file (--crypter-key-file)" : "the key file does not have");
  }
  opener->impl_->cipher = std::make_unique<Cipher>(*key, object, false);
  return opener;
}

absl::Status BlockOpener::Decrypt(const BlockHeader& block, std::string_view stored, std::string* compressed) {
  const bool encrypted = (block.flags & format::kAes256Gcm) != 0;
  // An object is encrypted whole or not at all: a plain block in an encrypted one is somebody else's.
  if (encrypted != (impl_->cipher != nullptr)) {
    return Errorf(absl::StatusCode::kDataLoss, "block at {} is {}encrypted, its object is not so", block.position,
                  encrypted ? "" : "not ");
  }
  if (!encrypted) {
    compressed->assign(stored);
    return absl::OkStatus();
  }
  compressed->resize(stored.size());
  return impl_->cipher->Decrypt(block, stored, compressed->data());
}

absl::Status BlockOpener::Open(const BlockHeader& block, std::string_view stored, std::string* plain) {
  if (impl_->cipher != nullptr || (block.flags & format::kAes256Gcm) != 0) {
    TM_RETURN_IF_ERROR(Decrypt(block, stored, &impl_->decrypted));
    stored = impl_->decrypted;
  }
  if ((block.flags & format::kZstd) == 0) {
    plain->append(stored);
    return absl::OkStatus();
  }
  const size_t at = plain->size();
  plain->resize(at + block.plain_bytes);
  const size_t size =
      ZSTD_decompressDCtx(impl_->zstd.get(), plain->data() + at, block.plain_bytes, stored.data(), stored.size());
  if (ZSTD_isError(size) != 0 || size != block.plain_bytes) {
    plain->resize(at);
    return Errorf(absl::StatusCode::kDataLoss, "block at {} does not decompress to its {} plain bytes: {}",
                  block.position, block.plain_bytes, ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "too short");
  }
  return absl::OkStatus();
}

}  // namespace tidemark::archive
