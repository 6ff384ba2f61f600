#include "objstore/s3_xml.h"

#include <ctime>
#include <pugixml.hpp>
#include <utility>

#include "base/numbers.h"
#include "objstore/uri.h"

namespace tidemark::objstore {
namespace {

constexpr size_t kMessageBytesMax = 200;

absl::Status NotWhatWasAsked(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "the store's answer is not {}", what);
}

// Elements are compared without their namespace's prefix, of which some stores make use.
std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  return name.substr(name.find(':') + 1);
}

pugi::xml_node Child(const pugi::xml_node& parent, std::string_view name) {
  for (const pugi::xml_node& node : parent.children()) {
    if (LocalName(node) == name) return node;
  }
  return {};
}

bool Load(std::string_view xml, std::string_view root, pugi::xml_document* document, pugi::xml_node* node) {
  constexpr unsigned options = pugi::parse_minimal | pugi::parse_escapes | pugi::parse_cdata;
  if (!document->load_buffer(xml.data(), xml.size(), options, pugi::encoding_utf8)) return false;
  *node = document->document_element();
  // A document is one element; text after it would be another answer's.
  return LocalName(*node) == root && !node->next_sibling();
}

std::string Printable(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, kMessageBytesMax)) {
    shown.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
  }
  return shown;
}

bool Digits(std::string_view text, size_t at, size_t count, int* number) {
  if (text.size() < at + count) return false;
  *number = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return false;
    *number = *number * 10 + (c - '0');
  }
  return true;
}

absl::StatusOr<S3ListEntry> ParseEntry(const pugi::xml_node& contents) {
  S3ListEntry entry;
  const pugi::xml_node key = Child(contents, "Key");
  const auto size = ParseUint64(Child(contents, "Size").child_value());
  if (!key || !PercentDecode(key.child_value(), &entry.key) || entry.key.empty())
    return NotWhatWasAsked("a list of keys");
  if (!size) return NotWhatWasAsked("a list of objects with their sizes");
  if (!ParseS3Time(Child(contents, "LastModified").child_value(), &entry.modified_micros)) {
    return NotWhatWasAsked("a list of objects with their times");
  }
  entry.size = *size;
  return entry;
}

}  // namespace

bool ParseS3Time(std::string_view text, uint64_t* micros) {
  std::tm utc{};
  const bool whole = Digits(text, 0, 4, &utc.tm_year) && Digits(text, 5, 2, &utc.tm_mon) &&
                     Digits(text, 8, 2, &utc.tm_mday) && Digits(text, 11, 2, &utc.tm_hour) &&
                     Digits(text, 14, 2, &utc.tm_min) && Digits(text, 17, 2, &utc.tm_sec);
  if (!whole || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':') return false;
  uint64_t fraction = 0;
  size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    uint64_t unit = 100'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) {
      fraction += static_cast<uint64_t>(text[at] - '0') * unit;
    }
  }
  if (text.substr(at) != "Z" || utc.tm_year < 1970) return false;
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  *micros = static_cast<uint64_t>(timegm(&utc)) * 1'000'000 + fraction;
  return true;
}

bool ParseHttpDate(const std::string& text, uint64_t* micros) {
  std::tm utc{};
  // Names of days and months are English in the "C" locale, which servers run in.
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  if (end == nullptr || *end != '\0' || utc.tm_year < 70) return false;
  *micros = static_cast<uint64_t>(timegm(&utc)) * 1'000'000;
  return true;
}

S3Error ParseS3Error(std::string_view xml) {
  pugi::xml_document document;
  pugi::xml_node root;
  if (!Load(xml, "Error", &document, &root)) return {};
  return {Printable(Child(root, "Code").child_value()), Printable(Child(root, "Message").child_value()),
          Printable(Child(root, "Region").child_value())};
}

absl::StatusOr<S3ListPage> ParseS3List(std::string_view xml) {
  pugi::xml_document document;
  pugi::xml_node root;
  if (!Load(xml, "ListBucketResult", &document, &root)) return NotWhatWasAsked("a list of objects");
  S3ListPage page;
  const std::string_view truncated = Child(root, "IsTruncated").child_value();
  if (truncated != "true" && truncated != "false")
    return NotWhatWasAsked("a list of objects that says if there is more");
  page.truncated = truncated == "true";
  for (const pugi::xml_node& node : root.children()) {
    if (LocalName(node) != "Contents") continue;
    TM_ASSIGN_OR_RETURN(S3ListEntry entry, ParseEntry(node));
    if (!page.entries.empty() && page.entries.back().key >= entry.key) {
      return NotWhatWasAsked("a list of objects in the order of their keys");
    }
    page.entries.push_back(std::move(entry));
  }
  return page;
}

absl::StatusOr<std::string> ParseS3UploadId(std::string_view xml) {
  pugi::xml_document document;
  pugi::xml_node root;
  std::string id;
  if (Load(xml, "InitiateMultipartUploadResult", &document, &root)) id = Child(root, "UploadId").child_value();
  if (id.empty()) return NotWhatWasAsked("the id of an upload in parts");
  return id;
}

absl::StatusOr<std::string> ParseS3Completed(std::string_view xml) {
  pugi::xml_document document;
  pugi::xml_node root;
  if (!Load(xml, "CompleteMultipartUploadResult", &document, &root)) {
    return NotWhatWasAsked("that of a completed upload in parts");
  }
  return std::string(Child(root, "ETag").child_value());
}

}  // namespace tidemark::objstore
