// HTTP/1.1 over libcurl, as much as S3 needs: bodies in memory or in pieces, connections that are kept, TLS that is
// verified, an end to requests that stand still, and to all of them at once.
//
// A request runs in its caller's thread on a connection of a pool, each with a multi handle of its own: so hashing and
// TLS of parallel calls run in parallel, a slow sink holds up its own connection only, and no thread has to be handed
// anything. What others do to it (Cancel) they do through curl_multi_wakeup.
//
// Threads: any. `mutex_` guards the pool; a connection belongs to the call that took it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "objstore/object_store.h"
#include "objstore/retry.h"
#include "objstore/sigv4.h"

namespace tidemark::objstore {

struct HttpResponse {
  int status = 0;
  Headers headers;   // names in lower case
  std::string body;  // empty where it went to a sink

  // Empty where there is none.
  std::string_view Header(std::string_view name) const;
};

struct HttpRequest {
  std::string method;
  std::string url;
  Headers headers;
  std::string_view body;  // stays where it is until the call returns
  // Takes the body of an answer with status `sink_status`; those of others are collected. `on_headers` sees that answer
  // before the first piece. Their errors end the request and are its outcome.
  std::function<absl::Status(std::string_view piece)> sink;
  std::function<absl::Status(const HttpResponse& head)> on_headers;
  int sink_status = 200;
  // Bytes that a collected body may have; more is DATA_LOSS.
  uint64_t body_max = uint64_t{4} << 20;
};

class HttpClient {
 public:
  explicit HttpClient(const OpenOptions& options);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  // No call is under way any more.
  ~HttpClient();

  // Any answer is OK, whatever its status. UNAVAILABLE where none came, DATA_LOSS where it was cut, FAILED_PRECONDITION
  // where the certificate is not trusted, CANCELLED.
  absl::StatusOr<HttpResponse> Do(const HttpRequest& request);

  void Cancel();
  Stopper& stopper() { return stopper_; }

  uint64_t bytes_sent() const { return bytes_sent_.load(std::memory_order_relaxed); }
  uint64_t bytes_received() const { return bytes_received_.load(std::memory_order_relaxed); }

 private:
  struct Connection;
  struct Transfer;

  absl::StatusOr<Connection*> Take();
  void GiveBack(Connection* connection);
  absl::Status Run(Connection& connection, Transfer& transfer);
  absl::Status Wait(Connection& connection, Transfer& transfer);
  void SetUp(Connection& connection, Transfer& transfer) const;

  const std::chrono::milliseconds stall_timeout_;
  const size_t connections_max_;
  const std::string ca_file_;
  const std::string ca_folder_;
  Stopper stopper_;
  RateLimiter sending_;
  RateLimiter receiving_;
  std::atomic<uint64_t> bytes_sent_{0};
  std::atomic<uint64_t> bytes_received_{0};

  Mutex mutex_;
  CondVar given_back_;
  std::vector<std::unique_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  // The one used last is taken first: it is the likeliest to be open still.
  std::vector<Connection*> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::objstore
