#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "commands/data_families.h"
#include "commands/testing.h"
#include "types/zset.h"

namespace tidemark::commands {
namespace {

constexpr const char* kNone = "[]";

class ZsetCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  testing::Harness harness_{{ZsetCommands(), GeoCommands(), SetCommands(), KeyCommands(), StringCommands()}};
};

TEST_F(ZsetCommandsTest, ZAddCountsAndKeepsToItsOptions) {
  EXPECT_EQ(Run("ZADD z 1 a 2 b"), "2");
  EXPECT_EQ(Run("ZADD z 3 a 2 b 4 c"), "1");
  EXPECT_EQ(Run("ZADD z CH 5 a 2 b 6 d"), "2");
  EXPECT_EQ(Run("ZADD z NX 9 a 9 e"), "1");
  EXPECT_EQ(Run("ZADD z XX CH 7 a 9 f"), "1");
  EXPECT_EQ(Run("ZADD z GT CH 6 a 10 b"), "1");
  EXPECT_EQ(Run("ZADD z LT CH 6 a 11 b 3 new"), "2");
  EXPECT_EQ(Run("ZRANGE z 0 -1 WITHSCORES"),
            "[\"new\", \"3\", \"c\", \"4\", \"a\", \"6\", \"d\", \"6\", \"e\", \"9\", \"b\", \"10\"]");
  EXPECT_EQ(Run("ZADD z INCR 1.5 a"), "\"7.5\"");
  EXPECT_EQ(Run("ZADD z NX INCR 1 a"), "nil");
  EXPECT_EQ(Run("ZADD z GT INCR -1 a"), "nil");
  EXPECT_EQ(Run("ZADD none XX 1 a"), "0");
  EXPECT_EQ(Run("EXISTS none"), "0");
  EXPECT_EQ(Run("ZINCRBY z -7.5 a"), "\"0\"");
  EXPECT_EQ(Run("ZINCRBY z 1 fresh"), "\"1\"");
  EXPECT_EQ(Run("ZCARD z"), "7");
}

TEST_F(ZsetCommandsTest, ZAddRefusesWhatDoesNotFit) {
  const std::string float_error = "(error) ERR value is not a valid float";
  EXPECT_EQ(Run("ZADD z 1"), "(error) ERR wrong number of arguments for 'zadd' command");
  EXPECT_EQ(Run("ZADD z 1 a 2"), "(error) ERR syntax error");
  EXPECT_EQ(Run("ZADD z nx ch"), "(error) ERR syntax error");
  EXPECT_EQ(Run("ZADD z x a"), float_error);
  EXPECT_EQ(Run("ZADD z nan a"), float_error);
  EXPECT_EQ(Run("ZADD z 1 a nan b"), float_error);
  EXPECT_EQ(Run("EXISTS z"), "0");
  EXPECT_EQ(Run("ZADD z NX XX 1 a"), "(error) ERR XX and NX options at the same time are not compatible");
  EXPECT_EQ(Run("ZADD z GT LT 1 a"), "(error) ERR GT, LT, and/or NX options at the same time are not compatible");
  EXPECT_EQ(Run("ZADD z INCR 1 a 2 b"), "(error) ERR INCR option supports a single increment-element pair");
  Run("ZADD z inf a");
  EXPECT_EQ(Run("ZINCRBY z -inf a"), "(error) ERR resulting score is not a number (NaN)");
  Run("SET s 1");
  for (const char* command :
       {"ZADD s 1 a", "ZRANGE s 0 -1", "ZSCORE s a", "ZPOPMIN s", "ZUNION 1 s", "ZRANGESTORE d s 0 1"}) {
    EXPECT_EQ(Run(command), "(error) WRONGTYPE Operation against a key holding the wrong kind of value") << command;
  }
}

TEST_F(ZsetCommandsTest, ScoresAreSpelledAsRedisSpellsThem) {
  Run("ZADD z 0.1 a 3 b -inf c 1e300 d -0 e");
  EXPECT_EQ(Run("ZMSCORE z a b c d e f"),
            "[\"0.10000000000000001\", \"3\", \"-inf\", \"1.0000000000000001e+300\", \"0\", nil]");
  EXPECT_EQ(Run("ZRANGE z 1 1 WITHSCORES"), "[\"e\", \"0\"]");
  harness_.client().protocol = 3;
  EXPECT_EQ(Run("ZSCORE z a"), ",0.10000000000000001");
  EXPECT_EQ(Run("ZSCORE z none"), "nil");
  EXPECT_EQ(Run("ZRANGE z 2 3 WITHSCORES"), "[[\"a\", ,0.10000000000000001], [\"b\", ,3]]");
  EXPECT_EQ(Run("ZPOPMIN z"), "[\"c\", ,-inf]");
  EXPECT_EQ(Run("ZPOPMIN z 1"), "[[\"e\", ,0]]");
}

TEST_F(ZsetCommandsTest, RanksCountFromBothEnds) {
  Run("ZADD z 1 a 2 b 2 c 3 d");
  EXPECT_EQ(Run("ZRANK z a"), "0");
  EXPECT_EQ(Run("ZRANK z c"), "2");
  EXPECT_EQ(Run("ZREVRANK z c"), "1");
  EXPECT_EQ(Run("ZRANK z none"), "nil");
  EXPECT_EQ(Run("ZRANK none a"), "nil");
}

TEST_F(ZsetCommandsTest, RangesByRankScoreAndAlphabet) {
  Run("ZADD z 1 a 2 b 3 c 4 d 5 e");
  EXPECT_EQ(Run("ZRANGE z 1 -2"), "[\"b\", \"c\", \"d\"]");
  EXPECT_EQ(Run("ZRANGE z 1 -2 REV"), "[\"d\", \"c\", \"b\"]");
  EXPECT_EQ(Run("ZREVRANGE z 0 1 WITHSCORES"), "[\"e\", \"5\", \"d\", \"4\"]");
  EXPECT_EQ(Run("ZRANGE z 3 1"), kNone);
  EXPECT_EQ(Run("ZRANGE z 9 10"), kNone);
  EXPECT_EQ(Run("ZRANGE z -100 0"), "[\"a\"]");
  EXPECT_EQ(Run("ZRANGEBYSCORE z (1 3"), "[\"b\", \"c\"]");
  EXPECT_EQ(Run("ZRANGEBYSCORE z -inf +inf LIMIT 1 2"), "[\"b\", \"c\"]");
  EXPECT_EQ(Run("ZRANGEBYSCORE z -inf +inf LIMIT 2 -1"), "[\"c\", \"d\", \"e\"]");
  EXPECT_EQ(Run("ZRANGEBYSCORE z -inf +inf LIMIT -1 5"), kNone);
  EXPECT_EQ(Run("ZREVRANGEBYSCORE z 4 (2 WITHSCORES"), "[\"d\", \"4\", \"c\", \"3\"]");
  EXPECT_EQ(Run("ZRANGE z 4 (2 BYSCORE REV LIMIT 1 1"), "[\"c\"]");
  EXPECT_EQ(Run("ZCOUNT z (1 4"), "3");
  EXPECT_EQ(Run("ZCOUNT z 4 1"), "0");
  Run("ZADD lex 0 alpha 0 bar 0 cool 0 down 0 elephant");
  EXPECT_EQ(Run("ZRANGEBYLEX lex - [cool"), "[\"alpha\", \"bar\", \"cool\"]");
  EXPECT_EQ(Run("ZRANGEBYLEX lex (bar (down"), "[\"cool\"]");
  EXPECT_EQ(Run("ZREVRANGEBYLEX lex + [d"), "[\"elephant\", \"down\"]");
  EXPECT_EQ(Run("ZRANGEBYLEX lex + -"), kNone);
  EXPECT_EQ(Run("ZRANGE lex - + BYLEX LIMIT 1 2"), "[\"bar\", \"cool\"]");
  EXPECT_EQ(Run("ZLEXCOUNT lex [b +"), "4");
  EXPECT_EQ(Run("ZLEXCOUNT lex - ("), "0");
}

TEST_F(ZsetCommandsTest, RangesRefuseWhatDoesNotFit) {
  EXPECT_EQ(Run("ZRANGE z 0 a"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("ZRANGEBYSCORE z (x 1"), "(error) ERR min or max is not a float");
  EXPECT_EQ(Run("ZCOUNT z 1 nan"), "(error) ERR min or max is not a float");
  EXPECT_EQ(Run("ZRANGEBYLEX z a b"), "(error) ERR min or max not valid string range item");
  EXPECT_EQ(Run("ZRANGE z 0 1 LIMIT 0 1"),
            "(error) ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
  EXPECT_EQ(Run("ZRANGE z - + BYLEX WITHSCORES"),
            "(error) ERR syntax error, WITHSCORES not supported in combination with BYLEX");
  EXPECT_EQ(Run("ZREVRANGE z 0 1 REV"), "(error) ERR syntax error");
  EXPECT_EQ(Run("ZRANGESTORE d z 0 1 WITHSCORES"), "(error) ERR syntax error");
}

TEST_F(ZsetCommandsTest, RangesAreStoredAndRemoved) {
  Run("ZADD z 1 a 2 b 3 c 4 d 5 e");
  EXPECT_EQ(Run("ZRANGESTORE d z 1 2"), "2");
  EXPECT_EQ(Run("ZRANGE d 0 -1 WITHSCORES"), "[\"b\", \"2\", \"c\", \"3\"]");
  Run("SET string value");
  EXPECT_EQ(Run("ZRANGESTORE string z 2 (5 BYSCORE LIMIT 1 9"), "2");
  EXPECT_EQ(Run("TYPE string"), "zset");
  EXPECT_EQ(Run("ZRANGESTORE z z 0 0 REV"), "1");
  EXPECT_EQ(Run("ZRANGE z 0 -1"), "[\"e\"]");
  EXPECT_EQ(Run("ZRANGESTORE d none 0 -1"), "0");
  EXPECT_EQ(Run("EXISTS d"), "0");
  Run("ZADD r 1 a 2 b 3 c 4 d 5 e 6 f 7 g");
  EXPECT_EQ(Run("ZREMRANGEBYRANK r 0 1"), "2");
  EXPECT_EQ(Run("ZREMRANGEBYSCORE r (3 5"), "2");
  EXPECT_EQ(Run("ZRANGE r 0 -1"), "[\"c\", \"f\", \"g\"]");
  EXPECT_EQ(Run("ZREMRANGEBYLEX r [x +"), "0");
  EXPECT_EQ(Run("ZREMRANGEBYRANK r 0 -1"), "3");
  EXPECT_EQ(Run("EXISTS r"), "0");
}

TEST_F(ZsetCommandsTest, PopsTakeFromTheEnds) {
  Run("ZADD z 1 a 2 b 3 c 4 d");
  EXPECT_EQ(Run("ZPOPMIN z"), "[\"a\", \"1\"]");
  EXPECT_EQ(Run("ZPOPMAX z 2"), "[\"d\", \"4\", \"c\", \"3\"]");
  EXPECT_EQ(Run("ZPOPMIN z 0"), kNone);
  EXPECT_EQ(Run("ZPOPMIN z -1"), "(error) ERR value is out of range, must be positive");
  EXPECT_EQ(Run("ZPOPMIN z 1 2"), "(error) ERR syntax error");
  EXPECT_EQ(Run("ZMPOP 2 none z MIN COUNT 5"), "[\"z\", [[\"b\", \"2\"]]]");
  EXPECT_EQ(Run("EXISTS z"), "0");
  EXPECT_EQ(Run("ZMPOP 1 z MAX"), "nil");
  EXPECT_EQ(Run("ZMPOP 0 z MAX"), "(error) ERR numkeys should be greater than 0");
  EXPECT_EQ(Run("ZMPOP 2 z MAX"), "(error) ERR syntax error");
  EXPECT_EQ(Run("ZMPOP 1 z MAX COUNT 0"), "(error) ERR count should be greater than 0");
  EXPECT_EQ(Run("ZMPOP 1 z MAX COUNT 1 COUNT 2"), "(error) ERR syntax error");
}

// Where nobody may wait (EXEC, scripts), a set without members answers at once.
TEST_F(ZsetCommandsTest, BlockingPopsAnswerAtOnceWhereTheyCan) {
  Run("ZADD z 1 a 2 b 3 c");
  EXPECT_EQ(Run("BZPOPMIN none z 0"), "[\"z\", \"a\", \"1\"]");
  EXPECT_EQ(Run("BZPOPMAX z 0"), "[\"z\", \"c\", \"3\"]");
  EXPECT_EQ(Run("BZMPOP 0.1 1 z MIN COUNT 9"), "[\"z\", [[\"b\", \"2\"]]]");
  EXPECT_EQ(Run("BZPOPMIN z 0"), "nil");
  EXPECT_EQ(Run("BZMPOP 0 1 z MIN"), "nil");
  EXPECT_EQ(Run("BZPOPMIN z -1"), "(error) ERR timeout is negative");
  EXPECT_EQ(Run("BZPOPMIN z x"), "(error) ERR timeout is not a float or out of range");
}

TEST_F(ZsetCommandsTest, SetAlgebra) {
  Run("ZADD a 1 x 2 y 3 z");
  Run("ZADD b 10 y 20 z 30 w");
  EXPECT_EQ(Run("ZUNION 2 a b WITHSCORES"), "[\"x\", \"1\", \"y\", \"12\", \"z\", \"23\", \"w\", \"30\"]");
  EXPECT_EQ(Run("ZINTER 2 a b WEIGHTS 2 1 AGGREGATE MAX WITHSCORES"), "[\"y\", \"10\", \"z\", \"20\"]");
  EXPECT_EQ(Run("ZDIFF 2 a b WITHSCORES"), "[\"x\", \"1\"]");
  EXPECT_EQ(Run("ZINTERCARD 2 a b"), "2");
  EXPECT_EQ(Run("ZINTERCARD 2 a b LIMIT 1"), "1");
  EXPECT_EQ(Run("ZUNIONSTORE d 2 a b AGGREGATE MIN"), "4");
  EXPECT_EQ(Run("ZRANGE d 0 -1 WITHSCORES"), "[\"x\", \"1\", \"y\", \"2\", \"z\", \"3\", \"w\", \"30\"]");
  EXPECT_EQ(Run("ZINTERSTORE d 2 a none"), "0");
  EXPECT_EQ(Run("EXISTS d"), "0");
  EXPECT_EQ(Run("ZDIFFSTORE a 2 a b"), "1");
  EXPECT_EQ(Run("ZRANGE a 0 -1"), "[\"x\"]");
  Run("SADD set x v");
  EXPECT_EQ(Run("ZUNION 2 a set WEIGHTS 2 3 WITHSCORES"), "[\"v\", \"3\", \"x\", \"5\"]");
  EXPECT_EQ(Run("ZINTERSTORE d 2 a set"), "1");
  EXPECT_EQ(Run("ZUNIONSTORE d 0 a"), "(error) ERR at least 1 input key is needed for 'zunionstore' command");
  EXPECT_EQ(Run("ZUNION 3 a b"), "(error) ERR syntax error");
  EXPECT_EQ(Run("ZUNION 1 a WEIGHTS x"), "(error) ERR weight value is not a float");
  EXPECT_EQ(Run("ZDIFF 1 a WEIGHTS 1"), "(error) ERR syntax error");
  EXPECT_EQ(Run("ZINTERCARD 1 a LIMIT -1"), "(error) ERR LIMIT can't be negative");
}

TEST_F(ZsetCommandsTest, RandomMembersAreMembers) {
  Run("ZADD z 1 a 2 b 3 c");
  const std::set<std::string> members{"\"a\"", "\"b\"", "\"c\""};
  EXPECT_TRUE(members.contains(Run("ZRANDMEMBER z")));
  EXPECT_EQ(Run("ZRANDMEMBER z 10 WITHSCORES").size(),
            std::string("[\"a\", \"1\", \"b\", \"2\", \"c\", \"3\"]").size());
  EXPECT_EQ(Run("ZRANDMEMBER none"), "nil");
  EXPECT_EQ(Run("ZRANDMEMBER none 3"), kNone);
  EXPECT_EQ(Run("ZRANDMEMBER z 0"), kNone);
  EXPECT_EQ(Run("ZRANDMEMBER z 1 x"), "(error) ERR syntax error");
}

// The same questions to a set with an index as to one without.
TEST_F(ZsetCommandsTest, LargeSetsAnswerAsSmallOnes) {
  std::vector<std::string> add{"ZADD", "z"};
  for (int i = 0; i < 3000; ++i) {
    add.push_back(std::to_string(i * 7 % 3000));
    add.push_back("m" + std::to_string(i * 7 % 3000));
  }
  EXPECT_EQ(harness_.Run(add), "3000");
  EXPECT_EQ(Run("ZRANK z m2345"), "2345");
  EXPECT_EQ(Run("ZREVRANK z m2345"), "654");
  EXPECT_EQ(Run("ZRANGE z 1500 1501"), "[\"m1500\", \"m1501\"]");
  EXPECT_EQ(Run("ZREVRANGE z 1500 1501"), "[\"m1499\", \"m1498\"]");
  EXPECT_EQ(Run("ZCOUNT z (1000 2000"), "1000");
  EXPECT_EQ(Run("ZRANGEBYSCORE z 100 2900 LIMIT 1000 1"), "[\"m1100\"]");
  EXPECT_EQ(Run("ZREVRANGEBYSCORE z 2900 100 LIMIT 1000 1"), "[\"m1900\"]");
  EXPECT_EQ(Run("ZREMRANGEBYRANK z 10 2989"), "2980");
  EXPECT_EQ(Run("ZRANK z m2990"), "10");
}

TEST_F(ZsetCommandsTest, DumpAndRestoreKeepScoresAndRanks) {
  std::vector<std::string> add{"ZADD", "z", "-inf", "first", "0.1", "tenth"};
  for (int i = 1; i < 1000; ++i) {
    add.push_back(std::to_string(i));
    add.push_back("m" + std::to_string(i));
  }
  harness_.Run(add);
  const std::string dump = harness_.RunRaw({"DUMP", "z"});
  const size_t begin = dump.find("\r\n") + 2;
  EXPECT_EQ(harness_.Run({"RESTORE", "copy", "0", dump.substr(begin, dump.size() - begin - 2)}), "OK");
  EXPECT_EQ(Run("ZRANGE copy 0 -1 WITHSCORES"), Run("ZRANGE z 0 -1 WITHSCORES"));
  EXPECT_EQ(Run("ZRANK copy m700"), "701");
  EXPECT_EQ(Run("ZADD copy 700.5 new"), "1");
  EXPECT_EQ(Run("ZRANK copy m701"), "703");
}

TEST_F(ZsetCommandsTest, ZScanVisitsEveryMemberOnce) {
  std::map<std::string, int> seen;
  for (int i = 0; i < 100; ++i) Run("ZADD z 1 m" + std::to_string(i));
  EXPECT_THAT(Run("ZSCAN z 0 COUNT 200"), ::testing::StartsWith("[\"0\", ["));
  EXPECT_EQ(Run("ZSCAN z 0 COUNT 200 MATCH m42"), "[\"0\", [\"m42\", \"1\"]]");
  EXPECT_EQ(Run("ZSCAN none 0"), "[\"0\", []]");
}

TEST_F(ZsetCommandsTest, PlacesAreFoundAroundAPoint) {
  EXPECT_EQ(Run("GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"), "2");
  EXPECT_EQ(Run("GEODIST Sicily Palermo Catania"), "\"166274.1516\"");
  EXPECT_EQ(Run("GEODIST Sicily Palermo Catania km"), "\"166.2742\"");
  EXPECT_EQ(Run("GEODIST Sicily Palermo none"), "nil");
  EXPECT_EQ(Run("GEOHASH Sicily Palermo none Catania"), "[\"sqc8b49rny0\", nil, \"sqdtr74hyu0\"]");
  EXPECT_EQ(Run("GEOPOS Sicily Palermo none"), "[[\"13.36138933897018433\", \"38.11555639549629859\"], nil]");
  EXPECT_EQ(Run("GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC"), "[\"Catania\", \"Palermo\"]");
  EXPECT_EQ(Run("GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 400 400 km DESC WITHDIST"),
            "[[\"Palermo\", \"190.4424\"], [\"Catania\", \"56.4413\"]]");
  EXPECT_EQ(Run("GEORADIUS Sicily 15 37 100 km WITHHASH WITHCOORD"),
            "[[\"Catania\", 3479447370796909, [\"15.08726745843887329\", \"37.50266842333162032\"]]]");
  EXPECT_EQ(Run("GEORADIUSBYMEMBER_RO Sicily Palermo 200 km COUNT 1"), "[\"Palermo\"]");
  EXPECT_EQ(Run("GEOSEARCHSTORE near Sicily FROMMEMBER Palermo BYRADIUS 200 km STOREDIST"), "2");
  EXPECT_EQ(Run("ZRANGE near 0 -1 WITHSCORES"), "[\"Palermo\", \"0\", \"Catania\", \"166.27415156960032\"]");
  EXPECT_EQ(Run("GEORADIUS Sicily 0 0 1 m STORE near"), "0");
  EXPECT_EQ(Run("EXISTS near"), "0");
}

TEST_F(ZsetCommandsTest, GeoRefusesWhatDoesNotFit) {
  Run("GEOADD g 1 1 a");
  EXPECT_EQ(Run("GEOADD g 200 10 a"), "(error) ERR invalid longitude,latitude pair 200.000000,10.000000");
  EXPECT_EQ(Run("GEOADD g x 10 a"), "(error) ERR value is not a valid float");
  EXPECT_EQ(Run("GEOADD g NX XX 1 1 a"), "(error) ERR syntax error");
  EXPECT_EQ(Run("GEODIST g a a mm"), "(error) ERR unsupported unit provided. please use M, KM, FT, MI");
  EXPECT_EQ(Run("GEORADIUS g 1 1 x km"), "(error) ERR need numeric radius");
  EXPECT_EQ(Run("GEORADIUS g 1 1 -1 km"), "(error) ERR radius cannot be negative");
  EXPECT_EQ(Run("GEORADIUS g 1 1 1 km COUNT 0"), "(error) ERR COUNT must be > 0");
  EXPECT_EQ(Run("GEORADIUS g 1 1 1 km ANY"), "(error) ERR the ANY argument requires COUNT argument");
  EXPECT_EQ(Run("GEORADIUS_RO g 1 1 1 km STORE x"), "(error) ERR syntax error");
  EXPECT_EQ(Run("GEORADIUS g 1 1 1 km WITHDIST STORE x"),
            "(error) ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
  EXPECT_EQ(Run("GEORADIUSBYMEMBER g none 1 km"), "(error) ERR could not decode requested zset member");
  EXPECT_EQ(Run("GEOSEARCH g FROMMEMBER a ASC WITHDIST WITHHASH"),
            "(error) ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH");
  EXPECT_EQ(Run("GEOSEARCH g BYRADIUS 1 km ASC WITHDIST"),
            "(error) ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH");
}

}  // namespace
}  // namespace tidemark::commands
