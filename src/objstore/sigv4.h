// Signature Version 4 in the Authorization header, as in Amazon's "Authenticating Requests: Using the Authorization
// Header (AWS Signature Version 4)" of the S3 API reference, and Google's twin of it (GOOG4-HMAC-SHA256, "V4 signing
// process" of Cloud Storage), which differs in names only. Google refuses a request with both x-amz- and x-goog-
// headers, and its conditional put is an x-goog- one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark::objstore {

enum class SigningDialect { kAmazon, kGoogle };

// "x-amz-" or "x-goog-".
std::string_view HeaderPrefix(SigningDialect dialect);

// Lower-case name → value without spaces at its ends.
using Headers = std::vector<std::pair<std::string, std::string>>;
using Query = std::vector<std::pair<std::string, std::string>>;

// Instead of the payload's digest, where the connection keeps the payload safe.
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

struct SigningKey {
  std::string access_key;
  std::string secret_access_key;
  std::string session_token;  // may be empty
  std::string region;
};

// Sorted, encoded, joined: the query as it is signed and must be sent.
std::string CanonicalQuery(Query query);

// Adds x-amz-date, x-amz-content-sha256, x-amz-security-token and authorization to `headers`, all of which are signed
// and so must be sent as they are. `path` and `query` are encoded; `headers` has host. `now_micros` since 1970.
void Sign(SigningDialect dialect, const SigningKey& key, uint64_t now_micros, std::string_view method,
          std::string_view path, std::string_view query, std::string_view payload_hash, Headers* headers);

}  // namespace tidemark::objstore
