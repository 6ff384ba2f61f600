#include "resp/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

namespace tidemark::resp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Words = std::vector<std::string>;

// A session in small: keeps a buffer, drops what was consumed, notes what came out.
class Stream {
 public:
  explicit Stream(Limits limits = {}) : limits_(limits) {}

  void Send(std::string_view bytes) {
    buffer_ += bytes;
    while (true) {
      size_t consumed = 0;
      const ParseResult result = parser_.Parse(buffer_, limits_, &consumed, &request_);
      if (result == ParseResult::kRequest) requests.emplace_back(request_.args.begin(), request_.args.end());
      if (result == ParseResult::kError) error = parser_.error();
      buffer_.erase(0, consumed);
      if (result != ParseResult::kRequest) return;
    }
  }
  size_t wanted() const { return parser_.BytesWanted(); }
  size_t pending() const { return buffer_.size(); }

  std::vector<Words> requests;
  std::string error;

 private:
  Limits limits_;
  Parser parser_;
  Request request_;
  std::string buffer_;
};

std::string ErrorOf(std::string_view bytes, Limits limits = {}) {
  Stream stream(limits);
  stream.Send(bytes);
  return stream.error;
}

TEST(ParserTest, SameRequestsHoweverTheInputIsCut) {
  const std::string input =
      "*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING \"a b\"\r\n\r\n*0\r\n*-1\r\n "
      "\t\r\n*1\r\n$0\r\n\r\n*2\r\n$4\r\nECHO\r\n$4\r\n\r\n*1\r\n"
      "QUIT\n";
  const std::vector<Words> expected = {{"GET", "k"}, {"PING", "a b"}, {""}, {"ECHO", "\r\n*1"}, {"QUIT"}};
  for (size_t a = 0; a <= input.size(); ++a) {
    for (size_t b = a; b <= input.size(); ++b) {
      Stream stream;
      stream.Send(input.substr(0, a));
      stream.Send(input.substr(a, b - a));
      stream.Send(input.substr(b));
      ASSERT_EQ(stream.requests, expected) << "cut at " << a << " and " << b;
      ASSERT_EQ(stream.error, "");
      ASSERT_EQ(stream.pending(), 0u);
    }
  }
  Stream bytewise;
  for (const char c : input) bytewise.Send({&c, 1});
  EXPECT_EQ(bytewise.requests, expected);
}

