"""DEBUG DIGEST between real servers: a store killed and recovered, and one restored from an archive, have the digest that
clients saw before; and a digest of much data holds up neither writers nor a stop."""

import contextlib
import random
import shutil
import threading

import redis

from test_restore import EXACT, folder, force_flush, restore, start_task
from tidemark_process import Node, seed, wait_until

FLAGS = {"enable_debug_command": "yes", "log_segment_size": "4mb", "store_dirty_size": "2mb"}


def digest(client):
    lsn, hexadecimal, keys = client.execute_command("DEBUG", "DIGEST", "LSN")
    assert len(hexadecimal) == 40
    assert client.info("log")["log_appended_lsn"] >= lsn
    return lsn, hexadecimal.decode(), keys


def write_all_kinds(client, rng, count):
    """Every kind of key and of change. Nothing expires before the test is over: when a removal enters the log, the digest
    changes, and no test knows when that is."""
    with client.pipeline(transaction=False) as pipe:
        for _ in range(count):
            name = rng.randrange(count // 3)
            kind = rng.randrange(8)
            if kind < 3:
                pipe.set(f"s{name}", rng.randbytes(rng.randrange(600)))
            elif kind < 5:
                pipe.hset(f"h{name % 97}", f"f{rng.randrange(50)}", rng.randbytes(20))
            elif kind == 5:
                pipe.set(f"e{name}", "x", px=3_600_000 + rng.randrange(1000))
            elif kind == 6:
                pipe.delete(f"s{name}", f"h{name % 97}")
            else:
                pipe.execute_command("SWAPDB", 0, 1 + name % 3)
        pipe.execute()


def test_a_killed_node_recovers_the_digest():
    rng = random.Random(seed())
    with Node(appendfsync="everysec", log_retain_size="1gb", **FLAGS) as node:
        for count in (3000, 3000, 200):
            client = node.client()
            write_all_kinds(client, rng, count)
            before = digest(client)
            assert before[2] > 0
            node.kill9()
            node.start()
            assert digest(node.client())[1:] == before[1:]
        # The digest has persisted the store each time: now the log alone has to bring everything back.
        node.kill9()
        shutil.rmtree(node.dir / "store")
        node.start()
        assert digest(node.client())[1:] == before[1:]
        node.client().set("one", "more")
        assert digest(node.client())[1] != before[1]


def test_a_restored_node_has_the_digest_of_the_one_that_is_gone():
    rng = random.Random(seed())
    with folder() as root:
        with Node(dir=root / "node", **FLAGS) as node:
            client = node.client()
            write_all_kinds(client, rng, 2000)
            start_task(client, root / "archive")
            write_all_kinds(client, rng, 2000)
            wanted = digest(client)
            force_flush(client)
            node.kill9()
        restore(root / "archive", "latest", root / "restored", code=EXACT)
        with Node(dir=root / "restored", **FLAGS) as restored:
            found = digest(restored.client())
            assert found[1:] == wanted[1:]
            assert found[0] > wanted[0], "the new identity is a record"


def test_a_digest_of_much_data_stops_neither_writers_nor_the_server():
    rng = random.Random(seed())
    with Node(appendfsync="no", **FLAGS) as node:
        client = node.client()
        for base in range(0, 100_000, 10_000):
            client.mset({f"k{i}": rng.randbytes(40) for i in range(base, base + 10_000)})
        written, ended = [0], threading.Event()

        def write():
            link = node.client()
            while not ended.is_set():
                link.set(f"k{written[0] % 5000}", written[0])
                written[0] += 1
        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until("the writer writes", lambda: written[0] > 0)
            beside = 0
            for _ in range(5):
                before = written[0]
                assert digest(client)[2] == 100_000
                beside += written[0] - before
        finally:
            ended.set()
            writer.join()
        assert beside > 0, "nobody could write beside five digests"

        def ask():
            with contextlib.suppress(redis.RedisError):  # the server stops
                client.execute_command("DEBUG", "DIGEST")
        asker = threading.Thread(target=ask)
        asker.start()
        assert node.stop() == 0
        asker.join()
