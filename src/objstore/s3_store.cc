#include "objstore/s3_store.h"

#include <algorithm>
#include <utility>

#include "base/numbers.h"
#include "objstore/digest.h"
#include "objstore/keys.h"
#include "objstore/probe.h"
#include "objstore/s3_errors.h"
#include "objstore/s3_xml.h"

namespace tidemark::objstore {
namespace {

constexpr uint64_t kPartBytes = uint64_t{16} << 20;
constexpr uint64_t kPartBytesMax = uint64_t{5} << 30;
constexpr uint64_t kPartsPlanned = 9'000;
constexpr uint64_t kPartsMax = 10'000;
constexpr uint64_t kObjectBytesMax = uint64_t{64} << 30;

S3Location WithoutSecrets(S3Location location) {
  location.access_key.clear();
  location.secret_access_key.clear();
  location.session_token.clear();
  return location;
}

absl::Status OutOfRange(std::string_view key, uint64_t size, uint64_t offset) {
  return Errorf(absl::StatusCode::kOutOfRange, "{} has {} bytes; asked for those from {} on", key, size, offset);
}

// "bytes 2-4/5" begins at 2.
bool BeginsAt(std::string_view content_range, uint64_t offset) {
  return content_range.starts_with(fmt::format("bytes {}-", offset));
}

std::string RangeFrom(uint64_t offset) { return fmt::format("bytes={}-", offset); }

absl::StatusOr<std::string> ReadUpTo(ByteSource& source, uint64_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    TM_ASSIGN_OR_RETURN(const std::string piece, source.Read(size - bytes.size()));
    if (piece.empty()) break;
    bytes += piece;
  }
  return bytes;
}

}  // namespace

uint64_t PartBytes(uint64_t number, uint64_t size_hint, uint64_t sent) {
  const uint64_t planned = (size_hint / kPartsPlanned / kPartBytes + 1) * kPartBytes;
  if (sent < size_hint) return std::min(planned, kPartBytesMax);
  // Beyond what was announced: twice as much every thousand parts.
  return std::min(planned << std::min<uint64_t>(number / 1000, 9), kPartBytesMax);
}

// An object that goes up in parts.
struct S3Store::Upload {
  std::string key;  // with the prefix
  std::string id;
  uint64_t bytes = 0;
  std::vector<std::string> etags;
  std::string part_md5s;
};

S3Store::S3Store(const S3Location& location, std::string display_uri, const OpenOptions& options, Clock& clock)
    : location_(WithoutSecrets(location)),
      display_uri_(std::move(display_uri)),
      prefix_(location.prefix.empty() ? "" : location.prefix + "/"),
      client_(location, options, clock) {}

std::string S3Store::Full(std::string_view key) const { return fmt::format("{}{}", prefix_, key); }

Headers S3Store::StorageHeaders() const {
  const std::string_view prefix = HeaderPrefix(client_.dialect());
  Headers headers;
  if (!location_.storage_class.empty())
    headers.emplace_back(fmt::format("{}storage-class", prefix), location_.storage_class);
  if (client_.dialect() == SigningDialect::kGoogle) {
    if (!location_.sse_kms_key_id.empty())
      headers.emplace_back("x-goog-encryption-kms-key-name", location_.sse_kms_key_id);
    return headers;
  }
  if (!location_.sse.empty()) headers.emplace_back("x-amz-server-side-encryption", location_.sse);
  if (!location_.sse_kms_key_id.empty()) {
    headers.emplace_back("x-amz-server-side-encryption-aws-kms-key-id", location_.sse_kms_key_id);
  }
  return headers;
}

absl::Status S3Store::PutObject(std::string_view key, std::string_view bytes, Headers condition) {
  S3Call call;
  call.method = "PUT";
  call.key = Full(key);
  call.headers = StorageHeaders();
  for (auto& header : condition) call.headers.push_back(std::move(header));
  call.body = bytes;
  call.check_etag = true;
  return client_.Do(std::move(call)).status();
}

