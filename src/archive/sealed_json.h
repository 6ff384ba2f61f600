// JSON with a checksum of its own, for the small objects that people read too: {"crc32c":"0123abcd","KIND":{…}}, where
// the CRC-32C is that of the bytes of {…} as they stand. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/status.h"

namespace tidemark::archive {

std::string SealJson(std::string_view kind, const nlohmann::json& body);
// DATA_LOSS unless it is whole, of this kind, and an object.
absl::StatusOr<nlohmann::json> OpenJson(std::string_view kind, std::string_view text);

// Takes fields out of an object that OpenJson returned, and remembers whether one was missing or of another type.
class JsonFields {
 public:
  // `object` outlives it.
  explicit JsonFields(const nlohmann::json& object) : object_(object) {}
  uint64_t Number(const char* name, uint64_t max = UINT64_MAX);
  std::string Text(const char* name);
  Id128 Id(const char* name);
  // Null, and not whole, when there is none.
  const nlohmann::json* Find(const char* name);
  bool whole() const { return whole_; }
  // OK, UNIMPLEMENTED for a format above `known`, or DATA_LOSS when a field was not there.
  absl::Status Check(std::string_view kind, uint64_t format, uint64_t known) const;

 private:
  const nlohmann::json& object_;
  bool whole_ = true;
};

}  // namespace tidemark::archive
