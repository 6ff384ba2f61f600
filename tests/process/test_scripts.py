"""Scripts against a real server: all or nothing after a kill, functions that survive, slow ones that others outlive."""

import random
import threading
import time

import redis

from replication import assert_same_data, await_link, info, join, nodes
from tidemark_process import Node, seed, wait_until

# Moves an amount between two accounts and counts the moves: any part of it alone would show.
MOVE = """
local amount = tonumber(ARGV[1])
redis.call('incrby', KEYS[1], -amount)
redis.call('incrby', KEYS[2], amount)
return redis.call('incr', KEYS[3])
"""
LIBRARY = """#!lua name=bank
redis.register_function('deposit', function(keys, args) return redis.call('incrby', keys[1], args[1]) end)
redis.register_function{function_name='balance', callback=function(keys) return redis.call('get', keys[1]) end,
                        flags={'no-writes'}}
"""


def in_background(job):
    """Runs job in a thread; its result or error comes from the returned function."""
    result = []

    def run():
        try:
            result.append(job())
        except redis.RedisError as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join_it():
        thread.join(30)
        return result[0]

    return join_it


def error_of(job):
    try:
        job()
    except redis.RedisError as error:
        return str(error)
    return ""


def test_after_kill9_a_script_happened_or_did_not():
    rng = random.Random(seed())
    with Node(appendfsync="always") as node:
        acknowledged = 0
        for _ in range(5):
            moves = [0, 0, 0, 0]
            stopping = threading.Event()

            def mover(w):
                client = node.client()
                try:
                    while not stopping.is_set():
                        client.eval(MOVE, 3, "a", "b", f"moves{w}", random.randrange(100))
                        moves[w] += 1
                except redis.RedisError:
                    pass

            threads = [threading.Thread(target=mover, args=(w,), daemon=True) for w in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.1, 0.5))  # the moment of the kill is the test's input, not a wait for something
            node.kill9()
            stopping.set()
            for thread in threads:
                thread.join()
            node.start()
            acknowledged += sum(moves)
            client = node.client()
            assert int(client.get("a") or 0) + int(client.get("b") or 0) == 0, "half of a script is there"
            done = sum(int(client.get(f"moves{w}") or 0) for w in range(4))
            assert acknowledged <= done <= acknowledged + 4 * 5, (acknowledged, done)


def test_functions_survive_a_kill_and_a_clean_stop():
    with Node() as node:
        client = node.client()
        assert client.execute_command("FUNCTION", "LOAD", LIBRARY) == b"bank"
        assert client.execute_command("FCALL", "deposit", 1, "x", 5) == 5
        node.kill9()
        node.start()
        assert node.client().execute_command("FCALL", "deposit", 1, "x", 5) == 10
        node.restart()
        client = node.client()
        assert client.execute_command("FCALL_RO", "balance", 1, "x") == b"10"
        assert client.execute_command("FUNCTION", "DELETE", "bank") == b"OK"
        node.restart()
        assert error_of(lambda: node.client().execute_command("FCALL", "deposit", 1, "x", 5)) == "Function not found"


def test_a_replica_has_the_functions_and_runs_what_reads():
    with nodes(2) as (primary, replica):
        client = primary.client()
        client.execute_command("FUNCTION", "LOAD", LIBRARY)
        join(replica, primary)
        client.execute_command("FCALL", "deposit", 1, "x", 7)
        assert_same_data(primary, replica)
        other = replica.client()
        assert other.execute_command("FCALL", "balance", 1, "x") == b"7"
        assert other.execute_command("EVAL", "return redis.call('get', KEYS[1])", 1, "x") == b"7"
        assert "can't write against a read only replica" in error_of(
            lambda: other.execute_command("FCALL", "deposit", 1, "x", 1))
        assert "can't write against a read only replica" in error_of(
            lambda: other.execute_command("EVAL", "return redis.call('set', KEYS[1], 1)", 1, "x"))
        # A library that comes later, and one that goes.
        client.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY.replace("'get', keys[1]", "'strlen', keys[1]"))
        wait_until("the replica has the new library",
                   lambda: other.execute_command("FCALL", "balance", 1, "x") == 1)
        client.execute_command("FUNCTION", "FLUSH")
        wait_until("the replica has no library", lambda: other.execute_command("FUNCTION", "LIST") == [])
        await_link(replica, primary)
        assert info(replica)["master_link_status"] == "up"


