// Any bytes as a store's URI, as the XML of an S3 store, as a file of credentials: nothing crashes, what is accepted
// keeps its promises, and no secret is shown.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "objstore/credentials.h"
#include "objstore/keys.h"
#include "objstore/object_store.h"
#include "objstore/s3_xml.h"
#include "objstore/uri.h"

namespace {

using namespace tidemark::objstore;  // NOLINT(google-build-using-namespace)

void Require(bool condition) {
  if (!condition) std::abort();
}

void TryUri(std::string_view text) {
  const absl::StatusOr<Location> location = ParseUri(text);
  const std::string shown = RedactUri(text);
  Require(shown.size() <= text.size());
  std::string decoded;
  if (PercentDecode(text, &decoded)) {
    std::string again;
    Require(PercentDecode(PercentEncode(decoded, true), &again) && again == decoded);
  }
  if (!location.ok()) return;
  if (location->kind == Location::Kind::kFolder) {
    Require(location->folder.starts_with('/'));
    return;
  }
  const S3Location& s3 = location->s3;
  Require(s3.prefix.empty() || CheckKey(s3.prefix).ok());
  for (const std::string* value : {&s3.endpoint, &s3.region, &s3.secret_access_key, &s3.storage_class}) {
    Require(value->find_first_of("\r\n") == std::string::npos);
  }
  // What is shown has no secrets left, and leads to the same place.
  const absl::StatusOr<Location> again = ParseUri(shown);
  if (!again.ok()) return;
  Require(again->s3.access_key.empty() && again->s3.secret_access_key.empty() && again->s3.session_token.empty());
  Require(again->s3.bucket == s3.bucket && again->s3.prefix == s3.prefix);
}

void TryXml(std::string_view text) {
  const absl::StatusOr<S3ListPage> page = ParseS3List(text);
  if (page.ok()) {
    for (size_t i = 1; i < page->entries.size(); ++i) Require(page->entries[i - 1].key < page->entries[i].key);
  }
  Require(ParseS3Error(text).message.size() <= 200);
  const absl::StatusOr<std::string> id = ParseS3UploadId(text);
  Require(!id.ok() || !id->empty());
  ParseS3Completed(text).status().IgnoreError();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  TryUri(text);
  TryXml(text);
  const auto credentials = ParseCredentialsFile(text, "default");
  Require(!credentials.ok() || !credentials->secret_access_key.empty());
  uint64_t micros = 0;
  ParseS3Time(text, &micros);
  ParseHttpDate(std::string(text), &micros);
  if (CheckKey(text).ok()) Require(CheckPrefix(text).ok() && text.find("//") == std::string_view::npos);
  return 0;
}
