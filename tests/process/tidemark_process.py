"""A real tidemark-server under test: started in a folder of its own on a free port, stopped in every way there is.

Used by the test_*.py files here and by whoever else wants a server (conformance, benchmarks). Standard library and
python3-redis only. Nothing here sleeps for a fixed time: what is waited for is asked for, up to a deadline.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import redis

ROOT = pathlib.Path(__file__).resolve().parents[2]


def server_binary():
    """Path of the server: TIDEMARK_SERVER, else the newest of the build folders."""
    named = os.environ.get("TIDEMARK_SERVER")
    if named:
        return pathlib.Path(named)
    found = [p for p in (ROOT / "build").glob("*/tidemark-server") if p.is_file()]
    if not found:
        raise FileNotFoundError("no build/*/tidemark-server; build it or set TIDEMARK_SERVER")
    return max(found, key=lambda p: p.stat().st_mtime)


def seed():
    """What a random test starts from: TM_SEED, else the time. Printed, so that a failure can be repeated."""
    number = int(os.environ.get("TM_SEED", time.time_ns() % 1_000_000_000))
    print(f"    TM_SEED={number}", flush=True)
    return number


def long_form():
    """Whether the runner was asked for the long forms."""
    return os.environ.get("TIDEMARK_LONG") == "1"


def preload(name):
    """Path of the shim NAME/shim.cc, which the build leaves beside the server."""
    path = server_binary().parent / f"lib{name}_shim.so"
    assert path.exists(), f"no {path}: build the target process_shims"
    return path


class Skipped(Exception):
    """Raised by a test that this machine does not permit; says why. The runner counts it apart."""


def free_port():
    """A port that was free a moment ago, below the range from which the system takes ports for clients."""
    while True:
        port = 10000 + int.from_bytes(os.urandom(2), "big") % 20000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def wait_until(what, condition, seconds=10.0):
    """Asks `condition` until it is true; AssertionError that names `what` when the deadline passes."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not so: {what}")
        time.sleep(0.005)


class Node:
    """One server. `flags` are its flags without the dashes, underscores for dashes: appendfsync="always"."""

    def __init__(self, dir=None, port=None, binary=None, env=None, wrapper=(), limits=None, **flags):
        self.owns_dir = dir is None
        self.dir = pathlib.Path(dir or tempfile.mkdtemp(prefix="tidemark-"))
        self.port = port or free_port()
        self.binary = binary or server_binary()
        self.env = dict(os.environ, **(env or {}))
        self.wrapper = list(wrapper)
        # Called in the child before it becomes the server (setrlimit and the like).
        self.limits = limits
        self.flags = flags
        self.process = None
        self.log_path = self.dir / "server.log"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def command(self, **more_flags):
        words = [*self.wrapper, str(self.binary), "--port", str(self.port), "--dir", str(self.dir)]
        for name, value in {**self.flags, **more_flags}.items():
            words += ["--" + name.replace("_", "-"), *([value] if isinstance(value, str) else [str(value)])]
        return words

    def launch(self, **more_flags):
        """Starts the process without waiting for it to serve."""
        assert self.process is None, "already started"
        self.dir.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(**more_flags), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                preexec_fn=self.limits, cwd="/",
            )
        return self

    def start(self, seconds=30.0, **more_flags):
        """Starts it and waits until it answers PING."""
        self.launch(**more_flags)
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None:
                code = self.process.returncode
                self.process = None
                raise AssertionError(f"the server ended with {code} instead of serving:\n{self.log()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the server does not answer after {seconds} s:\n{self.log()}")
            time.sleep(0.01)
        return self

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as link:
                link.settimeout(2)
                link.sendall(b"PING\r\n")
                return link.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-LOADING"))
        except OSError:
            return False

    def ended(self, seconds=60.0):
        """Waits until the process has ended by itself; its exit code."""
        code = self.process.wait(timeout=seconds)
        self.process = None
        return code

    def stop(self, seconds=60.0):
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        return self.ended(seconds)

    def kill9(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self, **more_flags):
        self.stop()
        return self.start(**more_flags)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def log(self, lines=40):
        """The end of what the server printed."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def client(self, **options):
        """A redis-py client."""
        options.setdefault("socket_timeout", 30)
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def connect(self, timeout=30.0):
        """A bare socket, for what no client library would send."""
        link = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self):
        self.kill9()
        if self.owns_dir:
            shutil.rmtree(self.dir, ignore_errors=True)


def encode(*words):
    """A request as RESP sends it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


def receive_exactly(link, count):
    data = bytearray()
    while len(data) < count:
        piece = link.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise AssertionError(f"the server closed after {len(data)} of {count} bytes: {bytes(data[-100:])!r}")
        data += piece
    return bytes(data)


def receive_until_closed(link):
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := link.recv(1 << 20):
            data += piece
    return bytes(data)


def alone(test):
    """Marks a test that the runner starts by itself, when no other runs."""
    test.alone = True
    return test
