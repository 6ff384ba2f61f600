#include "objstore/uri.h"

#include <algorithm>
#include <array>

#include "objstore/keys.h"
#include "objstore/object_store.h"

namespace tidemark::objstore {
namespace {

constexpr std::string_view kFolderScheme = "local://";
constexpr std::string_view kS3Scheme = "s3://";
constexpr std::array<std::string_view, 3> kSecrets = {"access-key", "secret-access-key", "session-token"};

bool IsSecret(std::string_view name) { return std::find(kSecrets.begin(), kSecrets.end(), name) != kSecrets.end(); }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Control characters would end up in header lines and log lines.
bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

std::string_view CutFront(std::string_view* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view front = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return front;
}

absl::Status SetFlag(std::string_view name, std::string_view value, bool* flag) {
  if (value != "true" && value != "false" && value != "1" && value != "0") {
    return InvalidArgument("storage URI: {} is true or false", name);
  }
  *flag = value == "true" || value == "1";
  return absl::OkStatus();
}

absl::Status SetParameter(std::string_view name, std::string value, S3Location* s3) {
  const std::array<std::pair<std::string_view, std::string*>, 8> texts = {
      {{"access-key", &s3->access_key},
       {"secret-access-key", &s3->secret_access_key},
       {"session-token", &s3->session_token},
       {"endpoint", &s3->endpoint},
       {"region", &s3->region},
       {"storage-class", &s3->storage_class},
       {"sse", &s3->sse},
       {"sse-kms-key-id", &s3->sse_kms_key_id}}};
  for (const auto& [known, target] : texts) {
    if (known != name) continue;
    *target = std::move(value);
    return absl::OkStatus();
  }
  if (name == "force-path-style") return SetFlag(name, value, &s3->force_path_style);
  return InvalidArgument("storage URI: there is no parameter '{}'", name);
}

absl::Status ParseParameters(std::string_view query, S3Location* s3) {
  while (!query.empty()) {
    std::string_view value = CutFront(&query, '&');
    const std::string_view name = CutFront(&value, '=');
    std::string decoded;
    if (!PercentDecode(value, &decoded) || !IsPrintable(decoded)) {
      return InvalidArgument("storage URI: the value of {} is not URL-encoded",
                             CheckPrefix(name).ok() ? name : "a parameter");
    }
    if (!CheckPrefix(name).ok()) return InvalidArgument("storage URI: a parameter has no proper name");
    TM_RETURN_IF_ERROR(SetParameter(name, std::move(decoded), s3));
  }
  return absl::OkStatus();
}

// The host and port of an endpoint: no path, no user, no query.
absl::Status CheckEndpoint(std::string* endpoint) {
  while (endpoint->ends_with('/')) endpoint->pop_back();
  if (endpoint->empty()) return absl::OkStatus();
  std::string_view host = *endpoint;
  if (host.starts_with("https://")) {
    host.remove_prefix(8);
  } else if (host.starts_with("http://")) {
    host.remove_prefix(7);
  } else {
    return InvalidArgument("storage URI: endpoint begins with http:// or https://");
  }
  const bool clean = std::all_of(host.begin(), host.end(), [](char c) {
    return (IsKeyCharacter(c) && c != '/') || c == ':' || c == '[' || c == ']';
  });
  if (host.empty() || !clean) return InvalidArgument("storage URI: endpoint is scheme, host and port, no more");
  return absl::OkStatus();
}

// "Bucket naming rules" of Amazon's S3 user guide, with the underscores and capitals that older stores allow.
absl::Status CheckBucket(std::string_view bucket) {
  const bool clean = std::all_of(bucket.begin(), bucket.end(), [](char c) { return IsKeyCharacter(c) && c != '/'; });
  // What is not shown may be a secret written before an '@'.
  if (!clean) return InvalidArgument("storage URI: the bucket's name has other characters than A-Za-z0-9-_.");
  if (bucket.size() < 3 || bucket.size() > 255 || bucket.starts_with('.') || bucket.starts_with('-')) {
    return InvalidArgument("storage URI: '{}' cannot be the name of a bucket", bucket);
  }
  return absl::OkStatus();
}

absl::Status CheckS3(S3Location* s3) {
  TM_RETURN_IF_ERROR(CheckBucket(s3->bucket));
  TM_RETURN_IF_ERROR(CheckEndpoint(&s3->endpoint));
  if (!s3->prefix.empty() && !CheckKey(s3->prefix).ok()) {
    return InvalidArgument("storage URI: the prefix is components of A-Za-z0-9-_. separated by '/'");
  }
  if (s3->prefix.size() > 200) return InvalidArgument("storage URI: the prefix has more than 200 bytes");
  if (s3->access_key.empty() != s3->secret_access_key.empty()) {
    return InvalidArgument("storage URI: access-key and secret-access-key go together");
  }
  if (s3->access_key.empty() && !s3->session_token.empty()) {
    return InvalidArgument("storage URI: session-token goes with access-key");
  }
  if (!s3->sse.empty() && s3->sse != "AES256" && s3->sse != "aws:kms") {
    return InvalidArgument("storage URI: sse is AES256 or aws:kms");
  }
  if (!s3->sse_kms_key_id.empty() && s3->sse != "aws:kms") {
    return InvalidArgument("storage URI: sse-kms-key-id goes with sse=aws:kms");
  }
  return absl::OkStatus();
}

absl::StatusOr<Location> ParseS3(std::string_view rest) {
  Location location;
  location.kind = Location::Kind::kS3;
  std::string_view path = CutFront(&rest, '?');
  location.s3.bucket = CutFront(&path, '/');
  while (path.ends_with('/')) path.remove_suffix(1);
  while (path.starts_with('/')) path.remove_prefix(1);
  if (!PercentDecode(path, &location.s3.prefix)) return InvalidArgument("storage URI: the prefix is not URL-encoded");
  TM_RETURN_IF_ERROR(ParseParameters(rest, &location.s3));
  TM_RETURN_IF_ERROR(CheckS3(&location.s3));
  return location;
}

absl::StatusOr<Location> ParseFolder(std::string_view rest) {
  Location location;
  std::string path;
  if (rest.find('?') != std::string_view::npos) return InvalidArgument("storage URI: local:// takes no parameters");
  if (!rest.starts_with('/')) {
    return InvalidArgument("storage URI: a folder is named by its absolute path, local:///like/this");
  }
  if (!PercentDecode(rest, &path) || !IsPrintable(path)) {
    return InvalidArgument("storage URI: the path is not URL-encoded");
  }
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  location.folder = std::move(path);
  return location;
}

}  // namespace

std::string PercentEncode(std::string_view text, bool keep_slash) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if ((IsKeyCharacter(c) && c != '/') || c == '~' || (c == '/' && keep_slash)) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded.push_back('%');
    encoded.push_back(digits[byte >> 4]);
    encoded.push_back(digits[byte & 15]);
  }
  return encoded;
}

