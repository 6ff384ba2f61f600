// The HTTP port: metrics for Prometheus, status and force flush as JSON.
//
//   GET  /healthz                  200 while the server serves
//   GET  /metrics                  Prometheus's text format
//   GET  /v1/backup/status         {"tasks": […]}
//   POST /v1/backup/flush          {"tasks": ["n"], "mode": "wait", "timeout_ms": 30000, "durable_only": false}, all
//                                  optional; 200 when every task said yes, 504 when a deadline ended a wait, 503 when a
//                                  task said no, 404 without a task; the body always tells the outcome of each
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backup/tasks.h"
#include "base/status.h"

namespace tidemark::http {

struct HttpOptions {
  std::vector<std::string> addresses;  // as `bind` has them; a leading '-': may be missing
  uint16_t port = 0;                   // 0: any free one (tests)
  // PEM files; none: plain text.
  std::string certificate_file;
  std::string key_file;
};

struct HttpServices {
  backup::Tasks& tasks;
  // As rpc::AccessCheck.
  std::function<absl::Status(bool loopback, std::string_view user, std::string_view password)> access;
  std::function<backup::FlushRequest()> default_flush;
  // The page for GET /metrics. Any thread.
  std::function<std::string()> metrics;
};

class HttpServer {
 public:
  virtual ~HttpServer() = default;
  // Listens and serves until Stop; what `services` refers to outlives the server. FAILED_PRECONDITION names the address
  // or the file.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options, HttpServices services);
  // Flushes that wait are given up; returns when no request is left.
  virtual void Stop() = 0;
  virtual uint16_t port() const = 0;
};

}  // namespace tidemark::http
