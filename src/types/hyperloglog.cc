#include "types/hyperloglog.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace tidemark::types {
namespace {

constexpr std::string_view kMagic = "HYLL";
constexpr size_t kEncodingAt = 4;
constexpr size_t kCardinalityAt = 8;
constexpr size_t kHeaderBytes = 16;
constexpr int kIndexBits = 14;
constexpr int kHashBits = 64 - kIndexBits;
constexpr int kRegisterBits = 6;
constexpr size_t kDenseBytes = kHeaderBytes + HyperLogLog::kRegisters * kRegisterBits / 8;
constexpr char kDense = 0;
constexpr char kSparse = 1;
constexpr uint64_t kStale = uint64_t{1} << 63;
constexpr uint8_t kRegisterMax = (1 << kRegisterBits) - 1;

constexpr size_t kShortZerosMax = 64;
constexpr size_t kValuesMax = 4;
constexpr uint8_t kSparseValueMax = 32;

absl::Status Corrupted() { return InvalidArgument("INVALIDOBJ Corrupted HLL object detected"); }

// MurmurHash64A (Austin Appleby, public domain) of `bytes` with Redis's seed.
uint64_t ElementHash(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995;
  constexpr int kShift = 47;
  uint64_t hash = 0xadc83b19 ^ (bytes.size() * kMultiplier);
  for (; bytes.size() >= sizeof(uint64_t); bytes.remove_prefix(sizeof(uint64_t))) {
    uint64_t word = LoadLittle<uint64_t>(bytes.data()) * kMultiplier;
    word = (word ^ (word >> kShift)) * kMultiplier;
    hash = (hash ^ word) * kMultiplier;
  }
  if (!bytes.empty()) {
    uint64_t rest = 0;
    for (size_t i = bytes.size(); i-- > 0;) rest = rest << 8 | static_cast<uint8_t>(bytes[i]);
    hash = (hash ^ rest) * kMultiplier;
  }
  hash = (hash ^ (hash >> kShift)) * kMultiplier;
  return hash ^ (hash >> kShift);
}

// A run of equal registers in a sparse value.
struct Run {
  uint8_t value = 0;
  size_t length = 0;
  size_t bytes = 0;  // that it is written in
};

// The run that begins at `at`, which is within `runs`; length 0 when it is cut.
Run ReadRun(std::string_view runs, size_t at) {
  const auto byte = static_cast<uint8_t>(runs[at]);
  if ((byte & 0x80) != 0) {
    return {.value = static_cast<uint8_t>((byte >> 2 & 0x1f) + 1), .length = (byte & 3U) + 1, .bytes = 1};
  }
  if ((byte & 0x40) == 0) return {.value = 0, .length = (byte & 0x3fU) + 1, .bytes = 1};
  if (at + 1 == runs.size()) return {};
  return {.value = 0, .length = ((byte & 0x3fU) << 8 | static_cast<uint8_t>(runs[at + 1])) + 1, .bytes = 2};
}

char ValuesByte(uint8_t value, size_t length) {
  return static_cast<char>(0x80 | (value - 1) << 2 | static_cast<int>(length - 1));
}

// At most kRegisters zeros, or kValuesMax of another value.
void AppendRun(std::string* runs, uint8_t value, size_t length) {
  if (length == 0) return;
  if (value != 0) {
    runs->push_back(ValuesByte(value, length));
  } else if (length <= kShortZerosMax) {
    runs->push_back(static_cast<char>(length - 1));
  } else {
    runs->push_back(static_cast<char>(0x40 | (length - 1) >> 8));
    runs->push_back(static_cast<char>(length - 1));
  }
}

// Visits all runs; the visitor gets the first register of each.
template <typename Visit>
absl::Status VisitRuns(std::string_view runs, const Visit& visit) {
  size_t first = 0;
  for (size_t at = 0; at < runs.size();) {
    const Run run = ReadRun(runs, at);
    if (run.length == 0 || first + run.length > HyperLogLog::kRegisters) return Corrupted();
    visit(first, run);
    first += run.length;
    at += run.bytes;
  }
  return first == HyperLogLog::kRegisters ? absl::OkStatus() : Corrupted();
}

// Joins neighbouring runs of one value near `at`, where a register was changed. As far as Redis looks, so that the same
// elements give the same bytes.
void JoinRuns(std::string* bytes, size_t at) {
  for (int looks = 5; at < bytes->size() && looks > 0; --looks) {
    const std::string_view runs(*bytes);
    const Run run = ReadRun(runs, at);
    if (run.value != 0 && at + 1 < runs.size()) {
      const Run next = ReadRun(runs, at + 1);
      if (next.value == run.value && run.length + next.length <= kValuesMax) {
        (*bytes)[at + 1] = ValuesByte(run.value, run.length + next.length);
        bytes->erase(at, 1);
        continue;
      }
    }
    at += std::max<size_t>(run.bytes, 1);
  }
}

// Dense registers stand in groups of four, 24 bits, lowest first.
constexpr size_t kGroup = 4;
constexpr size_t kGroupBytes = 3;

uint32_t LoadGroup(const char* group) {
  const auto byte = [group](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(group[i])); };
  return byte(0) | byte(1) << 8 | byte(2) << 16;
}

