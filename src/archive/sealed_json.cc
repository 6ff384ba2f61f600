#include "archive/sealed_json.h"

#include "base/hash.h"
#include "format/hex.h"

namespace tidemark::archive {
namespace {

constexpr std::string_view kHead = "{\"crc32c\":\"";
constexpr std::string_view kTail = "}\n";
constexpr size_t kCrcDigits = 8;

std::string Middle(std::string_view kind) { return fmt::format("\",\"{}\":", kind); }

}  // namespace

std::string SealJson(std::string_view kind, const nlohmann::json& body) {
  // Strings that are no UTF-8 are not ours to refuse: they lose the bytes at fault.
  const std::string text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return fmt::format("{}{:08x}{}{}{}", kHead, Crc32c(text), Middle(kind), text, kTail);
}

absl::StatusOr<nlohmann::json> OpenJson(std::string_view kind, std::string_view text) {
  const std::string middle = Middle(kind);
  const size_t body_at = kHead.size() + kCrcDigits + middle.size();
  uint64_t crc = 0;
  if (text.size() < body_at + kTail.size() || !text.starts_with(kHead) || !text.ends_with(kTail) ||
      text.substr(kHead.size() + kCrcDigits, middle.size()) != middle ||
      !format::ParseHex(text.substr(kHead.size(), kCrcDigits), &crc)) {
    return Errorf(absl::StatusCode::kDataLoss, "this is no {} of a Tidemark archive", kind);
  }
  const std::string_view body = text.substr(body_at, text.size() - body_at - kTail.size());
  if (Crc32c(body) != crc) return Errorf(absl::StatusCode::kDataLoss, "the {} fails its CRC", kind);
  nlohmann::json json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Errorf(absl::StatusCode::kDataLoss, "the {} is no JSON object", kind);
  return json;
}

const nlohmann::json* JsonFields::Find(const char* name) {
  const auto found = object_.find(name);
  if (found != object_.end()) return &*found;
  whole_ = false;
  return nullptr;
}

uint64_t JsonFields::Number(const char* name, uint64_t max) {
  const nlohmann::json* const value = Find(name);
  if (value != nullptr && value->is_number_unsigned() && value->get<uint64_t>() <= max) return value->get<uint64_t>();
  whole_ = false;
  return 0;
}

std::string JsonFields::Text(const char* name) {
  const nlohmann::json* const value = Find(name);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  whole_ = false;
  return {};
}

Id128 JsonFields::Id(const char* name) {
  const std::optional<Id128> id = IdFromHex(Text(name));
  if (id) return *id;
  whole_ = false;
  return {};
}

absl::Status JsonFields::Check(std::string_view kind, uint64_t format, uint64_t known) const {
  if (whole_ && format > known) {
    return Errorf(absl::StatusCode::kUnimplemented, "the {} has format {}, this build reads {}", kind, format, known);
  }
  return whole_ ? absl::OkStatus() : Errorf(absl::StatusCode::kDataLoss, "the {} lacks a field", kind);
}

}  // namespace tidemark::archive
