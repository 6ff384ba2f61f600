// One call to an S3 store: made, signed, sent, understood, and repeated where that helps. What the calls are for is the
// business of s3_store.h.
//
// Threads: any.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "env/clock.h"
#include "objstore/credentials.h"
#include "objstore/http_client.h"
#include "objstore/object_store.h"
#include "objstore/sigv4.h"
#include "objstore/uri.h"

namespace tidemark::objstore {

// An ETag without its quotes.
std::string_view Unquoted(std::string_view etag);

struct S3Call {
  std::string method;
  std::string key;  // with the prefix; empty: the bucket itself
  Query query;
  Headers headers;  // signed like the rest
  std::string_view body;
  std::function<absl::Status(std::string_view piece)> sink;
  std::function<absl::Status(const HttpResponse& head)> on_headers;
  int sink_status = 200;
  uint64_t body_max = uint64_t{4} << 20;
  // Looks at an answer of 2xx; its error counts as the call's, so a passing one is tried again.
  std::function<absl::Status(const HttpResponse& response)> check;
  // The body's MD5 has to be the answer's ETag, where that is an MD5.
  bool check_etag = false;
  // Changes the call before it is repeated, to go on where it stopped. True: it got further, so patience begins anew.
  std::function<bool(S3Call* call)> resume;
};

class S3Client {
 public:
  // `location` has no secrets left in what it names besides its credentials; `clock` outlives the client.
  S3Client(const S3Location& location, const OpenOptions& options, Clock& clock);

  // The answer, 2xx. Errors as StatusOfResponse has them, with method and object before the store's words and without
  // secrets.
  absl::StatusOr<HttpResponse> Do(S3Call call);

  void Cancel() { http_.Cancel(); }
  ObjectStore::Stats stats() const;
  // Header names and signature of the store: Google's has its own.
  SigningDialect dialect() const { return dialect_; }

 private:
  absl::StatusOr<HttpResponse> Attempt(const S3Call& call, const Credentials& credentials,
                                       std::string_view payload_hash, std::string_view md5);
  static absl::Status Judge(const S3Call& call, const HttpResponse& response, std::string_view md5);
  absl::Status Describe(const S3Call& call, const absl::Status& status, const Credentials& credentials) const;
  uint64_t Random();

  const std::string bucket_;
  const std::string region_;
  const SigningDialect dialect_;
  const bool tls_;
  const int retries_;
  std::string host_;       // as the header and the signature have it
  std::string base_url_;   // scheme and host
  std::string base_path_;  // "/bucket", or empty where the host names it
  Clock& clock_;
  CredentialSource credentials_;
  HttpClient http_;
  std::atomic<uint64_t> requests_{0};
  std::atomic<uint64_t> retried_{0};
  std::atomic<uint64_t> random_;
};

}  // namespace tidemark::objstore
