"""Coming from Redis and going back, with Debian's redis-server on the other side: files imported, a file exported, values
carried by DUMP and RESTORE, and a live Redis followed through cuts and crashes. Each time everything is compared."""

import os
import random
import subprocess
import threading

import redis

from redis_process import RedisServer, assert_same, contents, populate, served_types
from tidemark_process import ROOT, Node, free_port, seed, server_binary, wait_until

PACKED = {"list-max-listpack-size": "-2", "hash-max-listpack-entries": "128", "zset-max-listpack-entries": "128"}
PLAIN = {"list-max-listpack-size": "3", "hash-max-listpack-entries": "0", "zset-max-listpack-entries": "0",
         "set-max-intset-entries": "0"}


def cli(*words, code=0):
    done = subprocess.run([str(server_binary().parent / "tidemark"), *map(str, words)], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def fill(server, rng, kinds):
    """Half of it with the encodings of small values, half without."""
    client = server.client()
    for settings, first in ((PACKED, 0), (PLAIN, 40)):
        for name, value in settings.items():
            client.config_set(name, value)
        populate(client, rng, kinds, count=40, first=first)
    client.close()


def test_an_rdb_file_is_imported():
    rng = random.Random(seed())
    with Node() as node, RedisServer() as old:
        fill(old, rng, served_types(node.client()))
        client = old.client()
        client.set("soon", "x", px=1)
        client.save()
        before = contents(old)
        before.pop((0, b"soon"), None)
        said = cli("import", old.dir / "dump.rdb", "--to", f"127.0.0.1:{node.port}")
        assert "keys " in said and "string" in said, said
        assert_same(contents(node), before)
        # Not into what has keys, unless told.
        assert "is not empty" in cli("import", old.dir / "dump.rdb", "--to", f"127.0.0.1:{node.port}", code=1)
        node.client().set("ours", "stays")
        cli("import", old.dir / "dump.rdb", "--to", f"127.0.0.1:{node.port}", "--replace")
        assert node.client().get("ours") == b"stays"
        node.client().delete("ours")
        assert_same(contents(node), before)


def test_a_damaged_rdb_file_is_named():
    with Node() as node, RedisServer() as old:
        old.client().config_set("rdbcompression", "no")
        old.client().mset({f"k{i}": "v" * 50 for i in range(1000)})
        old.client().save()
        path = old.dir / "dump.rdb"
        whole = path.read_bytes()
        path.write_bytes(whole[:-100])
        assert "byte" in cli("import", path, "--to", f"127.0.0.1:{node.port}", code=2)
        node.client().flushall()
        damaged = bytearray(whole)
        damaged[whole.index(b"v" * 20) + 5] ^= 1
        path.write_bytes(damaged)
        assert "checksum" in cli("import", path, "--to", f"127.0.0.1:{node.port}", code=2)


def test_an_append_only_folder_is_imported():
    rng = random.Random(seed())
    with Node() as node, RedisServer(appendonly="yes") as old:
        kinds = served_types(node.client())
        fill(old, rng, kinds)
        client = old.client()
        client.bgrewriteaof()
        wait_until("the rewrite is over", lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0
                   and client.info("persistence")["aof_rewrite_scheduled"] == 0, 30)
        # In the increment: the stream of commands.
        with client.pipeline() as pipe:
            pipe.set("in-multi", 1).incr("in-multi").rename("in-multi", "renamed")
            pipe.execute()
        client.set("later", "x", ex=100000)
        client.delete("string:1")
        before = contents(old)
        old.stop()
        cli("import", old.dir / "appendonlydir", "--to", f"127.0.0.1:{node.port}")
        assert_same(contents(node), before)


def test_redis_loads_an_export():
    rng = random.Random(seed())
    with Node() as node, RedisServer() as back:
        kinds = served_types(node.client())
        populate(node.client(), rng, kinds, 80)
        node.client().set("big", rng.randbytes(30_000_000))
        before = contents(node)
        said = cli("export", "--rdb", back.dir / "out.rdb", "--from", f"127.0.0.1:{node.port}")
        assert f"{len(before)} keys" in said, said
        back.stop()
        (back.dir / "out.rdb").rename(back.dir / "dump.rdb")
        back.start()
        assert_same(contents(back), before)


def test_dump_and_restore_go_both_ways():
    rng = random.Random(seed())
    with Node() as node, RedisServer() as redis_server:
        fill(redis_server, rng, served_types(node.client()))
        before = contents(redis_server)
        for db in (0, 3):
            here, there = node.client(db=db), redis_server.client(db=db)
            for name in list(there.scan_iter(count=1000)):
                ttl = max(0, there.execute_command("PEXPIRETIME", name))
                here.restore(name, ttl, there.dump(name), absttl=ttl > 0)
            there.flushdb()
            for name in list(here.scan_iter(count=1000)):
                ttl = max(0, here.execute_command("PEXPIRETIME", name))
                there.restore(name, ttl, here.dump(name), absttl=ttl > 0)
        assert_same(contents(node), before)
        assert_same(contents(redis_server), before)


def link(node):
    return node.client().info("replication")


def caught_up(node, old):
    here, there = link(node), old.client().info("replication")
    return here["master_link_status"] == "up" and here["slave_repl_offset"] >= there["master_repl_offset"]


class Writer:
    """Writes to a Redis until told to end; knows nothing of who follows."""

    def __init__(self, server, rng):
        self.client, self.rng, self.ended = server.client(), rng, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        n = 0
        while not self.ended.is_set():
            n += 1
            with self.client.pipeline(transaction=n % 3 == 0) as pipe:
                pipe.incr("counter").set(f"live:{n % 500}", self.rng.randbytes(30)).append("log", "x")
                pipe.hset("live-hash", f"f{n % 100}", n).set(f"gone:{n % 50}", 1, px=200)
                pipe.execute()


def test_a_live_redis_is_followed_and_left():
    rng = random.Random(seed())
    for diskless in ("yes", "no"):
        with Node() as node, RedisServer(repl_diskless_sync=diskless, repl_diskless_sync_delay=0) as old:
            fill(old, rng, served_types(node.client()))
            node.client().set("mine", "goes")
            with Writer(old, rng):
                node.client().replicaof("127.0.0.1", old.port)
                wait_until("the link is up", lambda: link(node)["master_link_status"] == "up", 60)
                try:
                    node.client().set("x", "y")
                    raise AssertionError("a replica took a write")
                except redis.exceptions.ReadOnlyError:
                    pass
                wait_until("the stream comes", lambda: int(node.client().get("counter") or 0) > 200, 30)
            old.client().set("last", "x")
            wait_until("everything is here", lambda: caught_up(node, old), 30)
            # What expires goes by the primary's word.
            wait_until("all that expires has", lambda: not old.client().keys("gone:*"), 30)
            wait_until("everything is here", lambda: caught_up(node, old), 30)
            assert_same(contents(node), contents(old))
            node.client().execute_command("REPLICAOF", "NO", "ONE")
            wait_until("it takes writes", lambda: node.client().info("replication")["role"] == "master", 30)
            assert node.client().set("x", "y")
            old.client().set("after", "not followed")
            assert node.client().get("after") is None


def test_a_cut_or_a_crash_costs_no_second_full_sync():
    rng = random.Random(seed())
    with Node() as node, RedisServer(repl_diskless_sync_delay=0, repl_backlog_size="64mb") as old:
        fill(old, rng, served_types(node.client()))
        node.client().replicaof("127.0.0.1", old.port)
        wait_until("the link is up", lambda: link(node)["master_link_status"] == "up", 60)

        def partial_syncs():
            return old.client().info("stats")["sync_partial_ok"]

        def restart(end):
            end()
            node.start()

        cut = lambda: old.client().execute_command("CLIENT", "KILL", "TYPE", "replica")
        with Writer(old, rng):
            for end in (cut, cut, cut, lambda: restart(node.kill9), lambda: restart(node.stop)):
                before = partial_syncs()
                end()
                wait_until("it goes on where it was", lambda before=before: partial_syncs() > before, 30)
        wait_until("all that expires has", lambda: not old.client().keys("gone:*"), 30)
        old.client().set("last", "x")
        wait_until("everything is here", lambda: caught_up(node, old), 30)
        assert_same(contents(node), contents(old))
        assert old.client().info("stats")["sync_full"] == 1


def test_a_redis_behind_a_password():
    with Node(masterauth="secret") as node, RedisServer(requirepass="secret", repl_diskless_sync_delay=0) as old:
        old.client(password="secret").set("k", "v")
        node.client().replicaof("127.0.0.1", old.port)
        wait_until("the key is here", lambda: node.client().get("k") == b"v", 30)
        node.client().config_set("masterauth", "wrong")
        old.client(password="secret").execute_command("CLIENT", "KILL", "TYPE", "replica")
        wait_until("the reason is told", lambda: "WRONGPASS" in link(node)["master_link_problem"], 30)


def test_nobody_there_is_told():
    with Node() as node:
        node.client().set("mine", "stays")
        node.client().replicaof("127.0.0.1", free_port())
        wait_until("the reason is told", lambda: link(node)["master_link_problem"] != "", 30)
        assert node.client().get("mine") == b"stays"


def test_the_move_of_the_examples():
    environment = dict(os.environ, TIDEMARK_SERVER=str(server_binary()), PORT=str(free_port()),
                       TIDEMARK_CLI=str(server_binary().parent / "tidemark"), OLD_PORT=str(free_port()),
                       BACK_PORT=str(free_port()))
    story = subprocess.run([ROOT / "examples" / "move-from-redis.sh"], env=environment, capture_output=True, text=True,
                           timeout=300)
    print(story.stdout[-3000:], story.stderr[-3000:])
    assert story.returncode == 0, story.returncode
    assert "both ways, nothing lost" in story.stdout
