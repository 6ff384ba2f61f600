// Records, objects and a place for them, as the tests of this folder make them. For tests only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "archive/catalog.h"
#include "archive/codec.h"
#include "base/check.h"
#include "format/write_batch.h"
#include "objstore/memory_store.h"

namespace tidemark::archive {

inline format::Id128 TestId(uint8_t value) {
  format::Id128 id;
  id.fill(value);
  return id;
}

inline constexpr const char* kTestKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
inline constexpr const char* kOtherKey = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

inline std::shared_ptr<const KeyRing> TestRing(const std::string& text) {
  auto ring = KeyRing::Parse(text, "test");
  TM_CHECK(ring.ok(), "{}", Message(ring.status()));
  return *ring;
}

// Makes records one after the other, as a log would.
class TestLog {
 public:
  explicit TestLog(Timeline timeline = Timeline{1}, Lsn first = format::kFirstLsn, uint32_t previous_crc = 0,
                   uint64_t micros = 1'700'000'000'000'000)
      : timeline_(timeline), end_(first), crc_(previous_crc), micros_(micros) {}
  std::string Next(std::string_view payload) {
    format::RecordHeader header;
    header.lsn = end_;
    header.timestamp = Timestamp{++micros_};
    header.previous_crc = crc_;
    header.timeline = timeline_;
    std::string raw(format::kRecordHeaderSize, '\0');
    crc_ = format::EncodeRecordHeader(header, payload, raw.data());
    raw += payload;
    end_ = end_ + raw.size();
    return raw;
  }
  // A record that puts `value` under `key`.
  std::string NextPut(std::string_view key, std::string_view value) {
    format::WriteBatchBuilder batch;
    batch.Put(key, value);
    return Next(batch.Finish());
  }
  Timeline timeline() const { return timeline_; }
  Lsn end() const { return end_; }
  uint32_t crc() const { return crc_; }
  Timestamp timestamp() const { return Timestamp{micros_}; }

 private:
  Timeline timeline_;
  Lsn end_;
  uint32_t crc_;
  uint64_t micros_;
};

inline Origin TestOrigin(Timeline timeline = Timeline{1}) {
  return {TestId(0xc1), timeline, TestId(static_cast<uint8_t>(timeline.value))};
}

// An object of `payloads`, the next of `log`.
inline LogObjectWriter::Object TestObject(TestLog* log, const std::vector<std::string>& payloads,
                                          const CodecOptions& options = {}) {
  LogObjectWriter writer(options, TestOrigin(log->timeline()), log->end(), log->crc());
  for (const std::string& payload : payloads) {
    const absl::Status added = writer.Add(log->Next(payload));
    TM_CHECK(added.ok(), "{}", Message(added));
  }
  auto object = writer.Finish(log->timestamp());
  TM_CHECK(object.ok(), "{}", Message(object.status()));
  return std::move(*object);
}

// Puts the identity and the histories of an archive of TestOrigin's cluster.
inline void PutIdentity(objstore::MemoryBucket& bucket) {
  bucket.Set(format::kArchiveIdentityName, EncodeIdentity({TestOrigin().cluster_id, 5}));
}
inline void PutTimeline(objstore::MemoryBucket& bucket, Timeline timeline, Timeline parent, Lsn fork,
                        Timestamp fork_timestamp) {
  const Origin origin = TestOrigin(timeline);
  bucket.Set(format::TimelineKey(timeline), EncodeTimeline({.timeline = timeline,
                                                            .id = origin.timeline_id,
                                                            .parent = parent,
                                                            .fork = fork,
                                                            .fork_timestamp = fork_timestamp,
                                                            .cluster_id = origin.cluster_id,
                                                            .created_micros = 5,
                                                            .reason = "test"}));
}
inline std::string PutObject(objstore::MemoryBucket& bucket, const LogObjectWriter::Object& object) {
  std::string key = LogObjectKey(object.name);
  bucket.Set(key, object.bytes);
  return key;
}

}  // namespace tidemark::archive
