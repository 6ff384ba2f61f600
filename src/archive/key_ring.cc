#include "archive/key_ring.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/check.h"

namespace tidemark::archive {
namespace {

constexpr size_t kSecretBytes = 32;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// False unless `digits` are 64 hexadecimal ones.
bool ParseSecret(std::string_view digits, std::string* secret) {
  if (digits.size() != 2 * kSecretBytes) return false;
  secret->clear();
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = HexDigit(digits[i]);
    const int low = HexDigit(digits[i + 1]);
    if (high < 0 || low < 0) return false;
    secret->push_back(static_cast<char>(high << 4 | low));
  }
  return true;
}

format::Id128 IdOf(std::string_view secret) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  TM_CHECK(EVP_Digest(secret.data(), secret.size(), digest, &size, EVP_sha256(), nullptr) == 1, "SHA-256 is missing");
  format::Id128 id;
  std::memcpy(id.data(), digest, id.size());
  return id;
}

std::string_view Stripped(std::string_view line) {
  line = line.substr(0, line.find('#'));
  constexpr std::string_view kSpace = " \t\r";
  const size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const KeyRing>> KeyRing::Load(FileSystem& fs, const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!error && (status.permissions() & std::filesystem::perms::others_read) != std::filesystem::perms::none) {
    return Errorf(
        absl::StatusCode::kPermissionDenied,
        "key file {} can be read by everybody on this machine; take that away with chmod 600 and use it again", path);
  }
  TM_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(fs, path));
  return Parse(text, path);
}

absl::StatusOr<std::shared_ptr<const KeyRing>> KeyRing::Parse(std::string_view text, std::string_view name) {
  auto ring = std::make_shared<KeyRing>();
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Stripped(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    Key key;
    if (!ParseSecret(line, &key.secret)) {
      return InvalidArgument("key file {}, line {}: a key is 64 hexadecimal digits (openssl rand -hex 32)", name,
                             number);
    }
    key.id = IdOf(key.secret);
    ring->keys_.push_back(std::move(key));
  }
  if (ring->empty()) return InvalidArgument("key file {} holds no key", name);
  return std::shared_ptr<const KeyRing>(std::move(ring));
}

std::shared_ptr<const KeyRing> KeyRing::Empty() {
  static const auto empty = std::make_shared<const KeyRing>();
  return empty;
}

const KeyRing::Key* KeyRing::Find(const format::Id128& id) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const Key& key) { return key.id == id; });
  return found == keys_.end() ? nullptr : &*found;
}

}  // namespace tidemark::archive