bool PercentDecode(std::string_view text, std::string* decoded) {
  decoded->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded->push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return false;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
    decoded->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded->find('\0') == std::string::npos;
}

absl::StatusOr<Location> ParseUri(std::string_view uri) {
  if (uri.starts_with(kS3Scheme)) return ParseS3(uri.substr(kS3Scheme.size()));
  if (uri.starts_with(kFolderScheme)) return ParseFolder(uri.substr(kFolderScheme.size()));
  return InvalidArgument("storage URI: begins with local:/// or s3://");
}

std::string RedactUri(std::string_view uri) {
  std::string shown(CutFront(&uri, '?'));
  // "s3://key:secret@bucket" is not ours, but people write it.
  const size_t scheme = shown.find("://");
  const size_t at = shown.rfind('@');
  const size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
  if (at != std::string::npos && at >= begin) shown.erase(begin, at + 1 - begin);
  char separator = '?';
  while (!uri.empty()) {
    const std::string_view parameter = CutFront(&uri, '&');
    const std::string_view name = parameter.substr(0, parameter.find('='));
    std::string decoded;
    // A name spelled with escapes is still that name; what cannot be read is not shown.
    if (!PercentDecode(name, &decoded) || IsSecret(decoded) || parameter.find('@') != std::string_view::npos) continue;
    shown.push_back(separator);
    shown.append(parameter);
    separator = '&';
  }
  return shown;
}

}  // namespace tidemark::objstore
