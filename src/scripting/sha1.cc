#include "scripting/sha1.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace tidemark::scripting {
namespace {

// OpenSSL looks an algorithm up by name, under locks, each time one is used that was not fetched before.
class Hasher {
 public:
  Hasher() : algorithm_(EVP_MD_fetch(nullptr, "SHA1", nullptr)), context_(EVP_MD_CTX_new()) {
    TM_CHECK(algorithm_ != nullptr && context_ != nullptr, "this OpenSSL has no SHA-1");
  }
  ~Hasher() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Hash(std::string_view bytes, unsigned char* digest) {
    TM_CHECK(EVP_DigestInit_ex2(context_, algorithm_, nullptr) == 1);
    TM_CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
    TM_CHECK(EVP_DigestFinal_ex(context_, digest, nullptr) == 1);
  }

 private:
  EVP_MD* algorithm_;
  EVP_MD_CTX* context_;
};

}  // namespace

Sha1Name Sha1(std::string_view bytes) {
  thread_local Hasher hasher;
  std::array<unsigned char, 20> digest;
  hasher.Hash(bytes, digest.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  Sha1Name name;
  for (size_t i = 0; i < digest.size(); ++i) {
    name[2 * i] = kDigits[digest[i] >> 4];
    name[2 * i + 1] = kDigits[digest[i] & 15];
  }
  return name;
}

}  // namespace tidemark::scripting
