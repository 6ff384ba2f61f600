"""Damage on disk: named with file and place, refused where something is lost, and healed by the documented way on.

A start that is refused ends with code 1 and says why in its log; it never crashes, and never serves less than it had
without saying so.
"""

import contextlib
import json
import pathlib
import re
import shlex
import subprocess
import tempfile

import redis

from tidemark_process import Node, Skipped, server_binary

VALUE = "v" * 1000


def cli(*words):
    return subprocess.run([str(server_binary().parent / "tidemark"), *map(str, words)], capture_output=True, text=True,
                          timeout=60)


def refused(node):
    """Starts a server that has to refuse; what it said."""
    node.log_path.unlink(missing_ok=True)
    node.launch()
    code = node.ended(30)
    said = node.log()
    assert code == 1, f"ended with {code} instead of 1:\n{said}"
    return said


def segments(node):
    return sorted((node.dir / "log").glob("*.log"))


def flip(path, offset, count=16):
    with open(path, "r+b") as file:
        file.seek(offset)
        old = file.read(count)
        file.seek(offset)
        file.write(bytes(byte ^ 0xFF for byte in old))


def write(node, count, first=0):
    """k0, k1, …; a hundred at a time, so that later records tell that earlier ones were durable."""
    pipe = node.client().pipeline(transaction=False)
    for i in range(first, first + count):
        pipe.set(f"k{i}", f"{i}:{VALUE}")
        if i % 100 == 99:
            pipe.execute()
    pipe.execute()


def held(node, count):
    """How many of k0, k1, … are there, and right, before the first that is not."""
    values = node.client().mget([f"k{i}" for i in range(count)])
    for i, value in enumerate(values):
        if value is None:
            assert not any(values[i:]), f"k{i} is missing, but later keys are there: not a prefix"
            return i
        assert value == f"{i}:{VALUE}".encode()
    return count


def log_of_three_segments():
    """A server, killed, whose log has several segments that the store does not have."""
    node = Node(appendfsync="always", log_segment_size="1mb", store_dirty_size="64mb", log_retain_size="100mb").start()
    write(node, 3000)
    node.kill9()
    assert len(segments(node)) >= 3
    return node


def follow_the_way_on(node, said):
    """Runs what the message says: look, cut, start."""
    looked = cli(*shlex.split(re.search(r"tidemark (wal inspect \S+ --from \d+)", said)[1]))
    assert looked.returncode == 2 and "damaged" in looked.stderr, looked.stderr
    cut = cli(*shlex.split(re.search(r"tidemark (wal cut \S+ --at \d+)", said)[1]), "-y")
    assert cut.returncode == 0, cut.stderr
    node.start()


def test_damage_in_the_middle_of_the_log_is_refused_and_can_be_cut():
    with contextlib.closing(log_of_three_segments()) as node:
        damaged = segments(node)[1]
        flip(damaged, 300_000)
        said = refused(node)
        assert str(damaged) in said and "byte offset" in said, said
        offset = int(re.search(r"byte offset (\d+)", said)[1])
        assert 300_000 - 1200 < offset <= 300_000, said
        follow_the_way_on(node, said)
        kept = held(node, 3000)
        assert 1000 < kept < 2000, kept
        # It goes on as a whole log does.
        write(node, 100, first=kept)
        node.kill9()
        node.start()
        assert held(node, 3000) == kept + 100


def test_damage_in_the_last_segment_below_what_was_durable_is_refused_and_can_be_cut():
    with contextlib.closing(log_of_three_segments()) as node:
        damaged = [path for path in segments(node) if path.read_bytes()[64:104].strip(b"\0")][-1]
        flip(damaged, 10_000)
        said = refused(node)
        assert str(damaged) in said and "byte offset" in said, said
        follow_the_way_on(node, said)
        assert 2000 < held(node, 3000) < 3000


def test_a_damaged_segment_header_is_refused():
    with contextlib.closing(log_of_three_segments()) as node:
        damaged = segments(node)[1]
        flip(damaged, 20)
        said = refused(node)
        assert str(damaged) in said, said
        follow_the_way_on(node, said)
        assert held(node, 3000) > 500


def test_a_missing_segment_is_refused_and_named():
    with contextlib.closing(log_of_three_segments()) as node:
        gone = segments(node)[1]
        kept = gone.read_bytes()
        gone.unlink()
        said = refused(node)
        assert "lacks a segment" in said and str(segments(node)[1]) in said, said
        gone.write_bytes(kept)
        node.start()
        assert held(node, 3000) == 3000


def last_record(node):
    """The last segment with records, and where its last record begins and ends in it."""
    looked = cli("wal", "inspect", "--json", node.dir / "log")
    assert looked.returncode == 0, looked.stderr
    record = json.loads(looked.stdout.splitlines()[-1])
    return record["file"], record["offset"], record["offset"] + 40 + record["length"]


