#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "commands/data_families.h"
#include "commands/server.h"
#include "commands/testing.h"
#include "config/config.h"

namespace tidemark::commands {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// Commands on keys look at a server's configuration and at nothing else of it.
class ConfiguredServer {
 public:
  Server* get() { return &server_; }
  config::Config& config() { return config_; }

 private:
  template <typename T>
  T& Nothing() {
    return *reinterpret_cast<T*>(nothing_);
  }
  alignas(std::max_align_t) std::byte nothing_[4096] = {};
  config::Config config_;
  Server server_{.engine = Nothing<engine::Engine>(),
                 .config = config_,
                 .clients = Nothing<ClientRegistry>(),
                 .pubsub = Nothing<Pubsub>(),
                 .watches = Nothing<WatchTable>(),
                 .slowlog = Nothing<Slowlog>(),
                 .latency = Nothing<LatencyMonitor>(),
                 .stats = Nothing<CommandStats>(),
                 .tasks = Nothing<backup::Tasks>(),
                 .replication = Nothing<replication::Replication>(),
                 .host = Nothing<Host>(),
                 .run_id = {},
                 .cluster_id = {},
                 .executable = {}};
};

class KeyCommandsTest : public ::testing::Test {
 protected:
  KeyCommandsTest() { harness_.set_server(server_.get()); }

  std::string Run(std::string_view line) { return harness_.Run(line); }
  void SetString(std::string_view name, std::string_view value) {
    harness_.txn().Begin(true);
    types::Keyspace keys = harness_.keys();
    types::Key key = keys.Find(name).value();
    keys.PutString(&key, value, 0);
  }
  std::string GetString(std::string_view name) {
    const types::Key key = harness_.keys().Find(name).value();
    return std::string(key.string);
  }
  void Select(uint16_t db) { harness_.client().db = DbIndex{db}; }
  kv::DbState Db(uint16_t db) { return harness_.txn().db(DbIndex{db}); }
  void Pass(uint64_t ms) { harness_.txn().set_now_ms(harness_.txn().now_ms() + ms); }
  // Rows of one space, among them those that the sweeper has yet to remove.
  size_t Rows(types::RowSpace space) {
    size_t rows = 0;
    for (const auto& [row, value] : harness_.txn().rows()) rows += row[0] == static_cast<char>(space) ? 1 : 0;
    return rows;
  }

