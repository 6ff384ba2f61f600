// Bits as clients see them: each command against a slow and obvious account of the same bits, and the cases at the
// edges.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "commands/testing.h"

namespace tidemark::commands::testing {
namespace {

constexpr char kWrongType[] = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
constexpr char kSyntax[] = "(error) ERR syntax error";
constexpr char kBadOffset[] = "(error) ERR bit offset is not an integer or out of range";

class BitCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  std::string Run(const std::vector<std::string>& words) { return harness_.Run(words); }
  void MakeHash(std::string_view name) {
    harness_.txn().Begin(true);
    types::Keyspace keys = harness_.keys();
    types::Key key = *keys.Find(name);
    keys.PutCollection(&key, types::Type::kHash, harness_.txn().NewCollectionId(), 1, 0);
    harness_.txn().Commit();
  }
  uint64_t ExpireMs(std::string_view name) { return harness_.keys().Find(name)->expire_ms; }
  size_t touched() { return harness_.txn().touched().size(); }

  Harness harness_{StringCommands(), BitCommands()};
};

std::string RandomBytes(std::mt19937_64& random, size_t length) {
  // Mostly runs of equal bytes, where searches skip.
  std::string bytes(length, random() % 2 == 0 ? '\0' : '\xff');
  for (uint64_t changes = random() % 4; changes > 0 && length > 0; --changes) {
    bytes[random() % length] = static_cast<char>(random());
  }
  return bytes;
}

std::vector<bool> Bits(std::string_view bytes) {
  std::vector<bool> bits;
  for (const char byte : bytes) {
    for (int bit = 7; bit >= 0; --bit) bits.push_back((static_cast<uint8_t>(byte) >> bit & 1) != 0);
  }
  return bits;
}

TEST_F(BitCommandsTest, SetbitGrowsKeepsExpiryAndSaysWhatWas) {
  EXPECT_EQ(Run("SETBIT k 10 1"), "0");
  EXPECT_EQ(Run("GET k"), "\"\\x00 \"");
  Run("GETEX k PXAT 4102444800000");
  EXPECT_EQ(Run("SETBIT k 1 1"), "0");
  EXPECT_EQ(Run("SETBIT k 10 0"), "1");
  EXPECT_EQ(Run("GET k"), "\"@\\x00\"");
  EXPECT_EQ(ExpireMs("k"), 4102444800000u);
  EXPECT_EQ(Run("GETBIT k 1"), "1");
  EXPECT_EQ(Run("GETBIT k 4000000"), "0");
  // A bit that is so already changes nothing and wakes no watcher.
  EXPECT_EQ(Run("SETBIT k 1 1"), "1");
  EXPECT_EQ(touched(), 0u);
  // Growing with zeros is a change.
  EXPECT_EQ(Run("SETBIT k 23 0"), "0");
  EXPECT_EQ(touched(), 1u);
  EXPECT_EQ(Run("STRLEN k"), "3");
}

TEST_F(BitCommandsTest, BadBitsAreRefused) {
  MakeHash("h");
  for (const char* offset : {"-1", "x", "", "4294967296", "9223372036854775807", "#1"}) {
    EXPECT_EQ(Run({"SETBIT", "k", offset, "1"}), kBadOffset) << offset;
    EXPECT_EQ(Run({"GETBIT", "k", offset}), kBadOffset) << offset;
  }
  for (const char* bit : {"2", "-1", "x", ""}) {
    EXPECT_EQ(Run({"SETBIT", "k", "0", bit}), "(error) ERR bit is not an integer or out of range") << bit;
  }
  EXPECT_EQ(Run("SETBIT h 0 1"), kWrongType);
  EXPECT_EQ(Run("GETBIT h 0"), kWrongType);
  EXPECT_EQ(Run("BITCOUNT h"), kWrongType);
  EXPECT_EQ(Run("BITPOS h 1"), kWrongType);
  EXPECT_EQ(Run("GET k"), "nil");
}

// The bits from `start` to `end` as Redis counts them; nothing when there are none.
std::optional<std::pair<size_t, size_t>> Range(int64_t start, int64_t end, int64_t length, size_t scale) {
  if (start < 0) start = std::max<int64_t>(0, start + length);
  if (end < 0) end = std::max<int64_t>(0, end + length);
  end = std::min(end, length - 1);
  if (start > end) return std::nullopt;
  return std::pair(static_cast<size_t>(start) * scale, (static_cast<size_t>(end) + 1) * scale);
}

TEST_F(BitCommandsTest, BitcountAndBitposAgreeWithEveryBit) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 1500; ++round) {
    const std::string bytes = RandomBytes(random, random() % 40);
    const std::vector<bool> bits = Bits(bytes);
    Run({"SET", "k", bytes});
    const bool in_bits = random() % 2 == 0;
    const auto length = static_cast<int64_t>(in_bits ? bits.size() : bytes.size());
    const int64_t start = static_cast<int64_t>(random() % 90) - 45 + (in_bits ? length / 2 : 0);
    const int64_t end = static_cast<int64_t>(random() % 90) - 45 + (in_bits ? length / 2 : 0);
    const bool wanted = random() % 2 == 0;
    const auto range = Range(start, end, length, in_bits ? 1 : 8);
    int64_t count = 0;
    int64_t position = -1;
    for (size_t i = range ? range->first : 0; range && i < range->second; ++i) {
      count += bits[i] ? 1 : 0;
      if (position == -1 && bits[i] == wanted) position = static_cast<int64_t>(i);
    }
    if (start < 0 && end < 0 && start > end) count = 0;
    const std::string words = std::to_string(start) + " " + std::to_string(end) + (in_bits ? " BIT" : " BYTE");
    ASSERT_EQ(Run("BITCOUNT k " + words), std::to_string(count)) << words;
    ASSERT_EQ(Run("BITPOS k " + std::to_string(wanted) + " " + words), std::to_string(position)) << words;
  }
}