absl::Status S3Store::Put(std::string_view key, std::string_view bytes, PutCondition condition) {
  TM_RETURN_IF_ERROR(CheckKey(key));
  if (condition == PutCondition::kNone) return PutObject(key, bytes, {});
  if (conditional_.load(std::memory_order_relaxed)) {
    const bool google = client_.dialect() == SigningDialect::kGoogle;
    absl::Status status = PutObject(
        key, bytes,
        {google ? Headers::value_type("x-goog-if-generation-match", "0") : Headers::value_type("if-none-match", "*")});
    if (!absl::IsUnimplemented(status)) return status;
    conditional_.store(false, std::memory_order_relaxed);
  }
  absl::Status there = Head(key).status();
  if (there.ok()) return Errorf(absl::StatusCode::kAlreadyExists, "{} exists", key);
  if (!absl::IsNotFound(there)) return there;
  return PutObject(key, bytes, {});
}

absl::Status S3Store::PutStream(std::string_view key, ByteSource& source, uint64_t size_hint) {
  TM_RETURN_IF_ERROR(CheckKey(key));
  TM_ASSIGN_OR_RETURN(std::string first, ReadUpTo(source, PartBytes(1, size_hint, 0)));
  if (first.size() < PartBytes(1, size_hint, 0)) return PutObject(key, first, {});
  Upload upload;
  upload.key = Full(key);
  S3Call begin;
  begin.method = "POST";
  begin.key = upload.key;
  begin.query = {{"uploads", ""}};
  begin.headers = StorageHeaders();
  begin.check = [](const HttpResponse& response) { return ParseS3UploadId(response.body).status(); };
  TM_ASSIGN_OR_RETURN(const HttpResponse begun, client_.Do(std::move(begin)));
  TM_ASSIGN_OR_RETURN(upload.id, ParseS3UploadId(begun.body));
  absl::Status status = SendParts(upload, std::move(first), source, size_hint);
  if (status.ok()) return status;
  S3Call abort;
  abort.method = "DELETE";
  abort.key = upload.key;
  abort.query = {{"uploadId", upload.id}};
  client_.Do(std::move(abort)).status().IgnoreError();
  return status;
}

absl::Status S3Store::SendParts(Upload& upload, std::string first, ByteSource& source, uint64_t size_hint) {
  for (std::string part = std::move(first); !part.empty();) {
    TM_RETURN_IF_ERROR(SendPart(upload, part));
    part.clear();
    TM_ASSIGN_OR_RETURN(part, ReadUpTo(source, PartBytes(upload.etags.size() + 1, size_hint, upload.bytes)));
  }
  return Complete(upload);
}

absl::Status S3Store::SendPart(Upload& upload, std::string_view bytes) {
  if (upload.etags.size() == kPartsMax) {
    return Errorf(absl::StatusCode::kOutOfRange, "{}: more than {} parts", upload.key, kPartsMax);
  }
  S3Call call;
  call.method = "PUT";
  call.key = upload.key;
  call.query = {{"partNumber", std::to_string(upload.etags.size() + 1)}, {"uploadId", upload.id}};
  call.body = bytes;
  call.check_etag = true;
  call.check = [](const HttpResponse& response) {
    if (!response.Header("etag").empty()) return absl::OkStatus();
    return Errorf(absl::StatusCode::kDataLoss, "the answer to a part has no ETag");
  };
  TM_ASSIGN_OR_RETURN(const HttpResponse response, client_.Do(std::move(call)));
  upload.etags.emplace_back(response.Header("etag"));
  upload.part_md5s += Md5(bytes);
  upload.bytes += bytes.size();
  return absl::OkStatus();
}

absl::Status S3Store::Complete(Upload& upload) {
  std::string body = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < upload.etags.size(); ++i) {
    body += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>&quot;{}&quot;</ETag></Part>", i + 1,
                        Unquoted(upload.etags[i]));
  }
  body += "</CompleteMultipartUpload>";
  S3Call call;
  call.method = "POST";
  call.key = upload.key;
  call.query = {{"uploadId", upload.id}};
  call.headers = {{"content-type", "application/xml"}};
  call.body = body;
  call.check = [](const HttpResponse& response) {
    // The status line goes out before the work is done, so an error comes with 200.
    if (ParseS3Error(response.body).code.empty()) return ParseS3Completed(response.body).status();
    return StatusOfResponse({500, response.headers, response.body});
  };
  absl::Status status = client_.Do(std::move(call)).status();
  // A repetition after an answer that was lost finds no upload any more.
  if (!status.ok() && !absl::IsCancelled(status) && IsComplete(upload)) return absl::OkStatus();
  return status;
}

