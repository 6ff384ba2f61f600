// The store's own rows, in the key range below every user row: what makes a set of SST files a store that knows its
// LSN. Described in docs/formats/store.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "kv/txn.h"

namespace tidemark::kv {

constexpr uint32_t kStoreFormat = 1;

// Keys, in this order: databases, LSN, format. Every persisted cut writes all of them.
std::string DbRowKey(DbIndex db);
constexpr std::string_view kDbRowPrefix{"\0db", 3};
constexpr std::string_view kDbRowEnd{"\0dc", 3};
constexpr std::string_view kLsnRowKey{"\0lsn", 4};
constexpr std::string_view kFormatRowKey{"\0version", 8};

std::string EncodeDbState(const DbState& state);
std::string EncodeLsn(Lsn lsn);
std::string EncodeFormat(uint32_t format);

// DATA_LOSS when the row is not of the length or version expected.
absl::StatusOr<DbIndex> DecodeDbRowKey(std::string_view row);
absl::StatusOr<DbState> DecodeDbState(std::string_view value);
absl::StatusOr<Lsn> DecodeLsn(std::string_view value);
absl::StatusOr<uint32_t> DecodeFormat(std::string_view value);

}  // namespace tidemark::kv
