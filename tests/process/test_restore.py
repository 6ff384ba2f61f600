"""Restores of real servers: archive to a folder, destroy the node, restore to moments, compare with what clients saw.

The clients' history is theirs alone: after every acknowledged write they remember what their keys hold and the server's
position and time, so that "nothing missing, nothing extra" is said by them and not by the code under test.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

import redis

from tidemark_process import Node, Skipped, seed, server_binary, wait_until

EXACT, USAGE, DAMAGE, SHORT, INTERRUPTED = 0, 1, 2, 3, 4


@contextlib.contextmanager
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-restore-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def tidemark():
    return server_binary().parent / "tidemark"


def restore(archive, to, data, *flags, code=EXACT):
    """Runs `tidemark restore --json`; its JSON where there is one, else what it said."""
    words = [str(tidemark()), "restore", "--from", f"local://{archive}", "--to", to, "--data", str(data), "--json"]
    done = subprocess.run([*words, *flags], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout) if code in (EXACT, SHORT) else done.stderr


def inspect(archive, at, *flags, code=EXACT):
    words = [str(tidemark()), "inspect", "--from", f"local://{archive}", "--at", at, "--json", *flags]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout) if code in (EXACT, SHORT) else done.stderr


def start_task(client, archive, interval_ms=100):
    try:
        client.execute_command("LOGBACKUP", "START", "TASK", "t", "STORAGE", f"local://{archive}", "FLUSHINTERVAL",
                               interval_ms)
    except redis.ResponseError as error:
        if "unknown command" in str(error):
            raise Skipped("this server has no LOGBACKUP") from error
        raise


def force_flush(client):
    def durable():
        [outcome] = client.execute_command("LOGBACKUP", "FLUSH", "TIMEOUT", 60000)
        fields = {outcome[i].decode(): outcome[i + 1] for i in range(0, len(outcome), 2)}
        return fields["success"] == 1
    # Until the task has its first base a flush says no.
    wait_until("a force flush says yes", durable, seconds=60)


def contents(client):
    """Everything the server has, as clients read it."""
    found = {}
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        found[key.decode()] = client.get(key) if kind == b"string" else client.hgetall(key)
    return found


class Clients:
    """Writes of all kinds, and what they made of the keys."""

    def __init__(self, client, rng):
        self.client, self.rng = client, rng
        self.now = {}

    def write(self, count):
        for _ in range(count):
            name = f"k{self.rng.randrange(300)}"
            kind = self.rng.randrange(10)
            if kind < 5:
                value = self.rng.randbytes(self.rng.randrange(2000))
                self.client.set(f"s{name}", value)
                self.now[f"s{name}"] = value
            elif kind < 8:
                field, value = b"f%d" % self.rng.randrange(20), self.rng.randbytes(20)
                self.client.hset(f"h{name}", field, value)
                self.now[f"h{name}"] = {**self.now.get(f"h{name}", {}), field: value}
            else:
                key = f"{'sh'[kind % 2]}{name}"
                self.client.delete(key)
                self.now.pop(key, None)

    def moment(self):
        """What clients see now, with the log's end, and a time at which nothing but that was there."""
        lsn = self.client.info("log")["log_appended_lsn"]
        seconds, micros = self.client.time()
        # The clock's microsecond passes, so that what follows is later than the moment.
        wait_until("the clock goes on", lambda: self.client.time() > (seconds, micros))
        return {"contents": dict(self.now), "lsn": lsn, "time": f"{seconds}.{micros:06d}"}


def check(data, wanted, **flags):
    with Node(dir=data, **flags) as node:
        found = contents(node.client())
        missing = sorted(wanted.keys() - found.keys())
        extra = sorted(found.keys() - wanted.keys())
        assert not missing and not extra, f"missing {missing[:5]}, extra {extra[:5]}"
        differ = [key for key in wanted if wanted[key] != found[key]]
        assert not differ, f"other values in {differ[:5]}"
        assert node.stop() == 0


def test_a_destroyed_node_comes_back_as_it_was_at_three_moments():
    rng = random.Random(seed())
    with folder() as root:
        archive = root / "archive"
        moments = []
        with Node(dir=root / "node", appendfsync="everysec") as node:
            client = node.client()
            start_task(client, archive)
            clients = Clients(client, rng)
            for _ in range(2):
                clients.write(2000)
                moments.append(clients.moment())
            clients.write(2000)
            force_flush(client)
            moments.append({**clients.moment(), "time": "latest"})
            node.kill9()
        shutil.rmtree(root / "node")
        for number, moment in enumerate(moments):
            data = root / f"restored{number}"
            result = restore(archive, moment["time"], data)
            assert result["exact"], result
            check(data, moment["contents"])
        # By position: what was appended before the LSN begins before it.
        restore(archive, f"lsn:{moments[0]['lsn'] - 1:x}", root / "by-lsn")
        check(root / "by-lsn", moments[0]["contents"])
        # And without a restore.
        name, value = next((k, v) for k, v in moments[0]["contents"].items() if isinstance(v, bytes) and len(v) > 10)
        answer = inspect(archive, moments[0]["time"], "--key", name)
        assert answer["value"] == {"hex": value.hex()}, answer


