#include "base/numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tidemark {
namespace {

TEST(NumbersTest, IntegersHaveOneSpelling) {
  EXPECT_EQ(ParseInt64("0"), 0);
  EXPECT_EQ(ParseInt64("-1"), -1);
  EXPECT_EQ(ParseInt64("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(ParseInt64("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  for (const char* bad : {"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "1a", "0x1", "9223372036854775808",
                          "-9223372036854775809", "99999999999999999999999", "--1", "1.0"}) {
    EXPECT_FALSE(ParseInt64(bad)) << bad;
  }
  EXPECT_FALSE(ParseInt64(std::string_view("1\0", 2)));
}

TEST(NumbersTest, UnsignedReachesTheLastValue) {
  EXPECT_EQ(ParseUint64("18446744073709551615"), std::numeric_limits<uint64_t>::max());
  EXPECT_FALSE(ParseUint64("18446744073709551616"));
  EXPECT_FALSE(ParseUint64("-1"));
  EXPECT_FALSE(ParseUint64("007"));
}

TEST(NumbersTest, FloatsAreWhatRedisTakes) {
  EXPECT_EQ(ParseDouble("3.5"), 3.5);
  EXPECT_EQ(ParseDouble("-1e3"), -1000.0);
  EXPECT_TRUE(std::isinf(*ParseDouble("inf")));
  EXPECT_TRUE(std::isinf(*ParseDouble("-inf")));
  EXPECT_TRUE(std::isinf(*ParseLongDouble("+inf")));
  for (const char* bad : {"", " 1", "1 ", "nan", "-nan", "1e999999", "1e-999999", "1.2.3", "abc", "1\t", "."}) {
    EXPECT_FALSE(ParseDouble(bad)) << bad;
    EXPECT_FALSE(ParseLongDouble(bad)) << bad;
  }
  EXPECT_FALSE(
      ParseLongDouble(std::string_view("1\0"
                                       "2",
                                       3)));
  EXPECT_FALSE(ParseLongDouble(std::string(5 * 1024, '1')));
  EXPECT_TRUE(ParseLongDouble(std::string(300, '0') + "1"));
}

TEST(NumbersTest, DoublesPrintWithSeventeenDigits) {
  EXPECT_EQ(FormatDouble(0), "0");
  EXPECT_EQ(FormatDouble(-0.0), "-0");
  EXPECT_EQ(FormatDouble(-12), "-12");
  EXPECT_EQ(FormatDouble(1.1), "1.1000000000000001");
  EXPECT_EQ(FormatDouble(1e20), "1e+20");
  EXPECT_EQ(FormatDouble(4503599627370496.0), "4503599627370496");
  EXPECT_EQ(FormatDouble(-std::numeric_limits<double>::denorm_min()), "-4.9406564584124654e-324");
  EXPECT_EQ(FormatDouble(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(FormatDouble(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(FormatDouble(std::nan("")), "nan");
}

TEST(NumbersTest, LongDoublesPrintForHumans) {
  EXPECT_EQ(FormatLongDouble(3.0L), "3");
  EXPECT_EQ(FormatLongDouble(100.0L), "100");
  EXPECT_EQ(FormatLongDouble(10.6L), "10.6");
  EXPECT_EQ(FormatLongDouble(-0.0L), "0");
  EXPECT_EQ(FormatLongDouble(5.0e3L), "5000");
  EXPECT_EQ(FormatLongDouble(1e-18L), "0");
  EXPECT_EQ(FormatLongDouble(*ParseLongDouble("17179869184") + 1.5L), "17179869185.5");
  EXPECT_GT(FormatLongDouble(std::numeric_limits<long double>::max()).size(), 4900u);
}

}  // namespace
}  // namespace tidemark
