// A place for immutable objects: a folder, or a bucket of an S3 store. What the archive is built on, and the seam where
// tests put faults (memory_store.h).
//
// Keys are relative to the URI's prefix, '/'-separated, of the characters A-Z a-z 0-9 - _ . / only. Objects are never
// changed once they are there: writing is creating.
//
// Errors, the same for every kind of store, so that callers can tell what passes from what lasts (IsPassing):
//   NOT_FOUND            no such object
//   ALREADY_EXISTS       Put with kMustNotExist met an object of that key (whoever put it: an own earlier attempt whose
//                        answer was lost looks the same, so the caller compares)
//   UNAVAILABLE          connection refused or reset, time-outs, 5xx: try later
//   RESOURCE_EXHAUSTED   throttled (503 SlowDown, 429), or the disk is full: try later
//   DATA_LOSS            the answer is damaged (length, ETag or checksum wrong): try again
//   PERMISSION_DENIED    credentials are missing, wrong or expired
//   FAILED_PRECONDITION  no such bucket, not a folder, read-only: somebody has to do something
//   INVALID_ARGUMENT     the URI or the key is malformed
//   CANCELLED            after Cancel
//
// Threads: every method from any thread; calls block. Parallelism is the caller's threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tidemark::objstore {

enum class PutCondition {
  kNone,          // whatever is there, be it equal or not, may be replaced
  kMustNotExist,  // atomic where capabilities().conditional_put says so, else by looking first
};

struct ObjectInfo {
  std::string key;
  uint64_t size = 0;
  // Wall time of the store, microseconds since 1970; for messages and graces, never for order.
  uint64_t modified_micros = 0;
};

struct ListPage {
  std::vector<ObjectInfo> objects;  // in byte order of key
  bool more = false;                // ask again, after the last key of this page
};

// Bytes read from front to back, once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to `max` bytes, empty at the end.
  virtual absl::StatusOr<std::string> Read(size_t max) = 0;
};

struct Capabilities {
  bool conditional_put = false;
  bool list_after_write = false;
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // The whole object appears at once or not at all, durable when the call returns.
  virtual absl::Status Put(std::string_view key, std::string_view bytes, PutCondition condition) = 0;
  // For objects too large for memory (base snapshots): in parts, which hold at most a few times 16 MiB. `size_hint`
  // chooses the part size, so that there are never more than 10,000. Replaces what is there.
  virtual absl::Status PutStream(std::string_view key, ByteSource& source, uint64_t size_hint) = 0;

  virtual absl::StatusOr<std::string> Get(std::string_view key) = 0;
  // `length` bytes from `offset` on; fewer at the end of the object. OUT_OF_RANGE when it begins beyond the end.
  virtual absl::StatusOr<std::string> GetRange(std::string_view key, uint64_t offset, uint64_t length) = 0;
  // Hands the object over in pieces as they arrive; an error of `sink` ends the call with it. A connection that breaks
  // midway is taken up again at the offset reached.
  virtual absl::Status GetStream(std::string_view key,
                                 const std::function<absl::Status(std::string_view piece)>& sink) = 0;
  virtual absl::StatusOr<ObjectInfo> Head(std::string_view key) = 0;

  // Up to `max` (at most 1000) objects whose keys begin with `prefix` and come after `start_after`.
  virtual absl::StatusOr<ListPage> List(std::string_view prefix, std::string_view start_after, size_t max) = 0;
  // OK when there is none.
  virtual absl::Status Delete(std::string_view key) = 0;

  // Tries what the store can do with a small object of its own (deleted again): also the check that the credentials may
  // read, write, list and delete. `nonce` makes the object's name.
  virtual absl::StatusOr<Capabilities> Probe(std::string_view nonce) = 0;

  // Ends every call under way and to come with CANCELLED. For stopping.
  virtual void Cancel() = 0;

  // The URI without credentials: for messages, INFO, status.
  virtual const std::string& display_uri() const = 0;

  struct Stats {
    uint64_t requests = 0;
    uint64_t retries = 0;
    uint64_t bytes_sent = 0;
    uint64_t bytes_received = 0;
  };
  virtual Stats stats() const = 0;
};

// Worth trying again by itself: UNAVAILABLE, RESOURCE_EXHAUSTED, DATA_LOSS, DEADLINE_EXCEEDED, ABORTED.
bool IsPassing(const absl::Status& status);

// Every object of the prefix, page by page.
absl::StatusOr<std::vector<ObjectInfo>> ListAll(ObjectStore& store, std::string_view prefix);

struct OpenOptions {
  // One request that moves no byte for this long has failed.
  std::chrono::milliseconds stall_timeout{15000};
  // Retries within one call (backoff capped at 5 s, with jitter); callers that have their own patience use 0.
  int retries = 4;
  // Bytes a second for all calls together, up and down each; 0: no limit.
  uint64_t rate_limit = 0;
  // Connections at the same time.
  int connections = 8;
  // For who only reads: a folder that is not there is NOT_FOUND, and is not made.
  bool must_exist = false;
};

// local:///absolute/path, or s3://bucket/prefix?access-key=&secret-access-key=&session-token=&endpoint=&region=
// &force-path-style=&storage-class=&sse=&sse-kms-key-id= (as `br` names them; values URL-encoded). Credentials not in
// the URI come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or the profile of AWS_PROFILE in
// AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), read again when they have expired. Contacts nobody; a folder is
// made if missing (but see must_exist).
absl::StatusOr<std::unique_ptr<ObjectStore>> Open(std::string_view uri, const OpenOptions& options);

// The URI as it may be shown: secrets left out.
std::string RedactUri(std::string_view uri);

}  // namespace tidemark::objstore