def await_busy(client):
    wait_until("the script is slow", lambda: error_of(client.ping).startswith("Redis is busy") or
               "BUSY" in error_of(client.ping))


def slow_scripts(io_threads):
    with Node(busy_reply_threshold=50, io_threads=io_threads) as node:
        client, others = node.client(), [node.client() for _ in range(8)]
        client.set("x", "old")
        # Others work on both kinds of rows, so that some meet the script at the lock.
        stopping = threading.Event()
        answers = []

        def worker(connection):
            while not stopping.is_set():
                try:
                    connection.incr("n")
                    connection.get("x")
                except redis.RedisError as error:
                    answers.append(str(error))

        threads = [threading.Thread(target=worker, args=(c,), daemon=True) for c in others]
        for thread in threads:
            thread.start()
        for source in ("while true do end", "while true do pcall(function() while true do end end) end",
                       "while true do redis.call('get', 'x') end"):
            ended = in_background(lambda source=source: node.client().eval(source, 0))
            await_busy(client)
            assert "SCRIPT KILL" in error_of(lambda: client.get("x"))
            assert "SCRIPT KILL" in error_of(lambda: client.execute_command("FUNCTION", "KILL"))
            assert client.execute_command("SCRIPT", "KILL") == b"OK"
            assert "killed by user" in str(ended())
            assert client.ping()
        stopping.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert answers and all("busy" in a.lower() for a in answers), answers[:3]
        assert client.get("x") == b"old"


def test_a_slow_script_lets_others_answer_busy_and_can_be_killed():
    slow_scripts(io_threads=1)


def test_the_same_with_several_io_threads():
    slow_scripts(io_threads=3)


def test_a_slow_script_that_wrote_ends_with_the_server_and_leaves_nothing():
    with Node(busy_reply_threshold=20) as node:
        client = node.client()
        client.set("x", "old")
        in_background(lambda: node.client().eval("redis.call('set', 'x', 'new') while true do end", 0))
        await_busy(client)
        assert "UNKILLABLE" in error_of(lambda: client.execute_command("SCRIPT", "KILL"))
        assert "busy" in error_of(lambda: client.execute_command("SHUTDOWN")).lower()
        try:
            client.execute_command("SHUTDOWN", "NOSAVE")
        except redis.RedisError:
            pass
        node.ended()
        node.start()
        assert node.client().get("x") == b"old"


def test_a_slow_function_tells_of_itself():
    with Node(busy_reply_threshold=20) as node:
        client = node.client()
        client.execute_command("FUNCTION", "LOAD",
                               "#!lua name=l\nredis.register_function('f', function() while true do end end)")
        ended = in_background(lambda: node.client().execute_command("FCALL", "f", 0))
        await_busy(client)
        running = client.execute_command("FUNCTION", "STATS")[1]
        assert running[:4] == [b"name", b"f", b"command", [b"FCALL", b"f", b"0"]], running
        assert "FUNCTION KILL" in error_of(lambda: client.execute_command("SCRIPT", "KILL"))
        assert client.execute_command("FUNCTION", "KILL") == b"OK"
        assert "killed by user" in str(ended())


def test_a_slow_script_in_a_transaction_commits_whole():
    with Node() as node:
        pipe = node.client().pipeline(transaction=True)
        pipe.set("a", 1)
        pipe.eval("for i = 1, 20000000 do local x = i end return redis.call('incr', 'a')", 0)
        pipe.incr("a")
        assert pipe.execute() == [True, 2, 3]


def test_cold_rows_within_scripts_are_read_once_they_are_there():
    with Node(maxmemory="64mb", store_dirty_size="2mb") as node:
        client = node.client()
        for first in range(0, 40000, 1000):
            client.mset({f"k{i}": f"{i}:" + "v" * 1000 for i in range(first, first + 1000)})
        node.restart()
        client = node.client()
        script = ("local n = 0 for i = ARGV[1], ARGV[1] + 49 do n = n + #redis.call('get', 'k' .. i) "
                  "redis.call('incr', 'seen') end return n")
        for first in range(0, 40000, 4000):
            assert client.eval(script, 0, first) == sum(len(f"{i}:") + 1000 for i in range(first, first + 50))
        assert client.get("seen") == b"500"
