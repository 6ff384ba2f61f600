#include "archive/file_codec.h"

#include <algorithm>

namespace tidemark::archive {
namespace {

absl::Status Damaged(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "the object of a file {}", what);
}

uint64_t BlockCount(uint64_t plain_bytes) {
  return (plain_bytes + format::kBlockPlainBytes - 1) / format::kBlockPlainBytes;
}

format::ObjectHeader HeaderOf(const format::FileName& content, const Id128& cluster_id, const KeyRing& keys) {
  format::ObjectHeader header;
  header.is_file = true;
  header.cluster_id = cluster_id;
  header.plain_bytes = content.size;
  header.plain_hash = content.hash;
  header.blocks = static_cast<uint32_t>(BlockCount(content.size));
  header.stored_bytes = FileObjectSize(content.size) - format::kObjectHeaderSize;
  if (!keys.empty()) {
    header.flags = format::kAes256Gcm;
    header.key_id = keys.current().id;
  }
  return header;
}

// Fills *buffer with up to kBlockPlainBytes bytes from `offset` on; shorter at the end of the file.
absl::Status ReadPiece(File& file, uint64_t offset, std::string* buffer) {
  buffer->resize(format::kBlockPlainBytes);
  TM_ASSIGN_OR_RETURN(const size_t size, file.Read(offset, buffer->size(), buffer->data()));
  buffer->resize(size);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<format::FileName> HashFile(File& file, const std::function<absl::Status(uint64_t bytes)>& on_bytes) {
  ContentHash hash;
  format::FileName name;
  std::string piece;
  do {
    TM_RETURN_IF_ERROR(ReadPiece(file, name.size, &piece));
    hash.Update(piece);
    name.size += piece.size();
    if (on_bytes) TM_RETURN_IF_ERROR(on_bytes(piece.size()));
  } while (piece.size() == format::kBlockPlainBytes);
  name.hash = hash.Digest();
  return name;
}

uint64_t FileObjectSize(uint64_t plain_bytes) {
  return format::kObjectHeaderSize + BlockCount(plain_bytes) * format::kBlockHeaderSize + plain_bytes;
}

FileEncoder::FileEncoder(std::shared_ptr<const KeyRing> keys, const Id128& cluster_id, const format::FileName& content,
                         File& file, std::function<absl::Status(uint64_t bytes)> on_bytes)
    : keys_(std::move(keys)),
      content_(content),
      file_(file),
      on_bytes_(std::move(on_bytes)),
      sealer_(0, keys_->first(), HeaderOf(content, cluster_id, *keys_)),
      ready_(EncodeObjectHeader(HeaderOf(content, cluster_id, *keys_))) {}

absl::StatusOr<std::string> FileEncoder::Read(size_t max) {
  std::string out;
  while (out.size() < max) {
    if (ready_from_ == ready_.size()) {
      if (position_ == content_.size) break;
      TM_RETURN_IF_ERROR(SealNext());
    }
    const size_t count = std::min(max - out.size(), ready_.size() - ready_from_);
    out.append(ready_, ready_from_, count);
    ready_from_ += count;
  }
  return out;
}

absl::Status FileEncoder::SealNext() {
  TM_RETURN_IF_ERROR(ReadPiece(file_, position_, &plain_));
  const uint64_t expected = std::min<uint64_t>(content_.size - position_, format::kBlockPlainBytes);
  hash_.Update(plain_);
  const bool last = position_ + expected == content_.size;
  if (plain_.size() != expected || (last && hash_.Digest() != content_.hash)) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "the file changed while it was being archived");
  }
  if (on_bytes_) TM_RETURN_IF_ERROR(on_bytes_(plain_.size()));
  ready_.clear();
  ready_from_ = 0;
  TM_RETURN_IF_ERROR(sealer_.Seal(position_, plain_, &ready_));
  position_ += plain_.size();
  return absl::OkStatus();
}

FileDecoder::FileDecoder(const KeyRing& keys, const format::FileName& content, Sink sink)
    : keys_(keys), content_(content), sink_(std::move(sink)) {}

absl::Status FileDecoder::Feed(std::string_view piece) {
  pending_.append(piece);
  if (opener_ == nullptr) {
    if (pending_.size() < format::kObjectHeaderSize) return absl::OkStatus();
    TM_RETURN_IF_ERROR(TakeHeader());
  }
  return TakeBlocks();
}

absl::Status FileDecoder::TakeHeader() {
  TM_ASSIGN_OR_RETURN(const format::ObjectHeader header, CheckFileHeader(pending_, content_));
  TM_ASSIGN_OR_RETURN(opener_, BlockOpener::Make(header, keys_));
  pending_.erase(0, format::kObjectHeaderSize);
  return absl::OkStatus();
}

absl::Status FileDecoder::TakeBlocks() {
  std::string_view rest = pending_;
  while (position_ < content_.size && rest.size() >= format::kBlockHeaderSize) {
    TM_ASSIGN_OR_RETURN(const size_t size, format::BlockSize(rest));
    if (rest.size() < size) break;
    std::string_view stored;
    TM_ASSIGN_OR_RETURN(const format::BlockHeader block, format::DecodeBlock(rest, &stored));
    plain_.clear();
    TM_RETURN_IF_ERROR(opener_->Open(block, stored, &plain_));
    if (block.position != position_ || plain_.size() > content_.size - position_) {
      return Damaged("has its blocks in the wrong order");
    }
    hash_.Update(plain_);
    position_ += plain_.size();
    TM_RETURN_IF_ERROR(sink_(plain_));
    rest.remove_prefix(size);
  }
  if (position_ == content_.size && !rest.empty()) return Damaged("goes on beyond its end");
  pending_.erase(0, pending_.size() - rest.size());
  return absl::OkStatus();
}

absl::Status FileDecoder::Finish() {
  if (opener_ == nullptr || position_ != content_.size || !pending_.empty()) return Damaged("is cut short");
  if (hash_.Digest() != content_.hash) return Damaged("does not hold the content that its name says");
  return absl::OkStatus();
}

absl::StatusOr<format::ObjectHeader> CheckFileHeader(std::string_view bytes, const format::FileName& content) {
  TM_ASSIGN_OR_RETURN(format::ObjectHeader header, format::DecodeObjectHeader(bytes));
  if (!header.is_file) return Damaged("says that it holds log");
  if (header.plain_hash != content.hash || header.plain_bytes != content.size) {
    return Damaged("says in its header that it holds another file");
  }
  return header;
}

}  // namespace tidemark::archive
