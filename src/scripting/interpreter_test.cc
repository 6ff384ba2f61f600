#include "scripting/interpreter.h"

#include <gtest/gtest.h>

#include <map>

#include "scripting/sha1.h"

namespace tidemark::scripting {
namespace {

// Commands of a server that has only GET, SET and FAIL.
class FakeHost : public Host {
 public:
  bool Call(Words words, resp::Writer& reply) override {
    calls.emplace_back(words[0]);
    if (words[0] == "cold") return false;
    if (words[0] == "set") {
      rows[std::string(words[1])] = words[2];
      reply.Ok();
    } else if (words[0] == "get") {
      const auto row = rows.find(std::string(words[1]));
      row == rows.end() ? reply.Null() : reply.Bulk(row->second);
    } else if (words[0] == "all") {
      reply.Map(1);
      reply.Bulk("a");
      reply.Double(1.5);
    } else {
      reply.Error("WRONGTYPE no");
    }
    return true;
  }
  absl::StatusOr<bool> MayCall(Words words) override {
    if (words[0] == "nosuch") return absl::NotFoundError("");
    return words[0] == "get";
  }
  void Log(int level, std::string_view text) override { log += fmt::format("{}:{};", level, text); }
  Verdict Check() override { return ++checks > checks_allowed ? verdict : Verdict::kGoOn; }

  std::vector<std::string> calls;
  std::map<std::string, std::string> rows;
  std::string log;
  int checks = 0;
  int checks_allowed = 5;
  Verdict verdict = Verdict::kKilled;
};

class InterpreterTest : public testing::Test {
 protected:
  std::string Run(std::string_view source, std::vector<std::string_view> keys = {},
                  std::vector<std::string_view> argv = {}, int protocol = 2) {
    const absl::Status compiled = interpreter_.Compile(source, source);
    if (!compiled.ok()) return "(compile) " + std::string(Message(compiled));
    resp::Writer out;
    out.SetProtocol(protocol);
    host_.checks = 0;
    last_ = interpreter_.Run(source, keys, argv, /*seed=*/7, host_, out);
    if (last_.ending == Ending::kAbandoned) return "(abandoned)";
    std::string reply = out.buffer();
    // The name is the source, here.
    if (const size_t at = reply.find(" script: "); at != std::string::npos) reply.resize(at);
    return reply;
  }