def test_a_torn_tail_is_cut_saved_and_reported():
    with Node(appendfsync="no", save="") as node:
        write(node, 100)
        node.kill9()
        path, begin, end = last_record(node)
        with open(path, "r+b") as file:
            file.seek(begin + (end - begin) // 2)
            file.write(bytes(end - begin))
        node.start()
        said = node.log()
        assert "torn" in said, said
        saved = re.search(r"saved (?:to|as) (\S+)", said)[1]
        assert re.search(r"at lsn:[0-9a-f]+", said) and (node.dir / "log" / saved).exists(), said
        assert held(node, 100) == 99
        write(node, 1, first=99)
        node.kill9()
        node.log_path.unlink()
        node.start()
        assert held(node, 100) == 100 and "torn" not in node.log()


def test_garbage_behind_the_tail_is_cut():
    with Node(appendfsync="always") as node:
        write(node, 100)
        node.kill9()
        path, _, end = last_record(node)
        with open(path, "r+b") as file:
            file.seek(end)
            file.write(b"\xa5" * 333)
        node.start()
        assert "torn" in node.log() and held(node, 100) == 100


def persisted_node(count=20000):
    """A server, stopped cleanly, whose rows are all in sorted files."""
    node = Node(log_segment_size="1mb", store_dirty_size="2mb", log_retain_size="0", log_purge_interval_ms=50,
                maxmemory="16mb").start()
    for first in range(0, count, 1000):
        write(node, 1000, first=first)
    assert node.stop() == 0
    return node


def test_a_corrupted_sorted_file_costs_only_what_it_held():
    count = 20000
    with contextlib.closing(persisted_node(count)) as node:
        largest = max((node.dir / "store").glob("*.sst"), key=lambda path: path.stat().st_size)
        flip(largest, largest.stat().st_size // 2, 64)
        node.start()
        client = node.client()
        failed = 0
        for i in range(count):
            try:
                assert client.get(f"k{i}") == f"{i}:{VALUE}".encode()
            except redis.ResponseError as error:
                assert largest.name in str(error) or "orrupt" in str(error), error
                failed += 1
        assert 0 < failed < 100, failed
        # Others are written and read, and the server stops in order.
        client.set("new", "value")
        assert client.get("new") == b"value" and node.alive()


def test_a_sorted_file_cut_short_is_named():
    with contextlib.closing(persisted_node(5000)) as node:
        largest = max((node.dir / "store").glob("*.sst"), key=lambda path: path.stat().st_size)
        with open(largest, "r+b") as file:
            file.truncate(largest.stat().st_size // 2)
        said = refused(node)
        assert largest.name in said, said


def test_a_store_without_its_manifest_is_refused_not_emptied():
    for pattern in ("MANIFEST-*", "CURRENT"):
        with contextlib.closing(persisted_node(5000)) as node:
            for path in (node.dir / "store").glob(pattern):
                path.unlink()
            said = refused(node)
            assert "store" in said and ("missing" in said or "LSN" in said), said


def test_a_log_that_was_taken_away_is_refused():
    with contextlib.closing(persisted_node(5000)) as node:
        (node.dir / "log").rename(node.dir / "elsewhere")
        said = refused(node)
        assert "log" in said and "LSN" in said, said
        # The attempt made a log of its own; with the real one back the server starts.
        (node.dir / "log").rename(node.dir / "made-by-the-attempt")
        (node.dir / "elsewhere").rename(node.dir / "log")
        node.start()
        assert held(node, 5000) == 5000


def test_a_truncated_leases_file_is_refused_and_named():
    with contextlib.closing(log_of_three_segments()) as node:
        leases = node.dir / "log" / "leases"
        content = leases.read_bytes()
        leases.write_bytes(content[:len(content) // 2])
        said = refused(node)
        assert str(leases) in said and "remove it" in said, said
        leases.unlink()
        node.start()
        assert held(node, 3000) == 3000


def test_a_read_only_file_system_is_named():
    with tempfile.TemporaryDirectory() as folder:
        disk = pathlib.Path(folder) / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tidemark-test", disk],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            raise Skipped(f"mounting is not permitted here: {mounted.stderr.strip()}")
        try:
            node = Node(dir=disk)
            node.log_path = pathlib.Path(folder) / "server.log"
            said = refused(node)
            assert "ead-only" in said and str(disk) in said, said
        finally:
            subprocess.run(["umount", disk], check=True)


def test_a_long_replay_tells_its_progress():
    """More than a second of log: the server says how far it is while it replays, and answers once it is done."""
    with Node(store_dirty_size="1gb", maxmemory="4gb", log_apply_max="4gb") as node:
        subprocess.run(["redis-benchmark", "-p", str(node.port), "-q", "-n", "1500000", "-r", "1500000", "-P", "100",
                        "-t", "set"], check=True, capture_output=True, timeout=120)
        size = node.client().dbsize()
        node.kill9()
        node.start(seconds=120)
        assert re.search(r"recovery: \d+ records, .* MiB of log \(\d+ %\)", node.log(lines=200)), node.log()
        assert node.client().dbsize() == size
