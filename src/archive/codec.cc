#include "archive/codec.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/check.h"

namespace tidemark::archive {
namespace {

using format::kObjectHeaderSize;
using format::ObjectHeader;

template <typename... Args>
absl::Status DataLoss(fmt::format_string<Args...> format, Args&&... args) {
  return Errorf(absl::StatusCode::kDataLoss, format, std::forward<Args>(args)...);
}

ObjectHeader HeaderOf(const Origin& origin, Lsn first, const KeyRing::Key* key, int zstd_level) {
  ObjectHeader header;
  header.cluster_id = origin.cluster_id;
  header.timeline = origin.timeline;
  header.timeline_id = origin.timeline_id;
  header.first = first;
  header.end = first;
  if (zstd_level != 0) header.flags |= format::kZstd;
  if (key != nullptr) {
    header.flags |= format::kAes256Gcm;
    header.key_id = key->id;
  }
  return header;
}

// The rest of the header, from what was put in; `bytes` begins with room for it.
LogObjectWriter::Object Complete(ObjectHeader header, std::string bytes) {
  header.plain_bytes = header.end - header.first;
  header.stored_bytes = bytes.size() - kObjectHeaderSize;
  const std::string encoded = EncodeObjectHeader(header);
  std::memcpy(bytes.data(), encoded.data(), encoded.size());
  return {NameOf(header), header, std::move(bytes)};
}

}  // namespace

format::LogObjectName NameOf(const ObjectHeader& header) {
  return {header.timeline, header.first, header.end, header.first_timestamp, header.closed_timestamp};
}

absl::Status ChainChecker::Step(std::string_view bytes, format::RecordHeader* header) {
  switch (format::ParseRecord(bytes, position_, header)) {
    case format::RecordState::kWhole:
      break;
    case format::RecordState::kShort:
      return DataLoss("the record at LSN {} is cut short", position_.value);
    default:
      return DataLoss("no whole record stands at LSN {}", position_.value);
  }
  if (header->timeline != timeline_) {
    return DataLoss("the record at LSN {} is of timeline {}, not {}", position_.value, header->timeline.value,
                    timeline_.value);
  }
  if (crc_ && header->previous_crc != *crc_) {
    return DataLoss("the record at LSN {} does not follow the one before it: it names CRC {:08x}, that one has {:08x}",
                    position_.value, header->previous_crc, *crc_);
  }
  if (header->timestamp <= timestamp_) return DataLoss("time goes back at LSN {}", position_.value);
  crc_ = header->crc;
  timestamp_ = header->timestamp;
  position_ = position_ + header->size();
  ++records_;
  return absl::OkStatus();
}

struct LogObjectWriter::Impl {
  Impl(const CodecOptions& options, const Origin& origin, Lsn first, uint32_t previous_crc)
      : keys(options.keys),
        header(HeaderOf(origin, first, keys->first(), options.zstd_level)),
        sealer(options.zstd_level, keys->first(), header),
        chain(origin.timeline, first, previous_crc == 0 ? std::nullopt : std::optional(previous_crc)),
        bytes(kObjectHeaderSize, '\0') {
    header.previous_crc = previous_crc;
  }

  absl::Status Put(std::string_view plain) {
    while (!plain.empty()) {
      if (pending.empty() && plain.size() >= format::kBlockPlainBytes) {  // large records: not copied
        TM_RETURN_IF_ERROR(Seal(plain.substr(0, format::kBlockPlainBytes)));
        plain.remove_prefix(format::kBlockPlainBytes);
        continue;
      }
      const size_t taken = std::min<size_t>(plain.size(), format::kBlockPlainBytes - pending.size());
      pending.append(plain.substr(0, taken));
      plain.remove_prefix(taken);
      if (pending.size() == format::kBlockPlainBytes) TM_RETURN_IF_ERROR(SealPending());
    }
    return absl::OkStatus();
  }
  absl::Status SealPending() {
    TM_RETURN_IF_ERROR(Seal(pending));
    pending.clear();
    return absl::OkStatus();
  }
  absl::Status Seal(std::string_view plain) {
    hash.Update(plain);
    TM_RETURN_IF_ERROR(sealer.Seal(sealed_to, plain, &bytes));
    sealed_to += plain.size();
    ++header.blocks;
    return absl::OkStatus();
  }

