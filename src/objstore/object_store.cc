#include "objstore/object_store.h"

#include <utility>

#include "env/clock.h"
#include "env/file.h"
#include "objstore/folder_store.h"
#include "objstore/s3_store.h"
#include "objstore/uri.h"

namespace tidemark::objstore {

bool IsPassing(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<std::vector<ObjectInfo>> ListAll(ObjectStore& store, std::string_view prefix) {
  std::vector<ObjectInfo> objects;
  while (true) {
    const std::string last = objects.empty() ? std::string() : objects.back().key;
    TM_ASSIGN_OR_RETURN(ListPage page, store.List(prefix, last, 1000));
    objects.insert(objects.end(), std::make_move_iterator(page.objects.begin()),
                   std::make_move_iterator(page.objects.end()));
    if (!page.more) return objects;
    if (page.objects.empty()) {
      return Errorf(absl::StatusCode::kDataLoss, "{}: a page of the list is empty and not the last",
                    store.display_uri());
    }
  }
}

absl::StatusOr<std::unique_ptr<ObjectStore>> Open(std::string_view uri, const OpenOptions& options) {
  TM_ASSIGN_OR_RETURN(Location location, ParseUri(uri));
  if (location.kind == Location::Kind::kS3) {
    return std::make_unique<S3Store>(location.s3, RedactUri(uri), options, Clock::System());
  }
  auto store = std::make_unique<FolderStore>(FileSystem::Posix(), std::move(location.folder), options);
  TM_RETURN_IF_ERROR(store->Open());
  return store;
}

}  // namespace tidemark::objstore