TEST(ParserTest, ErrorTextsAreRedis) {
  EXPECT_EQ(ErrorOf("*3000000000\r\n"), "Protocol error: invalid multibulk length");
  EXPECT_EQ(ErrorOf("*1048577\r\n"), "Protocol error: invalid multibulk length");
  for (const char* count : {"*\r\n", "*a\r\n", "*01\r\n", "*+1\r\n", "* 1\r\n", "*99999999999999999999\r\n"}) {
    EXPECT_EQ(ErrorOf(count), "Protocol error: invalid multibulk length") << count;
  }
  EXPECT_EQ(ErrorOf("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n"), "Protocol error: expected '$', got 'f'");
  EXPECT_EQ(ErrorOf("*1\r\n\r\n"), "Protocol error: expected '$', got '\r'");
  for (const char* size : {"-10", "2000000000", "4294967296", "99999999999999999999", "4x", "", "-0"}) {
    EXPECT_EQ(ErrorOf("*1\r\n$" + std::string(size) + "\r\n"), "Protocol error: invalid bulk length") << size;
  }
  EXPECT_EQ(ErrorOf("PING \"a\r\n"), "Protocol error: unbalanced quotes in request");
  EXPECT_EQ(ErrorOf("'"), "");
  EXPECT_EQ(ErrorOf("'\n"), "Protocol error: unbalanced quotes in request");
  const std::string much(70'000, 'x');
  EXPECT_EQ(ErrorOf(much), "Protocol error: too big inline request");
  EXPECT_EQ(ErrorOf(much + "\r\n"), "Protocol error: too big inline request");
  EXPECT_EQ(ErrorOf("*" + much), "Protocol error: too big mbulk count string");
  EXPECT_EQ(ErrorOf("*1\r\n$" + much), "Protocol error: too big bulk count string");
  EXPECT_EQ(ErrorOf(std::string(70'000, '\0')), "Protocol error: too big inline request");
}

TEST(ParserTest, RequestsBeforeAnErrorAreServedAndNothingAfterIt) {
  Stream stream;
  stream.Send("PING\r\n*x\r\nPING\r\n");
  stream.Send("PING\r\n");
  EXPECT_THAT(stream.requests, ElementsAre(Words{"PING"}));
  EXPECT_EQ(stream.error, "Protocol error: invalid multibulk length");
}

TEST(ParserTest, UnauthenticatedClientsGetSmallLimits) {
  Limits limits;
  limits.authenticated = false;
  EXPECT_EQ(ErrorOf("*11\r\n", limits), "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(ErrorOf("*10\r\n$16385\r\n", limits), "Protocol error: unauthenticated bulk length");
  EXPECT_EQ(ErrorOf("*10\r\n$16384\r\n", limits), "");
}

TEST(ParserTest, BulkLimitIsConfigurable) {
  Limits limits;
  limits.max_bulk = 10;
  EXPECT_EQ(ErrorOf("*1\r\n$11\r\n", limits), "Protocol error: invalid bulk length");
  EXPECT_EQ(ErrorOf("*1\r\n$10\r\n", limits), "");
}

TEST(ParserTest, SaysHowMuchIsMissing) {
  Stream stream;
  stream.Send("*2\r\n$3\r\nGET\r\n$1000\r\nabc");
  EXPECT_EQ(stream.wanted(), 999u);
  stream.Send(std::string(997, 'x'));
  EXPECT_EQ(stream.wanted(), 2u);
  stream.Send("\r\n");
  EXPECT_THAT(stream.requests, ElementsAre(Words{"GET", "abc" + std::string(997, 'x')}));
  EXPECT_EQ(stream.wanted(), 1u);
}

TEST(ParserTest, TheBytesBehindABulkAreNotLookedAt) {
  Stream stream;
  stream.Send("*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPONG\r\n");
  EXPECT_THAT(stream.requests, ElementsAre(Words{"PING"}, Words{"PONG"}));
}

TEST(ParserTest, InputMayMoveBetweenCalls) {
  Parser parser;
  Request request;
  size_t consumed = 0;
  const std::string whole = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
  for (size_t cut = 1; cut < whole.size(); ++cut) {
    const std::string first = whole.substr(0, cut);
    ASSERT_EQ(parser.Parse(first, {}, &consumed, &request), ParseResult::kIncomplete);
    ASSERT_EQ(consumed, 0u);
    const std::string second = whole;
    ASSERT_EQ(parser.Parse(second, {}, &consumed, &request), ParseResult::kRequest);
    ASSERT_EQ(consumed, whole.size());
    ASSERT_THAT(request.args, ElementsAre("GET", "key"));
    ASSERT_GE(request.args[1].data(), second.data());
    ASSERT_LT(request.args[1].data(), second.data() + second.size());
  }
}

// Feeds a command piece by piece, from one buffer, so that only the parser's own work is counted.
std::chrono::nanoseconds TimePieces(const std::string& command, size_t piece) {
  Parser parser;
  Request request;
  size_t consumed = 0;
  const auto start = std::chrono::steady_clock::now();
  for (size_t end = piece; end < command.size(); end += piece) {
    EXPECT_EQ(parser.Parse(std::string_view(command).substr(0, end), {}, &consumed, &request),
              ParseResult::kIncomplete);
  }
  EXPECT_EQ(parser.Parse(command, {}, &consumed, &request), ParseResult::kRequest);
  return std::chrono::steady_clock::now() - start;
}

// Rescanning would take minutes here; once through takes milliseconds.
TEST(ParserTest, PiecesAreNotScannedAgain) {
  std::string large = "*2\r\n$3\r\nGET\r\n$33554432\r\n";
  large.append(32 << 20, 'x').append("\r\n");
  EXPECT_LT(TimePieces(large, 512), std::chrono::seconds(5));

  std::string many = "*100000\r\n";
  for (int i = 0; i < 100'000; ++i) many += "$1\r\nx\r\n";
  EXPECT_LT(TimePieces(many, 16), std::chrono::seconds(5));

  std::string line(64 << 10, 'x');
  line += '\n';
  EXPECT_LT(TimePieces(line, 1), std::chrono::seconds(5));
}

TEST(ParserTest, AClaimCostsNothing) {
  Parser parser;
  Request request;
  size_t consumed = 0;
  ASSERT_EQ(parser.Parse("*1048576\r\n$536870912\r\n", {}, &consumed, &request), ParseResult::kIncomplete);
  EXPECT_EQ(request.args.capacity(), 0u);
  EXPECT_EQ(parser.BytesWanted(), 536870914u);
}

TEST(ParserTest, GarbageNeverCrashes) {
  std::mt19937 random(11);
  const std::string alphabet = std::string("*$\r\n-019aPING \"'\\x\0", 20);
  for (int round = 0; round < 20'000; ++round) {
    Stream stream;
    for (int piece = 0; piece < 4; ++piece) {
      std::string bytes(random() % 12, ' ');
      for (char& c : bytes) c = alphabet[random() % alphabet.size()];
      stream.Send(bytes);
    }
    for (const Words& words : stream.requests) ASSERT_FALSE(words.empty());
  }
}

}  // namespace
}  // namespace tidemark::resp