  const std::shared_ptr<const KeyRing> keys;  // the sealer uses one of them
  ObjectHeader header;
  BlockSealer sealer;
  ChainChecker chain;
  ContentHash hash;
  uint64_t sealed_to = header.first.value;
  std::string pending;
  std::string bytes;
};

LogObjectWriter::LogObjectWriter(const CodecOptions& options, const Origin& origin, Lsn first, uint32_t previous_crc)
    : impl_(std::make_unique<Impl>(options, origin, first, previous_crc)) {}
LogObjectWriter::~LogObjectWriter() = default;

absl::Status LogObjectWriter::Add(std::string_view raw) {
  if (raw.size() < format::kRecordHeaderSize || format::DecodeRecordHeader(raw.data()).lsn != impl_->chain.position()) {
    return InvalidArgument("the record to archive is not the one at LSN {}", impl_->chain.position().value);
  }
  format::RecordHeader record;
  TM_RETURN_IF_ERROR(impl_->chain.Step(raw, &record));
  if (record.size() != raw.size()) return InvalidArgument("more than one record given at LSN {}", record.lsn.value);
  if (impl_->header.records == 0) {
    impl_->header.previous_crc = record.previous_crc;
    impl_->header.first_timestamp = record.timestamp;
  }
  ++impl_->header.records;
  return impl_->Put(raw);
}

uint64_t LogObjectWriter::plain_bytes() const { return impl_->chain.position() - impl_->header.first; }
uint64_t LogObjectWriter::stored_bytes() const { return impl_->bytes.size() + impl_->pending.size(); }

absl::StatusOr<LogObjectWriter::Object> LogObjectWriter::Finish(Timestamp closed) {
  ObjectHeader& header = impl_->header;
  if (closed < impl_->chain.last_timestamp()) {
    return InvalidArgument("closed timestamp {} lies before the last record's, {}", closed.micros,
                           impl_->chain.last_timestamp().micros);
  }
  if (!impl_->pending.empty()) TM_RETURN_IF_ERROR(impl_->SealPending());
  header.end = impl_->chain.position();
  header.last_crc = header.records == 0 ? header.previous_crc : *impl_->chain.last_crc();
  header.closed_timestamp = closed;
  if (header.records == 0) header.first_timestamp = closed;
  header.plain_hash = impl_->hash.Digest();
  return Complete(header, std::move(impl_->bytes));
}

struct ObjectReader::Impl {
  ObjectHeader header;
  std::unique_ptr<BlockOpener> opener;
  ContentHash hash;
  std::string_view rest;
  uint64_t position = 0;
  uint64_t plain = 0;
  uint32_t blocks = 0;
};

ObjectReader::ObjectReader() : impl_(std::make_unique<Impl>()) {}
ObjectReader::~ObjectReader() = default;

absl::StatusOr<std::unique_ptr<ObjectReader>> ObjectReader::Open(std::string_view bytes, const KeyRing& keys) {
  std::unique_ptr<ObjectReader> reader(new ObjectReader);
  TM_ASSIGN_OR_RETURN(reader->impl_->header, format::DecodeObjectHeader(bytes));
  const ObjectHeader& header = reader->impl_->header;
  if (bytes.size() - kObjectHeaderSize != header.stored_bytes) {
    return DataLoss("the object has {} bytes, its header says {}", bytes.size(),
                    header.stored_bytes + kObjectHeaderSize);
  }
  TM_ASSIGN_OR_RETURN(reader->impl_->opener, BlockOpener::Make(header, keys));
  reader->impl_->rest = bytes.substr(kObjectHeaderSize);
  reader->impl_->position = header.is_file ? 0 : header.first.value;
  return reader;
}

const ObjectHeader& ObjectReader::header() const { return impl_->header; }

absl::StatusOr<bool> ObjectReader::Next(std::string* plain) {
  Impl& impl = *impl_;
  if (impl.rest.empty()) {
    if (impl.blocks != impl.header.blocks || impl.plain != impl.header.plain_bytes) {
      return DataLoss("the object has {} blocks of {} plain bytes together, its header says {} of {}", impl.blocks,
                      impl.plain, impl.header.blocks, impl.header.plain_bytes);
    }
    if (impl.hash.Digest() != impl.header.plain_hash) return DataLoss("the plain bytes fail their hash");
    return false;
  }
  std::string_view stored;
  TM_ASSIGN_OR_RETURN(const format::BlockHeader block, format::DecodeBlock(impl.rest, &stored));
  if (block.position != impl.position + impl.plain) {
    return DataLoss("a block begins at {} where {} is due", block.position, impl.position + impl.plain);
  }
  if (block.plain_bytes > impl.header.plain_bytes - impl.plain || impl.blocks == impl.header.blocks) {
    return DataLoss("the object holds more than its header says");
  }
  const size_t before = plain->size();
  TM_RETURN_IF_ERROR(impl.opener->Open(block, stored, plain));
  impl.hash.Update(std::string_view(*plain).substr(before));
  impl.plain += block.plain_bytes;
  impl.blocks += 1;
  impl.rest.remove_prefix(format::kBlockHeaderSize + stored.size());
  return true;
}

namespace {

// That an object's plain bytes, piece by piece, are whole records in an unbroken chain, and what the header says of
// them is true.
class RecordsChecker {
 public:
  explicit RecordsChecker(const ObjectHeader& header)
      : header_(header),
        chain_(header.timeline, header.first, header.records > 0 ? std::optional(header.previous_crc) : std::nullopt),
        first_(header.closed_timestamp) {}

