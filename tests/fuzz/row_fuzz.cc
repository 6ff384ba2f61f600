// Any bytes as a row's key and value: the decoders never read outside them, and what they accept comes out the same
// after it is written and read again.
#include <cstdlib>
#include <string_view>
#include <vector>

#include "types/rows.h"

namespace {

using namespace tidemark::types;  // NOLINT(google-build-using-namespace): the decoders under test

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckKeys(std::string_view row) {
  if (const auto parts = ParseKeyRow(row)) {
    RowKey again = KeyRowAt(parts->contents, parts->order);
    Require(again.Bytes(parts->key).view() == row);
    Require(ParseKeyRow(KeyRow(parts->contents, parts->key).view())->order == KeyOrder(parts->key));
  }
  if (const auto parts = ParseMemberRow(row)) {
    RowKey again = MemberRowAt(parts->collection, parts->order);
    Require(again.Bytes(parts->member).view() == row);
  }
  if (const auto parts = ParseExpiryRow(row)) {
    Require(ExpiryRow(parts->expire_ms, parts->contents, parts->key).view() == row);
  }
  if (const auto collection = ParseDeadRow(row)) Require(DeadRow(*collection).view() == row);
}

void CheckValues(std::string_view bytes) {
  if (const auto value = DecodeKeyValue(bytes); value.ok()) {
    const auto written = EncodeKeyValue(*value);
    const auto again = DecodeKeyValue(written.view());
    Require(again.ok() && again->type == value->type && again->expire_ms == value->expire_ms);
    Require(again->string == value->string && again->collection == value->collection && again->count == value->count);
    Require(written.view().size() <= bytes.size());
  }
  if (const auto value = DecodeMemberValue(bytes); value.ok()) Require(EncodeMemberValue(*value).view() == bytes);
  if (const auto value = DecodeDeadValue(bytes); value.ok()) {
    const auto again = DecodeDeadValue(EncodeDeadValue(*value));
    Require(again.ok() && again->type == value->type && again->count == value->count);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of exactly these bytes, so that the address sanitizer sees a read of any other.
  const std::vector<char> copy(data, data + size);
  const std::string_view bytes(copy.data(), copy.size());
  CheckKeys(bytes);
  CheckValues(bytes);
  return 0;
}
