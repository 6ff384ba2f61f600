// The manifest of a base snapshot as JSON; see base.h.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "archive/base.h"
#include "base/hash.h"
#include "format/hex.h"

namespace tidemark::archive {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kManifestVersion = 1;
constexpr size_t kNameBytesMax = 200;
constexpr uint64_t kFileBytesMax = (1ull << 48) - 1;  // what the name of a file object can say
constexpr std::string_view kHead = "{\"crc32c\":\"";
constexpr std::string_view kMiddle = "\",\"manifest\":";
constexpr std::string_view kTail = "}\n";
constexpr size_t kBodyOffset = kHead.size() + 8 + kMiddle.size();

absl::Status Damaged(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "the manifest of a base {}", what);
}

// Takes fields out of an object; remembers that one was missing or of another kind.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object), good_(object.is_object()) {}

  uint64_t Number(const char* name, uint64_t max = UINT64_MAX) {
    const Json* value = Find(name);
    if (value == nullptr || !value->is_number_unsigned() || value->get<uint64_t>() > max) return Bad<uint64_t>();
    return value->get<uint64_t>();
  }
  std::string Text(const char* name) {
    const Json* value = Find(name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : Bad<std::string>();
  }
  Id128 Id(const char* name) {
    const std::optional<Id128> id = IdFromHex(Text(name));
    return id ? *id : Bad<Id128>();
  }
  const Json* Find(const char* name) {
    const auto it = good_ ? object_.find(name) : object_.end();
    if (it != object_.end()) return &*it;
    good_ = false;
    return nullptr;
  }
  bool good() const { return good_; }

 private:
  template <typename T>
  T Bad() {
    good_ = false;
    return T{};
  }
  const Json& object_;
  bool good_;
};

Json FileToJson(const ManifestFile& file) {
  return {{"name", file.name},
          {"hash", IdToHex(file.content.hash)},
          {"size", file.content.size},
          {"inode", file.inode},
          {"modified_nanos", file.modified_nanos}};
}

absl::StatusOr<std::vector<ManifestFile>> FilesFromJson(const Json* list) {
  if (list == nullptr || !list->is_array()) return Damaged("has no list of files");
  std::vector<ManifestFile> files;
  std::set<std::string> names;
  for (const Json& item : *list) {
    Fields fields(item);
    ManifestFile file;
    file.name = fields.Text("name");
    file.content.hash = fields.Id("hash");
    file.content.size = fields.Number("size", kFileBytesMax);
    file.inode = fields.Number("inode");
    file.modified_nanos = fields.Number("modified_nanos");
    if (!fields.good()) return Damaged("lacks what it must say of a file");
    if (!IsBaseFileName(file.name)) return Damaged("names a file that cannot be one of a base");
    if (!names.insert(file.name).second) return Damaged(fmt::format("names {} twice", file.name));
    files.push_back(std::move(file));
  }
  return files;
}

absl::StatusOr<Manifest> FromJson(const Json& json) {
  Fields fields(json);
  if (const uint64_t version = fields.Number("format"); fields.good() && version != kManifestVersion) {
    return Errorf(absl::StatusCode::kUnimplemented, "the manifest of a base has format {}, this build reads {}",
                  version, kManifestVersion);
  }
  Manifest manifest;
  manifest.name.timeline.value = static_cast<uint32_t>(fields.Number("timeline", UINT32_MAX));
  manifest.name.lsn.value = fields.Number("lsn");
  manifest.name.timestamp.micros = fields.Number("timestamp_micros");
  manifest.cluster_id = fields.Id("cluster_id");
  manifest.timeline_id = fields.Id("timeline_id");
  const Json* crc = fields.Find("last_crc");
  manifest.last_crc_known = crc != nullptr && !crc->is_null();
  if (manifest.last_crc_known) manifest.last_crc = static_cast<uint32_t>(fields.Number("last_crc", UINT32_MAX));
  manifest.created_micros = fields.Number("created_micros");
  manifest.database_id = fields.Text("database_id");
  if (!fields.good()) return Damaged("lacks a field");
  TM_ASSIGN_OR_RETURN(manifest.files, FilesFromJson(fields.Find("files")));
  return manifest;
}

}  // namespace

bool IsBaseFileName(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kNameBytesMax && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), allowed) && !name.ends_with(".part");
}

uint64_t Manifest::bytes() const {
  uint64_t sum = 0;
  for (const ManifestFile& file : files) sum += file.content.size;
  return sum;
}

std::string EncodeManifest(const Manifest& manifest) {
  Json files = Json::array();
  for (const ManifestFile& file : manifest.files) files.push_back(FileToJson(file));
  const Json json = {{"format", kManifestVersion},
                     {"timeline", manifest.name.timeline.value},
                     {"lsn", manifest.name.lsn.value},
                     {"timestamp_micros", manifest.name.timestamp.micros},
                     {"cluster_id", IdToHex(manifest.cluster_id)},
                     {"timeline_id", IdToHex(manifest.timeline_id)},
                     {"last_crc", manifest.last_crc_known ? Json(manifest.last_crc) : Json(nullptr)},
                     {"created_micros", manifest.created_micros},
                     {"database_id", manifest.database_id},
                     {"files", std::move(files)}};
  const std::string body = json.dump(-1, ' ', true, Json::error_handler_t::replace);
  return fmt::format("{}{:08x}{}{}{}", kHead, Crc32c(body), kMiddle, body, kTail);
}

absl::StatusOr<Manifest> DecodeManifest(std::string_view json) {
  if (json.size() < kBodyOffset + kTail.size() || !json.starts_with(kHead) ||
      json.substr(kHead.size() + 8, kMiddle.size()) != kMiddle || !json.ends_with(kTail)) {
    return Damaged("is not one");
  }
  const std::string_view body = json.substr(kBodyOffset, json.size() - kBodyOffset - kTail.size());
  if (json.substr(kHead.size(), 8) != fmt::format("{:08x}", Crc32c(body))) return Damaged("fails its checksum");
  const Json parsed = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Damaged("is no JSON");
  return FromJson(parsed);
}

absl::StatusOr<Manifest> ReadManifest(objstore::ObjectStore& store, const BaseEntry& base) {
  TM_ASSIGN_OR_RETURN(const std::string json, store.Get(base.key));
  absl::StatusOr<Manifest> manifest = DecodeManifest(json);
  if (!manifest.ok()) return Errorf(manifest.status().code(), "{}: {}", base.key, Message(manifest.status()));
  if (manifest->name != base.name) {
    return Errorf(absl::StatusCode::kDataLoss, "{} says in itself that it is {}", base.key,
                  format::BaseKey(manifest->name));
  }
  return manifest;
}

}  // namespace tidemark::archive
