#include "format/write_batch.h"

#include "base/bytes.h"

namespace tidemark::format {

void WriteBatchBuilder::Clear() {
  bytes_.assign(kHeaderSize, '\0');
  count_ = 0;
}

void WriteBatchBuilder::Put(std::string_view key, std::string_view value) {
  bytes_.push_back(static_cast<char>(WriteBatchEntry::Kind::kPut));
  AppendLengthPrefixed(&bytes_, key);
  AppendLengthPrefixed(&bytes_, value);
  ++count_;
}

void WriteBatchBuilder::Delete(std::string_view key) {
  bytes_.push_back(static_cast<char>(WriteBatchEntry::Kind::kDelete));
  AppendLengthPrefixed(&bytes_, key);
  ++count_;
}

void WriteBatchBuilder::DeleteRange(std::string_view begin, std::string_view end) {
  bytes_.push_back(static_cast<char>(WriteBatchEntry::Kind::kDeleteRange));
  AppendLengthPrefixed(&bytes_, begin);
  AppendLengthPrefixed(&bytes_, end);
  ++count_;
}

void WriteBatchBuilder::LogData(std::string_view blob) {
  bytes_.push_back(static_cast<char>(WriteBatchEntry::Kind::kLogData));
  AppendLengthPrefixed(&bytes_, blob);
}

void WriteBatchBuilder::RollBackTo(Mark mark) {
  bytes_.resize(mark.size);
  count_ = mark.count;
}

std::string_view WriteBatchBuilder::Finish() {
  StoreLittle<uint32_t>(bytes_.data() + 8, count_);
  return bytes_;
}

WriteBatchReader::WriteBatchReader(std::string_view batch) {
  if (batch.size() < WriteBatchBuilder::kHeaderSize) {
    status_ = Errorf(absl::StatusCode::kDataLoss, "write batch of {} bytes is shorter than its header", batch.size());
    return;
  }
  count_left_ = LoadLittle<uint32_t>(batch.data() + 8);
  rest_ = batch.substr(WriteBatchBuilder::kHeaderSize);
}

bool WriteBatchReader::Next(WriteBatchEntry* entry) {
  if (!status_.ok()) return false;
  if (rest_.empty()) {
    if (count_left_ != 0) status_ = Errorf(absl::StatusCode::kDataLoss, "write batch lacks {} entries", count_left_);
    return false;
  }
  const auto tag = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  entry->kind = static_cast<WriteBatchEntry::Kind>(tag);
  entry->value = {};
  bool whole = ConsumeLengthPrefixed(&rest_, &entry->key);
  bool counted = true;
  switch (entry->kind) {
    case WriteBatchEntry::Kind::kDelete:
      break;
    case WriteBatchEntry::Kind::kLogData:
      counted = false;
      break;
    case WriteBatchEntry::Kind::kPut:
    case WriteBatchEntry::Kind::kDeleteRange:
      whole = whole && ConsumeLengthPrefixed(&rest_, &entry->value);
      break;
    default:
      status_ = Errorf(absl::StatusCode::kDataLoss, "write batch has an entry of unknown tag {:#04x}", tag);
      return false;
  }
  if (!whole || (counted && count_left_ == 0)) {
    status_ = Errorf(absl::StatusCode::kDataLoss, "write batch is {}", whole ? "longer than its count" : "cut short");
    return false;
  }
  if (counted) --count_left_;
  return true;
}

}  // namespace tidemark::format
