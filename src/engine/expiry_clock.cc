#include "engine/expiry_clock.h"

#include <nlohmann/json.hpp>

namespace tidemark::engine {

types::RowKey ExpiryClockRow() { return types::SystemRow("expiry"); }

std::string EncodeExpiryClock(Timestamp stands_at) {
  return nlohmann::json{{"stands_at_micros", stands_at.micros}}.dump();
}

absl::StatusOr<Timestamp> DecodeExpiryClock(std::string_view json) {
  const nlohmann::json parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("stands_at_micros") || !parsed["stands_at_micros"].is_number_unsigned()) {
    return Errorf(absl::StatusCode::kDataLoss, "the row that says where expiry stands still is damaged");
  }
  return Timestamp{parsed["stands_at_micros"].get<uint64_t>()};
}

}  // namespace tidemark::engine
