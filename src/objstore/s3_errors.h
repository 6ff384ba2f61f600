// What an S3 store's answers mean: which pass, which last, and what somebody has to do about them.
#pragma once

#include <chrono>

#include "base/status.h"
#include "objstore/http_client.h"

namespace tidemark::objstore {

// OK for a 2xx; else as object_store.h has it, besides
//   UNIMPLEMENTED  501: the store lacks what was asked for
//   ABORTED        another request was at the same object, or an upload in parts is unknown: begin it again
// The message has status, code and the store's own words.
absl::Status StatusOfResponse(const HttpResponse& response);

// Whether the credentials were what the store did not like, and others may be better.
bool IsRefusal(const absl::Status& status);

// Retry-After in seconds; 0 where there is none, or a date.
std::chrono::seconds RetryAfter(const HttpResponse& response);

}  // namespace tidemark::objstore