bool S3Store::IsComplete(const Upload& upload) {
  const absl::StatusOr<HttpResponse> head = HeadObject(std::string_view(upload.key).substr(prefix_.size()));
  if (!head.ok()) return false;
  return Unquoted(head->Header("etag")) == fmt::format("{}-{}", HexLower(Md5(upload.part_md5s)), upload.etags.size());
}

absl::StatusOr<std::string> S3Store::Get(std::string_view key) {
  TM_RETURN_IF_ERROR(CheckKey(key));
  S3Call call;
  call.method = "GET";
  call.key = Full(key);
  call.body_max = kObjectBytesMax;
  TM_ASSIGN_OR_RETURN(HttpResponse response, client_.Do(std::move(call)));
  return std::move(response.body);
}

absl::StatusOr<std::string> S3Store::GetRange(std::string_view key, uint64_t offset, uint64_t length) {
  TM_RETURN_IF_ERROR(CheckKey(key));
  absl::Status status;
  if (length > 0) {
    S3Call call;
    call.method = "GET";
    call.key = Full(key);
    const uint64_t last = length > UINT64_MAX - offset ? UINT64_MAX : offset + length - 1;
    call.headers = {{"range", last == UINT64_MAX ? RangeFrom(offset) : fmt::format("bytes={}-{}", offset, last)}};
    call.body_max = kObjectBytesMax;
    call.check = [&](const HttpResponse& response) {
      const bool part = response.status == 206 && BeginsAt(response.Header("content-range"), offset);
      if (part && response.body.size() <= length) return absl::OkStatus();
      if (response.status == 200) return absl::OkStatus();
      return Errorf(absl::StatusCode::kDataLoss, "the answer is not the range that was asked for");
    };
    absl::StatusOr<HttpResponse> response = client_.Do(std::move(call));
    // The whole, from a store without ranges.
    const bool whole = response.ok() && response->status == 200;
    if (whole && offset > response->body.size()) return OutOfRange(key, response->body.size(), offset);
    if (whole) return response->body.substr(offset, length);
    if (response.ok()) return std::move(response->body);
    status = response.status();
    if (!absl::IsOutOfRange(status)) return status;
  }
  TM_ASSIGN_OR_RETURN(const ObjectInfo info, Head(key));
  if (offset > info.size) return OutOfRange(key, info.size, offset);
  if (status.ok() || offset == info.size) return std::string();
  return status;
}

absl::Status S3Store::GetStream(std::string_view key, const std::function<absl::Status(std::string_view piece)>& sink) {
  TM_RETURN_IF_ERROR(CheckKey(key));
  uint64_t offset = 0;
  uint64_t offset_before = 0;
  std::string etag;
  absl::Status sink_failed;
  S3Call call;
  call.method = "GET";
  call.key = Full(key);
  call.on_headers = [&](const HttpResponse& head) {
    if (offset == 0) {
      etag = head.Header("etag");
      return absl::OkStatus();
    }
    if (head.Header("etag") != etag) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "the object was replaced while it was read");
    }
    if (BeginsAt(head.Header("content-range"), offset)) return absl::OkStatus();
    return Errorf(absl::StatusCode::kDataLoss, "the answer is not the range that was asked for");
  };
  call.sink = [&](std::string_view piece) {
    sink_failed = sink(piece);
    offset += piece.size();
    // An error of the sink may be one that would be tried again if it were the store's.
    return sink_failed.ok() ? absl::OkStatus() : absl::CancelledError();
  };
  call.check = [&](const HttpResponse& response) {
    if (response.status == (offset_before == 0 ? 200 : 206)) return absl::OkStatus();
    return Errorf(absl::StatusCode::kDataLoss, "the answer is not what was asked for");
  };
  call.resume = [&](S3Call* again) {
    if (offset == offset_before) return false;
    offset_before = offset;
    again->headers = {{"range", RangeFrom(offset)}};
    again->sink_status = 206;
    return true;
  };
  const absl::StatusOr<HttpResponse> response = client_.Do(std::move(call));
  if (!sink_failed.ok()) return sink_failed;
  // Cut exactly at its end: there is nothing left to ask for.
  if (absl::IsOutOfRange(response.status()) && offset > 0) {
    TM_ASSIGN_OR_RETURN(const HttpResponse head, HeadObject(key));
    if (head.Header("etag") == etag && ParseUint64(head.Header("content-length")) == offset) return absl::OkStatus();
  }
  return response.status();
}

