// Where a store is: local:///path and s3://bucket/prefix?parameters, with the parameters of TiKV's `br`. Reads them
// strictly (a mistyped parameter is an error, not ignored) and shows them without secrets.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace tidemark::objstore {

struct S3Location {
  std::string bucket;
  std::string prefix;    // without '/' at either end; may be empty
  std::string endpoint;  // "http://host:port" or "https://host"; empty: Amazon's of the region
  std::string region;    // empty: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1
  bool force_path_style = true;
  std::string storage_class;
  std::string sse;  // AES256 or aws:kms
  std::string sse_kms_key_id;
  // Empty: from the environment or the file of credentials.
  std::string access_key;
  std::string secret_access_key;
  std::string session_token;
};

struct Location {
  enum class Kind { kFolder, kS3 };
  Kind kind = Kind::kFolder;
  std::string folder;  // absolute
  S3Location s3;
};

// INVALID_ARGUMENT says what is wrong without repeating secrets.
absl::StatusOr<Location> ParseUri(std::string_view uri);

// RFC 3986: all but A-Za-z0-9-_.~ as %XX with upper-case digits, as AWS's signature wants it; `keep_slash` for paths.
std::string PercentEncode(std::string_view text, bool keep_slash);

// False where a '%' is not followed by two hexadecimal digits, and for a zero byte.
bool PercentDecode(std::string_view text, std::string* decoded);

}  // namespace tidemark::objstore
