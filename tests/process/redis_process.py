"""A real redis-server of Debian beside the servers under test, and what both of them hold, to be compared."""

import pathlib
import shutil
import subprocess
import tempfile

import redis

from tidemark_process import free_port, wait_until


class RedisServer:
    """redis-server in a folder of its own. `flags` as for tidemark_process.Node."""

    def __init__(self, **flags):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="redis-"))
        self.port = free_port()
        self.flags = {"save": "", **flags}
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def start(self):
        words = ["redis-server", "--port", str(self.port), "--dir", str(self.dir), "--bind", "127.0.0.1"]
        for name, value in self.flags.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        with open(self.dir / "redis.log", "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("redis-server answers", self.answers, 20)
        return self

    def answers(self):
        assert self.process.poll() is None, (self.dir / "redis.log").read_text()
        try:
            return self.client().ping()
        except redis.exceptions.AuthenticationError:
            return True
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return False

    def client(self, **options):
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=30, **options)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process = None

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)


WRITERS = {"list": "rpush", "set": "sadd", "zset": "zadd", "hash": "hset", "stream": "xsetid"}


def served_types(client):
    """The types that the server has commands for."""
    served = {name.decode() for name in client.execute_command("COMMAND LIST")}
    return {"string"} | {kind for kind, name in WRITERS.items() if name in served}


def populate(client, rng, kinds, count=60, first=0):
    """Values of every kind in every encoding that redis-server writes: small and packed, large, long, binary, numbers."""
    pipe = client.pipeline(transaction=False)
    for i in range(first, first + count):
        db = rng.choice([0, 0, 0, 3])
        pipe.execute_command("SELECT", db)
        size = rng.choice([1, 5, 40, 700])

        def word():
            return rng.choice([str(rng.randrange(-10**rng.randrange(1, 19), 10**18)).encode(), rng.randbytes(5),
                               b"w%d" % rng.randrange(99999), rng.randbytes(rng.choice([63, 64, 200])), b"z" * 900])

        if "string" in kinds:
            pipe.set(f"string:{i}", rng.choice([word(), b"", b"x" * rng.randrange(40000), b"-12", b"123456789012"]))
        if "list" in kinds:
            pipe.rpush(f"list:{i}", *[word() for _ in range(size)])
        if "set" in kinds:
            pipe.sadd(f"set:{i}", *[word() for _ in range(size)])
            pipe.sadd(f"numbers:{i}", *[rng.randrange(-2**rng.choice([7, 15, 31, 62]), 2**40) for _ in range(size)])
        if "zset" in kinds:
            scores = [0, -1.5, float("inf"), float("-inf"), 1e300, 3, rng.random()]
            pipe.zadd(f"zset:{i}", {word(): rng.choice(scores) for _ in range(size)})
        if "hash" in kinds:
            pipe.hset(f"hash:{i}", mapping={word(): word() for _ in range(size)})
        if "stream" in kinds:
            populate_stream(pipe, rng, f"stream:{i}", min(size, 200))
        kind = rng.choice(sorted(kinds))
        pipe.pexpireat(f"{kind}:{i}", 4_000_000_000_000 + i)
    pipe.execute()
    client.execute_command("SELECT", 0)


def populate_stream(pipe, rng, name, size):
    ms = 1
    for n in range(1, size + 1):
        ms += rng.choice([0, 0, 1, 1000])
        fields = {"f": b"%d" % n, "g": rng.randbytes(8)} if rng.random() < 0.8 else {rng.randbytes(3): b""}
        pipe.xadd(name, fields, id=f"{ms}-{n}")
    pipe.xgroup_create(name, "g1", "0")
    pipe.xgroup_create(name, "g2", "$")
    pipe.xreadgroup("g1", "alice", {name: ">"}, count=max(1, size // 3))
    pipe.xreadgroup("g1", "bob", {name: ">"}, count=max(1, size // 4))
    pipe.xgroup_createconsumer(name, "g1", "idle")
    pipe.xtrim(name, maxlen=size)


def value_of(client, kind, name):
    if kind == "string":
        return client.get(name)
    if kind == "list":
        return client.lrange(name, 0, -1)
    if kind == "set":
        return sorted(client.smembers(name))
    if kind == "zset":
        return client.zrange(name, 0, -1, withscores=True)
    if kind == "hash":
        return sorted(client.hgetall(name).items())
    info = client.xinfo_stream(name)
    kept = {field: info[field] for field in ("length", "last-generated-id", "max-deleted-entry-id", "entries-added")}
    groups = []
    for group in client.xinfo_groups(name):
        pending = client.xpending_range(name, group["name"], min="-", max="+", count=100000)
        consumers = sorted((one["name"], one["pending"]) for one in client.xinfo_consumers(name, group["name"]))
        groups.append((group["name"], group["last-delivered-id"], group["entries-read"],
                       [(one["message_id"], one["consumer"], one["times_delivered"]) for one in pending], consumers))
    return kept, client.xrange(name), sorted(groups)


def contents(server, databases=(0, 3)):
    """Everything that users see, database by database: type, expiry and value of each key."""
    held = {}
    for db in databases:
        client = server.client(db=db)
        for name in client.scan_iter(count=1000):
            kind = client.type(name).decode()
            held[db, name] = (kind, client.execute_command("PEXPIRETIME", name), value_of(client, kind, name))
        client.close()
    return held


def assert_same(ours, theirs):
    """Says which keys differ, and how."""
    missing = sorted(set(theirs) - set(ours))[:5]
    extra = sorted(set(ours) - set(theirs))[:5]
    assert not missing and not extra, f"missing {missing}, extra {extra}"
    for key, value in theirs.items():
        assert ours[key] == value, f"{key}: {str(ours[key])[:600]}\n  instead of\n{str(value)[:600]}"
