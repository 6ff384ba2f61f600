// A moment that is read wrongly restores the wrong data: every form that is taken, and that none other is.
#include "restore/target.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidemark::restore {
namespace {

constexpr uint64_t kNoon = 1'772'366'400'000'000;  // 2026-03-01T12:00:00Z

TEST(TargetTest, TakesTimesInAllTheirForms) {
  const std::vector<std::pair<std::string, uint64_t>> cases = {
      {"2026-03-01T12:00:00Z", kNoon},
      {"2026-03-01t12:00:00z", kNoon},
      {"2026-03-01T13:30:00+01:30", kNoon},
      {"2026-03-01T03:00:00-0900", kNoon},
      {"2026-03-01T12:00:00-00:00", kNoon},
      {"2026-03-01 12:00:00+0000", kNoon},
      {"2026-03-01 20:00:00+0800", kNoon},
      {"2026-03-01 20:00:00 +0800", kNoon},
      {"2026-02-28T23:00:00-13:00", kNoon},
      {"2026-03-01T12:00:00.123456Z", kNoon + 123'456},
      {"2026-03-01T12:00:00.5Z", kNoon + 500'000},
      {"2026-03-01 20:00:00.25+0800", kNoon + 250'000},
      {"2026-03-01T12:00:00.1234569Z", kNoon + 123'456},
      {"2026-03-01T12:00:00.000000999Z", kNoon},
      {"2024-02-29T00:00:00Z", 1'709'164'800'000'000},
      {"1970-01-01T00:00:00Z", 0},
      {"9999-12-31T23:59:59.999999Z", 253'402'300'799'999'999},
      {"2018-05-11 01:42:23+0800", 1'525'974'143'000'000},
      {"1772366400.0", kNoon},
      {"1772366400.000001", kNoon + 1},
      {std::to_string((kNoon / 1000) << 18), kNoon},
      {std::to_string(((kNoon / 1000) << 18) + 77), kNoon},
  };
  for (const auto& [text, micros] : cases) {
    const absl::StatusOr<Target> target = ParseTarget(text);
    ASSERT_TRUE(target.ok()) << text << ": " << target.status();
    EXPECT_EQ(target->kind, Target::Kind::kTime) << text;
    EXPECT_EQ(target->time.micros, micros) << text;
  }
}

TEST(TargetTest, TakesPositionsAndTheEnd) {
  EXPECT_EQ(ParseTarget("latest")->kind, Target::Kind::kLatest);
  EXPECT_EQ(ParseTarget("lsn:1000")->lsn, Lsn{0x1000});
  EXPECT_EQ(ParseTarget("lsn:0xDEADbeef")->lsn, Lsn{0xdeadbeef});
  EXPECT_EQ(ParseTarget("lsn:ffffffffffffffff")->kind, Target::Kind::kLsn);
  EXPECT_EQ(ParseTarget("offset:1000")->lsn, Lsn{1000});
  EXPECT_EQ(FormatTarget(*ParseTarget("offset:4096")), "lsn:1000");
  EXPECT_FALSE(ParseTarget("offset:10a").ok());
}

TEST(TargetTest, RefusesWhatCouldMeanSeveralMomentsOrNone) {
  const std::vector<std::string> nonsense = {
      "",
      " ",
      "now",
      "Latest",
      "yesterday",
      "12:00",
      "2026-03-01",
      "2026-03-01T12:00Z",
      "2026-3-1T12:00:00Z",
      "2026-13-01T12:00:00Z",
      "2026-00-01T12:00:00Z",
      "2026-02-29T12:00:00Z",
      "2026-03-01T24:00:00Z",
      "2026-03-01T12:60:00Z",
      "2026-03-01T12:00:60Z",
      "2026-03-01T12:00:00.Z",
      "2026-03-01T12:00:00Zulu",
      "2026-03-01T12:00:00+1",
      "2026-03-01T12:00:00+25:00",
      "2026-03-01T12:00:00+02:60",
      "2026-03-01T12:00:00+02:00x",
      "2026-03-01T12:00:00 CET",
      "2026/03/01 12:00:00Z",
      "1969-12-31T23:59:59Z",
      "1970-01-01T00:00:00+01:00",
      "-5",
      "1772366400",
      "1772366400.",
      ".5",
      "1.2.3",
      "1e9",
      "99999999999999999999",
      "999999999999.5",
      "lsn:",
      "lsn:xyz",
      "lsn:10000000000000000",
      "lsn:-1",
      "lsn: 10",
      "LSN:10",
  };
  for (const std::string& text : nonsense) {
    const absl::StatusOr<Target> target = ParseTarget(text);
    ASSERT_FALSE(target.ok()) << text;
    EXPECT_TRUE(absl::IsInvalidArgument(target.status())) << text;
    EXPECT_NE(Message(target.status()).find("lsn:HEX"), std::string_view::npos) << "says what is taken: " << text;
  }
}

TEST(TargetTest, AsksForTheZoneOfATimeWithoutOne) {
  for (const char* text : {"2026-03-01T12:00:00", "2026-03-01 12:00:00", "2026-03-01T12:00:00.5"}) {
    const absl::Status status = ParseTarget(text).status();
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_NE(Message(status).find("time zone; add Z"), std::string_view::npos) << status;
  }
}

TEST(TargetTest, WritesWhatItReads) {
  for (const char* text : {"latest", "lsn:1a2b", "2026-03-01T12:00:00.000001Z", "1970-01-01T00:00:00.000000Z",
                           "2024-02-29T23:59:59.999999Z"}) {
    EXPECT_EQ(FormatTarget(*ParseTarget(text)), text);
  }
  EXPECT_EQ(FormatTime(Timestamp{kNoon + 42}), "2026-03-01T12:00:00.000042Z");
}

}  // namespace
}  // namespace tidemark::restore
