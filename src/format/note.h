// Notes: what a record says beside its rows, as LogData blobs in its write batch. Replaying the rows alone would lose
// the counts of keys and which contents a database has; the notes carry those changes, so that every follower agrees.
//
//   'K' varint db, zigzag varint keys, zigzag varint expires    counts change by so much
//   'C' varint db, 8 bytes lsn, 2 bytes ordinal (big-endian)    the database has these (new, empty) contents; counts
//   are 0 'S' varint a, varint b                                      two databases exchange contents and counts
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"
#include "base/types.h"

namespace tidemark::format {

struct CountsNote {
  DbIndex db;
  int64_t keys;
  int64_t expires;
};
struct ContentsNote {
  DbIndex db;
  uint64_t lsn;
  uint16_t ordinal;
};
struct SwapNote {
  DbIndex a;
  DbIndex b;
};
using Note = std::variant<CountsNote, ContentsNote, SwapNote>;

std::string EncodeNote(const Note& note);
// DATA_LOSS when malformed; FAILED_PRECONDITION for a kind this server does not know.
absl::StatusOr<Note> DecodeNote(std::string_view blob);

}  // namespace tidemark::format
