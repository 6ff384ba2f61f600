#include "format/note.h"

#include "base/bytes.h"

namespace tidemark::format {
namespace {

uint64_t ZigZag(int64_t value) { return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63); }
int64_t UnZigZag(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }

bool ConsumeDb(std::string_view* in, DbIndex* db) {
  uint64_t number = 0;
  if (!ConsumeVarint(in, &number) || number > UINT16_MAX) return false;
  db->value = static_cast<uint16_t>(number);
  return true;
}

struct Encoder {
  std::string operator()(const CountsNote& note) const {
    std::string out = "K";
    AppendVarint(&out, note.db.value);
    AppendVarint(&out, ZigZag(note.keys));
    AppendVarint(&out, ZigZag(note.expires));
    return out;
  }
  std::string operator()(const ContentsNote& note) const {
    std::string out = "C";
    AppendVarint(&out, note.db.value);
    AppendBig(&out, note.lsn);
    AppendBig(&out, note.ordinal);
    return out;
  }
  std::string operator()(const SwapNote& note) const {
    std::string out = "S";
    AppendVarint(&out, note.a.value);
    AppendVarint(&out, note.b.value);
    return out;
  }
};

}  // namespace

std::string EncodeNote(const Note& note) { return std::visit(Encoder{}, note); }

absl::StatusOr<Note> DecodeNote(std::string_view blob) {
  const auto malformed = [] { return Errorf(absl::StatusCode::kDataLoss, "note in a record is malformed"); };
  if (blob.empty()) return malformed();
  const char kind = blob.front();
  std::string_view rest = blob.substr(1);
  switch (kind) {
    case 'K': {
      CountsNote note{};
      uint64_t keys = 0;
      uint64_t expires = 0;
      if (!ConsumeDb(&rest, &note.db) || !ConsumeVarint(&rest, &keys) || !ConsumeVarint(&rest, &expires)) {
        return malformed();
      }
      note.keys = UnZigZag(keys);
      note.expires = UnZigZag(expires);
      if (!rest.empty()) return malformed();
      return note;
    }
    case 'C': {
      ContentsNote note{};
      if (!ConsumeDb(&rest, &note.db) || rest.size() != 10) return malformed();
      note.lsn = LoadBig<uint64_t>(rest.data());
      note.ordinal = LoadBig<uint16_t>(rest.data() + 8);
      return note;
    }
    case 'S': {
      SwapNote note{};
      if (!ConsumeDb(&rest, &note.a) || !ConsumeDb(&rest, &note.b) || !rest.empty()) return malformed();
      return note;
    }
    default:
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "a record has a note of kind {:#04x}, unknown to this server: use a newer one",
                    static_cast<uint8_t>(kind));
  }
}

}  // namespace tidemark::format
