// The one applier: turns the payload of a record into changes of the store. Recovery, replicas and restores all use it,
// so that they agree byte for byte with the primary.
#pragma once

#include <string_view>

#include "base/status.h"
#include "kv/store.h"
#include "log/log.h"

namespace tidemark::engine {

// Applies the record's rows and notes and marks the store as applied up to its end. DATA_LOSS for a malformed payload,
// FAILED_PRECONDITION for one from a newer server; the writer has then taken part of the record and must be undone.
// *system_rows becomes true when the record changes a system row.
absl::Status ApplyRecord(const log::Record& record, kv::Store::Writer& store, bool* system_rows = nullptr);

// The record at the front of `records`, which is whole: its views point into them. Checks nothing.
log::Record FirstRecord(std::string_view records);

// Brings the rows that `records` (whole ones, one after the other) will change into the processor's cache, as far as
// the first `bytes` of them go: the applier would wait for memory several times for each. A hint: what is malformed is
// left to the applier. Not by a thread that holds a Reader or Writer of the store.
void LookAhead(std::string_view records, size_t bytes, const kv::Store& store);

}  // namespace tidemark::engine