  Interpreter interpreter_;
  FakeHost host_;
  RunResult last_;
};

TEST_F(InterpreterTest, ResultsBecomeReplies) {
  EXPECT_EQ(Run("return 'hello'"), "$5\r\nhello\r\n");
  EXPECT_EQ(Run("return 3.99"), ":3\r\n");
  EXPECT_EQ(Run("return {1,'a',{true,false},nil,4}"), "*3\r\n:1\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n");
  EXPECT_EQ(Run("return {ok='fine'}"), "+fine\r\n");
  EXPECT_EQ(Run("return redis.error_reply('MY code')"), "-MY code\r\n");
  EXPECT_EQ(Run("return redis.error_reply('word')"), "-ERR word\r\n");
  EXPECT_TRUE(last_.failed);
  EXPECT_EQ(Run("return"), "$-1\r\n");
  EXPECT_EQ(Run("return {map={a=1}}", {}, {}, 3), "%1\r\n$1\r\na\r\n:1\r\n");
  EXPECT_EQ(Run("return {verbatim_string={string='abc',format='txt'}}", {}, {}, 3), "=7\r\ntxt:abc\r\n");
  EXPECT_EQ(Run("redis.setresp(3) return {true,{double=1.5},{set={x=true}}}", {}, {}, 3),
            "*3\r\n#t\r\n,1.5\r\n~1\r\n$1\r\nx\r\n");
}

TEST_F(InterpreterTest, RepliesBecomeValues) {
  EXPECT_EQ(Run("redis.call('set',KEYS[1],ARGV[1]) return redis.call('get',KEYS[1])", {"k"}, {"v"}), "$1\r\nv\r\n");
  EXPECT_EQ(Run("return redis.call('get','none') == false"), ":1\r\n");
  EXPECT_EQ(Run("redis.setresp(3) return redis.call('get','none') == nil"), ":1\r\n");
  EXPECT_EQ(Run("redis.setresp(3) return tostring(redis.call('all').map.a.double)"), "$3\r\n1.5\r\n");
  EXPECT_EQ(Run("return redis.call('all')[2]"), "$3\r\n1.5\r\n");
  EXPECT_EQ(Run("redis.call('set','n',0.1) return redis.call('get','n')"), "$19\r\n0.10000000000000001\r\n");
}

TEST_F(InterpreterTest, ErrorsSayWhereTheyHappened) {
  const std::string source = "\nreturn redis.call('fail')";
  ASSERT_TRUE(interpreter_.Compile("sha", source).ok());
  resp::Writer out;
  const RunResult result = interpreter_.Run("sha", {}, {}, 0, host_, out);
  EXPECT_EQ(out.buffer(), "-WRONGTYPE no script: sha, on @user_script:2.\r\n");
  EXPECT_TRUE(result.failed);
  EXPECT_TRUE(result.error_counted);
  EXPECT_EQ(Run("return redis.pcall('fail').err"), "$12\r\nWRONGTYPE no\r\n");
  EXPECT_EQ(Run("local ok, e = pcall(redis.call, 'fail') return e"), "$12\r\nWRONGTYPE no\r\n");
  EXPECT_EQ(Run("error('boo')"), "-ERR user_script:1: boo");
  EXPECT_EQ(Run("error({err='MY boo'})"), "-MY boo");
  EXPECT_EQ(Run("error({foo='no text'})"), "-ERR unknown error");
  EXPECT_EQ(Run("error(nil)"), "-ERR nil");
  EXPECT_EQ(Run("x y"), "(compile) user_script:1: '=' expected near 'y'");
  EXPECT_EQ(Run("return redis.call()"), "-ERR Please specify at least one argument for this redis lib call");
  EXPECT_EQ(Run("return redis.call('get', true)"), "-ERR Lua redis lib command arguments must be strings or integers");
}

TEST_F(InterpreterTest, NothingSharedCanBeChanged) {
  for (const char* attempt : {"a = 1",
                              "redis.call = 1",
                              "redis = 1",
                              "_G = {}",
                              "_G.x = 1",
                              "setmetatable(_G, {})",
                              "getmetatable(_G).__index = {}",
                              "getmetatable('').__index = 1",
                              "cjson.encode = 1",
                              "string.upper = 1",
                              "math.random = 1",
                              "rawset(_G, 'x', 1)",
                              "rawset(redis, 'call', 1)",
                              "table.insert(redis, 1)",
                              "bit.x = 1",
                              "KEYS = 1",
                              "setmetatable(redis, nil)",
                              "getmetatable(_G).__index.redis = 1",
                              "coroutine.x = 1",
                              "table.sort(redis)",
                              "getmetatable(getmetatable('')).x = 1"}) {
    const std::string reply = Run(attempt);
    EXPECT_TRUE(reply.find("Attempt to modify a readonly table") != std::string::npos ||
                reply.find("attempt to index") != std::string::npos)
        << attempt << ": " << reply;
  }
  EXPECT_EQ(Run("return type(redis.call) .. type(string.upper) .. tostring(rawget(_G, 'x'))"),
            "$19\r\nfunctionfunctionnil\r\n");
  EXPECT_EQ(Run("return x"), "-ERR user_script:1: Script attempted to access nonexistent global variable 'x'");
  for (const char* absent : {"os", "io", "print", "dofile", "loadfile", "require", "package", "debug", "getfenv",
                             "setfenv", "newproxy", "module"}) {
    EXPECT_NE(Run(fmt::format("return {}", absent)).find("nonexistent global"), std::string::npos) << absent;
  }
}

TEST_F(InterpreterTest, ReadOnlyTablesLookLikeTables) {
  EXPECT_EQ(Run("local n = 0 for k, v in pairs(bit) do n = n + 1 end return n"), ":12\r\n");
  EXPECT_EQ(Run("return next(redis) ~= nil and rawget(redis, 'call') == redis.call"), ":1\r\n");
  EXPECT_EQ(Run("return getmetatable('').__index == string"), ":1\r\n");
  EXPECT_EQ(Run("return ('x'):rep(3)"), "$3\r\nxxx\r\n");
  EXPECT_EQ(Run("return _G.redis == redis and redis == server"), ":1\r\n");
  EXPECT_EQ(Run("return _G"), "*0\r\n");
}

TEST_F(InterpreterTest, CompiledCodeIsNotLoaded) {
  EXPECT_NE(Run("return loadstring(string.dump(function() return 1 end))()").find("attempt to call a nil value"),
            std::string::npos);
  EXPECT_EQ(Run("local s = string.dump(function() return 1 end) local n = 0 "
                "return load(function() n = n + 1 return n <= #s and s:sub(n, n) or nil end) == nil"),
            ":1\r\n");
  EXPECT_EQ(Run("return load(function() return nil end)() == nil"), ":1\r\n");
  EXPECT_EQ(Run("return loadstring('return 1 + 1')()"), ":2\r\n");
  EXPECT_EQ(Run("\x1bLua"), "(compile) scripts must be text");
}

TEST_F(InterpreterTest, AnAbandonedRunCannotGoOn) {
  for (const char* script :
       {"redis.call('cold')", "redis.pcall('cold')", "pcall(redis.call, 'cold') redis.call('set', 'k', '1')",
        "xpcall(function() redis.call('cold') end, function() end) redis.call('set', 'k', '1')",
        "local c = coroutine.create(function() redis.call('cold') end) coroutine.resume(c) redis.call('set', 'k', '1')",
        "local c = coroutine.wrap(function() redis.call('cold') end) pcall(c) redis.call('set', 'k', '1')",
        "while true do pcall(function() redis.call('cold') end) end",
        "load(function() redis.call('cold') end) redis.call('set', 'k', '1')"}) {
    EXPECT_EQ(Run(script), "(abandoned)") << script;
    EXPECT_TRUE(host_.rows.empty()) << script;
  }
  EXPECT_EQ(Run("return 1"), ":1\r\n");
}

TEST_F(InterpreterTest, AKilledScriptEndsWhateverItCatches) {
  for (const char* script : {"while true do end", "while true do pcall(function() while true do end end) end",
                             "local c = coroutine.wrap(function() while true do end end) pcall(c) while true do end"}) {
    EXPECT_EQ(Run(script), "-ERR Script killed by user with SCRIPT KILL...") << script;
  }
  host_.verdict = Host::Verdict::kAbandon;
  EXPECT_EQ(Run("while true do pcall(error) end"), "(abandoned)");
}

TEST_F(InterpreterTest, MemoryIsBounded) {
  EXPECT_EQ(Run("local s = string.rep('x', 1024 * 1024) while true do s = s .. s end"), "-ERR not enough memory");
  EXPECT_EQ(Run("return 1"), ":1\r\n");
}

TEST_F(InterpreterTest, RandomNumbersFollowTheSeed) {
  EXPECT_EQ(Run("math.randomseed(10) return {tostring(math.random()), tostring(math.random()), math.random(100), "
                "math.random(5, 10)}"),
            "*4\r\n$16\r\n0.87885112309775\r\n$15\r\n0.7958066229689\r\n:49\r\n:8\r\n");
  const std::string first = Run("return tostring(math.random())");
  EXPECT_EQ(Run("return tostring(math.random())"), first);
}

TEST_F(InterpreterTest, UnpackIsBounded) {
  for (const char* range : {"-2, 2147483647", "0, 2147483647", "-2147483648, -2", "1, 8001"}) {
    EXPECT_EQ(Run(fmt::format("return {{unpack({{1}}, {})}}", range)), "-ERR user_script:1: too many results to unpack")
        << range;
  }
  EXPECT_EQ(Run("return {unpack({1, 2, 3}, 2)}"), "*2\r\n:2\r\n:3\r\n");
  EXPECT_EQ(Run("return select('#', unpack({1, 2, 3}, -1, 5))"), ":7\r\n");
}

TEST_F(InterpreterTest, DeepResultsEnd) {
  EXPECT_NE(Run("local a = {} a[1] = a return a").find("-ERR reached lua stack limit"), std::string::npos);
}

TEST_F(InterpreterTest, ApiChecksItsArguments) {
  EXPECT_EQ(Run("return redis.sha1hex('')"), "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n");
  EXPECT_EQ(Run("return redis.sha1hex()"), "-ERR wrong number of arguments");
  EXPECT_EQ(Run("redis.log(redis.LOG_WARNING, 'a', 'b')"), "$-1\r\n");
  EXPECT_EQ(host_.log, "3:a b;");
  EXPECT_EQ(Run("redis.log(10, 'x')"), "-ERR Invalid debug level.");
  EXPECT_EQ(Run("redis.setresp(4)"), "-ERR RESP version must be 2 or 3.");
  EXPECT_EQ(Run("redis.set_repl(99)"),
            "-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
  EXPECT_EQ(Run("return {redis.acl_check_cmd('get'), redis.acl_check_cmd('set')}"), "*2\r\n:1\r\n$-1\r\n");
  EXPECT_EQ(Run("redis.acl_check_cmd('nosuch')"), "-ERR Invalid command passed to redis.acl_check_cmd()");
}

class LibraryTest : public InterpreterTest {
 protected:
  std::string Load(std::string_view source) {
    const auto functions = interpreter_.LoadLibrary("lib", source, host_);
    if (!functions.ok()) return std::string(Message(functions.status()));
    std::string names;
    for (const FunctionInfo& info : *functions)
      names += fmt::format("{}/{}/{} ", info.name, info.flags, info.description);
    return names;
  }
  std::string Call(std::string_view name, std::vector<std::string_view> keys = {},
                   std::vector<std::string_view> argv = {}) {
    resp::Writer out;
    interpreter_.RunFunction("lib", name, keys, argv, 0, host_, out);
    return out.buffer();
  }
};

TEST_F(LibraryTest, FunctionsAreRegisteredAndCalled) {
  EXPECT_EQ(Load("local function add(a) return a + 1 end\n"
                 "redis.register_function('f', function(keys, args) return {keys[1], add(args[1])} end)\n"
                 "redis.register_function{function_name='g', callback=function() return redis.call('get', 'x') end,"
                 " flags={'no-writes', 'allow-stale'}, description='d'}"),
            "f/0/ g/5/d ");
  EXPECT_EQ(Call("f", {"k"}, {"41"}), "*2\r\n$1\r\nk\r\n:42\r\n");
  EXPECT_EQ(Call("g"), "$-1\r\n");
}

TEST_F(LibraryTest, LoadingSeesLittle) {
  EXPECT_EQ(Load("return math.random()"),
            "Error registering functions: ERR user_function:1: Script attempted to access nonexistent global variable "
            "'math'");
  EXPECT_NE(Load("redis.call('get', 'x')").find("nonexistent global variable 'call'"), std::string::npos);
  EXPECT_NE(Load("a = 1").find("Attempt to modify a readonly table"), std::string::npos);
  EXPECT_EQ(Load("return 1"), "No functions registered");
  EXPECT_EQ(Load("x y"), "Error compiling function: user_function:1: '=' expected near 'y'");
  host_.verdict = Host::Verdict::kTimeout;
  EXPECT_EQ(Load("while true do end"), "Error registering functions: ERR FUNCTION LOAD timeout");
  EXPECT_EQ(Load("redis.register_function('f', 1)"),
            "Error registering functions: ERR second argument to redis.register_function must be a function");
  EXPECT_FALSE(interpreter_.HasLibrary("lib"));
}

TEST_F(LibraryTest, FunctionsSeeWhatScriptsSeeButNoKeys) {
  ASSERT_EQ(Load("local lib = redis\n"
                 "lib.register_function('f', function() return KEYS end)\n"
                 "lib.register_function('g', function() redis.register_function('h', function() end) end)\n"
                 "lib.register_function('h', function() lib.x = redis end)\n"
                 "lib.register_function('i', function() lib.register_function('j', function() end) end)\n"),
            "f/0/ g/0/ h/0/ i/0/ ");
  EXPECT_NE(Call("f").find("nonexistent global variable 'KEYS'"), std::string::npos);
  EXPECT_NE(Call("g").find("attempt to call field 'register_function' (a nil value)"), std::string::npos);
  EXPECT_NE(Call("h").find("Attempt to modify a readonly table"), std::string::npos);
  EXPECT_EQ(Call("i"),
            "-ERR redis.register_function can only be called on FUNCTION LOAD command script: i, on "
            "@user_function:5.\r\n");
}

TEST_F(LibraryTest, LibrariesAreDropped) {
  ASSERT_EQ(Load("redis.register_function('f', function() return 1 end)"), "f/0/ ");
  interpreter_.KeepLibraries({});
  EXPECT_FALSE(interpreter_.HasLibrary("lib"));
}

TEST_F(InterpreterTest, Json) {
  EXPECT_EQ(Run("return cjson.encode({1,2,{a=1}})"), "$13\r\n[1,2,{\"a\":1}]\r\n");
  EXPECT_EQ(Run("return cjson.encode({[1]=1,[5]=1})"), "$20\r\n[1,null,null,null,1]\r\n");
  EXPECT_EQ(Run("return cjson.encode({1.5,1e20,1/3,123456789012345678,100})"),
            "$52\r\n[1.5,1e+20,0.33333333333333,1.2345678901235e+17,100]\r\n");
  EXPECT_EQ(Run("return cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\"')"), "$6\r\n\xC3\xA9\xF0\x9F\x98\x80\r\n");
  EXPECT_EQ(Run("return cjson.encode(cjson.decode('[null,true,{\"x\":[]}]'))"), "$20\r\n[null,true,{\"x\":{}}]\r\n");
  const std::pair<const char*, const char*> bad[] = {
      {"cjson.encode({[1]=1,[50]=1})", "Cannot serialise table: excessively sparse array"},
      {"cjson.encode({a=function() end})", "Cannot serialise function: type not supported"},
      {"cjson.encode({1/0})", "Cannot serialise number: must not be NaN or Inf"},
      {"local a={} a[1]=a cjson.encode(a)", "Cannot serialise, excessive nesting (1001)"},
      {"cjson.decode('[1,2')", "Expected comma or array end but found T_END at character 5"},
      {"cjson.decode('nul')", "Expected value but found invalid token at character 1"},
      {"cjson.decode('{\"a\":1,}')", "Expected object key string but found T_OBJ_END at character 8"},
      {"cjson.decode('[1e, 2]')", "Expected comma or array end but found invalid token at character 3"},
      {"cjson.decode('\"\\\\ud83d\"')", "Expected value but found invalid unicode escape code at character 2"},
      {"cjson.decode('\"abc')", "Expected value but found unexpected end of string at character 5"},
      {"cjson.decode('  ')", "Expected value but found T_END at character 3"},
      {"cjson.decode('1 2')", "Expected the end but found T_NUMBER at character 3"},
      {"cjson.decode()", "bad argument #1 to 'decode' (expected 1 argument)"},
      {"cjson.decode(string.rep('[',1001)..string.rep(']',1001))",
       "Found too many nested data structures (1001) at character 1001"},
  };
  for (const auto& [script, error] : bad) EXPECT_EQ(Run(script), fmt::format("-ERR user_script:1: {}", error));
}

TEST_F(InterpreterTest, MessagePack) {
  const std::string hex =
      "local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end ";
  EXPECT_EQ(Run(hex + "return hex(cmsgpack.pack(0.1, -1099511627776, 'ab', {1, 2}, {a=1}, nil, true, 200, -33, 1.5))"),
            "$78\r\ncb3fb999999999999ad3ffffff0000000000a2616292010281a16101c0c3ccc8d0dfca3fc00000\r\n");
  EXPECT_EQ(Run("local t = cmsgpack.unpack(cmsgpack.pack({1, {x='y'}, -5, 2^40})) return {t[1], t[2].x, t[3], t[4]}"),
            "*4\r\n:1\r\n$1\r\ny\r\n:-5\r\n:1099511627776\r\n");
  EXPECT_EQ(Run("local s = cmsgpack.pack('a', 'b') local o, a = cmsgpack.unpack_one(s, 0) local p, b = "
                "cmsgpack.unpack_limit(s, 1, o) return {o, a, p, b}"),
            "*4\r\n:2\r\n$1\r\na\r\n:-1\r\n$1\r\nb\r\n");
  EXPECT_EQ(Run("cmsgpack.unpack('\\218\\255')"), "-ERR user_script:1: Missing bytes in input.");
  EXPECT_EQ(Run("cmsgpack.unpack('\\193')"), "-ERR user_script:1: Bad data format in input.");
  EXPECT_EQ(Run("cmsgpack.unpack(string.rep('\\145', 100000))").substr(0, 4), "-ERR");
}

TEST_F(InterpreterTest, Struct) {
  EXPECT_EQ(Run("return {struct.unpack('>Ihb', struct.pack('>Ihb', 1, -2, 3))}"), "*4\r\n:1\r\n:-2\r\n:3\r\n:8\r\n");
  EXPECT_EQ(Run("return struct.pack('>Hc0s', 258, 'ab', 'c')"), std::string("$6\r\n\x01\x02"
                                                                            "abc\0\r\n",
                                                                            12));
  EXPECT_EQ(Run("return {struct.unpack('Bc0', '\\2abc')}"), "*2\r\n$2\r\nab\r\n:4\r\n");
  EXPECT_EQ(Run("return {struct.size('!4bi4'), struct.size('bi4')}"), "*2\r\n:8\r\n:5\r\n");
  EXPECT_EQ(Run("return struct.unpack('d', struct.pack('d', 2.5)) == 2.5"), ":1\r\n");
  EXPECT_NE(Run("struct.unpack('I', 'ab')").find("data string too short"), std::string::npos);
  EXPECT_NE(Run("struct.pack('y', 1)").find("invalid format option 'y'"), std::string::npos);
  EXPECT_NE(Run("struct.pack('i99', 1)").find("integral size 99 is larger than limit of 32"), std::string::npos);
}

TEST_F(InterpreterTest, Bit) {
  EXPECT_EQ(Run("return {bit.tobit(2^32 + 5), bit.band(12, 10), bit.bor(1, 2, 4), bit.bxor(1, 3), bit.bnot(0), "
                "bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-16, 2), bit.rol(0x12345678, 8), bit.bswap(1)}"),
            "*10\r\n:5\r\n:8\r\n:7\r\n:2\r\n:-1\r\n:-2147483648\r\n:15\r\n:-4\r\n:878082066\r\n:16777216\r\n");
  EXPECT_EQ(Run("return bit.tohex(65535, -2147483648)"), "$8\r\n0000FFFF\r\n");
  EXPECT_EQ(Run("return bit.tohex(255, 4)"), "$4\r\n00ff\r\n");
}

}  // namespace
}  // namespace tidemark::scripting
