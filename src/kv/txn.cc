#include "kv/txn.h"

#include "base/bytes.h"

namespace tidemark::kv {

absl::Status ColdRow() {
  static const absl::Status status = absl::UnavailableError("row is not in memory");
  return status;
}

bool IsColdRow(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable && status == ColdRow();
}

void CollectionId::AppendTo(std::string* out) const {
  AppendBig(out, lsn);
  AppendBig(out, ordinal);
}

CollectionId CollectionId::Load(const char* bytes) {
  return {.lsn = LoadBig<uint64_t>(bytes), .ordinal = LoadBig<uint16_t>(bytes + sizeof(uint64_t))};
}

}  // namespace tidemark::kv
