// The part of verify that reads log objects: each by itself, then those that overlap or follow each other.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "archive/codec.h"
#include "archive/verify.h"
#include "format/archive_format.h"

namespace tidemark::archive {

// One for each Verify. Threads: Read starts some and waits for them.
class LogVerifier {
 public:
  // Told the stored bytes of each object read; from any thread.
  using OnRead = std::function<void(uint64_t bytes)>;
  LogVerifier(objstore::ObjectStore& store, const VerifyOptions& options, OnRead on_read);

  // Reads every log object of the catalog that was not read before. Returns the keys of those that are not there.
  absl::StatusOr<std::vector<std::string>> Read(const Catalog& catalog);
  // Appends what is wrong with the objects of `catalog`, all of which have been read.
  absl::Status Judge(const Catalog& catalog, std::vector<Finding>* findings) const;

  uint64_t objects() const;
  uint64_t bytes() const;
  uint64_t records() const;

 private:
  struct Seen {
    absl::Status status{};  // what is wrong with it by itself
    format::ObjectHeader header{};
    uint64_t size = 0;
    bool gone = false;
    std::string key_id{};  // of the key that is missing
  };
  // Objects that have a range in common with `cover`, each with that range.
  struct Overlaps {
    LogEntry cover;
    std::vector<LogEntry> entries;
    std::vector<LsnRange> ranges;
  };

  // The error is the store's.
  absl::Status ReadOne(const LogEntry& entry, Seen* seen) const;
  absl::StatusOr<format::ObjectHeader> Check(const LogEntry& entry, const std::string& bytes) const;
  // Null when there is something wrong with it by itself.
  const format::ObjectHeader* WholeHeader(const LogEntry& entry) const;
  void JudgeEach(const Catalog& catalog, const LogEntry& entry, std::vector<Finding>* findings) const;
  void JudgeChain(const Catalog& catalog, Timeline timeline, std::vector<Finding>* findings) const;
  std::vector<Overlaps> FindOverlaps(const std::vector<LogEntry>& entries) const;
  absl::Status Compare(const Overlaps& overlaps, std::vector<Finding>* findings) const;

  objstore::ObjectStore& store_;
  const VerifyOptions& options_;
  const OnRead on_read_;
  std::map<std::string, Seen> seen_;  // by key
};

}  // namespace tidemark::archive
