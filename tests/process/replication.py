"""Real servers that replicate, clients that remember what they were promised, and the comparison of both."""

import contextlib
import random
import socket
import threading
import time

import redis

from tidemark_process import Node, free_port, wait_until

HOST = "127.0.0.1"
FLAGS = {"enable_debug_command": "yes", "bind": HOST, "log_segment_size": "4mb", "store_dirty_size": "4mb"}
# What says "not here, or not now": the write was not done, the client looks for the primary again.
ELSEWHERE = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.exceptions.BusyLoadingError)


def make_node(**flags):
    return Node(rpc_port=free_port(), **{**FLAGS, **flags})


@contextlib.contextmanager
def nodes(count, **flags):
    """Servers that do not know of each other yet."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(make_node(**flags)) for _ in range(count)]


def info(node, section="replication"):
    with contextlib.closing(node.client()) as client:
        return client.info(section)


def follow(replica, primary, host=HOST):
    with contextlib.closing(replica.client()) as client:
        client.execute_command("REPLICAOF", host, primary.port)


def promote(node):
    with contextlib.closing(node.client()) as client:
        assert client.execute_command("REPLICAOF", "NO", "ONE") in (b"OK", True)


def link_is_up(replica, primary):
    """Both sides say so."""
    try:
        now, its = info(replica), info(primary)
    except redis.ConnectionError:
        return False  # it starts, or a sentinel has just ended all connections
    listed = [its[f"slave{i}"] for i in range(its["connected_slaves"])]
    return (now["role"] == "slave" and now["master_port"] == primary.port and now["master_link_status"] == "up"
            and any(one["port"] == replica.port and one["state"] == "online" for one in listed))


def await_link(replica, primary, seconds=60):
    wait_until(f"{replica.port} streams from {primary.port}", lambda: link_is_up(replica, primary), seconds)


def join(replica, primary, seconds=60):
    follow(replica, primary)
    await_link(replica, primary, seconds)


def digest(node):
    """LSN, digest and number of keys. A digest belongs to its LSN."""
    with contextlib.closing(node.client(socket_timeout=120)) as client:
        lsn, hexadecimal, keys = client.execute_command("DEBUG", "DIGEST", "LSN")
    return lsn, hexadecimal.decode(), keys


def assert_same_data(primary, *replicas, seconds=60):
    """Once nobody writes any more: the same position, and there the same data."""
    def at_the_end():
        end = info(primary)["master_repl_offset"]
        return all(info(replica)["master_repl_offset"] == end for replica in replicas)
    wait_until("the replicas have the whole log", at_the_end, seconds)
    wanted = digest(primary)
    assert wanted[2] > 0, "nothing to compare"
    for replica in replicas:
        found = digest(replica)
        assert found == wanted, f"{replica.port} has {found}, its primary {primary.port} has {wanted}"


def fill(node, megabytes, name="fill", rng=random):
    """Keys whose values cannot be compressed."""
    with contextlib.closing(node.client()) as client:
        for batch in range(megabytes):
            with client.pipeline(transaction=False) as pipe:
                for i in range(64):
                    pipe.set(f"{name}:{batch}:{i}", rng.randbytes(16384))
                pipe.execute()


class Load:
    """Keeps overwriting keys in pipelines, as fast as it is answered. Goes on after a lost connection."""

    def __init__(self, node, keys=2000, size=1024, pipeline=50):
        self.node, self.keys, self.size, self.pipeline = node, keys, size, pipeline
        self.written = 0
        self.failure = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.await_more(1)
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None and self.failure:
            raise self.failure

    def stop(self):
        self.ended.set()
        self.thread.join(60)

    def await_more(self, count, seconds=60):
        goal = self.written + count
        wait_until(f"{count} more writes", lambda: self.failure or self.written >= goal, seconds)

    def run(self):
        rng = random.Random(1)
        while not self.ended.is_set():
            try:
                with contextlib.closing(self.node.client()) as client:
                    self.write(client, rng)
            except ELSEWHERE:
                self.ended.wait(0.01)
            except redis.RedisError as failure:
                self.failure = failure
                return

    def write(self, client, rng):
        while not self.ended.is_set():
            with client.pipeline(transaction=False) as pipe:
                for _ in range(self.pipeline):
                    pipe.set(f"load:{rng.randrange(self.keys)}", rng.randbytes(self.size))
                pipe.execute()
            self.written += self.pipeline


class Counter:
    """A client that counts: writes key after key, each once, and remembers which were acknowledged.

    `connect` gives a client of whoever is the primary now. With `confirm` a write counts only when WAIT said that so
    many replicas have it.
    """

    def __init__(self, connect, confirm=0, name="count"):
        self.connect, self.confirm, self.name = connect, confirm, name
        self.sent = 0
        self.acknowledged = []
        self.moments = []
        self.refused = {}
        self.failure = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.await_more(1)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ended.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), "the counting client hangs"
        if self.failure:
            raise self.failure

    def await_more(self, count, seconds=60):
        goal = len(self.acknowledged) + count
        wait_until(f"{count} more acknowledged writes", lambda: self.failure or len(self.acknowledged) >= goal, seconds)

    def run(self):
        while not self.ended.is_set():
            try:
                client = self.connect()
                while not self.ended.is_set():
                    self.write(client)
            except ELSEWHERE as why:
                kind = type(why).__name__
                self.refused[kind] = self.refused.get(kind, 0) + 1
                self.ended.wait(0.005)
            except Exception as failure:  # told by stop()
                self.failure = failure
                return

    def write(self, client):
        number = self.sent = self.sent + 1
        if self.confirm:
            with client.pipeline(transaction=False) as pipe:
                pipe.set(f"{self.name}:{number}", number)
                pipe.execute_command("WAIT", self.confirm, 1000)
                if pipe.execute()[1] < self.confirm:
                    return
        else:
            client.set(f"{self.name}:{number}", number)
        self.acknowledged.append(number)
        self.moments.append(time.monotonic())

    def longest_pause(self):
        return max((b - a for a, b in zip(self.moments, self.moments[1:])), default=0.0)

    def lost(self, client):
        """The acknowledged writes that the server does not have."""
        missing = []
        for at in range(0, len(self.acknowledged), 1000):
            part = self.acknowledged[at:at + 1000]
            values = client.mget([f"{self.name}:{n}" for n in part])
            missing += [n for n, value in zip(part, values) if value != str(n).encode()]
        return missing

    def assert_nothing_lost(self, node):
        with contextlib.closing(node.client()) as client:
            missing = self.lost(client)
        assert not missing, f"{len(missing)} of {len(self.acknowledged)} acknowledged writes are gone: {missing[:20]}"


class Wire:
    """What lies between a node and those who reach it by `Wire.HOST`, on the same ports: can be cut at any moment.

    A replica finds its primary's gRPC port by asking the Redis port, on the same host; so both go through here. Little
    fits into it, as into a short cable: what a cut loses is what the ends had under way.
    """

    HOST = "127.0.0.2"
    HOLDS = 65536

    def __init__(self, node):
        self.ports = (node.port, node.flags["rpc_port"])
        self.lock = threading.Lock()
        self.links = set()
        self.passes = True
        self.listeners = []

    def __enter__(self):
        for port in self.ports:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.hold_little(listener)
            listener.bind((self.HOST, port))
            listener.listen(64)
            self.listeners.append(listener)
            threading.Thread(target=self.accept, args=(listener, port), daemon=True).start()
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def accept(self, listener, port):
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(link, port), daemon=True).start()

    def carry(self, link, port):
        with contextlib.ExitStack() as closing, contextlib.suppress(OSError):
            closing.callback(link.close)
            server = closing.enter_context(socket.socket())
            self.hold_little(server)
            server.connect((HOST, port))
            for end in (link, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                if not self.passes:
                    return
                self.links |= {link, server}
            back = threading.Thread(target=self.pump, args=(server, link), daemon=True)
            back.start()
            self.pump(link, server)
            back.join()
            with self.lock:
                self.links -= {link, server}

    def hold_little(self, end):
        for side in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            end.setsockopt(socket.SOL_SOCKET, side, self.HOLDS)

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(Wire.HOLDS):
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self, stays_cut=False):
        """Ends every connection; with `stays_cut` no new one passes until heal()."""
        with self.lock:
            self.passes = not stays_cut
            links = list(self.links)
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def heal(self):
        with self.lock:
            self.passes = True
