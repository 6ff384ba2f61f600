#include "archive/log_reader.h"

#include <algorithm>
#include <utility>

#include "archive/read_ahead.h"

namespace tidemark::archive {
namespace {

// One object's part of what is read.
struct Part {
  size_t stretch = 0;
  LogEntry entry;
  Lsn until;  // records from here on are not wanted
};

std::vector<Part> PartsOf(const std::vector<Stretch>& stretches, Lsn from) {
  std::vector<Part> parts;
  for (size_t i = 0; i < stretches.size(); ++i) {
    for (const LogEntry& entry : stretches[i].objects) {
      const Lsn until = std::min(entry.name.end, stretches[i].to);
      if (until <= from) continue;
      parts.push_back({i, entry, until});
      from = until;
    }
  }
  return parts;
}

class Reader final : public LogReader {
 public:
  Reader(objstore::ObjectStore& store, std::vector<Stretch> stretches, Lsn from, std::optional<uint32_t> previous_crc,
         const LogReaderOptions& options)
      : store_(store), options_(options), stretches_(std::move(stretches)), position_(from), crc_(previous_crc) {
    Begin();
  }

  absl::StatusOr<log::Record> Next() override {
    if (!status_.ok()) return status_;
    absl::StatusOr<log::Record> record = NextRecord();
    if (!record.ok()) status_ = record.status();
    return record;
  }
  uint32_t last_crc() const override { return handed_out_ ? *crc_ : 0; }

 private:
  // Plans anew from position_ on, and starts to read ahead.
  void Begin() {
    ahead_.reset();
    parts_ = PartsOf(stretches_, position_);
    std::vector<LogEntry> objects;
    objects.reserve(parts_.size());
    for (const Part& part : parts_) objects.push_back(part.entry);
    part_ = 0;
    chain_.reset();
    ahead_ = std::make_unique<ReadAhead>(store_, std::move(objects), options_);
  }

  absl::StatusOr<log::Record> NextRecord() {
    for (;;) {
      if (part_ == parts_.size()) {
        return Errorf(absl::StatusCode::kOutOfRange, "the log to read ends at LSN {}", position_.value);
      }
      absl::StatusOr<std::optional<log::Record>> record = NextOfPart();
      if (absl::IsNotFound(record.status())) {
        TM_RETURN_IF_ERROR(PlanAnew(record.status()));
        continue;
      }
      if (!record.ok()) return record.status();
      if (record->has_value()) return **record;
      ++part_;
      chain_.reset();
    }
  }

  // The next record of the object under way; nothing when it has no more that are wanted.
  absl::StatusOr<std::optional<log::Record>> NextOfPart() {
    const Part& part = parts_[part_];
    if (!chain_) TM_RETURN_IF_ERROR(BeginPart());
    for (;;) {
      if (position_ >= part.until && (position_ > part.until || part.until < part.entry.name.end)) break;
      TM_ASSIGN_OR_RETURN(const bool more, HaveBytes());
      if (!more) {
        TM_RETURN_IF_ERROR(CheckEnd(part));
        break;
      }
      format::RecordHeader header;
      std::string_view raw;
      TM_RETURN_IF_ERROR(Step(part, &header, &raw));
      if (header.lsn < position_) {  // an object may begin before what is read of it
        if (chain_->position() > position_) return Damaged(part, "no record of it begins at LSN {}", position_.value);
        continue;
      }
      TM_RETURN_IF_ERROR(CheckFollows(part, header));
      position_ = chain_->position();
      crc_ = header.crc;
      timeline_ = header.timeline;
      handed_out_ = true;
      return log::Record{
          header.lsn, position_, header.timeline, header.timestamp, raw.substr(format::kRecordHeaderSize), raw};
    }
    if (position_ != part.until) return Damaged(part, "no record of it ends at LSN {}", part.until.value);
    return std::nullopt;
  }

  absl::Status BeginPart() {
    TM_ASSIGN_OR_RETURN(header_, ahead_->Header(part_));
    std::optional<uint32_t> previous;
    if (header_.records > 0) previous = header_.previous_crc;
    chain_.emplace(header_.timeline, header_.first, previous);
    rest_ = {};
    chunk_.last = false;
    return absl::OkStatus();
  }
  absl::Status CheckEnd(const Part& part) const {
    const bool as_said = chain_->records() == header_.records &&
                         (header_.records == 0 || chain_->last_crc() == header_.last_crc) &&
                         chain_->last_timestamp() <= header_.closed_timestamp;
    return as_said ? absl::OkStatus() : Damaged(part, "its records are not those that its header speaks of");
  }

