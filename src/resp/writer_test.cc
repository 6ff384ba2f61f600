#include "resp/writer.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace tidemark::resp {
namespace {

std::string Written(int protocol, const std::function<void(Writer&)>& write) {
  Writer writer;
  writer.SetProtocol(protocol);
  write(writer);
  return writer.buffer();
}

struct Case {
  std::string name;
  std::function<void(Writer&)> write;
  std::string resp2;
  std::string resp3;
};

TEST(WriterTest, EveryTypeInBothProtocols) {
  const double infinity = std::numeric_limits<double>::infinity();
  const Case cases[] = {
      {"simple", [](Writer& w) { w.Simple("PONG"); }, "+PONG\r\n", "+PONG\r\n"},
      {"ok", [](Writer& w) { w.Ok(); }, "+OK\r\n", "+OK\r\n"},
      {"error", [](Writer& w) { w.Error("ERR a\r\nb"); }, "-ERR a  b\r\n", "-ERR a  b\r\n"},
      {"integer", [](Writer& w) { w.Integer(std::numeric_limits<int64_t>::min()); }, ":-9223372036854775808\r\n",
       ":-9223372036854775808\r\n"},
      {"bulk", [](Writer& w) { w.Bulk("a\r\nb"); }, "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
      {"empty bulk", [](Writer& w) { w.Bulk(""); }, "$0\r\n\r\n", "$0\r\n\r\n"},
      {"bulk integer", [](Writer& w) { w.BulkInteger(-12); }, "$3\r\n-12\r\n", "$3\r\n-12\r\n"},
      {"null", [](Writer& w) { w.Null(); }, "$-1\r\n", "_\r\n"},
      {"null array", [](Writer& w) { w.NullArray(); }, "*-1\r\n", "_\r\n"},
      {"array", [](Writer& w) { w.Array(12); }, "*12\r\n", "*12\r\n"},
      {"map", [](Writer& w) { w.Map(3); }, "*6\r\n", "%3\r\n"},
      {"set", [](Writer& w) { w.Set(3); }, "*3\r\n", "~3\r\n"},
      {"push", [](Writer& w) { w.Push(3); }, "*3\r\n", ">3\r\n"},
      {"double", [](Writer& w) { w.Double(3.5); }, "$3\r\n3.5\r\n", ",3.5\r\n"},
      {"inf", [=](Writer& w) { w.Double(-infinity); }, "$4\r\n-inf\r\n", ",-inf\r\n"},
      {"human double", [](Writer& w) { w.HumanDouble(5e3L); }, "$4\r\n5000\r\n", ",5000\r\n"},
      {"true", [](Writer& w) { w.Bool(true); }, ":1\r\n", "#t\r\n"},
      {"false", [](Writer& w) { w.Bool(false); }, ":0\r\n", "#f\r\n"},
      {"big number", [](Writer& w) { w.BigNumber("123"); }, "$3\r\n123\r\n", "(123\r\n"},
      {"verbatim", [](Writer& w) { w.Verbatim("txt", "hi"); }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
      {"raw", [](Writer& w) { w.Raw(":7\r\n"); }, ":7\r\n", ":7\r\n"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Written(2, c.write), c.resp2) << c.name;
    EXPECT_EQ(Written(3, c.write), c.resp3) << c.name;
  }
  EXPECT_EQ(Written(3, [](Writer& w) { w.Attribute(1); }), "|1\r\n");
}

TEST(WriterTest, DeferredLengthsNest) {
  const auto write = [](Writer& w) {
    w.Ok();
    const auto outer = w.BeginDeferred(Writer::Kind::kMap);
    w.Bulk("k");
    const auto inner = w.BeginDeferred(Writer::Kind::kArray);
    for (int i = 0; i < 11; ++i) w.Integer(1);
    w.EndDeferred(inner, 11);
    w.EndDeferred(outer, 1);
  };
  std::string ones;
  for (int i = 0; i < 11; ++i) ones += ":1\r\n";
  EXPECT_EQ(Written(2, write), "+OK\r\n*2\r\n$1\r\nk\r\n*11\r\n" + ones);
  EXPECT_EQ(Written(3, write), "+OK\r\n%1\r\n$1\r\nk\r\n*11\r\n" + ones);
}

TEST(WriterTest, TruncateTakesBackAHalfWrittenReply) {
  Writer w;
  w.Ok();
  const size_t mark = w.size();
  w.Array(2);
  w.Bulk("half");
  w.Truncate(mark);
  w.Error("ERR no");
  EXPECT_EQ(w.buffer(), "+OK\r\n-ERR no\r\n");
}

}  // namespace
}  // namespace tidemark::resp