  // Checks the whole records at the front of `plain`; returns how many bytes they have. `all`: nothing follows.
  absl::StatusOr<size_t> Check(std::string_view plain, bool all) {
    const size_t before = plain.size();
    while (!plain.empty() && (all || HasWholeRecord(plain))) {
      format::RecordHeader record;
      TM_RETURN_IF_ERROR(chain_.Step(plain, &record));
      if (chain_.records() == 1) first_ = record.timestamp;
      plain.remove_prefix(record.size());
    }
    return before - plain.size();
  }
  absl::Status Finish() const {
    const uint32_t last_crc = chain_.records() == 0 ? header_.previous_crc : *chain_.last_crc();
    if (chain_.records() != header_.records || last_crc != header_.last_crc || first_ != header_.first_timestamp ||
        chain_.last_timestamp() > header_.closed_timestamp) {
      return DataLoss("the records are not those that the header speaks of");
    }
    return absl::OkStatus();
  }

 private:
  // Or something that is no record, which Step will say.
  bool HasWholeRecord(std::string_view plain) const {
    if (plain.size() < format::kRecordHeaderSize) return false;
    const format::RecordHeader record = format::DecodeRecordHeader(plain.data());
    return record.lsn != chain_.position() || record.length > format::kMaxPayloadBytes || record.size() <= plain.size();
  }

  const ObjectHeader header_;
  ChainChecker chain_;
  Timestamp first_;
};

absl::StatusOr<std::unique_ptr<ObjectReader>> OpenLogObject(std::string_view bytes, const KeyRing& keys) {
  TM_ASSIGN_OR_RETURN(std::unique_ptr<ObjectReader> reader, ObjectReader::Open(bytes, keys));
  if (reader->header().is_file) return DataLoss("this is a file of a base snapshot, not log");
  return reader;
}

// What joins the objects of a merge, checked object by object.
class Merger {
 public:
  explicit Merger(const KeyRing& keys) : keys_(keys), bytes_(kObjectHeaderSize, '\0') {}

  absl::Status Add(const std::string& object, bool same_key) {
    TM_ASSIGN_OR_RETURN(const DecodedLog decoded, DecodeLogObject(object, keys_));
    if (count_ == 0) {
      Begin(decoded.header, same_key);
    } else {
      TM_RETURN_IF_ERROR(CheckFollows(decoded.header));
    }
    if (same_key) {
      bytes_.append(object, kObjectHeaderSize);
    } else {
      TM_RETURN_IF_ERROR(SealAgain(decoded.header, object));
    }
    hash_.Update(decoded.plain);
    Include(decoded.header);
    ++count_;
    return absl::OkStatus();
  }
  LogObjectWriter::Object Finish() {
    if (header_.records == 0) header_.first_timestamp = header_.closed_timestamp;
    header_.plain_hash = hash_.Digest();
    return Complete(header_, std::move(bytes_));
  }

 private:
  void Begin(const ObjectHeader& first, bool same_key) {
    header_ = first;
    header_.records = 0;
    header_.blocks = 0;
    header_.end = first.first;
    if (same_key) return;
    header_.key_id = keys_.current().id;
    header_.flags |= format::kAes256Gcm;
    sealer_ = std::make_unique<BlockSealer>(0, keys_.first(), header_);
  }
  absl::Status CheckFollows(const ObjectHeader& next) const {
    if (next.cluster_id != header_.cluster_id || next.timeline != header_.timeline ||
        next.timeline_id != header_.timeline_id) {
      return InvalidArgument("objects of different clusters or timelines do not merge");
    }
    if (next.first != header_.end) {
      return InvalidArgument("the object begins at LSN {}, the one before it ends at {}", next.first.value,
                             header_.end.value);
    }
    const bool chained = header_.records == 0 || next.records == 0 || next.previous_crc == header_.last_crc;
    if (!chained || next.closed_timestamp < header_.closed_timestamp ||
        (next.records > 0 && header_.records > 0 && next.first_timestamp <= header_.closed_timestamp)) {
      return DataLoss("its records do not follow those of the object before it");
    }
    return absl::OkStatus();
  }
  absl::Status SealAgain(const ObjectHeader& header, std::string_view object) {
    TM_ASSIGN_OR_RETURN(const auto opener, BlockOpener::Make(header, keys_));
    std::string compressed;
    for (object.remove_prefix(kObjectHeaderSize); !object.empty();) {
      std::string_view stored;
      TM_ASSIGN_OR_RETURN(const format::BlockHeader block, format::DecodeBlock(object, &stored));
      TM_RETURN_IF_ERROR(opener->Decrypt(block, stored, &compressed));
      TM_RETURN_IF_ERROR(sealer_->SealStored(block.position, block.plain_bytes, block.flags, compressed, &bytes_));
      object.remove_prefix(format::kBlockHeaderSize + stored.size());
    }
    return absl::OkStatus();
  }
  void Include(const ObjectHeader& next) {
    if (header_.records == 0 && next.records > 0) {
      header_.previous_crc = next.previous_crc;
      header_.first_timestamp = next.first_timestamp;
    }
    if (next.records > 0 || header_.records == 0) header_.last_crc = next.last_crc;
    header_.flags |= next.flags & format::kZstd;
    if (sealer_ == nullptr && next.blocks > 0) {  // objects without blocks have no say in how it is encrypted
      header_.flags = (header_.flags & format::kZstd) | (next.flags & format::kAes256Gcm);
      header_.key_id = next.key_id;
    }
    header_.end = next.end;
    header_.records += next.records;
    header_.blocks += next.blocks;
    header_.closed_timestamp = next.closed_timestamp;
  }

