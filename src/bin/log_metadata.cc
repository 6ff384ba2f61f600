#include "bin/log_metadata.h"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "archive/catalog.h"
#include "bin/output.h"
#include "bin/reply_json.h"
#include "objstore/object_store.h"

namespace tidemark::bin {
namespace {

nlohmann::ordered_json ToJson(const archive::Window& window) {
  return {{"from", HumanTime(window.from.micros)},
          {"to", HumanTime(window.to.micros)},
          {"from_lsn", window.from_lsn.value},
          {"to_lsn", window.to_lsn.value},
          {"timeline", window.timeline.value}};
}

void PrintAsJson(const std::string& uri, const archive::Catalog& catalog, const std::vector<archive::Window>& windows) {
  nlohmann::ordered_json out = {{"storage", uri},
                                {"cluster_id", IdToHex(catalog.identity->cluster_id)},
                                {"newest_timeline", catalog.newest_timeline().value},
                                {"bases", catalog.bases.size()},
                                {"log_bytes", catalog.log_bytes}};
  out["windows"] = nlohmann::ordered_json::array();
  for (const archive::Window& window : windows) out["windows"].push_back(ToJson(window));
  PrintJson(out);
}

void PrintForPeople(const std::string& uri, const archive::Catalog& catalog,
                    const std::vector<archive::Window>& windows) {
  fmt::print("{}\n  cluster       {}\n  timeline      {}\n  bases         {}\n  log           {}\n", uri,
             IdToHex(catalog.identity->cluster_id), catalog.newest_timeline().value, catalog.bases.size(),
             HumanSize(catalog.log_bytes));
  if (windows.empty()) fmt::print("  restorable    nothing yet\n");
  for (const archive::Window& window : windows) {
    fmt::print("  restorable    {} … {} (timeline {}, lsn:{:x} … lsn:{:x})\n", HumanTime(window.from.micros),
               HumanTime(window.to.micros), window.timeline.value, window.from_lsn.value, window.to_lsn.value);
  }
}

}  // namespace

absl::Status PrintMetadata(const std::string& storage, bool json) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<objstore::ObjectStore> store,
                      objstore::Open(storage, {.must_exist = true}));
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(*store, /*with_files=*/false));
  if (!catalog.identity) {
    return Errorf(absl::StatusCode::kNotFound, "{} is no archive: it has no archive.json", store->display_uri());
  }
  const std::vector<archive::Window> windows = archive::RestorableWindows(catalog);
  if (json) {
    PrintAsJson(store->display_uri(), catalog, windows);
  } else {
    PrintForPeople(store->display_uri(), catalog, windows);
  }
  return absl::OkStatus();
}

}  // namespace tidemark::bin
