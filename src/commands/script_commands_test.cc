// Scripts as clients meet them: what they do to the store, what refuses them, what of them a failure leaves.
#include <gtest/gtest.h>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using testing::FakeClient;
using testing::TestServer;

class ScriptCommandsTest : public ::testing::Test {
 protected:
  std::string Eval(const std::string& script, std::vector<std::string> rest = {"0"}) {
    std::vector<std::string> words = {"eval", script};
    words.insert(words.end(), rest.begin(), rest.end());
    std::string reply = server_.Run(words);
    // The name of a script is the SHA-1 of its text.
    if (const size_t at = reply.find(" script: "); at != std::string::npos) reply.resize(at);
    return reply;
  }
  uint64_t Records() { return server_.server().engine.stats().transactions; }

  TestServer server_;
};

TEST_F(ScriptCommandsTest, AScriptIsOneRecord) {
  const uint64_t before = Records();
  EXPECT_EQ(Eval("for i = 1, 10 do redis.call('set', KEYS[1] .. i, i) end return redis.call('get', KEYS[1] .. '10')",
                 {"1", "k"}),
            "\"10\"");
  EXPECT_EQ(Records() - before, 1u);
  EXPECT_EQ(Eval("return redis.call('get', 'k1')"), "\"1\"");
  EXPECT_EQ(Records() - before, 1u);
}

TEST_F(ScriptCommandsTest, WhatAFailingScriptHasDoneStays) {
  EXPECT_EQ(Eval("redis.call('set', 'a', 1) redis.call('incr', 'a', 'b')"),
            "(error) ERR Wrong number of args calling Redis command from script");
  EXPECT_EQ(server_.Run("get a"), "\"1\"");
  // But not half of a command that failed.
  EXPECT_EQ(Eval("redis.call('set', 's', 'x') redis.pcall('hset', 's', 'f', 'v') return redis.call('get', 's')"),
            "\"x\"");
}

TEST_F(ScriptCommandsTest, ScriptsAreKept) {
  EXPECT_EQ(server_.Run({"script", "load", "return 'loaded'"}), "\"b534286061d4b9e4026607613b95c06c06015ae8\"");
  EXPECT_EQ(server_.Run("evalsha B534286061D4B9E4026607613B95C06C06015AE8 0"), "\"loaded\"");
  EXPECT_EQ(server_.Run("script exists b534286061d4b9e4026607613b95c06c06015ae8 x"), "[1, 0]");
  EXPECT_EQ(server_.Run("script flush"), "OK");
  EXPECT_EQ(server_.Run("evalsha b534286061d4b9e4026607613b95c06c06015ae8 0"),
            "(error) NOSCRIPT No matching script. Please use EVAL.");
}