TEST_F(BitCommandsTest, BitposWithoutAnEndGoesOnWithZeros) {
  Run({"SET", "ones", "\xff\xff\xff"});
  EXPECT_EQ(Run("BITPOS ones 0"), "24");
  EXPECT_EQ(Run("BITPOS ones 0 1"), "24");
  EXPECT_EQ(Run("BITPOS ones 0 0 -1"), "-1");
  EXPECT_EQ(Run("BITPOS ones 0 3"), "-1");
  EXPECT_EQ(Run("BITPOS absent 0"), "0");
  EXPECT_EQ(Run("BITPOS absent 1"), "-1");
  EXPECT_EQ(Run("BITPOS ones 2"), "(error) ERR The bit argument must be 1 or 0.");
  EXPECT_EQ(Run("BITPOS ones 1 0 1 WORD"), kSyntax);
  EXPECT_EQ(Run("BITCOUNT ones 0"), kSyntax);
  EXPECT_EQ(Run("BITCOUNT ones"), "24");
  EXPECT_EQ(Run("BITCOUNT absent"), "0");
}

TEST_F(BitCommandsTest, BitopAgreesWithEveryByte) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    const std::string a = RandomBytes(random, random() % 30);
    const std::string b = RandomBytes(random, random() % 30);
    Run({"MSET", "a", a, "b", b});
    const size_t length = std::max(a.size(), b.size());
    std::string and_bytes;
    std::string or_bytes;
    std::string xor_bytes;
    for (size_t i = 0; i < length; ++i) {
      const int x = i < a.size() ? a[i] : 0;
      const int y = i < b.size() ? b[i] : 0;
      and_bytes.push_back(static_cast<char>(x & y));
      or_bytes.push_back(static_cast<char>(x | y));
      xor_bytes.push_back(static_cast<char>(x ^ y));
    }
    const auto stored = [&](std::string_view operation) {
      EXPECT_EQ(Run("BITOP " + std::string(operation)), std::to_string(length));
      return std::string(harness_.keys().Find("d")->string);
    };
    ASSERT_EQ(stored("AND d a b"), and_bytes);
    ASSERT_EQ(stored("or d a b absent"), or_bytes);
    ASSERT_EQ(stored("XOR d a b"), xor_bytes);
    ASSERT_EQ(Run("BITOP NOT n a"), std::to_string(a.size()));
    ASSERT_EQ(Run("BITOP NOT n n"), std::to_string(a.size()));
    ASSERT_EQ(harness_.keys().Find("n")->string, a);
  }
}

TEST_F(BitCommandsTest, BitopReplacesItsDestination) {
  Run("MSET a abc d old");
  Run("GETEX d EX 100");
  EXPECT_EQ(Run("BITOP AND d a"), "3");
  EXPECT_EQ(ExpireMs("d"), 0u);
  EXPECT_EQ(Run("BITOP OR d absent nothing"), "0");
  EXPECT_EQ(Run("GET d"), "nil");
  MakeHash("h");
  EXPECT_EQ(Run("BITOP OR a a h"), kWrongType);
  EXPECT_EQ(Run("GET a"), "\"abc\"");
  EXPECT_EQ(Run("BITOP OR h a"), "3");
  EXPECT_EQ(Run("GET h"), "\"abc\"");
  EXPECT_EQ(Run("BITOP NOT d a a"), "(error) ERR BITOP NOT must be called with a single source key.");
  EXPECT_EQ(Run("BITOP NAND d a a"), kSyntax);
}