def test_a_restore_killed_at_any_moment_goes_on_to_the_same_result():
    rng = random.Random(seed())
    with folder() as root:
        archive = root / "archive"
        with Node(dir=root / "node") as node:
            client = node.client()
            start_task(client, archive)
            clients = Clients(client, rng)
            clients.write(3000)
            force_flush(client)
            wanted = dict(clients.now)
            assert node.stop() == 0
        words = [str(tidemark()), "restore", "--from", f"local://{archive}", "--to", "latest"]
        begun = time.monotonic()
        restore(archive, "latest", root / "undisturbed")
        whole = time.monotonic() - begun
        check(root / "undisturbed", wanted)
        for attempt in range(6):
            data = root / f"killed{attempt}"
            resume = []
            for _ in range(3):
                process = subprocess.Popen([*words, "--data", str(data), *resume], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0, whole))  # the moment of the kill is the test's input
                process.kill()
                process.wait()
                if (data / "restore.json").exists():
                    resume = ["--resume"]
                    half = Node(dir=data)
                    half.launch()
                    assert half.ended() != 0, "a server served half a restore"
                    assert "--resume" in half.log(), half.log()
            if (data / "restore.json").exists() or not (data / "log").exists():
                restore(archive, "latest", data, "--resume")
            check(data, wanted)


