#include "format/rdb_input.h"

#include <isa-l/crc64.h>

#include <algorithm>
#include <cstring>

#include "format/rdb_types.h"

namespace tidemark::format {
namespace {

constexpr size_t kBufferBytes = 256u << 10;

absl::Status EndsEarly() { return absl::DataLossError("the data end in the middle of a value"); }

}  // namespace

uint64_t Crc64(std::string_view bytes, uint64_t seed) {
  // The library complements the sum before and after, Redis does not.
  return ~crc64_jones_refl(~seed, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

absl::Status DecompressLzf(std::string_view compressed, uint64_t length, std::string* out) {
  const auto malformed = [] { return absl::InvalidArgumentError("malformed compressed string"); };
  out->clear();
  size_t at = 0;
  while (at < compressed.size()) {
    const auto control = static_cast<uint8_t>(compressed[at++]);
    if (control < 0x20) {
      const size_t literal = control + size_t{1};
      if (literal > compressed.size() - at || literal > length - out->size()) return malformed();
      out->append(compressed.substr(at, literal));
      at += literal;
      continue;
    }
    size_t run = (control >> 5) + size_t{2};
    if (control >= 0xe0) {
      if (at == compressed.size()) return malformed();
      run += static_cast<uint8_t>(compressed[at++]);
    }
    if (at == compressed.size()) return malformed();
    const size_t back = (static_cast<size_t>(control & 0x1f) << 8) + static_cast<uint8_t>(compressed[at++]) + 1;
    if (back > out->size() || run > length - out->size()) return malformed();
    // Byte by byte: a reference may overlap what it produces.
    for (size_t from = out->size() - back; run > 0; --run) out->push_back((*out)[from++]);
  }
  return out->size() == length ? absl::OkStatus() : malformed();
}

absl::Status RdbInput::Have(size_t count) {
  if (rest_.size() >= count) [[likely]]
    return absl::OkStatus();
  if (source_ == nullptr) return EndsEarly();
  if (buffer_.empty()) buffer_.resize(kBufferBytes);
  if (!rest_.empty()) std::memmove(buffer_.data(), rest_.data(), rest_.size());
  size_t filled = rest_.size();
  while (filled < count && !at_end_) {
    TM_ASSIGN_OR_RETURN(const size_t got, source_(buffer_.data() + filled, buffer_.size() - filled));
    at_end_ = got == 0;
    filled += got;
  }
  rest_ = std::string_view(buffer_.data(), filled);
  return filled >= count ? absl::OkStatus() : EndsEarly();
}

void RdbInput::Consume(size_t count) {
  crc_ = Crc64(rest_.substr(0, count), crc_);
  position_ += count;
  rest_.remove_prefix(count);
}

absl::StatusOr<bool> RdbInput::AtEnd() {
  const absl::Status more = Have(1);
  if (more.ok()) return false;
  if (at_end_) return true;
  return more;
}

absl::StatusOr<uint8_t> RdbInput::Byte() { return Little<uint8_t>(); }

absl::StatusOr<RdbInput::Prefix> RdbInput::ReadPrefix() {
  TM_ASSIGN_OR_RETURN(const uint8_t first, Byte());
  switch (first >> 6) {
    case 0:
      return Prefix{first, false};
    case 1: {
      TM_ASSIGN_OR_RETURN(const uint8_t second, Byte());
      return Prefix{(static_cast<uint64_t>(first & 0x3f) << 8) | second, false};
    }
    case 3:
      return Prefix{static_cast<uint64_t>(first & 0x3f), true};
    default:
      break;
  }
  Prefix prefix;
  if (first == kRdbLength32) {
    TM_ASSIGN_OR_RETURN(prefix.value, Big<uint32_t>());
  } else if (first == kRdbLength64) {
    TM_ASSIGN_OR_RETURN(prefix.value, Big<uint64_t>());
  } else {
    return absl::InvalidArgumentError("malformed length");
  }
  return prefix;
}

absl::StatusOr<uint64_t> RdbInput::Length() {
  TM_ASSIGN_OR_RETURN(const Prefix prefix, ReadPrefix());
  if (prefix.encoded) return absl::InvalidArgumentError("malformed length");
  return prefix.value;
}

absl::Status RdbInput::Bytes(uint64_t count, std::string* out) {
  out->clear();
  if (count > kStringMax) return InvalidArgument("a string of {} bytes is longer than any that is read here", count);
  while (out->size() < count) {
    TM_RETURN_IF_ERROR(Have(1));
    const size_t taken = std::min<uint64_t>(count - out->size(), rest_.size());
    out->append(rest_.substr(0, taken));
    Consume(taken);
  }
  return absl::OkStatus();
}

absl::Status RdbInput::String(std::string* out) {
  TM_ASSIGN_OR_RETURN(const Prefix prefix, ReadPrefix());
  if (!prefix.encoded) return Bytes(prefix.value, out);
  int64_t number = 0;
  switch (prefix.value) {
    case kRdbInt8: {
      TM_ASSIGN_OR_RETURN(number, Little<int8_t>());
      break;
    }
    case kRdbInt16: {
      TM_ASSIGN_OR_RETURN(number, Little<int16_t>());
      break;
    }
    case kRdbInt32: {
      TM_ASSIGN_OR_RETURN(number, Little<int32_t>());
      break;
    }
    case kRdbLzf: {
      TM_ASSIGN_OR_RETURN(const uint64_t compressed, Length());
      TM_ASSIGN_OR_RETURN(const uint64_t length, Length());
      if (length > kStringMax) return InvalidArgument("a string of {} bytes is longer than any that is read", length);
      TM_RETURN_IF_ERROR(Bytes(compressed, &compressed_));
      return DecompressLzf(compressed_, length, out);
    }
    default:
      return absl::InvalidArgumentError("malformed string");
  }
  const fmt::format_int digits(number);
  out->assign(digits.data(), digits.size());
  return absl::OkStatus();
}

absl::Status RdbInput::SkipString() {
  std::string ignored;
  return String(&ignored);
}

}  // namespace tidemark::format
