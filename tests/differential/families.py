"""The commands that the differential test draws from: a few lines a family.

A command is its name and what stands for each argument: a generator from the list below, a literal word, or a tuple of
words of which one is drawn; opt(...) may be left out, many(...) is repeated. `compare` says how replies are compared
where they need not be equal word for word. A command that either server does not have is left out.
"""

import dataclasses
from typing import Any, Callable


# What draws an argument. Keys are few, so that commands meet, and of every type, so that they meet the wrong one.
def key(rng):
    return rng.choice(KEYS)


def value(rng):
    return rng.choice(VALUES)


def integer(rng):
    return rng.choice(INTEGERS)


def index(rng):
    return str(rng.randint(-8, 8)).encode() if rng.random() < 0.9 else integer(rng)


def count(rng):
    return str(rng.randint(0, 4)).encode() if rng.random() < 0.9 else integer(rng)


def number(rng):
    return rng.choice(FLOATS) if rng.random() < 0.5 else str(rng.randint(-5, 5)).encode()


def member(rng):
    return rng.choice(MEMBERS)


def stream_id(rng):
    return rng.choice([b"0", b"-", b"+", b"(1-1", b"x", b"1-x"]) if rng.random() < 0.2 else entry_id(rng)


def entry_id(rng):
    """Of few entries, in the first milliseconds of 1970: the time of day would differ."""
    return b"%d-%d" % (rng.randint(0, 4), rng.randint(0, 3))


def pattern(rng):
    return rng.choice(PATTERNS)


def bit(rng):
    return rng.choice([b"0", b"1", b"0", b"1", b"2", b"x"])


def end(rng):
    return rng.choice([b"LEFT", b"RIGHT", b"left", b"Right", b"UP"] if rng.random() < 0.1 else [b"LEFT", b"RIGHT"])


def lifetime(rng):
    """Hardly ever the same twice: which of two equal ones is longer, the milliseconds between them decide."""
    return str(rng.randint(100, 10**9)).encode() if rng.random() < 0.8 else rng.choice([b"-1", b"x", b"0"])


def soon(rng):
    return b"0.001" if rng.random() < 0.9 else rng.choice([b"-1", b"x", b"nan", b"1e-2"])


KEYS = [b"{t}" + name for name in (b"a", b"b", b"c", b"d", b"e", b"f")] + [b"{t}", b"{t}\x00\xff\r\n"]
VALUES = [b"", b"a", b"b", b"c", b"0", b"1", b"-1", b"12345", b"3.5", b"9223372036854775807", b"\x00\xff\r\n", b"x" * 70,
          b"hello world"]
MEMBERS = [b"a", b"b", b"c", b"d", b"e", b"1", b"2", b"", b"\x00\xff"]
INTEGERS = [b"0", b"1", b"-1", b"2", b"7", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"x",
            b"", b"1.5", b" 1", b"01", b"+1"]
# Without 1e400: it leaves an error number behind, which Redis's SORT then takes for its own.
FLOATS = [b"0", b"1.5", b"-2.25", b"1e3", b"inf", b"-inf", b"+inf", b"nan", b"x", b"", b"0x10", b"3.0"]
PATTERNS = [b"*", b"a*", b"?", b"[a-c]", b"{t}*", b"none", b"\\*"]


@dataclasses.dataclass(frozen=True)
class Many:
    parts: tuple
    most: int


@dataclasses.dataclass(frozen=True)
class Optional:
    parts: tuple


def many(*parts, most=4):
    return Many(parts, most)


def opt(*parts):
    return Optional(parts)


# How replies are compared.
def exact(reply):
    return reply


def unordered(reply):
    return sorted(reply, key=repr) if isinstance(reply, list) else reply


def pairs(reply):
    if not isinstance(reply, list) or len(reply) % 2:
        return reply
    return sorted(zip(reply[::2], reply[1::2]), key=repr)


def how_many(reply):
    """Which ones is chance."""
    if isinstance(reply, bytes):
        return "one"
    return len(reply) if isinstance(reply, list) else reply