def test_an_interrupted_restore_says_how_to_go_on():
    with folder() as root:
        archive = root / "archive"
        with Node(dir=root / "node") as node:
            client = node.client()
            start_task(client, archive)
            for i in range(2000):
                client.set(f"k{i}", os.urandom(1000))
            force_flush(client)
            assert node.stop() == 0
        words = [str(tidemark()), "restore", "--from", f"local://{archive}", "--to", "latest", "--data",
                 str(root / "data")]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until("the restore has begun",
                   lambda: (root / "data" / "restore.json").exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode in (EXACT, INTERRUPTED), (process.returncode, said)
        if process.returncode == INTERRUPTED:
            assert "--resume" in said, said
            restore(archive, "latest", root / "data", "--resume")
        with Node(dir=root / "data") as node:
            assert node.client().dbsize() == 2000


def test_what_is_missing_is_named_and_what_is_short_is_told():
    with folder() as root:
        archive = root / "archive"
        with Node(dir=root / "node") as node:
            client = node.client()
            start_task(client, archive, interval_ms=3_600_000)
            force_flush(client)
            for i in range(4):
                client.set(f"k{i}", i)
                force_flush(client)
            assert node.stop() == 0
        result = restore(archive, "4000000000.0", root / "short", code=SHORT)
        assert result["short_micros"] > 0 and not result["exact"], result
        check(root / "short", {f"k{i}": str(i).encode() for i in range(4)})
        logs = sorted(archive.glob("log/*/*.log"))
        with_records = [path for path in logs if path.name.split("-")[0] != path.name.split("-")[1]]
        lost = with_records[-2]
        lost.unlink()
        said = restore(archive, "latest", root / "gap", code=DAMAGE)
        assert "what can be restored" in said and with_records[-1].name in said, said
        assert not (root / "gap").exists(), "a restore that cannot be done made a folder"
        said = restore(archive, "latest", root / "short", code=DAMAGE)
        assert "cannot be reached" in said, said


def test_around_a_damaged_object_it_is_said_what_can_be_restored():
    with folder() as root:
        archive = root / "archive"
        with Node(dir=root / "node") as node:
            client = node.client()
            start_task(client, archive, interval_ms=3_600_000)
            for i in range(3):
                client.set(f"k{i}", i)
                force_flush(client)
            bases = len(list(archive.glob("base/*")))
            client.execute_command("LOGBACKUP", "BASE", "TASK", "t")
            wait_until("a second base", lambda: len(list(archive.glob("base/*"))) > bases, seconds=30)
            client.set("k3", 3)
            force_flush(client)
            assert node.stop() == 0
        logs = sorted(archive.glob("log/*/*.log"))
        with_records = [path for path in logs if path.name.split("-")[0] != path.name.split("-")[1]]
        # The object of k2 is damaged: k1 is in the one before it, and the second base has all of them.
        damaged = next(path for path in with_records if b"k2" in path.read_bytes())
        content = bytearray(damaged.read_bytes())
        content[-10] ^= 1
        damaged.write_bytes(content)
        done = subprocess.run([str(tidemark()), "archive", "verify", f"local://{archive}", "--json"], check=False,
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == DAMAGE, done
        before, after = json.loads(done.stdout)["windows"]
        within = f"lsn:{after['from_lsn'] - 1:x}"
        said = restore(archive, within, root / "within", code=DAMAGE)
        assert damaged.name in said and "what can be restored" in said and "--without" in said, said
        assert f"before lsn:{before['to_lsn']:x}" in said and f"from lsn:{after['from_lsn']:x}" in said, said
        assert restore(archive, f"lsn:{before['to_lsn'] - 1:x}", root / "before")["exact"]
        check(root / "before", {"k0": b"0", "k1": b"1"})
        restore(archive, "latest", root / "after")
        check(root / "after", {f"k{i}": str(i).encode() for i in range(4)})
        key = str(damaged.relative_to(archive))
        said = restore(archive, within, root / "around", "--without", key, code=DAMAGE)
        assert "log is missing" in said, said
        assert "is the name of no" in restore(archive, "latest", root / "x", "--without", "damaged", code=USAGE)


def test_a_restore_to_the_past_keeps_its_expiring_keys_until_thawed():
    with folder() as root:
        archive = root / "archive"
        with Node(dir=root / "node") as node:
            client = node.client()
            start_task(client, archive)
            client.set("stays", "1")
            client.set("short", "2", px=1500)
            moment = Clients(client, random.Random(1)).moment()
            wait_until("the key has expired", lambda: client.get("short") is None)
            force_flush(client)
            assert node.stop() == 0
        restore(archive, moment["time"], root / "frozen")
        with Node(dir=root / "frozen") as node:
            client = node.client()
            assert client.get("short") == b"2" and client.execute_command("EXPIRY", "STATUS") > 0
            client.set("after", "3", px=10)
            # New expiries follow time, but nothing goes before expiry does.
            wait_until("the new key is due", lambda: client.pttl("after") <= 0)
            assert client.get("after") == b"3"
            assert client.execute_command("EXPIRY", "THAW") == b"OK"
            wait_until("what is due goes", lambda: client.dbsize() == 1)
        restore(archive, moment["time"], root / "shifted", "--expiry", "shift")
        with Node(dir=root / "shifted") as node:
            assert 0 < node.client().pttl("short") <= 1500 or node.client().get("short") is None
        restore(archive, moment["time"], root / "applied", "--expiry", "apply")
        with Node(dir=root / "applied") as node:
            assert node.client().get("short") is None


def test_a_full_folder_is_refused():
    with folder() as root:
        (root / "data").mkdir()
        (root / "data" / "precious").write_text("x")
        archive = root / "archive"
        with Node(dir=root / "node") as node:
            client = node.client()
            start_task(client, archive)
            client.set("k", "v")
            force_flush(client)
        for flags in ([], ["--resume"]):
            assert "not empty" in restore(archive, "latest", root / "data", *flags, code=USAGE)
        assert (root / "data" / "precious").read_text() == "x"


def archived_node(root, rng, writes=500):
    """A node that was archived to root/archive and stopped; what its clients know."""
    with Node(dir=root / "node") as node:
        client = node.client()
        start_task(client, root / "archive")
        clients = Clients(client, rng)
        clients.write(writes)
        force_flush(client)
        assert node.stop() == 0
    return clients.now


def test_a_restored_node_is_protected_again_by_an_archive_of_its_own():
    rng = random.Random(seed())
    with folder() as root:
        known = archived_node(root, rng)
        restore(root / "archive", "latest", root / "restored")
        objects = sorted(root.glob("archive/**/*"))
        with Node(dir=root / "restored") as node:
            client = node.client()
            assert contents(client) == known
            start_task(client, root / "second")
            clients = Clients(client, rng)
            clients.now = dict(known)
            clients.write(500)
            force_flush(client)
            node.kill9()
        assert sorted(root.glob("archive/**/*")) == objects, "the new cluster wrote into the archive of the old one"
        restore(root / "second", "latest", root / "again")
        check(root / "again", clients.now)


def test_a_continued_cluster_goes_on_in_its_archive_and_fences_the_old_primary():
    rng = random.Random(seed())
    with folder() as root:
        with Node(dir=root / "node") as old:
            old_client = old.client()
            start_task(old_client, root / "archive")
            clients = Clients(old_client, rng)
            clients.write(500)
            force_flush(old_client)
            restore(root / "archive", "latest", root / "restored", "--continue-cluster")
            # The old primary lives on, and is told so: it never says yes again.
            old_client.set("lost", "to the fork")
            [outcome] = old_client.execute_command("LOGBACKUP", "FLUSH", "TIMEOUT", 5000)
            fields = {outcome[i].decode(): outcome[i + 1] for i in range(0, len(outcome), 2)}
            assert fields["success"] == 0, fields
            with Node(dir=root / "restored") as node:
                client = node.client()
                # Its task runs by itself.
                successor = Clients(client, rng)
                successor.now = dict(clients.now)
                successor.write(500)
                force_flush(client)
                node.kill9()
        restore(root / "archive", "latest", root / "again")
        check(root / "again", successor.now)