uint8_t DenseRegister(const char* registers, size_t index) {
  const uint32_t group = LoadGroup(registers + index / kGroup * kGroupBytes);
  return static_cast<uint8_t>(group >> index % kGroup * kRegisterBits) & kRegisterMax;
}

void SetDenseRegister(char* registers, size_t index, uint8_t value) {
  char* const at = registers + index / kGroup * kGroupBytes;
  const auto shift = static_cast<int>(index % kGroup) * kRegisterBits;
  const uint32_t group = (LoadGroup(at) & ~(uint32_t{kRegisterMax} << shift)) | uint32_t{value} << shift;
  for (size_t i = 0; i < kGroupBytes; ++i) at[i] = static_cast<char>(group >> 8 * i);
}

// Ertl's sigma and tau: sums that are taken until they no longer change.
double Sigma(double x) {
  if (x == 1.0) return std::numeric_limits<double>::infinity();
  double y = 1;
  double z = x;
  for (double before = z - 1; z != before; y += y) {
    x *= x;
    before = z;
    z += x * y;
  }
  return z;
}

double Tau(double x) {
  if (x == 0.0 || x == 1.0) return 0;
  double y = 1;
  double z = 1 - x;
  for (double before = z - 1; z != before;) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

}  // namespace

HyperLogLog::HyperLogLog() : bytes_(kMagic) {
  bytes_.resize(kHeaderBytes);
  bytes_[kEncodingAt] = kSparse;
  AppendRun(&bytes_, 0, kRegisters);
}

absl::StatusOr<HyperLogLog> HyperLogLog::Parse(std::string_view value) {
  const bool is_one = value.size() >= kHeaderBytes && value.starts_with(kMagic) &&
                      (value[kEncodingAt] == kSparse || (value[kEncodingAt] == kDense && value.size() == kDenseBytes));
  if (!is_one) return InvalidArgument("WRONGTYPE Key is not a valid HyperLogLog string value.");
  return HyperLogLog(value);
}

bool HyperLogLog::is_dense() const { return bytes_[kEncodingAt] == kDense; }

void HyperLogLog::MarkStale() { bytes_[kHeaderBytes - 1] |= static_cast<char>(0x80); }

absl::StatusOr<bool> HyperLogLog::Add(std::string_view element, size_t sparse_bytes_max) {
  const uint64_t hash = ElementHash(element);
  const uint64_t tail = hash >> kIndexBits | uint64_t{1} << kHashBits;
  return Raise(hash & (kRegisters - 1), static_cast<uint8_t>(std::countr_zero(tail) + 1), sparse_bytes_max);
}

absl::StatusOr<bool> HyperLogLog::Raise(size_t index, uint8_t value, size_t sparse_bytes_max) {
  TM_CHECK(index < kRegisters && value <= kRegisterMax, "register {} to {}", index, value);
  TM_ASSIGN_OR_RETURN(const bool raised,
                      is_dense() ? RaiseDense(index, value) : RaiseSparse(index, value, sparse_bytes_max));
  if (raised) MarkStale();
  return raised;
}

bool HyperLogLog::RaiseDense(size_t index, uint8_t value) {
  char* registers = bytes_.data() + kHeaderBytes;
  if (DenseRegister(registers, index) >= value) return false;
  SetDenseRegister(registers, index, value);
  return true;
}