def about(reply):
    """A time left: it may have passed a second on one side."""
    return ("time", reply > 0) if isinstance(reply, int) and reply > 3 else reply


def refused_or_not(reply):
    """Over members of several scores an alphabetical range is undefined: Redis answers as its encoding lies."""
    return reply if isinstance(reply, tuple) else "something"


def collated(reply):
    """Words that Redis's collation takes for equal, up to a zero byte, come in any order."""
    return [one.split(b"\0")[0] if isinstance(one, bytes) else one for one in reply] if isinstance(reply, list) else reply


def without_idle(reply):
    """XPENDING: how long an entry has been pending is the third of four."""
    if isinstance(reply, list) and all(isinstance(one, list) and len(one) == 4 for one in reply):
        return [[one[0], one[1], one[3]] for one in reply]
    return reply


@dataclasses.dataclass(frozen=True)
class Command:
    name: bytes
    parts: tuple
    compare: Callable[[Any], Any] = exact
    weight: int = 1


def command(text, *parts, compare=exact, weight=1):
    return Command(text.encode(), parts, compare, weight)


LIMIT = opt(("LIMIT",), index, count)
EXPIRY = opt(("EX", "PX", "EXAT", "KEEPTTL", "NX", "XX"), opt(count))

FAMILIES = {
    "keys": [
        command("DEL", many(key), weight=4), command("UNLINK", key), command("EXISTS", many(key)), command("TYPE", key),
        command("RENAME", key, key), command("RENAMENX", key, key), command("COPY", key, key, opt(("REPLACE", "DB", "x"))),
        command("EXPIRE", key, lifetime, opt(("NX", "XX", "GT", "LT", "Y"))),
        command("PERSIST", key), command("TTL", key, compare=about), command("DBSIZE"),
        command("KEYS", pattern, compare=unordered), command("TOUCH", many(key)), command("OBJECT", "REFCOUNT", key,
                                                                                       compare=lambda r: r and 1),
    ],
    "strings": [
        command("SET", key, value, opt(("NX", "XX", "GET", "KEEPTTL", "Y")), weight=4), command("GET", key),
        command("SETNX", key, value), command("GETSET", key, value), command("GETDEL", key), command("APPEND", key, value),
        command("STRLEN", key), command("INCR", key), command("INCRBY", key, integer), command("DECRBY", key, integer),
        command("INCRBYFLOAT", key, number), command("GETRANGE", key, index, index),
        command("SETRANGE", key, ("0", "3", "-1", "x"), value), command("MGET", many(key)),
        command("MSET", many(key, value)), command("MSETNX", many(key, value, most=2)), command("SUBSTR", key, index, index),
        command("LCS", key, key, opt(("LEN", "IDX"))), command("GETEX", key, opt(("PERSIST", "EX")), opt(count)),
    ],
    "bits": [
        command("SETBIT", key, ("0", "5", "100", "-1", "x"), bit), command("GETBIT", key, ("0", "5", "100", "x")),
        command("BITCOUNT", key, opt(index, index, opt(("BYTE", "BIT", "Y")))),
        command("BITPOS", key, bit, opt(index, opt(index, opt(("BYTE", "BIT"))))),
        command("BITOP", ("AND", "OR", "XOR", "NOT"), key, many(key, most=3)),
        command("BITFIELD", key, many(("SET",), ("u8", "i5"), ("0", "#1"), integer, most=2), opt(("GET",), ("u4",), ("2",))),
    ],
    "hashes": [
        command("HSET", key, many(member, value), weight=4), command("HGET", key, member), command("HDEL", key, many(member)),
        command("HGETALL", key, compare=pairs), command("HKEYS", key, compare=unordered),
        command("HVALS", key, compare=unordered), command("HLEN", key), command("HEXISTS", key, member),
        command("HMGET", key, many(member)), command("HSETNX", key, member, value), command("HSTRLEN", key, member),
        command("HINCRBY", key, member, integer), command("HINCRBYFLOAT", key, member, number),
        command("HRANDFIELD", key, count, compare=how_many),
    ],
    "lists": [
        command("LPUSH", key, many(value), weight=3), command("RPUSH", key, many(value), weight=3),
        command("LPUSHX", key, many(value)), command("RPUSHX", key, value), command("LPOP", key, opt(count)),
        command("RPOP", key, opt(count)), command("LLEN", key), command("LINDEX", key, index),
        command("LSET", key, index, value), command("LRANGE", key, index, index, weight=3), command("LTRIM", key, index, index),
        command("LINSERT", key, ("BEFORE", "after", "x"), value, value), command("LREM", key, index, value),
        command("LPOS", key, value, opt(("RANK",), ("1", "2", "-1", "-2", "0", "x")), opt(("COUNT",), count),
                opt(("MAXLEN",), count)),
        command("LMOVE", key, key, end, end), command("RPOPLPUSH", key, key),
        command("LMPOP", "1", key, end, opt(("COUNT",), count)), command("LMPOP", "2", key, key, end),
        command("BLPOP", key, key, soon), command("BRPOP", key, soon), command("BLMOVE", key, key, end, end, soon),
        command("BRPOPLPUSH", key, key, soon), command("BLMPOP", soon, ("1", "2", "0"), key, key, end),
    ],
    "sets": [
        command("SADD", key, many(member), weight=4), command("SREM", key, many(member)), command("SISMEMBER", key, member),
        command("SMISMEMBER", key, many(member)), command("SCARD", key), command("SMEMBERS", key, compare=unordered),
        command("SMOVE", key, key, member), command("SRANDMEMBER", key, count, compare=how_many),
        command("SINTER", many(key), compare=unordered), command("SUNION", many(key), compare=unordered),
        command("SDIFF", many(key), compare=unordered), command("SINTERSTORE", key, many(key)),
        command("SUNIONSTORE", key, many(key)), command("SDIFFSTORE", key, many(key)),
        command("SINTERCARD", ("1", "2", "0"), key, key, opt(("LIMIT",), count)),
    ],
    "hyperloglogs": [
        command("PFADD", key, many(value), weight=3), command("PFCOUNT", many(key)), command("PFMERGE", key, many(key)),
    ],
    "sorted sets": [
        command("ZADD", key, opt(("NX", "XX", "GT", "LT")), opt(("CH", "INCR")), many(number, member), weight=4),
        command("ZREM", key, many(member)), command("ZSCORE", key, member), command("ZMSCORE", key, many(member)),
        command("ZCARD", key), command("ZINCRBY", key, number, member), command("ZRANK", key, member),
        command("ZREVRANK", key, member), command("ZCOUNT", key, number, number),
        command("ZRANGE", key, index, index, opt(("WITHSCORES", "REV"))), command("ZREVRANGE", key, index, index),
        command("ZRANGE", key, number, number, ("BYSCORE",), LIMIT), command("ZRANGEBYSCORE", key, number, number, LIMIT),
        command("ZRANGEBYLEX", key, ("-", "[a", "(b"), ("+", "[c", "(d"), LIMIT, compare=refused_or_not), command("ZPOPMIN", key, opt(count)),
        command("ZPOPMAX", key, opt(count)), command("ZREMRANGEBYRANK", key, index, index),
        command("ZREMRANGEBYSCORE", key, number, number), command("ZUNIONSTORE", key, "2", key, key),
        command("ZINTERSTORE", key, "2", key, key, opt(("WEIGHTS",), number, number)), command("ZDIFF", "2", key, key),
        command("ZRANGESTORE", key, key, index, index), command("ZMPOP", "1", key, ("MIN", "MAX")),
        command("BZPOPMIN", key, soon), command("ZLEXCOUNT", key, ("-", "[a"), ("+", "(d"), compare=refused_or_not),
    ],
    "streams": [
        command("XADD", key, opt(("NOMKSTREAM",)), opt(("MAXLEN",), ("=",), count), entry_id, many(member, value, most=2),
                weight=4),
        command("XLEN", key), command("XRANGE", key, stream_id, stream_id, opt(("COUNT",), count)),
        command("XREVRANGE", key, stream_id, stream_id, opt(("COUNT",), count)), command("XDEL", key, many(entry_id)),
        command("XTRIM", key, ("MAXLEN", "MINID"), count), command("XREAD", opt(("COUNT",), count), "STREAMS", key, entry_id),
        command("XREAD", "BLOCK", "1", "STREAMS", key, key, entry_id, "$"), command("XSETID", key, entry_id),
        command("XGROUP", "CREATE", key, ("g", "h"), ("0", "$", "1-1"), opt(("MKSTREAM",)), weight=2),
        command("XGROUP", ("DESTROY",), key, ("g", "h")), command("XGROUP", "SETID", key, "g", ("0", "$", "x")),
        command("XGROUP", ("CREATECONSUMER", "DELCONSUMER"), key, ("g", "h"), ("c", "d")),
        command("XREADGROUP", "GROUP", ("g", "h"), ("c", "d"), opt(("COUNT",), count), opt(("NOACK",)), "STREAMS", key,
                (">", "0", "1-1"), weight=3),
        command("XACK", key, ("g", "h"), many(entry_id)), command("XPENDING", key, ("g", "h")),
        command("XPENDING", key, ("g", "h"), "-", "+", count, opt(("c", "d")), compare=without_idle),
        command("XCLAIM", key, "g", ("c", "d"), "0", many(entry_id), opt(("JUSTID", "FORCE"))),
        command("XAUTOCLAIM", key, "g", "d", "0", entry_id, opt(("COUNT",), ("1", "2"))),
    ],
    "geo": [
        command("GEOADD", key, opt(("NX", "XX")), opt(("CH",)), many(("13.36", "15.08", "-122.4", "0", "181", "x"),
                ("38.11", "37.50", "0", "86"), member, most=2), weight=3),
        command("GEOPOS", key, many(member)), command("GEOHASH", key, many(member)),
        command("GEODIST", key, member, member, opt(("m", "km", "ft", "mi", "x"))),
        command("GEOSEARCH", key, "FROMLONLAT", "15", "37", "BYRADIUS", ("200", "1000", "-1"), "km", opt(("ASC", "DESC")),
                opt(("WITHCOORD", "WITHDIST", "WITHHASH"))),
        command("GEOSEARCHSTORE", key, key, "FROMMEMBER", member, "BYBOX", "400", "400", "km"),
        command("GEORADIUS", key, "15", "37", "200", "km", opt(("WITHDIST",)), ("ASC",)),
    ],
    "sort": [
        command("SORT", key, LIMIT, opt(("ASC", "DESC")), "ALPHA", compare=collated),
        command("SORT", key, ("BY",), ("nosort", "{t}*", "x"), opt(("ALPHA",)), compare=how_many), command("SORT", key),
        command("SORT", key, "STORE", key), command("SORT_RO", key, "ALPHA", compare=collated),
        command("SORT", key, "BY", "nosort", "GET", ("#", "{t}*", "x"), compare=how_many),
    ],
    "scripts": [
        command("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", key, value),
        command("EVAL", "return {redis.pcall('INCR', KEYS[1]), redis.call('TYPE', KEYS[1])}", "1", key),
        command("EVAL", "redis.call('RPUSH', KEYS[1], ARGV[1]); return redis.call('LRANGE', KEYS[1], 0, -1)", "1", key, value),
        command("EVAL", "return {ARGV[1], tonumber(ARGV[1]), #ARGV, KEYS[1] == KEYS[2], false, 1.9}", "2", key, key, value),
        command("EVAL", "return redis.call('BLMPOP', 0, 1, KEYS[1], 'LEFT')", "1", key),
        command("EVAL_RO", "return redis.call('EXISTS', KEYS[1])", "1", key),
        command("EVAL_RO", "return redis.pcall('DEL', KEYS[1])", "1", key),
    ],
}

# Families whose values differ in their bytes (PFCOUNT of Redis writes its estimate into the value): a round has them
# beside these others only, which do not look at the bytes.
# Geo commands have their keys to themselves: scores that are no places are searched by either as it likes.
APART = {"hyperloglogs": ("keys", "lists"), "geo": ("keys",)}