  ConfiguredServer server_;
  testing::Harness harness_{{KeyCommands(), HashCommands(), SetCommands()}};
};

TEST_F(KeyCommandsTest, DelAndExistsCountKeys) {
  SetString("a", "1");
  Run("HSET h f v");
  EXPECT_EQ(Run("EXISTS a a h x"), "3");
  EXPECT_EQ(Run("TOUCH a x"), "1");
  EXPECT_EQ(Run("DEL a a x"), "1");
  EXPECT_EQ(Run("UNLINK h x"), "1");
  EXPECT_EQ(Run("DBSIZE"), "0");
  EXPECT_EQ(Rows(types::RowSpace::kDead), 1U);
}

TEST_F(KeyCommandsTest, AnExpiredKeyIsGoneForEveryone) {
  SetString("a", "1");
  SetString("b", "2");
  Run("PEXPIRE a 10");
  Pass(10);
  EXPECT_EQ(Run("EXISTS a"), "0");
  EXPECT_EQ(Run("TYPE a"), "none");
  EXPECT_EQ(Run("TTL a"), "-2");
  EXPECT_EQ(Run("KEYS *"), R"(["b"])");
  EXPECT_EQ(Run("RENAME a c"), "(error) ERR no such key");
  EXPECT_EQ(Run("DEL a"), "0");
  EXPECT_EQ(Rows(types::RowSpace::kExpiry), 0U);
}

TEST_F(KeyCommandsTest, Type) {
  SetString("s", "1");
  Run("HSET h f v");
  EXPECT_EQ(Run("TYPE s"), "string");
  EXPECT_EQ(Run("TYPE h"), "hash");
  EXPECT_EQ(Run("TYPE x"), "none");
}

TEST_F(KeyCommandsTest, RenameTakesValueAndExpiryOverACollection) {
  Run("HSET h f v");
  Run("HSET other x y z w");
  Run("PEXPIRE h 5000");
  Run("PEXPIRE other 9000");
  EXPECT_EQ(Run("RENAME h other"), "OK");
  EXPECT_THAT(harness_.txn().touched(), ElementsAre(Pair(DbIndex{0}, "h"), Pair(DbIndex{0}, "other")));
  EXPECT_EQ(Run("HGETALL other"), R"(["f", "v"])");
  EXPECT_EQ(Run("PTTL other"), "5000");
  EXPECT_EQ(Run("EXISTS h"), "0");
  EXPECT_EQ(Db(0).keys, 1);
  EXPECT_EQ(Db(0).expires, 1);
  EXPECT_EQ(Rows(types::RowSpace::kExpiry), 1U);
  EXPECT_EQ(Rows(types::RowSpace::kDead), 1U);
}

TEST_F(KeyCommandsTest, RenameToItselfAndOfNothing) {
  SetString("a", "1");
  EXPECT_EQ(Run("RENAME a a"), "OK");
  EXPECT_EQ(Run("RENAMENX a a"), "0");
  EXPECT_EQ(Run("RENAME x x"), "(error) ERR no such key");
  EXPECT_EQ(Run("RENAMENX x y"), "(error) ERR no such key");
  SetString("b", "2");
  EXPECT_EQ(Run("RENAMENX a b"), "0");
  EXPECT_EQ(Run("RENAMENX a c"), "1");
  EXPECT_EQ(GetString("c"), "1");
}

TEST_F(KeyCommandsTest, RenameOntoAnExpiredKey) {
  Run("HSET old f v");
  Run("PEXPIRE old 10");
  SetString("a", "1");
  Pass(10);
  EXPECT_EQ(Run("RENAMENX a old"), "1");
  EXPECT_EQ(GetString("old"), "1");
  EXPECT_EQ(Run("TTL old"), "-1");
  EXPECT_EQ(Db(0).keys, 1);
  EXPECT_EQ(Db(0).expires, 0);
  EXPECT_EQ(Rows(types::RowSpace::kDead), 1U);
}

TEST_F(KeyCommandsTest, CopyIsIndependentOfItsSource) {
  Run("HSET h a 1 b 2");
  Run("PEXPIRE h 5000");
  EXPECT_EQ(Run("COPY h c"), "1");
  Run("HSET h a 9");
  Run("HDEL h b");
  EXPECT_EQ(Run("HGET c a"), "\"1\"");
  EXPECT_EQ(Run("HGET c b"), "\"2\"");
  EXPECT_EQ(Run("HLEN c"), "2");
  EXPECT_EQ(Run("PTTL c"), "5000");
  EXPECT_EQ(Run("COPY h c"), "0");
  EXPECT_EQ(Run("COPY h c REPLACE"), "1");
  EXPECT_EQ(Run("HGETALL c"), R"(["a", "9"])");
  EXPECT_EQ(Run("COPY x c REPLACE"), "0");
}

TEST_F(KeyCommandsTest, CopyOfMoreFieldsThanAPage) {
  std::vector<std::string> words = {"HSET", "h"};
  for (int i = 0; i < 2500; ++i) words.insert(words.end(), {fmt::format("f{}", i), fmt::format("v{}", i)});
  harness_.Run(words);
  EXPECT_EQ(Run("COPY h c DB 1"), "1");
  EXPECT_EQ(Run("DEL h"), "1");
  Select(1);
  EXPECT_EQ(Run("HLEN c"), "2500");
  for (int i = 0; i < 2500; i += 7) EXPECT_EQ(Run(fmt::format("HGET c f{}", i)), fmt::format("\"v{}\"", i));
}

TEST_F(KeyCommandsTest, CopyToAnotherDatabase) {
  SetString("a", "1");
  EXPECT_EQ(Run("COPY a a DB 2"), "1");
  EXPECT_EQ(Run("COPY a a DB 2"), "0");
  EXPECT_EQ(Run("COPY a a"), "(error) ERR source and destination objects are the same");
  EXPECT_EQ(Run("COPY a a DB 0"), "(error) ERR source and destination objects are the same");
  EXPECT_EQ(Run("COPY a b DB 16"), "(error) ERR DB index is out of range");
  EXPECT_EQ(Run("COPY a b DB -1"), "(error) ERR DB index is out of range");
  EXPECT_EQ(Run("COPY a b DB x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("COPY a b DB"), "(error) ERR syntax error");
  Select(2);
  EXPECT_EQ(GetString("a"), "1");
  EXPECT_EQ(Db(2).keys, 1);
}

TEST_F(KeyCommandsTest, MoveHandsTheCollectionOver) {
  Run("HSET h a 1");
  Run("PEXPIRE h 5000");
  EXPECT_EQ(Run("MOVE h 3"), "1");
  EXPECT_THAT(harness_.txn().touched(), ElementsAre(Pair(DbIndex{0}, "h"), Pair(DbIndex{3}, "h")));
  EXPECT_EQ(Run("EXISTS h"), "0");
  EXPECT_EQ(Run("MOVE h 3"), "0");
  EXPECT_EQ(Run("MOVE h 0"), "(error) ERR source and destination objects are the same");
  EXPECT_EQ(Run("MOVE h 16"), "(error) ERR DB index is out of range");
  EXPECT_EQ(Run("MOVE h x"), "(error) ERR value is not an integer or out of range");
  Run("HSET h b 2");
  EXPECT_EQ(Run("MOVE h 3"), "0");
  Select(3);
  EXPECT_EQ(Run("HGETALL h"), R"(["a", "1"])");
  EXPECT_EQ(Run("PTTL h"), "5000");
  EXPECT_EQ(Rows(types::RowSpace::kDead), 0U);
  EXPECT_EQ(Rows(types::RowSpace::kExpiry), 1U);
  EXPECT_EQ(Db(3).expires, 1);
  EXPECT_EQ(Db(0).expires, 0);
}

TEST_F(KeyCommandsTest, MoveOntoAnExpiredKey) {
  Select(3);
  Run("HSET h old 1");
  Run("PEXPIRE h 10");
  Select(0);
  Pass(10);
  SetString("h", "new");
  EXPECT_EQ(Run("MOVE h 3"), "1");
  Select(3);
  EXPECT_EQ(GetString("h"), "new");
  EXPECT_EQ(Db(3).keys, 1);
  EXPECT_EQ(Db(3).expires, 0);
  EXPECT_EQ(Rows(types::RowSpace::kDead), 1U);
}

TEST_F(KeyCommandsTest, KeysMatchesAPattern) {
  for (const char* name : {"foo", "bar", "foobar", "f*o"}) SetString(name, "x");
  EXPECT_EQ(Run("KEYS f\\*o"), R"(["f*o"])");
  EXPECT_EQ(Run("KEYS b?r"), R"(["bar"])");
  EXPECT_EQ(Run("KEYS none*"), "[]");
  const std::string all = Run("KEYS *");
  EXPECT_EQ(std::count(all.begin(), all.end(), '"'), 8);
}

TEST_F(KeyCommandsTest, RandomKeyFindsTheFewAmongTheExpired) {
  EXPECT_EQ(Run("RANDOMKEY"), "nil");
  for (int i = 0; i < 200; ++i) {
    SetString(fmt::format("k{}", i), "x");
    if (i % 50 != 0) Run(fmt::format("PEXPIRE k{} 10", i));
  }
  Pass(10);
  std::set<std::string> seen;
  for (int i = 0; i < 400; ++i) seen.insert(Run("RANDOMKEY"));
  EXPECT_THAT(seen, UnorderedElementsAre("\"k0\"", "\"k50\"", "\"k100\"", "\"k150\""));
  Run("DEL k0 k50 k100 k150");
  EXPECT_EQ(Run("RANDOMKEY"), "nil");
}

TEST_F(KeyCommandsTest, FlushEmptiesAtOnce) {
  SetString("a", "1");
  Select(1);
  Run("HSET h f v");
  EXPECT_EQ(Run("FLUSHDB foo"), "(error) ERR syntax error");
  EXPECT_EQ(Run("FLUSHALL sync async"), "(error) ERR syntax error");
  EXPECT_EQ(Run("FLUSHDB ASYNC"), "OK");
  EXPECT_EQ(Run("DBSIZE"), "0");
  EXPECT_EQ(Run("HGETALL h"), "[]");
  EXPECT_EQ(Db(0).keys, 1);
  Run("HSET h f v");
  EXPECT_EQ(Run("FLUSHALL"), "OK");
  EXPECT_EQ(Db(0).keys, 0);
  EXPECT_EQ(Db(1).keys, 0);
  const kv::CollectionId contents = Db(1).contents;
  EXPECT_EQ(Run("FLUSHALL SYNC"), "OK");
  EXPECT_EQ(Db(1).contents, contents) << "an empty database needs no record";
}

TEST_F(KeyCommandsTest, SwapDb) {
  SetString("a", "1");
  EXPECT_EQ(Run("SWAPDB 0 1"), "OK");
  EXPECT_EQ(Run("DBSIZE"), "0");
  EXPECT_EQ(Run("SWAPDB 5 5"), "OK");
  Select(1);
  EXPECT_EQ(GetString("a"), "1");
  EXPECT_EQ(Run("SWAPDB a 1"), "(error) ERR invalid first DB index");
  EXPECT_EQ(Run("SWAPDB 1 99999999999"), "(error) ERR invalid second DB index");
  EXPECT_EQ(Run("SWAPDB 1 16"), "(error) ERR DB index is out of range");
  EXPECT_EQ(Run("SWAPDB -1 1"), "(error) ERR DB index is out of range");
}

TEST_F(KeyCommandsTest, ObjectEncodingByTheRulesOfRedis) {
  SetString("int", "-9223372036854775808");
  SetString("long", "92233720368547758070");
  SetString("embstr", std::string(44, 'x'));
  SetString("raw", std::string(45, 'x'));
  EXPECT_EQ(Run("OBJECT ENCODING int"), "\"int\"");
  EXPECT_EQ(Run("OBJECT ENCODING long"), "\"embstr\"");
  EXPECT_EQ(Run("OBJECT ENCODING embstr"), "\"embstr\"");
  EXPECT_EQ(Run("OBJECT ENCODING raw"), "\"raw\"");
  EXPECT_EQ(Run("OBJECT ENCODING none"), "nil");
  Run("HSET h f v");
  EXPECT_EQ(Run("OBJECT ENCODING h"), "\"listpack\"");
  harness_.Run({"HSET", "h", "g", std::string(65, 'x')});
  EXPECT_EQ(Run("OBJECT ENCODING h"), "\"hashtable\"");
  Run("HSET h2 a 1 b 2");
  const std::pair<std::string_view, std::string_view> fewer[] = {{"hash-max-listpack-entries", "1"}};
  ASSERT_TRUE(server_.config().Set(fewer).ok());
  EXPECT_EQ(Run("OBJECT ENCODING h2"), "\"hashtable\"");
  Run("SADD ints 1 2 -3");
  EXPECT_EQ(Run("OBJECT ENCODING ints"), "\"intset\"");
  Run("SADD ints 04");
  EXPECT_EQ(Run("OBJECT ENCODING ints"), "\"hashtable\"");
}

TEST_F(KeyCommandsTest, ObjectTheRest) {
  SetString("a", "1");
  EXPECT_EQ(Run("OBJECT IDLETIME a"), "0");
  EXPECT_EQ(Run("OBJECT REFCOUNT a"), "1");
  EXPECT_EQ(Run("OBJECT REFCOUNT x"), "nil");
  EXPECT_EQ(Run("OBJECT FREQ x"), "nil");
  EXPECT_THAT(Run("OBJECT FREQ a"), ::testing::StartsWith("(error) ERR An LFU maxmemory policy is not selected, "));
  EXPECT_EQ(Run("OBJECT FOO a"), "(error) ERR unknown subcommand 'FOO'. Try OBJECT HELP.");
  EXPECT_THAT(Run("OBJECT HELP"), ::testing::HasSubstr("ENCODING <key>"));
}

struct ExpireCase {
  uint64_t current_ms;  // time to live before; 0: none
  const char* command;  // behind "PEXPIRE k "
  const char* reply;
  int64_t ttl_ms;  // afterwards, as PTTL says it
};

TEST_F(KeyCommandsTest, ExpireOnConditions) {
  constexpr ExpireCase kCases[] = {
      {0, "500", "1", 500},         {100, "500", "1", 500},       {0, "500 NX", "1", 500},
      {100, "500 NX", "0", 100},    {0, "500 XX", "0", -1},       {100, "500 XX", "1", 500},
      {0, "500 GT", "0", -1},       {100, "500 GT", "1", 500},    {500, "500 GT", "0", 500},
      {500, "100 GT", "0", 500},    {0, "500 LT", "1", 500},      {100, "500 LT", "0", 100},
      {500, "500 LT", "0", 500},    {500, "100 LT", "1", 100},    {0, "500 XX LT", "0", -1},
      {500, "100 xx lt", "1", 100}, {100, "500 XX GT", "1", 500}, {500, "100 XX GT", "0", 500},
      {0, "-1", "1", -2},           {500, "-1 GT", "0", 500},     {500, "-1 LT", "1", -2},
      {500, "-1 NX", "0", 500},     {500, "0", "1", -2}};
  for (const ExpireCase& test : kCases) {
    SetString("k", "v");
    if (test.current_ms != 0) Run(fmt::format("PEXPIRE k {}", test.current_ms));
    EXPECT_EQ(Run(fmt::format("PEXPIRE k {}", test.command)), test.reply) << test.current_ms << " " << test.command;
    EXPECT_EQ(Run("PTTL k"), fmt::format("{}", test.ttl_ms)) << test.current_ms << " " << test.command;
    EXPECT_EQ(Db(0).expires, test.ttl_ms > 0 ? 1 : 0);
    EXPECT_EQ(Rows(types::RowSpace::kExpiry), test.ttl_ms > 0 ? 1U : 0U);
  }
}

TEST_F(KeyCommandsTest, ExpireArguments) {
  SetString("k", "v");
  EXPECT_EQ(Run("EXPIRE x 10"), "0");
  EXPECT_EQ(Run("EXPIRE k abc"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("EXPIRE k 10 foo"), "(error) ERR Unsupported option foo");
  EXPECT_EQ(Run("EXPIRE k abc foo"), "(error) ERR Unsupported option foo");
  EXPECT_EQ(Run("EXPIRE k 10 NX XX"), "(error) ERR NX and XX, GT or LT options at the same time are not compatible");
  EXPECT_EQ(Run("EXPIRE k 10 GT LT"), "(error) ERR GT and LT options at the same time are not compatible");
  EXPECT_EQ(Run("EXPIRE k 9223372036854775807"), "(error) ERR invalid expire time in 'expire' command");
  EXPECT_EQ(Run("EXPIRE k 9223372036854775"), "(error) ERR invalid expire time in 'expire' command");
  EXPECT_EQ(Run("EXPIRE k -9223372036854775807"), "(error) ERR invalid expire time in 'expire' command");
  EXPECT_EQ(Run("PEXPIRE k 9223372036854775807"), "(error) ERR invalid expire time in 'pexpire' command");
  EXPECT_EQ(Run("EXPIREAT k 9223372036854775807"), "(error) ERR invalid expire time in 'expireat' command");
  EXPECT_EQ(Run("PEXPIREAT k 9223372036854775807"), "1");
  EXPECT_EQ(Run("PEXPIRETIME k"), "9223372036854775807");
  EXPECT_EQ(Run("PEXPIRE k -9223372036854775808"), "1");
  EXPECT_EQ(Run("EXISTS k"), "0");
}

TEST_F(KeyCommandsTest, TimesAreToldInEveryUnit) {
  SetString("k", "v");
  for (const char* command : {"TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"}) {
    EXPECT_EQ(Run(fmt::format("{} k", command)), "-1");
    EXPECT_EQ(Run(fmt::format("{} x", command)), "-2");
  }
  Run("PEXPIREAT k 1700000001600");
  EXPECT_EQ(Run("TTL k"), "2");
  EXPECT_EQ(Run("PTTL k"), "1600");
  EXPECT_EQ(Run("EXPIRETIME k"), "1700000002");
  EXPECT_EQ(Run("PEXPIRETIME k"), "1700000001600");
  Run("EXPIREAT k 1700000005");
  EXPECT_EQ(Run("TTL k"), "5");
  Run("EXPIRE k 7");
  EXPECT_EQ(Run("PTTL k"), "7000");
}

TEST_F(KeyCommandsTest, Persist) {
  SetString("k", "v");
  EXPECT_EQ(Run("PERSIST k"), "0");
  EXPECT_EQ(Run("PERSIST x"), "0");
  Run("EXPIRE k 10");
  EXPECT_EQ(Run("PERSIST k"), "1");
  EXPECT_THAT(harness_.txn().touched(), SizeIs(1));
  EXPECT_EQ(Run("TTL k"), "-1");
  EXPECT_EQ(GetString("k"), "v");
  EXPECT_EQ(Rows(types::RowSpace::kExpiry), 0U);
}

}  // namespace
}  // namespace tidemark::commands
