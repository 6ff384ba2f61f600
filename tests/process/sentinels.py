"""Three real sentinels that watch one primary, its replicas, and what redis-py's Sentinel client makes of them."""

import contextlib
import pathlib
import shutil
import subprocess
import tempfile

import redis
import redis.sentinel

from replication import HOST
from tidemark_process import Skipped, free_port, wait_until

GROUP = "tidemark"
DOWN_AFTER_MS = 1000


class Sentinels:
    """redis-server --sentinel, three times. A majority of two decides."""

    def __init__(self, primary):
        if shutil.which("redis-server") is None:
            raise Skipped("no redis-server to be a sentinel")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-sentinels-"))
        self.ports = [free_port() for _ in range(3)]
        self.processes = []
        for port in self.ports:
            self.launch(port, primary.port)
        self.client = redis.sentinel.Sentinel(
            [(HOST, port) for port in self.ports], socket_timeout=2, socket_connect_timeout=2)

    def launch(self, port, primary):
        config = self.folder / f"{port}.conf"
        config.write_text(
            f"port {port}\nbind {HOST}\nprotected-mode no\ndir {self.folder}\nlogfile {self.folder}/{port}.log\n"
            f"sentinel monitor {GROUP} {HOST} {primary} 2\n"
            f"sentinel down-after-milliseconds {GROUP} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {GROUP} 10000\nsentinel parallel-syncs {GROUP} 2\n")
        self.processes.append(subprocess.Popen(
            ["redis-server", str(config), "--sentinel"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        if kind is not None:
            for port in self.ports:
                with contextlib.suppress(OSError):
                    lines = (self.folder / f"{port}.log").read_text(errors="replace").splitlines()
                    print(f"-- sentinel {port}\n" + "\n".join(lines[-40:]), flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def sentinel(self, port):
        return contextlib.closing(redis.Redis(host=HOST, port=port, socket_timeout=5))

    def fail_over(self):
        """What an operator asks of a sentinel: no server is down."""
        with self.sentinel(self.ports[0]) as client:
            client.execute_command("SENTINEL", "FAILOVER", GROUP)

    def await_watch(self, replicas):
        """Until every sentinel knows the replicas and the two other sentinels."""
        def ready(port):
            with contextlib.suppress(redis.RedisError):
                with self.sentinel(port) as client:
                    group = client.sentinel_master(GROUP)
                return group["num-slaves"] == replicas and group["num-other-sentinels"] == 2
            return False
        wait_until("the sentinels watch the whole group", lambda: all(ready(port) for port in self.ports), 60)

    def primary_port(self):
        """What the sentinels agree on; None while they do not."""
        answers = set()
        for port in self.ports:
            with contextlib.suppress(redis.RedisError):
                with self.sentinel(port) as client:
                    answers.add(client.sentinel_get_master_addr_by_name(GROUP))
        return int(answers.pop()[1]) if len(answers) == 1 else None

    def writer(self):
        """A client of whoever is the primary now, as an application has it."""
        return self.client.master_for(GROUP, socket_timeout=2)
