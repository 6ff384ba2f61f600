#include "format/note.h"

#include <gtest/gtest.h>

namespace tidemark::format {
namespace {

TEST(Note, EveryKindComesBackAsItWas) {
  const auto counts = std::get<CountsNote>(*DecodeNote(EncodeNote(CountsNote{DbIndex{15}, -3, INT64_MIN})));
  EXPECT_EQ(counts.db, DbIndex{15});
  EXPECT_EQ(counts.keys, -3);
  EXPECT_EQ(counts.expires, INT64_MIN);
  const auto contents = std::get<ContentsNote>(*DecodeNote(EncodeNote(ContentsNote{DbIndex{300}, 1ull << 60, 7})));
  EXPECT_EQ(contents.lsn, 1ull << 60);
  EXPECT_EQ(contents.ordinal, 7);
  EXPECT_EQ(std::get<SwapNote>(*DecodeNote(EncodeNote(SwapNote{DbIndex{1}, DbIndex{2}}))).b, DbIndex{2});
}

TEST(Note, CutShortOrTooLongIsRefused) {
  for (const Note& note : {Note(CountsNote{DbIndex{1}, 1, 0}), Note(ContentsNote{DbIndex{1}, 5000, 0}),
                           Note(SwapNote{DbIndex{1}, DbIndex{2}})}) {
    const std::string bytes = EncodeNote(note);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_TRUE(absl::IsDataLoss(DecodeNote(std::string_view(bytes).substr(0, size)).status()));
    }
    EXPECT_TRUE(absl::IsDataLoss(DecodeNote(bytes + "x").status()));
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(DecodeNote("?").status()));
}

}  // namespace
}  // namespace tidemark::format
