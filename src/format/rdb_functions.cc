#include "format/rdb_functions.h"

#include "base/bytes.h"
#include "format/rdb_input.h"
#include "format/rdb_types.h"
#include "format/rdb_writer.h"

namespace tidemark::format {
namespace {

constexpr size_t kVersionBytes = 2;
constexpr size_t kFooterBytes = 10;

}  // namespace

std::string RdbFunctionsPayload(const std::vector<std::string_view>& codes) {
  std::string payload;
  for (const std::string_view code : codes) {
    payload.push_back(static_cast<char>(kOpcodeFunction2));
    AppendRdbString(code, &payload);
  }
  AppendLittle<uint16_t>(&payload, kRdbVersion);
  AppendLittle<uint64_t>(&payload, Crc64(payload));
  return payload;
}

absl::StatusOr<std::vector<std::string>> DecodeRdbFunctions(std::string_view payload) {
  const auto wrong = [] { return absl::DataLossError("version or checksum are wrong"); };
  if (payload.size() < kFooterBytes) return wrong();
  const char* footer = payload.data() + payload.size() - kFooterBytes;
  if (!IsKnownRdbVersion(LoadLittle<uint16_t>(footer))) return wrong();
  const std::string_view summed = payload.substr(0, payload.size() - kFooterBytes + kVersionBytes);
  if (LoadLittle<uint64_t>(footer + kVersionBytes) != Crc64(summed)) return wrong();
  RdbInput in(payload.substr(0, payload.size() - kFooterBytes));
  std::vector<std::string> codes;
  while (true) {
    TM_ASSIGN_OR_RETURN(const bool end, in.AtEnd());
    if (end) return codes;
    TM_ASSIGN_OR_RETURN(const uint8_t kind, in.Byte());
    if (kind != kOpcodeFunction2) return InvalidArgument("given type is not a function");
    codes.emplace_back();
    if (!in.String(&codes.back()).ok()) return InvalidArgument("Failed loading library data");
  }
}

}  // namespace tidemark::format
