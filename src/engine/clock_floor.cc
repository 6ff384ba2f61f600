#include "engine/clock_floor.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"

namespace tidemark::engine {
namespace {

constexpr std::string_view kName = "clock.floor";
// Two slots, each within a sector, written in turn: a write that is torn leaves the other one.
constexpr uint64_t kSlots = 2;
constexpr uint64_t kSlotBytes = 512;
constexpr size_t kEntryBytes = 12;

}  // namespace

absl::StatusOr<std::unique_ptr<ClockFloor>> ClockFloor::Open(FileSystem& fs, const std::string& folder) {
  std::unique_ptr<ClockFloor> floor(new ClockFloor(fs, folder));
  TM_RETURN_IF_ERROR(floor->Read());
  return floor;
}

Timestamp ClockFloor::floor() const {
  const MutexLock lock(mutex_);
  return floor_;
}

absl::Status ClockFloor::Read() {
  const MutexLock lock(mutex_);
  absl::StatusOr<std::unique_ptr<File>> file =
      fs_.Open(fmt::format("{}/{}", folder_, kName), FileSystem::Mode::kReadWrite);
  if (absl::IsNotFound(file.status())) return absl::OkStatus();
  TM_RETURN_IF_ERROR(file.status());
  file_ = *std::move(file);
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    std::array<char, kEntryBytes> entry{};
    TM_ASSIGN_OR_RETURN(const size_t read, file_->Read(slot * kSlotBytes, entry.size(), entry.data()));
    const std::string_view micros(entry.data(), sizeof(uint64_t));
    if (read < entry.size() || LoadLittle<uint32_t>(entry.data() + micros.size()) != Crc32c(micros)) continue;
    const Timestamp found{LoadLittle<uint64_t>(micros.data())};
    if (found < floor_) continue;
    floor_ = found;
    next_slot_ = (slot + 1) % kSlots;
  }
  TM_ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
  was_damaged_ = floor_ == Timestamp{} && size > 0;
  return absl::OkStatus();
}

absl::Status ClockFloor::Write(Timestamp floor) {
  if (file_ == nullptr) {
    const std::string path = fmt::format("{}/{}", folder_, kName);
    absl::StatusOr<std::unique_ptr<File>> file = fs_.Open(path, FileSystem::Mode::kCreateNew);
    // Made by an attempt whose sync failed.
    if (absl::IsAlreadyExists(file.status())) file = fs_.Open(path, FileSystem::Mode::kReadWrite);
    TM_RETURN_IF_ERROR(file.status());
    TM_RETURN_IF_ERROR(fs_.SyncFolder(folder_));
    file_ = *std::move(file);
  }
  std::string entry;
  AppendLittle(&entry, floor.micros);
  AppendLittle(&entry, Crc32c(entry));
  TM_RETURN_IF_ERROR(file_->Write(next_slot_ * kSlotBytes, entry));
  TM_RETURN_IF_ERROR(file_->Sync());
  floor_ = floor;
  next_slot_ = (next_slot_ + 1) % kSlots;
  return absl::OkStatus();
}

absl::Status ClockFloor::Promise(Timestamp moment) {
  const MutexLock lock(mutex_);
  if (moment <= floor_) return absl::OkStatus();
  return Write(Timestamp{moment.micros + kStepMicros});
}

absl::Status ClockFloor::Settle(Timestamp moment) {
  const MutexLock lock(mutex_);
  if (floor_ <= moment) return absl::OkStatus();
  // The slot that counts is the higher one: both have to say it.
  for (uint64_t slot = 0; slot < kSlots; ++slot) TM_RETURN_IF_ERROR(Write(moment));
  return absl::OkStatus();
}

}  // namespace tidemark::engine
