// Objects in a bucket of S3, or of what speaks its protocol: Ceph's RGW, Swift's s3api, Google's XML API.
//
// Integrity: the store is given the MD5 of each body and refuses another; the ETag that comes back is compared with it.
// "Must not exist" is If-None-Match: * (x-goog-if-generation-match: 0 at Google's), which is atomic. A store that
// answers 501, or that Probe catches overwriting, is asked for the object first, and its capabilities() say so.
//
// Large objects go up in parts; a broken upload is aborted. One whose process died stays, unseen, until the bucket's
// rule AbortIncompleteMultipartUpload removes it: set one.
//
// Threads: any; a call runs in its caller's thread (http_client.h).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "env/clock.h"
#include "objstore/object_store.h"
#include "objstore/s3_client.h"
#include "objstore/uri.h"

namespace tidemark::objstore {

class S3Store final : public ObjectStore {
 public:
  S3Store(const S3Location& location, std::string display_uri, const OpenOptions& options, Clock& clock);

  absl::Status Put(std::string_view key, std::string_view bytes, PutCondition condition) override;
  absl::Status PutStream(std::string_view key, ByteSource& source, uint64_t size_hint) override;
  absl::StatusOr<std::string> Get(std::string_view key) override;
  absl::StatusOr<std::string> GetRange(std::string_view key, uint64_t offset, uint64_t length) override;
  absl::Status GetStream(std::string_view key,
                         const std::function<absl::Status(std::string_view piece)>& sink) override;
  absl::StatusOr<ObjectInfo> Head(std::string_view key) override;
  absl::StatusOr<ListPage> List(std::string_view prefix, std::string_view start_after, size_t max) override;
  absl::Status Delete(std::string_view key) override;
  absl::StatusOr<Capabilities> Probe(std::string_view nonce) override;
  void Cancel() override { client_.Cancel(); }
  const std::string& display_uri() const override { return display_uri_; }
  Stats stats() const override { return client_.stats(); }

 private:
  struct Upload;

  std::string Full(std::string_view key) const;
  Headers StorageHeaders() const;
  absl::Status PutObject(std::string_view key, std::string_view bytes, Headers condition);
  absl::StatusOr<HttpResponse> HeadObject(std::string_view key);
  absl::Status SendParts(Upload& upload, std::string first, ByteSource& source, uint64_t size_hint);
  absl::Status SendPart(Upload& upload, std::string_view bytes);
  absl::Status Complete(Upload& upload);
  bool IsComplete(const Upload& upload);
  absl::StatusOr<ListPage> ListOnce(std::string_view prefix, std::string_view after, size_t max, std::string* last);

  const S3Location location_;  // without credentials
  const std::string display_uri_;
  const std::string prefix_;  // empty, or with '/' at its end
  S3Client client_;
  std::atomic<bool> conditional_{true};
};

// Bytes of part `number` (1 is the first) of an upload: so that `size_hint` needs at most 9,000 parts, and growing
// where the hint was wrong, since a store takes 10,000 parts at most.
uint64_t PartBytes(uint64_t number, uint64_t size_hint, uint64_t sent);

}  // namespace tidemark::objstore
