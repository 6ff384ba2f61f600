#include "objstore/probe.h"

#include <string>

namespace tidemark::objstore {
namespace {

absl::StatusOr<Capabilities> Try(ObjectStore& store, const std::string& key) {
  Capabilities capabilities;
  TM_RETURN_IF_ERROR(store.Put(key, "first", PutCondition::kNone));
  const absl::Status again = store.Put(key, "second", PutCondition::kMustNotExist);
  if (!again.ok() && !absl::IsAlreadyExists(again)) return again;
  TM_ASSIGN_OR_RETURN(const std::string bytes, store.Get(key));
  capabilities.conditional_put = absl::IsAlreadyExists(again) && bytes == "first";
  if (bytes != (again.ok() ? "second" : "first")) {
    return Errorf(absl::StatusCode::kDataLoss, "{}: reads other bytes than were written", store.display_uri());
  }
  TM_ASSIGN_OR_RETURN(const ListPage page, store.List(key, "", 10));
  for (const ObjectInfo& object : page.objects) capabilities.list_after_write |= object.key == key;
  return capabilities;
}

}  // namespace

absl::StatusOr<Capabilities> ProbeByTrying(ObjectStore& store, std::string_view nonce) {
  const std::string key = fmt::format("{}{}", kProbePrefix, nonce);
  absl::StatusOr<Capabilities> capabilities = Try(store, key);
  const absl::Status deleted = store.Delete(key);
  if (capabilities.ok() && !deleted.ok()) return deleted;
  return capabilities;
}

}  // namespace tidemark::objstore
