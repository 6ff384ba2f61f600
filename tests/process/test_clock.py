"""A wall clock set a year ahead and back while the server serves (the monotonic clock stays true)."""

import json
import struct
import subprocess
import tempfile
import time

from tidemark_process import Node, preload, server_binary, wait_until

YEAR_SECONDS = 365 * 86400


class WallClock:
    """What the server's wall clock shows, as an offset to the true one (clock/shim.cc)."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile()
        self.set(0)
        self.env = {"LD_PRELOAD": str(preload("clock")), "TM_CLOCK_FILE": self.file.name}

    def set(self, seconds):
        self.file.seek(0)
        self.file.write(struct.pack("=q", seconds))
        self.file.flush()


def alarm_seconds(client):
    return int(client.info("log")["clock_alarm_usec"]) / 1e6


def check_ttls(client, began):
    passed = time.monotonic() - began
    left = client.pttl("hundred") / 1000
    assert 100 - passed - 15 < left < 100 - passed + 15, f"{left} s left of 100 after {passed} s"
    assert client.ttl("lasting") == -1


def write_while(client, clock, offset):
    """Writes, jumps, writes on; the alarm tells the jump."""
    for _ in range(40):
        client.incr("count")
    clock.set(offset)
    if offset == 0:
        wait_until("the alarm is over", lambda: client.incr("count") and abs(alarm_seconds(client)) < 10)
    else:
        wait_until("the jump is noticed", lambda: client.incr("count") and abs(alarm_seconds(client) - offset) < 60)
    client.psetex("short", 1500, "value")
    assert client.get("short") == b"value", "a fresh key has expired at once"
    wait_until("a key expires in its time", lambda: client.exists("short") == 0, seconds=5)
    client.setex("fresh", 1000, "value")
    assert 985 <= client.ttl("fresh") <= 1000


def test_a_clock_set_a_year_ahead_and_back_moves_no_ttl_and_no_timestamp():
    clock = WallClock()
    with Node(appendfsync="always", env=clock.env) as node:
        client = node.client()
        client.set("lasting", "value")
        client.setex("hundred", 100, "value")
        began = time.monotonic()
        true_before = time.time()
        for offset in (YEAR_SECONDS, 0, -YEAR_SECONDS, 0):
            write_while(client, clock, offset)
            check_ttls(client, began)
        count = int(client.get("count"))
        check_timestamps(node, true_before)
        # While the clock is ahead, the process dies and comes back.
        node.kill9()
        node.start()
        client = node.client()
        assert int(client.get("count")) == count
        check_ttls(client, began)


def check_timestamps(node, true_before):
    tidemark = server_binary().parent / "tidemark"
    looked = subprocess.run([tidemark, "wal", "inspect", "--json", node.dir / "log"], capture_output=True, text=True,
                            timeout=60)
    assert looked.returncode == 0, looked.stderr
    stamps = [json.loads(line)["timestamp"] / 1e6 for line in looked.stdout.splitlines()]
    assert len(stamps) > 100
    assert all(earlier < later for earlier, later in zip(stamps, stamps[1:])), "timestamps do not rise"
    assert true_before - 15 < stamps[0] and stamps[-1] < time.time() + 15, (true_before, stamps[0], stamps[-1])