  const KeyRing& keys_;
  std::unique_ptr<BlockSealer> sealer_;
  ObjectHeader header_;
  ContentHash hash_;
  std::string bytes_;
  size_t count_ = 0;
};

}  // namespace

absl::StatusOr<DecodedLog> DecodeLogObject(std::string_view bytes, const KeyRing& keys) {
  TM_ASSIGN_OR_RETURN(const auto reader, OpenLogObject(bytes, keys));
  DecodedLog decoded;
  decoded.header = reader->header();
  for (bool more = true; more;) {
    TM_ASSIGN_OR_RETURN(more, reader->Next(&decoded.plain));
  }
  RecordsChecker checker(decoded.header);
  TM_RETURN_IF_ERROR(checker.Check(decoded.plain, true).status());
  TM_RETURN_IF_ERROR(checker.Finish());
  return decoded;
}

absl::StatusOr<ObjectHeader> CheckLogObject(std::string_view bytes, const KeyRing& keys) {
  TM_ASSIGN_OR_RETURN(const auto reader, OpenLogObject(bytes, keys));
  RecordsChecker checker(reader->header());
  std::string plain;
  for (bool more = true; more;) {
    TM_ASSIGN_OR_RETURN(more, reader->Next(&plain));
    TM_ASSIGN_OR_RETURN(const size_t checked, checker.Check(plain, !more));
    plain.erase(0, checked);
  }
  TM_RETURN_IF_ERROR(checker.Finish());
  return reader->header();
}

absl::StatusOr<std::vector<Id128>> HashRanges(std::string_view bytes, const KeyRing& keys,
                                              const std::vector<LsnRange>& ranges) {
  TM_ASSIGN_OR_RETURN(const auto reader, OpenLogObject(bytes, keys));
  std::vector<ContentHash> hashes(ranges.size());
  std::string plain;
  Lsn at = reader->header().first;
  for (bool more = true; more; at = at + plain.size()) {
    plain.clear();
    TM_ASSIGN_OR_RETURN(more, reader->Next(&plain));
    for (size_t i = 0; i < ranges.size(); ++i) {
      const Lsn from = std::max(at, ranges[i].from);
      const Lsn to = std::min(at + plain.size(), ranges[i].to);
      if (from < to) hashes[i].Update(std::string_view(plain).substr(from - at, to - from));
    }
  }
  std::vector<Id128> digests;
  digests.reserve(hashes.size());
  for (const ContentHash& hash : hashes) digests.push_back(hash.Digest());
  return digests;
}

absl::StatusOr<LogObjectWriter::Object> MergeLogObjects(const std::vector<std::string>& objects, const KeyRing& keys) {
  if (objects.empty()) return InvalidArgument("nothing to merge");
  std::vector<format::Id128> key_ids;
  const auto name_fault = [](size_t index, const absl::Status& status) {
    return Errorf(status.code(), "object {} of the merge: {}", index + 1, Message(status));
  };
  for (size_t i = 0; i < objects.size(); ++i) {
    const auto header = format::DecodeObjectHeader(objects[i]);
    if (!header.ok()) return name_fault(i, header.status());
    // Without blocks there is nothing that a key was used for.
    if (header->blocks > 0) key_ids.push_back(header->key_id);
  }
  const bool same_key = std::adjacent_find(key_ids.begin(), key_ids.end(), std::not_equal_to<>()) == key_ids.end();
  if (!same_key && keys.empty()) {
    return Errorf(absl::StatusCode::kPermissionDenied, "some of the objects are encrypted; give their key file");
  }
  Merger merger(keys);
  for (size_t i = 0; i < objects.size(); ++i) {
    if (const absl::Status added = merger.Add(objects[i], same_key); !added.ok()) return name_fault(i, added);
  }
  return merger.Finish();
}

}  // namespace tidemark::archive
