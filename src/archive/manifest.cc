// The manifest of a base snapshot as JSON; see base.h.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "archive/base.h"
#include "archive/sealed_json.h"

namespace tidemark::archive {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kManifestVersion = 1;
constexpr size_t kNameBytesMax = 200;
constexpr uint64_t kFileBytesMax = (1ull << 48) - 1;  // what the name of a file object can say
constexpr std::string_view kKind = "manifest";

absl::Status Damaged(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "the manifest of a base {}", what);
}

Json FileToJson(const ManifestFile& file) {
  return {{"name", file.name},
          {"hash", IdToHex(file.content.hash)},
          {"size", file.content.size},
          {"inode", file.inode},
          {"modified_nanos", file.modified_nanos}};
}

absl::StatusOr<std::vector<ManifestFile>> FilesFromJson(const Json& list) {
  if (!list.is_array()) return Damaged("has no list of files");
  std::vector<ManifestFile> files;
  std::set<std::string> names;
  for (const Json& item : list) {
    if (!item.is_object()) return Damaged("lists what is no file");
    JsonFields fields(item);
    ManifestFile file;
    file.name = fields.Text("name");
    file.content.hash = fields.Id("hash");
    file.content.size = fields.Number("size", kFileBytesMax);
    file.inode = fields.Number("inode");
    file.modified_nanos = fields.Number("modified_nanos");
    if (!fields.whole()) return Damaged("lacks what it must say of a file");
    if (!IsBaseFileName(file.name)) return Damaged("names a file that cannot be one of a base");
    if (!names.insert(file.name).second) return Damaged(fmt::format("names {} twice", file.name));
    files.push_back(std::move(file));
  }
  return files;
}

absl::StatusOr<Manifest> FromJson(const Json& json) {
  JsonFields fields(json);
  const uint64_t format = fields.Number("format");
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
  const Json* const files = fields.Find("files");
  TM_RETURN_IF_ERROR(fields.Check(kKind, format, kManifestVersion));
  TM_ASSIGN_OR_RETURN(manifest.files, FilesFromJson(*files));
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
  return SealJson(kKind, json);
}

absl::StatusOr<Manifest> DecodeManifest(std::string_view json) {
  TM_ASSIGN_OR_RETURN(const Json body, OpenJson(kKind, json));
  return FromJson(body);
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
