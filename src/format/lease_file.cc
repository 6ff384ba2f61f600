#include "format/lease_file.h"

#include "base/bytes.h"
#include "base/hash.h"

namespace tidemark::format {
namespace {

constexpr std::string_view kMagic = "TMLEASES";
constexpr uint32_t kVersion = 1;
constexpr size_t kFixedSize = 24;

template <typename T>
bool Consume(std::string_view* in, T* value) {
  if (in->size() < sizeof(T)) return false;
  *value = LoadLittle<T>(in->data());
  in->remove_prefix(sizeof(T));
  return true;
}

bool ConsumeLease(std::string_view* in, LeaseEntry* lease) {
  std::string_view name;
  std::string_view broken;
  if (!ConsumeLengthPrefixed(in, &name) || !Consume(in, &lease->lease_class) || !Consume(in, &lease->position.value) ||
      !Consume(in, &lease->max_bytes) || !Consume(in, &lease->max_age_micros) || !Consume(in, &lease->touched_micros) ||
      !ConsumeLengthPrefixed(in, &broken)) {
    return false;
  }
  lease->name = name;
  lease->broken = broken;
  return true;
}

}  // namespace

std::string EncodeLeaseFile(const LeaseFile& file) {
  std::string out(kMagic);
  AppendLittle<uint32_t>(&out, kVersion);
  AppendLittle<uint64_t>(&out, file.durable.value);
  AppendLittle<uint32_t>(&out, static_cast<uint32_t>(file.leases.size()));
  for (const LeaseEntry& lease : file.leases) {
    AppendLengthPrefixed(&out, lease.name);
    AppendLittle<uint8_t>(&out, lease.lease_class);
    AppendLittle<uint64_t>(&out, lease.position.value);
    AppendLittle<uint64_t>(&out, lease.max_bytes);
    AppendLittle<uint64_t>(&out, lease.max_age_micros);
    AppendLittle<uint64_t>(&out, lease.touched_micros);
    AppendLengthPrefixed(&out, lease.broken);
  }
  AppendLittle<uint32_t>(&out, Crc32c(out));
  return out;
}

absl::StatusOr<LeaseFile> DecodeLeaseFile(std::string_view bytes) {
  const auto damaged = [](std::string_view what) {
    return Errorf(absl::StatusCode::kDataLoss, "leases file {}", what);
  };
  if (bytes.size() < kFixedSize + 4 || bytes.substr(0, kMagic.size()) != kMagic) return damaged("lacks its header");
  const std::string_view covered = bytes.substr(0, bytes.size() - 4);
  if (LoadLittle<uint32_t>(bytes.data() + covered.size()) != Crc32c(covered)) return damaged("fails its CRC");
  if (const auto version = LoadLittle<uint32_t>(bytes.data() + 8); version != kVersion) {
    return Errorf(absl::StatusCode::kUnimplemented, "leases file has format version {}, this build reads {}", version,
                  kVersion);
  }
  LeaseFile file;
  file.durable.value = LoadLittle<uint64_t>(bytes.data() + 12);
  const auto count = LoadLittle<uint32_t>(bytes.data() + 20);
  std::string_view rest = covered.substr(kFixedSize);
  for (uint32_t i = 0; i < count; ++i) {
    LeaseEntry lease;
    if (!ConsumeLease(&rest, &lease)) return damaged("is cut short");
    file.leases.push_back(std::move(lease));
  }
  if (!rest.empty()) return damaged("is longer than its count");
  return file;
}

}  // namespace tidemark::format