TEST_F(ScriptCommandsTest, ArgumentsAreChecked) {
  EXPECT_EQ(server_.Run("eval x a"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(server_.Run("eval x 2 a"), "(error) ERR Number of keys can't be greater than number of args");
  EXPECT_EQ(server_.Run("eval x -1"), "(error) ERR Number of keys can't be negative");
  EXPECT_EQ(Eval("x y"), "(error) ERR Error compiling script (new function): user_script:1: '=' expected near 'y'");
  EXPECT_EQ(Eval("#!lua flags=foo\n"), "(error) ERR Unexpected flag in script shebang: foo");
  EXPECT_EQ(Eval("#!lua x=1\n"), "(error) ERR Unknown lua shebang option: x=1");
  EXPECT_EQ(Eval("#!foo\n"), "(error) ERR Unexpected engine in script shebang: #!foo");
  EXPECT_EQ(Eval("#!lua"), "(error) ERR Invalid script shebang");
}

TEST_F(ScriptCommandsTest, CommandsAreRefusedAsInRedis) {
  EXPECT_EQ(Eval("redis.call('nosuch')"), "(error) ERR Unknown Redis command called from script");
  EXPECT_EQ(Eval("redis.call('object', 'nosuch')"), "(error) ERR Unknown Redis command called from script");
  EXPECT_EQ(Eval("redis.call('get')"), "(error) ERR Wrong number of args calling Redis command from script");
  EXPECT_EQ(Eval("redis.call('subscribe', 'x')"), "(error) ERR This Redis command is not allowed from script");
  EXPECT_EQ(Eval("redis.call('eval', 'return 1', '0')"), "(error) ERR This Redis command is not allowed from script");
  EXPECT_EQ(server_.Run({"eval_ro", "return redis.pcall('set', 'x', 1).err", "0"}),
            "\"ERR Write commands are not allowed from read-only scripts.\"");
  EXPECT_EQ(Eval("#!lua flags=no-writes\nredis.call('set', 'x', 1)"),
            "(error) ERR Write commands are not allowed from read-only scripts.");
  EXPECT_EQ(server_.Run({"eval_ro", "#!lua\nreturn 1", "0"}),
            "(error) ERR Can not execute a script with write flag using *_ro command.");
}

TEST_F(ScriptCommandsTest, ReplicasRunWhatOnlyReads) {
  server_.Run("set x some");
  server_.replication().now.role = replication::Role::kReplica;
  EXPECT_EQ(Eval("return redis.call('get', 'x')"), "\"some\"");
  EXPECT_EQ(server_.Run({"eval_ro", "return redis.call('get', 'x')", "0"}), "\"some\"");
  EXPECT_EQ(Eval("#!lua flags=no-writes\nreturn redis.call('get', 'x')"), "\"some\"");
  EXPECT_EQ(Eval("#!lua\nreturn redis.call('get', 'x')"),
            "(error) READONLY You can't write against a read only replica.");
  EXPECT_EQ(Eval("return redis.call('set', 'x', 1)"), "(error) READONLY You can't write against a read only replica.");
  server_.Run("multi");
  Eval("return redis.call('get', 'x')");
  EXPECT_EQ(server_.Run("exec"), "[\"some\"]");
}

TEST_F(ScriptCommandsTest, SelectEndsWithTheScript) {
  EXPECT_EQ(Eval("redis.call('select', 1) redis.call('set', 'k', 'one') return redis.call('get', 'k')"), "\"one\"");
  EXPECT_EQ(server_.Run("get k"), "nil");
  EXPECT_EQ(Eval("redis.call('select', 99)"), "(error) ERR DB index is out of range");
}

TEST_F(ScriptCommandsTest, ExecRunsScripts) {
  server_.Run("multi");
  server_.Run("set a 1");
  Eval("return redis.call('incr', 'a')");
  server_.Run("incr a");
  const uint64_t before = Records();
  EXPECT_EQ(server_.Run("exec"), "[OK, 2, 3]");
  EXPECT_EQ(Records() - before, 1u);
}

TEST_F(ScriptCommandsTest, MessagesComeWithTheCommit) {
  FakeClient listener;
  server_.Join(listener);
  server_.Run(listener, "subscribe news");
  EXPECT_EQ(Eval("return redis.call('publish', 'news', 'hello')"), "1");
  EXPECT_NE(listener.delivered.find("hello"), std::string::npos);
  server_.Leave(listener);
}

TEST_F(ScriptCommandsTest, SlowScriptsRunOnAWorker) {
  EXPECT_EQ(Eval("local n = 0 for i = 1, 3000000 do n = n + 1 end redis.call('set', 'n', n) return n"), "3000000");
  EXPECT_EQ(server_.Run("get n"), "\"3000000\"");
  server_.Run("multi");
  Eval("for i = 1, 3000000 do local x = i end return redis.call('incr', 'n')");
  EXPECT_EQ(server_.Run("exec"), "[3000001]");
}

TEST_F(ScriptCommandsTest, RandomNumbersDiffer) {
  const std::string first = Eval("return tostring(math.random())");
  EXPECT_NE(Eval("return tostring(math.random())"), first);
}

TEST_F(ScriptCommandsTest, KillFindsNothing) {
  EXPECT_EQ(server_.Run("script kill"), "(error) NOTBUSY No scripts in execution right now.");
  EXPECT_EQ(server_.Run("function kill"), "(error) NOTBUSY No scripts in execution right now.");
}

TEST_F(ScriptCommandsTest, StatisticsCountWhatRan) {
  Eval("redis.call('set', 'x', 1) redis.pcall('incr', 'x', 'y')");
  const std::string stats = server_.Run("info commandstats");
  EXPECT_NE(stats.find("cmdstat_set:calls=1"), std::string::npos);
  EXPECT_NE(stats.find("cmdstat_eval:calls=1"), std::string::npos);
  EXPECT_NE(server_.Run("info errorstats").find("errorstat_ERR:count=1"), std::string::npos);
}

constexpr std::string_view kLibrary =
    "#!lua name=mylib\n"
    "local function add(a) return a + 1 end\n"
    "redis.register_function('f', function(keys, args) return redis.call('set', keys[1], add(args[1])) end)\n"
    "redis.register_function{function_name='g', callback=function(keys) return redis.call('get', keys[1]) end, "
    "flags={'no-writes'}}";

TEST_F(ScriptCommandsTest, FunctionsAreLoadedAndCalled) {
  EXPECT_EQ(server_.Run({"function", "load", std::string(kLibrary)}), "\"mylib\"");
  EXPECT_EQ(server_.Run("fcall f 1 k 41"), "OK");
  EXPECT_EQ(server_.Run("fcall_ro G 1 k"), "\"42\"");
  EXPECT_EQ(server_.Run("fcall_ro f 1 k 1"),
            "(error) ERR Can not execute a script with write flag using *_ro command.");
  EXPECT_EQ(server_.Run("fcall nosuch 0"), "(error) ERR Function not found");
  EXPECT_EQ(server_.Run("fcall f a"), "(error) ERR Bad number of keys provided");
  EXPECT_EQ(server_.Run({"function", "load", std::string(kLibrary)}), "(error) ERR Library 'mylib' already exists");
  EXPECT_EQ(server_.Run("function stats"),
            "[\"running_script\", nil, \"engines\", [\"LUA\", [\"libraries_count\", 1, \"functions_count\", 2]]]");
  server_.Run("flushall");
  EXPECT_EQ(server_.Run("function delete mylib"), "OK");
  EXPECT_EQ(server_.Run("fcall f 1 k 41"), "(error) ERR Function not found");
  EXPECT_EQ(server_.Run("function list"), "[]");
}

TEST_F(ScriptCommandsTest, AReplacedLibraryIsTheNewOne) {
  const auto load = [&](const std::string& result) {
    return server_.Run({"function", "load", "replace",
                        "#!lua name=a\nredis.register_function('f', function() return " + result + " end)"});
  };
  EXPECT_EQ(load("1"), "\"a\"");
  EXPECT_EQ(server_.Run("fcall f 0"), "1");
  EXPECT_EQ(load("2"), "\"a\"");
  EXPECT_EQ(server_.Run("fcall f 0"), "2");
  EXPECT_EQ(load("redis.call('x'"), "(error) ERR Error compiling function: user_function:2: ')' expected near 'end'");
  EXPECT_EQ(server_.Run("fcall f 0"), "2");
  EXPECT_EQ(server_.Run({"function", "load", "#!lua name=b\nredis.register_function('F', function() end)"}),
            "(error) ERR Function F already exists");
}

TEST_F(ScriptCommandsTest, LibrariesMoveByDumpAndRestore) {
  ASSERT_EQ(server_.Run({"function", "load", std::string(kLibrary)}), "\"mylib\"");
  FakeClient raw;
  server_.Join(raw);
  const std::vector<std::string_view> dump = {"function", "dump"};
  resp::Writer out;
  Dispatcher dispatcher(server_.server());
  ASSERT_EQ(dispatcher.Execute(raw, dump, out, Dispatcher::kMaxRehearsals), Outcome::kReplied);
  const std::string reply = out.buffer();
  const size_t start = reply.find("\r\n") + 2;
  const std::string payload = reply.substr(start, reply.size() - start - 2);
  EXPECT_EQ(server_.Run({"function", "restore", payload}), "(error) ERR Library mylib already exists");
  EXPECT_EQ(server_.Run("function flush"), "OK");
  EXPECT_EQ(server_.Run({"function", "restore", payload}), "OK");
  EXPECT_EQ(server_.Run("fcall f 1 k 1"), "OK");
  EXPECT_EQ(server_.Run({"function", "restore", payload, "replace"}), "OK");
  EXPECT_EQ(server_.Run({"function", "restore", payload, "flush"}), "OK");
  EXPECT_EQ(server_.Run({"function", "restore", payload + "x"}),
            "(error) ERR DUMP payload version or checksum are wrong");
  server_.Leave(raw);
}

TEST_F(ScriptCommandsTest, LoadingAndCallingInOneTransaction) {
  server_.Run("multi");
  server_.Run({"function", "load", std::string(kLibrary)});
  server_.Run("fcall f 1 k 1");
  EXPECT_EQ(server_.Run("exec"), "[\"mylib\", OK]");
  EXPECT_EQ(server_.Run("fcall g 1 k"), "\"2\"");
}

TEST(FunctionSetTest, LibrariesSurviveTheirRows) {
  const FunctionLibrary library{.name = "a",
                                .code = "#!lua name=a\ncode",
                                .identity = {},
                                .functions = {{"f", "what it does", scripting::kNoWrites}, {"g", "", 0}}};
  const auto decoded = DecodeLibrary("a", EncodeLibrary(library));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->code, library.code);
  EXPECT_EQ(decoded->body(), "\ncode");
  ASSERT_EQ(decoded->functions.size(), 2u);
  EXPECT_EQ(decoded->functions[0].description, "what it does");
  EXPECT_EQ(decoded->functions[0].flags, static_cast<uint32_t>(scripting::kNoWrites));
  EXPECT_TRUE(absl::IsDataLoss(DecodeLibrary("a", EncodeLibrary(library).substr(0, 30)).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(DecodeLibrary("a", "\x02").status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeLibrary("a", "").status()));
}

}  // namespace
}  // namespace tidemark::commands
