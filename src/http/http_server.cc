#include "http/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "base/address.h"
#include "commands/access.h"
#include "metrics/exposition.h"

namespace tidemark::http {
namespace {

using Json = nlohmann::json;

constexpr size_t kThreads = 24;
// Leaves threads for metrics however many flushes wait.
constexpr int kWaitingFlushes = 16;
constexpr size_t kMaxBody = 64 << 10;
constexpr const char* kJson = "application/json";

void Fail(httplib::Response& response, int code, std::string_view what) {
  response.status = code;
  response.set_content(Json{{"error", what}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", kJson);
}

Json ToJson(const backup::TaskStatus& task) {
  return {{"name", task.config.name},
          {"storage", task.config.storage},
          {"state", backup::TaskStateName(task.state)},
          {"cause", task.cause},
          {"stalled", task.stalled},
          {"timeline", task.timeline.value},
          {"checkpoint_lsn", task.checkpoint.value},
          {"checkpoint_time", task.checkpoint_time.micros},
          {"log_end_lsn", task.log_end.value},
          {"rpo_micros", task.rpo_micros},
          {"lag_bytes", task.lag_bytes},
          {"restorable", task.restorable},
          {"not_restorable", task.not_restorable},
          {"restorable_known", task.restorable_known},
          {"restorable_from", task.restorable_from.micros},
          {"last_base", task.last_base.micros}};
}

Json ToJson(const backup::FlushOutcome& outcome) {
  return {{"task", outcome.task},
          {"success", outcome.success},
          {"error", outcome.success ? "" : std::string(Message(outcome.error))},
          {"target_lsn", outcome.target.value},
          {"target_time", outcome.target_time.micros},
          {"flushed_lsn", outcome.flushed.value},
          {"flushed_time", outcome.flushed_time.micros},
          {"rpo_micros", outcome.rpo_micros},
          {"objects", outcome.objects},
          {"bytes", outcome.bytes},
          {"waited_micros", outcome.waited_micros},
          {"joined", outcome.joined}};
}

// The request in the body over what `defaults` says; INVALID_ARGUMENT names the field.
absl::StatusOr<backup::FlushRequest> ReadFlush(const std::string& body, backup::FlushRequest request) {
  if (body.empty()) return request;
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return InvalidArgument("the body is not a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (name == "tasks" && value.is_array()) {
      for (const Json& task : value) {
        if (!task.is_string()) return InvalidArgument("tasks: a name is not a string");
        request.tasks.push_back(task.get<std::string>());
      }
    } else if (name == "timeout_ms" && value.is_number_unsigned()) {
      request.timeout = std::chrono::milliseconds(value.get<uint64_t>());
    } else if (name == "durable_only" && value.is_boolean()) {
      request.durable_only = value.get<bool>();
    } else if (name == "mode" && value == "wait") {
      request.mode = backup::FlushMode::kWait;
    } else if (name == "mode" && value == "join") {
      request.mode = backup::FlushMode::kJoin;
    } else if (name == "mode" && value == "nowait") {
      request.mode = backup::FlushMode::kNowait;
    } else {
      return InvalidArgument(
          "{}: must be one of tasks (names), mode (wait, join, nowait), timeout_ms (a number), durable_only (true, "
          "false)",
          name);
    }
  }
  return request;
}

// Flushes that wait, each on a thread of its own, and their end when the server stops.
class Waits {
 public:
  // nullopt when the server stops first.
  absl::StatusOr<std::optional<std::vector<backup::FlushOutcome>>> Flush(backup::Tasks& tasks,
                                                                         const backup::FlushRequest& request) {
    auto wait = std::make_shared<Wait>();
    const absl::StatusOr<uint64_t> id =
        tasks.Flush(request, [shared = shared_, wait](std::vector<backup::FlushOutcome> outcomes) {
          const std::lock_guard lock(shared->mutex);
          wait->outcomes = std::move(outcomes);
          shared->changed.notify_all();
        });
    TM_RETURN_IF_ERROR(id.status());
    {
      std::unique_lock lock(shared_->mutex);
      shared_->changed.wait(lock, [&] { return wait->outcomes.has_value() || shared_->stopping; });
      if (wait->outcomes.has_value()) return std::move(wait->outcomes);
    }
    tasks.CancelFlush(*id);
    return std::nullopt;
  }
  void Stop() {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->changed.notify_all();
  }

 private:
  struct Wait {
    std::optional<std::vector<backup::FlushOutcome>> outcomes;
  };
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool stopping = false;
  };
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

int CodeOf(const std::vector<backup::FlushOutcome>& outcomes) {
  int code = 200;
  for (const backup::FlushOutcome& outcome : outcomes) {
    if (outcome.success) continue;
    if (!absl::IsDeadlineExceeded(outcome.error)) return 503;
    code = 504;
  }
  return code;
}

class HttpServerImpl final : public HttpServer {
 public:
  explicit HttpServerImpl(HttpServices services) : services_(std::move(services)) {}
  ~HttpServerImpl() override { Stop(); }

  absl::Status Listen(const HttpOptions& options) {
    return ListenOnEach(options.addresses, [&](std::string_view address) -> absl::Status {
      TM_ASSIGN_OR_RETURN(const bool ok, Serve(std::string(address), options));
      if (ok) return absl::OkStatus();
      return Errorf(absl::StatusCode::kFailedPrecondition, "http-port: cannot listen on {} port {}", address,
                    options.port);
    });
  }

  void Stop() override {
    waits_.Stop();
    for (Listening& listening : servers_) listening.server->stop();
    for (Listening& listening : servers_) listening.thread.join();
    servers_.clear();
  }
  uint16_t port() const override { return port_; }

 private:
  struct Listening {
    std::unique_ptr<httplib::Server> server;
    std::thread thread;
  };

  absl::StatusOr<bool> Serve(std::string address, const HttpOptions& options) {
    std::unique_ptr<httplib::Server> server;
    if (options.certificate_file.empty()) {
      server = std::make_unique<httplib::Server>();
    } else {
      server = std::make_unique<httplib::SSLServer>(options.certificate_file.c_str(), options.key_file.c_str());
      if (!server->is_valid()) {
        return Errorf(absl::StatusCode::kFailedPrecondition, "http-port: {} and {} are no certificate and key",
                      options.certificate_file, options.key_file);
      }
    }
    server->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server->set_payload_max_length(kMaxBody);
    server->set_keep_alive_timeout(5);
    // Not SO_REUSEPORT, as the library does: a second server would take half of the requests.
    const bool v6 = address.find(':') != std::string::npos;
    server->set_socket_options([v6](socket_t socket) {
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      if (v6) ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    });
    Route(*server);
    if (address == "*") address = "0.0.0.0";
    if (address == "::*") address = "::";
    const uint16_t wanted = options.port != 0 ? options.port : port_;
    if (wanted != 0) {
      if (!server->bind_to_port(address, wanted)) return false;
      port_ = wanted;
    } else {
      const int chosen = server->bind_to_any_port(address);
      if (chosen <= 0) return false;
      port_ = static_cast<uint16_t>(chosen);
    }
    httplib::Server* raw = server.get();
    servers_.push_back({std::move(server), std::thread([raw] { raw->listen_after_bind(); })});
    // Stop means nothing to a server that does not run yet.
    while (!raw->is_running()) std::this_thread::yield();
    return true;
  }

  void Route(httplib::Server& server) {
    server.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      using Response = httplib::Server::HandlerResponse;
      if (request.path == "/healthz") return Response::Unhandled;
      return Admit(request, response) ? Response::Unhandled : Response::Handled;
    });
    server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
      if (!response.body.empty()) return;
      Fail(response, response.status,
           fmt::format("{} {}: {}", request.method, request.path,
                       response.status == 404 ? "there is nothing here" : "refused"));
    });
    server.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", "text/plain");
    });
    server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(services_.metrics(), std::string(metrics::kContentType));
    });
    server.Get("/v1/backup/status", [this](const httplib::Request&, httplib::Response& response) {
      Json tasks = Json::array();
      for (const backup::TaskStatus& task : services_.tasks.Status()) tasks.push_back(ToJson(task));
      response.set_content(Json{{"tasks", tasks}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", kJson);
    });
    server.Post("/v1/backup/flush",
                [this](const httplib::Request& request, httplib::Response& response) { Flush(request, response); });
  }

  bool Admit(const httplib::Request& request, httplib::Response& response) const {
    const std::string header = request.get_header_value("Authorization");
    const auto credentials = commands::ParseBasicAuthorization(header).value_or(commands::Credentials{});
    const absl::Status status =
        services_.access(IsLoopback(request.remote_addr), credentials.user, credentials.password);
    if (status.ok()) return true;
    response.set_header("WWW-Authenticate", "Basic realm=\"tidemark\"");
    Fail(response, 401, Message(status));
    return false;
  }

  void Flush(const httplib::Request& request, httplib::Response& response) {
    const absl::StatusOr<backup::FlushRequest> flush = ReadFlush(request.body, services_.default_flush());
    if (!flush.ok()) return Fail(response, 400, Message(flush.status()));
    if (waiting_.fetch_add(1) >= kWaitingFlushes) {
      waiting_.fetch_sub(1);
      return Fail(response, 503, fmt::format("{} flushes wait already: try again", kWaitingFlushes));
    }
    const auto outcomes = waits_.Flush(services_.tasks, *flush);
    waiting_.fetch_sub(1);
    if (!outcomes.ok())
      return Fail(response, absl::IsNotFound(outcomes.status()) ? 404 : 503, Message(outcomes.status()));
    if (!outcomes->has_value()) return Fail(response, 503, "the server is stopping");
    Json results = Json::array();
    for (const backup::FlushOutcome& outcome : **outcomes) results.push_back(ToJson(outcome));
    response.status = CodeOf(**outcomes);
    response.set_content(Json{{"results", results}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", kJson);
  }

  const HttpServices services_;
  Waits waits_;
  std::atomic<int> waiting_{0};
  uint16_t port_ = 0;
  std::vector<Listening> servers_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options, HttpServices services) {
  auto server = std::make_unique<HttpServerImpl>(std::move(services));
  TM_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

}  // namespace tidemark::http