absl::StatusOr<bool> HyperLogLog::RaiseSparse(size_t index, uint8_t value, size_t sparse_bytes_max) {
  size_t at = kHeaderBytes;
  size_t before = at;  // the run in front of that at `at`
  size_t first = 0;
  Run run;
  for (; at < bytes_.size(); at += run.bytes) {
    run = ReadRun(bytes_, at);
    if (run.length == 0) return Corrupted();
    if (index < first + run.length) break;
    first += run.length;
    before = at;
  }
  if (at >= bytes_.size()) return Corrupted();
  if (run.value >= value) return false;
  std::string parts;
  AppendRun(&parts, run.value, index - first);
  if (value <= kSparseValueMax) parts.push_back(ValuesByte(value, 1));
  AppendRun(&parts, run.value, first + run.length - index - 1);
  const size_t size = bytes_.size() - run.bytes + parts.size();
  if (value > kSparseValueMax || (parts.size() > run.bytes && size > sparse_bytes_max + kHeaderBytes)) {
    TM_RETURN_IF_ERROR(MakeDense().status());
    return RaiseDense(index, value);
  }
  bytes_.replace(at, run.bytes, parts);
  JoinRuns(&bytes_, before);
  return true;
}

absl::StatusOr<uint64_t> HyperLogLog::Cardinality() const {
  const auto cached = LoadLittle<uint64_t>(bytes_.data() + kCardinalityAt);
  if ((cached & kStale) == 0) return cached;
  Registers registers{};
  TM_RETURN_IF_ERROR(MergeInto(&registers));
  return Estimate(registers);
}

absl::Status HyperLogLog::MergeInto(Registers* registers) const {
  if (is_dense()) {
    for (size_t i = 0; i < kRegisters; ++i) {
      (*registers)[i] = std::max((*registers)[i], DenseRegister(bytes_.data() + kHeaderBytes, i));
    }
    return absl::OkStatus();
  }
  return VisitRuns(std::string_view(bytes_).substr(kHeaderBytes), [&](size_t first, const Run& run) {
    if (run.value == 0) return;
    for (size_t i = first; i < first + run.length; ++i) (*registers)[i] = std::max((*registers)[i], run.value);
  });
}

absl::StatusOr<bool> HyperLogLog::MakeDense() {
  if (is_dense()) return false;
  std::string dense = bytes_.substr(0, kHeaderBytes);
  dense[kEncodingAt] = kDense;
  dense.resize(kDenseBytes);
  char* registers = dense.data() + kHeaderBytes;
  TM_RETURN_IF_ERROR(VisitRuns(std::string_view(bytes_).substr(kHeaderBytes), [&](size_t first, const Run& run) {
    if (run.value == 0) return;
    for (size_t i = first; i < first + run.length; ++i) SetDenseRegister(registers, i, run.value);
  }));
  bytes_ = std::move(dense);
  return true;
}

absl::StatusOr<std::string> HyperLogLog::Runs() const {
  std::string text;
  TM_RETURN_IF_ERROR(VisitRuns(std::string_view(bytes_).substr(kHeaderBytes), [&](size_t, const Run& run) {
    if (!text.empty()) text += ' ';
    text += run.value != 0 ? fmt::format("v:{},{}", run.value, run.length)
                           : fmt::format("{}:{}", run.bytes == 1 ? 'z' : 'Z', run.length);
  }));
  return text;
}

uint64_t HyperLogLog::Estimate(const Registers& registers) {
  constexpr double kAlphaInfinity = 0.721347520444481703680;  // 0.5 / ln 2
  constexpr double kCount = kRegisters;
  std::array<int, kRegisterMax + 1> having{};
  for (const uint8_t value : registers) ++having[value];
  double z = kCount * Tau((kCount - having[kHashBits + 1]) / kCount);
  for (int value = kHashBits; value >= 1; --value) z = (z + having[static_cast<size_t>(value)]) * 0.5;
  z += kCount * Sigma(having[0] / kCount);
  return static_cast<uint64_t>(std::llroundl(kAlphaInfinity * kCount * kCount / z));
}

}  // namespace tidemark::types