absl::StatusOr<HttpResponse> S3Store::HeadObject(std::string_view key) {
  S3Call call;
  call.method = "HEAD";
  call.key = Full(key);
  return client_.Do(std::move(call));
}

absl::StatusOr<ObjectInfo> S3Store::Head(std::string_view key) {
  TM_RETURN_IF_ERROR(CheckKey(key));
  TM_ASSIGN_OR_RETURN(const HttpResponse response, HeadObject(key));
  ObjectInfo info;
  info.key = key;
  const auto size = ParseUint64(response.Header("content-length"));
  if (!size || !ParseHttpDate(std::string(response.Header("last-modified")), &info.modified_micros)) {
    return Errorf(absl::StatusCode::kDataLoss, "HEAD {}: the answer has no size or no time", key);
  }
  info.size = *size;
  return info;
}

absl::StatusOr<ListPage> S3Store::ListOnce(std::string_view prefix, std::string_view after, size_t max,
                                           std::string* last) {
  S3Call call;
  call.method = "GET";
  call.query = {
      {"list-type", "2"}, {"encoding-type", "url"}, {"max-keys", std::to_string(max)}, {"prefix", Full(prefix)}};
  if (!after.empty()) call.query.emplace_back("start-after", after);
  S3ListPage raw;
  call.check = [&](const HttpResponse& response) -> absl::Status {
    TM_ASSIGN_OR_RETURN(raw, ParseS3List(response.body));
    if (raw.truncated && raw.entries.empty())
      return Errorf(absl::StatusCode::kDataLoss, "an empty page is not the last");
    if (raw.entries.empty() || raw.entries.front().key > after) return absl::OkStatus();
    return Errorf(absl::StatusCode::kFailedPrecondition, "the store does not list from where it was asked to");
  };
  TM_RETURN_IF_ERROR(client_.Do(std::move(call)).status());
  ListPage page;
  page.more = raw.truncated;
  for (S3ListEntry& entry : raw.entries) {
    *last = entry.key;
    const std::string key = entry.key.substr(std::min(prefix_.size(), entry.key.size()));
    // What others keep in the bucket, under names that are no keys of ours, is passed over.
    if (!entry.key.starts_with(prefix_) || !key.starts_with(prefix) || !CheckKey(key).ok()) continue;
    page.objects.push_back({key, entry.size, entry.modified_micros});
  }
  return page;
}

absl::StatusOr<ListPage> S3Store::List(std::string_view prefix, std::string_view start_after, size_t max) {
  TM_RETURN_IF_ERROR(CheckPrefix(prefix));
  TM_RETURN_IF_ERROR(CheckPrefix(start_after));
  max = std::clamp<size_t>(max, 1, 1000);
  std::string last = start_after.empty() ? std::string() : Full(start_after);
  while (true) {
    const std::string after = last;
    TM_ASSIGN_OR_RETURN(ListPage page, ListOnce(prefix, after, max, &last));
    if (!page.objects.empty() || !page.more) return page;
  }
}

absl::Status S3Store::Delete(std::string_view key) {
  TM_RETURN_IF_ERROR(CheckKey(key));
  S3Call call;
  call.method = "DELETE";
  call.key = Full(key);
  absl::Status status = client_.Do(std::move(call)).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<Capabilities> S3Store::Probe(std::string_view nonce) {
  TM_ASSIGN_OR_RETURN(Capabilities capabilities, ProbeByTrying(*this, nonce));
  // Whoever overwrites in spite of the condition is asked first from now on.
  if (!capabilities.conditional_put) conditional_.store(false, std::memory_order_relaxed);
  capabilities.conditional_put &= conditional_.load(std::memory_order_relaxed);
  return capabilities;
}

}  // namespace tidemark::objstore
