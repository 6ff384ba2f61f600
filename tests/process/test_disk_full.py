"""A full disk: growing writes are refused with a clear error, the rest goes on, and writes resume by themselves."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import redis

from tidemark_process import Node, Skipped, wait_until

SIZE_MIB = 96
FLAGS = dict(log_segment_size="2mb", log_retain_size="2mb", log_purge_interval_ms=100, store_dirty_size="2mb",
             maxmemory="32mb", appendfsync="always")


@contextlib.contextmanager
def small_disk():
    """A folder on an ext4 file system of its own, or a tmpfs where there are no loop devices."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-disk-"))
    image, mount = place / "image", place / "mount"
    mount.mkdir()
    try:
        with open(image, "wb") as file:
            file.truncate(SIZE_MIB << 20)
        made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], capture_output=True, text=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, mount], capture_output=True, text=True)
        if made.returncode != 0 or mounted.returncode != 0:
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tidemark-test", mount],
                                     capture_output=True, text=True)
        if mounted.returncode != 0:
            raise Skipped(f"mounting is not permitted here: {mounted.stderr.strip()}")
        try:
            yield mount
        finally:
            wait_until("the file system can be unmounted",
                       lambda: subprocess.run(["umount", mount], capture_output=True).returncode == 0, seconds=20)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def server(disk, **flags):
    """A server with its data on that disk, its messages elsewhere."""
    node = Node(dir=disk / "data", **FLAGS, **flags)
    node.log_path = disk.parent / "server.log"
    return node


def fill(path, leave_bytes):
    """A file that takes all room but about so much; with 0, the last byte."""
    with open(path, "wb") as file:
        room = os.statvfs(path.parent)
        left = room.f_bavail * room.f_frsize - leave_bytes
        step = 1 << 20
        while left > 0 and step >= 4096:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), min(step, left))
                left -= step
            except OSError:
                step //= 2


class History:
    """What was acknowledged: digests by key. A key whose write got no answer may hold either value."""

    def __init__(self):
        self.digests, self.count = {}, 0

    def write(self, client):
        value = os.urandom(4096)
        key = f"k{self.count}"
        client.set(key, value)
        self.count += 1
        self.digests[key] = hashlib.sha256(value).digest()

    def write_until_refused(self, client, most=40000):
        for _ in range(most):
            try:
                self.write(client)
            except redis.ResponseError as error:
                assert str(error).startswith("DISKFULL"), error
                return
        raise AssertionError("the disk never became full")

    def check(self, client):
        for key, digest in self.digests.items():
            value = client.get(key)
            assert value is not None, f"{key} of {len(self.digests)} was acknowledged and is gone"
            assert hashlib.sha256(value).digest() == digest, f"{key} has another value"


def check_what_goes_on(client, history):
    """Reads and what makes room."""
    history.check(client)
    doomed = list(history.digests)[-3:]
    assert client.delete(*doomed) == 3
    for key in doomed:
        del history.digests[key]
    client.select(1)
    client.flushdb()
    client.select(0)


def writes_resume(client, history):
    def works():
        try:
            history.write(client)
            return True
        except redis.ResponseError as error:
            assert str(error).startswith("DISKFULL"), error
            return False

    wait_until("writes resume by themselves", works, seconds=15)
    for _ in range(200):
        history.write(client)


def test_below_the_low_water_mark_writes_are_refused_until_there_is_room():
    with small_disk() as disk, server(disk, disk_low_water="16mb") as node:
        client, history = node.client(), History()
        client.set("in database 0", "value")
        fill(disk / "filler", 40 << 20)
        history.write_until_refused(client)
        check_what_goes_on(client, history)
        os.unlink(disk / "filler")
        writes_resume(client, history)

        def is_low():
            # Again where it takes: the server may free room of its own meanwhile (log purged, files compacted).
            room = os.statvfs(disk)
            if room.f_bavail * room.f_frsize > 12 << 20:
                fill(disk / "filler", 8 << 20)
            return client.info("store")["disk_low"] == 1

        wait_until("the server has noticed", is_low)
        history.write_until_refused(client)
        # Killed while full, it starts while full: there is room below the mark for that.
        node.kill9()
        node.start()
        client = node.client()
        history.check(client)
        history.write_until_refused(client)
        check_what_goes_on(client, history)
        os.unlink(disk / "filler")
        writes_resume(client, history)
        assert node.stop() == 0
        node.start()
        history.check(node.client())


def test_with_not_a_byte_left_nothing_is_lost():
    """No low-water mark, and another program takes the last byte at once."""
    with small_disk() as disk, server(disk, disk_low_water="0") as node:
        client, history = node.client(), History()
        for _ in range(2000):
            history.write(client)
        fill(disk / "filler", 0)
        history.write_until_refused(client)
        history.check(client)
        os.unlink(disk / "filler")
        writes_resume(client, history)
        fill(disk / "filler", 0)
        history.write_until_refused(client)
        node.kill9()
        start_while_full(node)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(disk / "filler")
        if not node.alive():
            node.start()
        client = node.client()
        history.check(client)
        writes_resume(client, history)
        assert node.stop() == 0
        node.start()
        history.check(node.client())


def start_while_full(node):
    """It either serves, or ends with a clear error."""
    node.launch()
    serving_or_ended = lambda: node.answers() or node.process.poll() is not None
    wait_until("the server serves or ends", serving_or_ended, seconds=30)
    if node.process.poll() is not None:
        code = node.ended()
        assert code == 1 and "No space left" in node.log(), f"{code}:\n{node.log()}"
