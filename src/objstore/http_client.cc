#include "objstore/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/numbers.h"
#include "base/version.h"

namespace tidemark::objstore {
namespace {

constexpr uint64_t kReserveMax = uint64_t{64} << 20;
constexpr long kBufferBytes = 256 * 1024;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return value == nullptr ? std::string() : std::string(value);
}

// Once a process, before the first handle; never undone, since other stores may live.
void InitCurl() {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  TM_CHECK(initialised == CURLE_OK);
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

template <typename T>
void Set(CURL* easy, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  TM_CHECK(code == CURLE_OK, "option {}: {}", static_cast<int>(option), curl_easy_strerror(code));
}

// Whether the outcome may be another the next time, or somebody has to do something.
absl::Status CurlStatus(CURLcode code, std::string_view detail) {
  absl::StatusCode kind = absl::StatusCode::kUnavailable;
  switch (code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_BAD_CONTENT_ENCODING:
      kind = absl::StatusCode::kDataLoss;
      break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_URL_MALFORMAT:
      kind = absl::StatusCode::kFailedPrecondition;
      break;
    default:
      break;
  }
  return Errorf(kind, "{}", detail.empty() ? curl_easy_strerror(code) : detail);
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

struct HttpClient::Connection {
  Connection() : easy(curl_easy_init()), multi(curl_multi_init()) { TM_CHECK(easy != nullptr && multi != nullptr); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    curl_multi_cleanup(multi);
    curl_easy_cleanup(easy);
  }

  CURL* const easy;
  CURLM* const multi;
};

// One request under way, as the callbacks of libcurl see it.
struct HttpClient::Transfer {
  Transfer(HttpClient& client_in, const HttpRequest& request_in, CURL* easy_in)
      : client(client_in), request(request_in), easy(easy_in) {}

  HttpClient& client;
  const HttpRequest& request;
  CURL* const easy;
  HttpResponse response;
  size_t sent = 0;
  bool head_seen = false;
  absl::Status failed;  // why a callback ended the transfer
  std::chrono::steady_clock::time_point moved = std::chrono::steady_clock::now();
  std::unique_ptr<curl_slist, FreeList> header_list;
  char error[CURL_ERROR_SIZE] = {};

  void Moved() { moved = std::chrono::steady_clock::now(); }

  bool Paced(RateLimiter& limiter, size_t bytes) {
    if (limiter.Take(bytes, client.stopper_)) return true;
    failed = Errorf(absl::StatusCode::kCancelled, "the store was closed");
    return false;
  }

  size_t Send(char* buffer, size_t room) {
    const size_t count = std::min(room, request.body.size() - sent);
    if (count == 0) return 0;
    if (!Paced(client.sending_, count)) return CURL_READFUNC_ABORT;
    std::memcpy(buffer, request.body.data() + sent, count);
    sent += count;
    client.bytes_sent_.fetch_add(count, std::memory_order_relaxed);
    Moved();
    return count;
  }

  absl::Status Take(std::string_view piece) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
    if (!request.sink || response.status != request.sink_status) {
      if (response.body.size() + piece.size() > request.body_max) {
        return Errorf(absl::StatusCode::kDataLoss, "the answer is longer than {} bytes", request.body_max);
      }
      if (response.body.empty()) {
        response.body.reserve(
            std::min<uint64_t>(ParseUint64(response.Header("content-length")).value_or(0), kReserveMax));
      }
      response.body.append(piece);
      return absl::OkStatus();
    }
    if (!head_seen && request.on_headers) TM_RETURN_IF_ERROR(request.on_headers(response));
    head_seen = true;
    return request.sink(piece);
  }

  size_t Receive(std::string_view piece) {
    if (!Paced(client.receiving_, piece.size())) return 0;
    client.bytes_received_.fetch_add(piece.size(), std::memory_order_relaxed);
    failed = Take(piece);
    Moved();
    return failed.ok() ? piece.size() : 0;
  }

  void Header(std::string_view line) {
    Moved();
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {  // of the final answer after a 100
      response.headers.clear();
      return;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), Lower);
    line.remove_prefix(colon + 1);
    while (line.starts_with(' ')) line.remove_prefix(1);
    response.headers.emplace_back(std::move(name), line);
  }

  static size_t OnSend(char* buffer, size_t size, size_t count, void* self) {
    return static_cast<Transfer*>(self)->Send(buffer, size * count);
  }
  static size_t OnReceive(char* data, size_t size, size_t count, void* self) {
    return static_cast<Transfer*>(self)->Receive({data, size * count});
  }
  static size_t OnHeader(char* data, size_t size, size_t count, void* self) {
    static_cast<Transfer*>(self)->Header({data, size * count});
    return size * count;
  }
  // libcurl starts over where a kept connection turned out to be closed.
  static int OnSeek(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Transfer*>(self)->sent = static_cast<size_t>(offset);
    return CURL_SEEKFUNC_OK;
  }
};

std::string_view HttpResponse::Header(std::string_view name) const {
  for (const auto& [known, value] : headers) {
    if (known == name) return value;
  }
  return {};
}

HttpClient::HttpClient(const OpenOptions& options)
    : stall_timeout_(options.stall_timeout),
      connections_max_(static_cast<size_t>(std::max(options.connections, 1))),
      ca_file_(Environment("SSL_CERT_FILE")),
      ca_folder_(Environment("SSL_CERT_DIR")),
      sending_(options.rate_limit),
      receiving_(options.rate_limit) {
  InitCurl();
}

HttpClient::~HttpClient() = default;

void HttpClient::Cancel() {
  stopper_.Stop();
  const MutexLock lock(mutex_);
  for (const auto& connection : connections_) curl_multi_wakeup(connection->multi);
  given_back_.SignalAll();
}

absl::StatusOr<HttpClient::Connection*> HttpClient::Take() {
  const MutexLock lock(mutex_);
  while (!stopper_.stopped()) {
    if (!idle_.empty()) {
      Connection* connection = idle_.back();
      idle_.pop_back();
      return connection;
    }
    if (connections_.size() < connections_max_) {
      connections_.push_back(std::make_unique<Connection>());
      return connections_.back().get();
    }
    given_back_.Wait(mutex_);
  }
  return Errorf(absl::StatusCode::kCancelled, "the store was closed");
}

void HttpClient::GiveBack(Connection* connection) {
  const MutexLock lock(mutex_);
  idle_.push_back(connection);
  given_back_.Signal();
}

void HttpClient::SetUp(Connection& connection, Transfer& transfer) const {
  CURL* const easy = connection.easy;
  const HttpRequest& request = transfer.request;
  curl_easy_reset(easy);
  Set(easy, CURLOPT_URL, request.url.c_str());
  Set(easy, CURLOPT_PATH_AS_IS, 1L);  // it is signed as it stands
  Set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  Set(easy, CURLOPT_NOSIGNAL, 1L);
  Set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  Set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!ca_file_.empty()) Set(easy, CURLOPT_CAINFO, ca_file_.c_str());
  if (!ca_folder_.empty()) Set(easy, CURLOPT_CAPATH, ca_folder_.c_str());
  Set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(stall_timeout_.count()));
  Set(easy, CURLOPT_BUFFERSIZE, kBufferBytes);
  Set(easy, CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
  Set(easy, CURLOPT_ERRORBUFFER, &transfer.error[0]);
  Set(easy, CURLOPT_WRITEFUNCTION, &Transfer::OnReceive);
  Set(easy, CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  Set(easy, CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
  Set(easy, CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  if (request.method == "HEAD") {
    Set(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method == "PUT" || request.method == "POST") {
    Set(easy, CURLOPT_UPLOAD, 1L);
    Set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    Set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    Set(easy, CURLOPT_READFUNCTION, &Transfer::OnSend);
    Set(easy, CURLOPT_READDATA, static_cast<void*>(&transfer));
    Set(easy, CURLOPT_SEEKFUNCTION, &Transfer::OnSeek);
    Set(easy, CURLOPT_SEEKDATA, static_cast<void*>(&transfer));
  } else {
    Set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_slist* list = nullptr;
  for (const auto& [name, value] : request.headers)
    list = curl_slist_append(list, fmt::format("{}: {}", name, value).c_str());
  list = curl_slist_append(list, fmt::format("user-agent: tidemark/{}", Version()).c_str());
  list = curl_slist_append(list, "accept: */*");
  // Without its own "Expect: 100-continue", which costs a round trip, and a second where it is not understood.
  list = curl_slist_append(list, "expect:");
  transfer.header_list.reset(list);
  Set(easy, CURLOPT_HTTPHEADER, list);
}

absl::Status HttpClient::Wait(Connection& connection, Transfer& transfer) {
  if (stopper_.stopped()) return Errorf(absl::StatusCode::kCancelled, "the store was closed");
  const auto still = std::chrono::steady_clock::now() - transfer.moved;
  if (still >= stall_timeout_) {
    return Errorf(absl::StatusCode::kUnavailable, "no byte moved for {} ms", stall_timeout_.count());
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(stall_timeout_ - still).count() + 1;
  curl_multi_poll(connection.multi, nullptr, 0, static_cast<int>(left), nullptr);
  return absl::OkStatus();
}

absl::Status HttpClient::Run(Connection& connection, Transfer& transfer) {
  while (true) {
    int running = 0;
    const CURLMcode code = curl_multi_perform(connection.multi, &running);
    if (code != CURLM_OK) return Errorf(absl::StatusCode::kUnavailable, "libcurl: {}", curl_multi_strerror(code));
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(connection.multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      if (!transfer.failed.ok()) return transfer.failed;
      if (message->data.result == CURLE_OK) return absl::OkStatus();
      return CurlStatus(message->data.result, &transfer.error[0]);
    }
    TM_RETURN_IF_ERROR(Wait(connection, transfer));
  }
}

absl::StatusOr<HttpResponse> HttpClient::Do(const HttpRequest& request) {
  TM_ASSIGN_OR_RETURN(Connection * connection, Take());
  Transfer transfer(*this, request, connection->easy);
  SetUp(*connection, transfer);
  TM_CHECK(curl_multi_add_handle(connection->multi, connection->easy) == CURLM_OK);
  absl::Status status = Run(*connection, transfer);
  long code = 0;
  curl_easy_getinfo(connection->easy, CURLINFO_RESPONSE_CODE, &code);
  // A transfer that is not at its end closes its connection here.
  curl_multi_remove_handle(connection->multi, connection->easy);
  curl_easy_reset(connection->easy);
  GiveBack(connection);
  TM_RETURN_IF_ERROR(status);
  transfer.response.status = static_cast<int>(code);
  // An object without bytes has a head too.
  const bool sunk = request.sink && transfer.response.status == request.sink_status;
  if (sunk && !transfer.head_seen && request.on_headers) TM_RETURN_IF_ERROR(request.on_headers(transfer.response));
  return std::move(transfer.response);
}

}  // namespace tidemark::objstore
