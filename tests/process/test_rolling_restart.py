"""`tidemark rolling-restart` over real servers, under clients that write all the time and count what they were promised."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import threading

import redis

from replication import Counter, assert_same_data, fill, info, join, nodes
from tidemark_process import server_binary, wait_until

DEADLINE, FAILED = 3, 4


class Supervisor:
    """Restarts servers when a command asks for it, as systemd would: the command writes a port into a pipe, and ends."""

    def __init__(self, servers):
        self.servers = {server.port: server for server in servers}
        self.restarted = []
        self.folder = tempfile.TemporaryDirectory(prefix="tidemark-rolling-")
        self.pipe = pathlib.Path(self.folder.name) / "restart"
        self.command = f'test "$TIDEMARK_NODE" = "$TIDEMARK_HOST:$TIDEMARK_PORT" && echo $TIDEMARK_PORT > {self.pipe}'

    def __enter__(self):
        os.mkfifo(self.pipe)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.pipe.write_text("end\n")
        self.thread.join(60)
        self.folder.cleanup()

    def run(self):
        while True:
            for word in self.pipe.read_text().split():
                if word == "end":
                    return
                server = self.servers[int(word)]
                self.restarted.append(server)
                server.restart()


def rolling_restart(servers, command, *words, code=0, seconds=180):
    names = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    tidemark = server_binary().parent / "tidemark"
    done = subprocess.run([tidemark, "rolling-restart", "--nodes", names, "--restart-command", command, *words],
                          capture_output=True, text=True, timeout=seconds)
    assert done.returncode == code, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def run_ids(servers):
    return [info(server, "server")["run_id"] for server in servers]


def primary_of(servers):
    """A client of the one whose ROLE is master. Some are down while they restart."""
    for server in servers:
        client = server.client()
        with contextlib.suppress(redis.RedisError):
            if client.execute_command("ROLE")[0] == b"master":
                return client
        client.close()
    raise redis.ConnectionError("nobody is the primary now")


@contextlib.contextmanager
def group(count=3):
    with nodes(count) as servers:
        fill(servers[0], 2)
        for replica in servers[1:]:
            join(replica, servers[0])
        yield servers


def test_a_rolling_restart_under_writing_clients_loses_nothing():
    with group() as servers, Supervisor(servers) as supervisor, tempfile.TemporaryDirectory() as archive:
        servers[0].client().execute_command("LOGBACKUP", "START", "TASK", "t", "STORAGE", f"local://{archive}/a")
        before = run_ids(servers)
        find = lambda: primary_of(servers)
        with Counter(find) as counter, Counter(find, name="second") as second:
            counter.await_more(100)
            done = rolling_restart(servers, supervisor.command)
            counter.await_more(100)
            second.await_more(100)
        print(done.stdout, flush=True)
        assert supervisor.restarted == [servers[1], servers[2], servers[0]]
        assert all(a != b for a, b in zip(before, run_ids(servers))), "every node is another process"
        [primary] = [server for server in servers if info(server)["role"] == "master"]
        assert primary is not servers[0]
        replicas = [server for server in servers if server is not primary]
        assert all(info(replica)["master_port"] == primary.port for replica in replicas)
        assert_same_data(primary, *replicas)
        for client in (counter, second):
            for server in servers:
                client.assert_nothing_lost(server)
        assert info(primary, "stats")["sync_full"] == 0, "nobody needed a snapshot"
        rows = re.findall(r"^127\.0\.0\.1:(\d+) +(primary|replica) +\S+", done.stdout, re.M)
        assert rows == [(str(servers[1].port), "replica"), (str(servers[2].port), "replica"),
                        (str(servers[0].port), "primary")], done.stdout
        assert f"Primary: 127.0.0.1:{primary.port}\n" in done.stdout
        assert re.search(r"^Greatest RPO: \d", done.stdout, re.M), done.stdout
        assert re.search(r"^Longest write pause: \d", done.stdout, re.M), done.stdout
        print(f"    {len(counter.acknowledged)} writes, the client's longest pause "
              f"{counter.longest_pause() * 1000:.0f} ms, refused {counter.refused}", flush=True)


def test_a_dry_run_restarts_nothing():
    with group() as servers:
        before = run_ids(servers)
        done = rolling_restart(reversed(servers), "exit 1", "--dry-run")
        assert done.stdout.splitlines() == [
            f"1. 127.0.0.1:{servers[2].port} (replica)", f"2. 127.0.0.1:{servers[1].port} (replica)",
            f"3. 127.0.0.1:{servers[0].port} (primary, after it has handed over)"], done.stdout
        assert run_ids(servers) == before and info(servers[0])["role"] == "master"


def test_the_first_doubt_ends_it_and_the_primary_stays():
    with group() as servers:
        before = run_ids(servers)
        ports = [server.port for server in servers]
        failed = rolling_restart(servers, "exit 7", code=FAILED)
        assert f"0 of 3 nodes are restarted: the restart command for 127.0.0.1:{ports[1]} ended with 7" in failed.stderr
        assert re.search(rf"127\.0\.0\.1:{ports[2]} +no +replica +127\.0\.0\.1:{ports[0]} +up", failed.stderr)
        idle = rolling_restart(servers, "true", "--timeout", "300ms", code=DEADLINE)
        assert "was not restarted: its run_id is the one it had" in idle.stderr, idle.stderr
        assert run_ids(servers) == before and info(servers[0])["role"] == "master"
        servers[2].kill9()
        gone = rolling_restart(servers, "exit 7", code=FAILED)
        assert f"127.0.0.1:{ports[2]}" in gone.stderr, gone.stderr
        servers[2].start()
        wait_until("it is back", lambda: info(servers[2])["master_link_status"] == "up")
        forgotten = rolling_restart(servers[1:], "exit 7", code=FAILED)
        assert "none of the nodes says that it is the primary" in forgotten.stderr, forgotten.stderr