  // Takes the record at the front off what is there, whole and checked.
  absl::Status Step(const Part& part, format::RecordHeader* header, std::string_view* raw) {
    const bool whole =
        rest_.size() >= format::kRecordHeaderSize && format::DecodeRecordHeader(rest_.data()).size() <= rest_.size();
    if (!whole) TM_RETURN_IF_ERROR(Gather(part));
    const std::string_view bytes = whole ? rest_ : spill_;
    if (const absl::Status stepped = chain_->Step(bytes, header); !stepped.ok()) {
      return Damaged(part, "{}", Message(stepped));
    }
    *raw = bytes.substr(0, header->size());
    if (whole) rest_.remove_prefix(header->size());
    return absl::OkStatus();
  }

  // Puts a record that spans chunks together in spill_.
  absl::Status Gather(const Part& part) {
    spill_.clear();
    TM_RETURN_IF_ERROR(TakeInto(part, format::kRecordHeaderSize));
    const format::RecordHeader header = format::DecodeRecordHeader(spill_.data());
    // Before memory is spent on a length that nothing has confirmed yet.
    if (header.lsn != chain_->position() || header.size() > part.entry.name.end - chain_->position()) {
      return Damaged(part, "no whole record stands at LSN {}", chain_->position().value);
    }
    spill_.reserve(header.size());
    return TakeInto(part, header.size());
  }
  absl::Status TakeInto(const Part& part, size_t size) {
    while (spill_.size() < size) {
      TM_ASSIGN_OR_RETURN(const bool more, HaveBytes());
      if (!more) return Damaged(part, "the record at LSN {} is cut short", chain_->position().value);
      const size_t taken = std::min(size - spill_.size(), rest_.size());
      spill_.append(rest_.substr(0, taken));
      rest_.remove_prefix(taken);
    }
    return absl::OkStatus();
  }
  // True when rest_ is not empty; false when the object has ended.
  absl::StatusOr<bool> HaveBytes() {
    while (rest_.empty()) {
      if (chunk_.last) return false;
      TM_ASSIGN_OR_RETURN(chunk_, ahead_->Take(std::move(chunk_)));
      rest_ = chunk_.plain;
    }
    return true;
  }

  absl::Status CheckFollows(const Part& part, const format::RecordHeader& header) const {
    if (!crc_ || header.previous_crc == *crc_) return absl::OkStatus();
    const bool begins_timeline = !handed_out_ || header.timeline != timeline_;
    if (begins_timeline && header.previous_crc == 0) return absl::OkStatus();
    return Damaged(part,
                   "the record at LSN {} does not follow the one before it: it names CRC {:08x}, that one has {:08x}",
                   header.lsn.value, header.previous_crc, *crc_);
  }

  // An object is gone: what stands in its place now?
  absl::Status PlanAnew(const absl::Status& missing) {
    const std::string key = parts_[part_].entry.key;
    TM_ASSIGN_OR_RETURN(const Catalog catalog, Catalog::Load(store_, false));
    const size_t first = parts_[part_].stretch;
    Lsn from = position_;
    for (size_t i = first; i < stretches_.size(); ++i) {
      Stretch& stretch = stretches_[i];
      from = std::max(from, stretch.from);
      if (from >= stretch.to) continue;
      const Stretch now = catalog.Follow(stretch.timeline, from, stretch.to);
      if (now.to < stretch.to) {
        return Errorf(absl::StatusCode::kNotFound, "{}; nothing has taken its place, so log is missing from LSN {} on",
                      Message(missing), now.to.value);
      }
      stretch.objects = now.objects;
      from = stretch.to;
    }
    stretches_.erase(stretches_.begin(), stretches_.begin() + static_cast<ptrdiff_t>(first));
    Begin();
    // Listed, and yet not there: once is a listing that was late, twice is not.
    if (part_ < parts_.size() && parts_[part_].entry.key == key && std::exchange(missing_before_, key) == key) {
      return missing;
    }
    return absl::OkStatus();
  }

  template <typename... Args>
  static absl::Status Damaged(const Part& part, fmt::format_string<Args...> format, Args&&... args) {
    return Errorf(absl::StatusCode::kDataLoss, "{}: {}", part.entry.key,
                  fmt::format(format, std::forward<Args>(args)...));
  }

  objstore::ObjectStore& store_;
  const LogReaderOptions options_;
  std::vector<Stretch> stretches_;
  Lsn position_;  // of the next record to hand out
  std::optional<uint32_t> crc_;
  Timeline timeline_;
  bool handed_out_ = false;
  absl::Status status_;
  std::string missing_before_;

  std::vector<Part> parts_;
  size_t part_ = 0;
  // Of the object under way:
  std::optional<ChainChecker> chain_;
  format::ObjectHeader header_;
  Chunk chunk_;
  std::string_view rest_;  // of chunk_
  std::string spill_;
  std::unique_ptr<ReadAhead> ahead_;
};

}  // namespace

std::unique_ptr<LogReader> LogReader::Open(objstore::ObjectStore& store, std::vector<Stretch> stretches, Lsn from,
                                           std::optional<uint32_t> previous_crc, const LogReaderOptions& options) {
  return std::make_unique<Reader>(store, std::move(stretches), from, previous_crc, options);
}

}  // namespace tidemark::archive
