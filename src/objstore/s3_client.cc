#include "objstore/s3_client.h"

#include <cstdlib>
#include <random>
#include <utility>

#include "objstore/digest.h"
#include "objstore/retry.h"
#include "objstore/s3_errors.h"

namespace tidemark::objstore {
namespace {

constexpr std::string_view kGoogleHost = "storage.googleapis.com";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return value == nullptr ? std::string() : std::string(value);
}

std::string_view HostOf(std::string_view endpoint) { return endpoint.substr(endpoint.find("://") + 3); }

SigningDialect DialectOf(const S3Location& location) {
  const bool google = !location.endpoint.empty() && HostOf(location.endpoint).starts_with(kGoogleHost);
  return google ? SigningDialect::kGoogle : SigningDialect::kAmazon;
}

std::string RegionOf(const S3Location& location) {
  if (!location.region.empty()) return location.region;
  if (DialectOf(location) == SigningDialect::kGoogle) return "auto";
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (std::string region = Environment(name); !region.empty()) return region;
  }
  return "us-east-1";
}

std::string EndpointOf(const S3Location& location) {
  if (!location.endpoint.empty()) return location.endpoint;
  return fmt::format("https://s3.{}.amazonaws.com", RegionOf(location));
}

// The port that a scheme implies is not part of the Host header that libcurl sends.
std::string_view WithoutImpliedPort(std::string_view host, bool tls) {
  const std::string_view implied = tls ? ":443" : ":80";
  if (host.ends_with(implied)) host.remove_suffix(implied.size());
  return host;
}

void Scrub(std::string* text, std::string_view secret) {
  if (secret.empty()) return;
  for (size_t at = text->find(secret); at != std::string::npos; at = text->find(secret, at))
    text->replace(at, secret.size(), "…");
}

bool IsMd5(std::string_view etag) {
  return etag.size() == 32 && etag.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string_view Unquoted(std::string_view etag) {
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) etag = etag.substr(1, etag.size() - 2);
  return etag;
}

S3Client::S3Client(const S3Location& location, const OpenOptions& options, Clock& clock)
    : bucket_(location.bucket),
      region_(RegionOf(location)),
      dialect_(DialectOf(location)),
      tls_(EndpointOf(location).starts_with("https://")),
      retries_(options.retries),
      clock_(clock),
      credentials_(Credentials{location.access_key, location.secret_access_key, location.session_token}),
      http_(options),
      random_((uint64_t{std::random_device()()} << 32) | std::random_device()()) {
  const std::string endpoint = EndpointOf(location);
  host_ = WithoutImpliedPort(HostOf(endpoint), tls_);
  if (location.force_path_style) {
    base_path_ = "/" + bucket_;
  } else {
    host_ = fmt::format("{}.{}", bucket_, host_);
  }
  base_url_ = fmt::format("{}://{}", tls_ ? "https" : "http", host_);
}

uint64_t S3Client::Random() {
  // SplitMix64 (Steele, Lea, Flood 2014).
  uint64_t z = random_.fetch_add(0x9e3779b97f4a7c15u, std::memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

absl::StatusOr<HttpResponse> S3Client::Attempt(const S3Call& call, const Credentials& credentials,
                                               std::string_view payload_hash, std::string_view md5) {
  requests_.fetch_add(1, std::memory_order_relaxed);
  const std::string path =
      base_path_ + (call.key.empty() ? (base_path_.empty() ? "/" : "") : "/" + PercentEncode(call.key, true));
  const std::string query = CanonicalQuery(call.query);
  HttpRequest request;
  request.method = call.method;
  request.url = base_url_ + path + (query.empty() ? "" : "?" + query);
  request.headers = call.headers;
  request.headers.emplace_back("host", host_);
  if (!md5.empty()) request.headers.emplace_back("content-md5", Base64(md5));
  Sign(dialect_, {credentials.access_key, credentials.secret_access_key, credentials.session_token, region_},
       clock_.WallMicros(), call.method, path, query, payload_hash, &request.headers);
  request.body = call.body;
  request.sink = call.sink;
  request.on_headers = call.on_headers;
  request.sink_status = call.sink_status;
  request.body_max = call.body_max;
  return http_.Do(request);
}

absl::Status S3Client::Describe(const S3Call& call, const absl::Status& status, const Credentials& credentials) const {
  std::string text = fmt::format("{} s3://{}/{}: {}", call.method, bucket_, call.key, Message(status));
  Scrub(&text, credentials.secret_access_key);
  Scrub(&text, credentials.session_token);
  Scrub(&text, credentials.access_key);
  return Errorf(status.code(), "{}", text);
}

absl::Status S3Client::Judge(const S3Call& call, const HttpResponse& response, std::string_view md5) {
  TM_RETURN_IF_ERROR(StatusOfResponse(response));
  if (call.check) TM_RETURN_IF_ERROR(call.check(response));
  const std::string_view etag = Unquoted(response.Header("etag"));
  // With a key of the KMS the ETag is a number of the store's own that looks the same.
  const bool own = response.Header("x-amz-server-side-encryption").starts_with("aws:kms");
  if (!call.check_etag || own || !IsMd5(etag) || etag == HexLower(md5)) return absl::OkStatus();
  return Errorf(absl::StatusCode::kDataLoss, "the store has other bytes than were sent: ETag {}, MD5 {}", etag,
                HexLower(md5));
}

absl::StatusOr<HttpResponse> S3Client::Do(S3Call call) {
  // TLS keeps the payload whole on its way, so signing it would only cost; over plain HTTP nothing else does. The MD5
  // stands for what the store has on its disk: it refuses a body that is another, and its ETag tells us ours.
  const std::string payload_hash =
      tls_ && !call.body.empty() ? std::string(kUnsignedPayload) : HexLower(Sha256(call.body));
  const std::string md5 = call.body.empty() && !call.check_etag ? std::string() : Md5(call.body);
  bool refreshed = false;
  for (int attempt = 1;; ++attempt) {
    TM_ASSIGN_OR_RETURN(const Credentials credentials, credentials_.Get());
    absl::StatusOr<HttpResponse> response = Attempt(call, credentials, payload_hash, md5);
    const absl::Status status = response.ok() ? Judge(call, *response, md5) : response.status();
    if (status.ok()) return response;
    std::chrono::microseconds wait{0};
    if (IsRefusal(status) && !refreshed) {
      refreshed = true;
      if (!credentials_.RefreshAfterRefusal(credentials)) return Describe(call, status, credentials);
    } else if (IsPassing(status) && attempt <= retries_) {
      const auto retry_after = response.ok() ? RetryAfter(*response) : std::chrono::seconds(0);
      wait = BackoffTime(attempt, absl::IsResourceExhausted(status), retry_after, Random());
    } else {
      return Describe(call, status, credentials);
    }
    if (!http_.stopper().Sleep(wait)) return Errorf(absl::StatusCode::kCancelled, "the store was closed");
    retried_.fetch_add(1, std::memory_order_relaxed);
    if (call.resume && call.resume(&call)) attempt = 0;
  }
}

ObjectStore::Stats S3Client::stats() const {
  ObjectStore::Stats stats;
  stats.requests = requests_.load(std::memory_order_relaxed);
  stats.retries = retried_.load(std::memory_order_relaxed);
  stats.bytes_sent = http_.bytes_sent();
  stats.bytes_received = http_.bytes_received();
  return stats;
}

}  // namespace tidemark::objstore
