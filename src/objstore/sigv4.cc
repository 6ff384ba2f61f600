#include "objstore/sigv4.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "objstore/digest.h"
#include "objstore/uri.h"

namespace tidemark::objstore {
namespace {

struct Names {
  std::string_view algorithm;
  std::string_view key_prefix;
  std::string_view header_prefix;
  std::string_view service;
  std::string_view terminator;
};

constexpr Names kAmazonNames = {"AWS4-HMAC-SHA256", "AWS4", "x-amz-", "s3", "aws4_request"};
constexpr Names kGoogleNames = {"GOOG4-HMAC-SHA256", "GOOG4", "x-goog-", "storage", "goog4_request"};

const Names& NamesOf(SigningDialect dialect) {
  return dialect == SigningDialect::kGoogle ? kGoogleNames : kAmazonNames;
}

// "20130524T000000Z"
std::string TimeStamp(uint64_t micros) {
  const auto seconds = static_cast<time_t>(micros / 1'000'000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                     utc.tm_min, utc.tm_sec);
}

}  // namespace

std::string_view HeaderPrefix(SigningDialect dialect) { return NamesOf(dialect).header_prefix; }

std::string CanonicalQuery(Query query) {
  for (auto& [name, value] : query) {
    name = PercentEncode(name, false);
    value = PercentEncode(value, false);
  }
  std::sort(query.begin(), query.end());
  std::string text;
  for (const auto& [name, value] : query) text += fmt::format("{}{}={}", text.empty() ? "" : "&", name, value);
  return text;
}

void Sign(SigningDialect dialect, const SigningKey& key, uint64_t now_micros, std::string_view method,
          std::string_view path, std::string_view query, std::string_view payload_hash, Headers* headers) {
  const Names& names = NamesOf(dialect);
  const std::string time = TimeStamp(now_micros);
  const std::string day = time.substr(0, 8);
  headers->emplace_back(fmt::format("{}content-sha256", names.header_prefix), payload_hash);
  headers->emplace_back(fmt::format("{}date", names.header_prefix), time);
  if (!key.session_token.empty()) {
    headers->emplace_back(fmt::format("{}security-token", names.header_prefix), key.session_token);
  }
  std::sort(headers->begin(), headers->end());

  std::string canonical_headers;
  std::string signed_names;
  for (const auto& [name, value] : *headers) {
    canonical_headers += fmt::format("{}:{}\n", name, value);
    signed_names += fmt::format("{}{}", signed_names.empty() ? "" : ";", name);
  }
  const std::string canonical =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", method, path, query, canonical_headers, signed_names, payload_hash);
  const std::string scope = fmt::format("{}/{}/{}/{}", day, key.region, names.service, names.terminator);
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", names.algorithm, time, scope, HexLower(Sha256(canonical)));

  std::string derived = fmt::format("{}{}", names.key_prefix, key.secret_access_key);
  for (const std::string_view part :
       {std::string_view(day), std::string_view(key.region), names.service, names.terminator}) {
    derived = HmacSha256(derived, part);
  }
  headers->emplace_back("authorization",
                        fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", names.algorithm,
                                    key.access_key, scope, signed_names, HexLower(HmacSha256(derived, to_sign))));
}

}  // namespace tidemark::objstore
