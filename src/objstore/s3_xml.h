// The few XML documents that an S3 store answers with, read strictly: what is missing, of another kind or no number is
// an error, never a default, because a list that silently lost an entry would be a gap in an archive. pugixml does the
// XML; it knows no entities beyond the five, so a document cannot grow.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tidemark::objstore {

struct S3Error {
  std::string code;     // "SlowDown"
  std::string message;  // at most 200 printable characters
  std::string region;   // of AuthorizationHeaderMalformed: the one that the bucket is in
};

// An <Error> document; empty fields where it is none. Never fails: errors of proxies are HTML.
S3Error ParseS3Error(std::string_view xml);

struct S3ListEntry {
  std::string key;  // decoded (encoding-type=url)
  uint64_t size = 0;
  uint64_t modified_micros = 0;
};

struct S3ListPage {
  std::vector<S3ListEntry> entries;
  bool truncated = false;
};

// <ListBucketResult> of ListObjectsV2 with encoding-type=url. DATA_LOSS when it is not that, or not in order.
absl::StatusOr<S3ListPage> ParseS3List(std::string_view xml);

// <InitiateMultipartUploadResult>.
absl::StatusOr<std::string> ParseS3UploadId(std::string_view xml);

// <CompleteMultipartUploadResult>: the ETag, which may be empty (RGW). DATA_LOSS when it is anything else; an <Error>,
// which comes with status 200 here, is for ParseS3Error.
absl::StatusOr<std::string> ParseS3Completed(std::string_view xml);

// ISO 8601 as S3 writes it, "2026-11-21T16:11:47.214Z", as microseconds since 1970.
bool ParseS3Time(std::string_view text, uint64_t* micros);

// RFC 1123 as in Last-Modified, "Sat, 21 Nov 2026 16:11:47 GMT".
bool ParseHttpDate(const std::string& text, uint64_t* micros);

}  // namespace tidemark::objstore
