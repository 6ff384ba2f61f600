#include "kv/meta_rows.h"

#include "base/bytes.h"

namespace tidemark::kv {
namespace {

constexpr char kDbStateVersion = 1;
constexpr size_t kDbStateSize = 1 + CollectionId::kSize + 2 * sizeof(int64_t);

absl::Status BadRow(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "store: its {} row cannot be read", what);
}

}  // namespace

std::string DbRowKey(DbIndex db) {
  std::string key(kDbRowPrefix);
  AppendBig(&key, db.value);
  return key;
}

std::string EncodeDbState(const DbState& state) {
  std::string value(1, kDbStateVersion);
  state.contents.AppendTo(&value);
  AppendLittle(&value, state.keys);
  AppendLittle(&value, state.expires);
  return value;
}

std::string EncodeLsn(Lsn lsn) {
  std::string value;
  AppendLittle(&value, lsn.value);
  return value;
}

std::string EncodeFormat(uint32_t format) {
  std::string value;
  AppendLittle(&value, format);
  return value;
}

absl::StatusOr<DbIndex> DecodeDbRowKey(std::string_view row) {
  if (row.size() != kDbRowPrefix.size() + sizeof(uint16_t)) return BadRow("database");
  return DbIndex{LoadBig<uint16_t>(row.data() + kDbRowPrefix.size())};
}

absl::StatusOr<DbState> DecodeDbState(std::string_view value) {
  if (value.size() != kDbStateSize || value[0] != kDbStateVersion) return BadRow("database");
  DbState state;
  const char* at = value.data() + 1;
  state.contents = CollectionId::Load(at);
  state.keys = LoadLittle<int64_t>(at + CollectionId::kSize);
  state.expires = LoadLittle<int64_t>(at + CollectionId::kSize + sizeof(int64_t));
  return state;
}

absl::StatusOr<Lsn> DecodeLsn(std::string_view value) {
  if (value.size() != sizeof(uint64_t)) return BadRow("LSN");
  return Lsn{LoadLittle<uint64_t>(value.data())};
}

absl::StatusOr<uint32_t> DecodeFormat(std::string_view value) {
  if (value.size() != sizeof(uint32_t)) return BadRow("format");
  return LoadLittle<uint32_t>(value.data());
}

}  // namespace tidemark::kv