TEST_F(BitCommandsTest, BitfieldReadsWhatItWroteAtAnyBit) {
  std::mt19937_64 random(13);
  for (unsigned bits = 1; bits <= 64; ++bits) {
    for (const bool is_signed : {true, false}) {
      if (!is_signed && bits == 64) continue;
      const std::string field = (is_signed ? "i" : "u") + std::to_string(bits);
      const std::string offset = std::to_string(random() % 70);
      uint64_t raw = random() >> (64 - bits);
      if (is_signed && bits < 64 && (raw >> (bits - 1) & 1) != 0) raw |= ~uint64_t{0} << bits;
      const std::string value = std::to_string(static_cast<int64_t>(raw));
      const std::string before = RandomBytes(random, 20);
      Run({"SET", "k", before});
      const std::string old = Run("BITFIELD_RO k GET " + field + " " + offset);
      const std::string number = old.substr(1, old.size() - 2);
      EXPECT_EQ(Run("BITFIELD k SET " + field + " " + offset + " " + value + " GET " + field + " " + offset),
                "[" + number + ", " + value + "]");
      // Put back, the neighbours' bits are as they were.
      EXPECT_EQ(Run("BITFIELD k SET " + field + " " + offset + " " + number), "[" + value + "]");
      EXPECT_EQ(harness_.keys().Find("k")->string, before);
    }
  }
}

TEST_F(BitCommandsTest, BitfieldOverflows) {
  EXPECT_EQ(Run("BITFIELD k SET u8 0 255 INCRBY u8 0 1"), "[0, 0]");
  EXPECT_EQ(Run("BITFIELD k OVERFLOW SAT INCRBY u8 0 300 INCRBY u8 0 -999"), "[255, 0]");
  EXPECT_EQ(Run("BITFIELD k OVERFLOW FAIL INCRBY u8 0 -1 INCRBY u8 0 7"), "[nil, 7]");
  EXPECT_EQ(Run("BITFIELD k SET i8 8 127 INCRBY i8 8 1"), "[0, -128]");
  EXPECT_EQ(Run("BITFIELD k OVERFLOW SAT INCRBY i8 8 -1 OVERFLOW WRAP INCRBY i8 8 -1"), "[-128, 127]");
  EXPECT_EQ(Run("BITFIELD k SET i64 64 9223372036854775807 INCRBY i64 64 1"), "[0, -9223372036854775808]");
  EXPECT_EQ(Run("BITFIELD k OVERFLOW SAT INCRBY i64 64 -1"), "[-9223372036854775808]");
  EXPECT_EQ(Run("BITFIELD k OVERFLOW FAIL INCRBY i64 64 -1"), "[nil]");
  EXPECT_EQ(touched(), 0u);
  // A negative number for an unsigned field is a huge one.
  EXPECT_EQ(Run("BITFIELD k SET u8 0 -1 OVERFLOW SAT SET u8 0 -5"), "[7, 255]");
  EXPECT_EQ(Run("BITFIELD k OVERFLOW FAIL SET u8 0 -5 GET u8 0"), "[nil, 255]");
  EXPECT_EQ(Run("BITFIELD k SET u63 #2 9223372036854775807 OVERFLOW SAT INCRBY u63 #2 1"), "[0, 9223372036854775807]");
}

TEST_F(BitCommandsTest, BitfieldPlacesAndExpiry) {
  EXPECT_EQ(Run("BITFIELD k SET u8 #1 65 GET u8 8 GET u8 #0 GET u4 2000"), "[0, 65, 0, 0]");
  Run("GETEX k PXAT 4102444800000");
  EXPECT_EQ(Run("BITFIELD k INCRBY u8 #0 1"), "[1]");
  EXPECT_EQ(ExpireMs("k"), 4102444800000u);
  EXPECT_EQ(Run("GET k"), "\"\\x01A\"");
  EXPECT_EQ(Run("BITFIELD k"), "[]");
  EXPECT_EQ(Run("BITFIELD absent GET u8 0"), "[0]");
  EXPECT_EQ(Run("GET absent"), "nil");
}

TEST_F(BitCommandsTest, ABadWordAnywhereChangesNothing) {
  Run("SET k abc");
  MakeHash("h");
  EXPECT_EQ(Run("BITFIELD k SET u8 0 1 GET u64 0"),
            "(error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
  EXPECT_EQ(Run("BITFIELD k SET u8 0 1 SET u8 -1 1"), kBadOffset);
  EXPECT_EQ(Run("BITFIELD k SET u8 0 1 SET u8 #536870912 1"), kBadOffset);
  EXPECT_EQ(Run("BITFIELD k SET u8 0 1 SET u8 #9223372036854775807 1"), kBadOffset);
  EXPECT_EQ(Run("BITFIELD k SET u8 0 1 OVERFLOW maybe"), "(error) ERR Invalid OVERFLOW type specified");
  EXPECT_EQ(Run("BITFIELD k SET u8 0 1 SET u8 0"), kSyntax);
  EXPECT_EQ(Run("BITFIELD k SET u8 0 1 SET u8 0 x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("BITFIELD_RO k GET u8 0 SET u8 0 1"), "(error) ERR BITFIELD_RO only supports the GET subcommand");
  EXPECT_EQ(Run("BITFIELD h SET u8 0 1"), kWrongType);
  EXPECT_EQ(Run("BITFIELD_RO h GET u8 0"), kWrongType);
  EXPECT_EQ(Run("GET k"), "\"abc\"");
}

}  // namespace
}  // namespace tidemark::commands::testing
