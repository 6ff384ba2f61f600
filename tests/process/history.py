"""Clients that know what the server must hold after a crash, and the comparison with what it does hold.

Every writer runs a fixed sequence of operations on keys of its own and, after each, INCRs one counter that all share.
The reply to that INCR is the operation's place in the one order of the log. After a crash:

  - each writer's keys are exactly what the first m of its operations make, for some m: no torn or reordered operation;
  - m covers every operation that had to survive;
  - one number cuts all writers: the counter is G, and of the INCRs that were answered exactly those with an answer of
    at most G are among each writer's first m. So what survived is a prefix of the one log.
"""

import threading
import time

from tidemark_process import encode

PIPELINE = 8


class Loss(AssertionError):
    """The server lacks what it must have, or has what it must not."""


def text_of(n):
    """Different lengths, so that records end everywhere in sectors and pages."""
    return f"{n}:" + "x" * (n * 37 % 2000)


class Model:
    """What a writer's keys hold after its first m operations. Operation n is decided by n alone."""

    def __init__(self, writer):
        self.prefix = f"w{writer}:"
        self.done = 0
        self.strings, self.hash, self.count, self.text = {}, {}, 0, ""

    def commands(self, n):
        """The operation n as commands, atomic where it has two."""
        p = self.prefix
        kind = n % 5
        if kind == 0:
            return [("SET", f"{p}s{n % 17}", text_of(n))]
        if kind == 1:
            return [("INCR", f"{p}n")]
        if kind == 2:
            return [("HSET", f"{p}h", f"f{n % 13}", n)]
        if kind == 3:
            return [("DEL", f"{p}s{n % 17}")] if n % 3 == 0 else [("APPEND", f"{p}t", f"{n},")]
        return [("MULTI",), ("SET", f"{p}a", n), ("SET", f"{p}b", n), ("EXEC",)]

    def advance(self):
        """Applies the next operation."""
        self.done += 1
        n, p = self.done, self.prefix
        kind = n % 5
        if kind == 0:
            self.strings[f"{p}s{n % 17}"] = text_of(n)
        elif kind == 1:
            self.count += 1
        elif kind == 2:
            self.hash[f"f{n % 13}"] = str(n)
        elif kind == 3 and n % 3 == 0:
            self.strings.pop(f"{p}s{n % 17}", None)
        elif kind == 3:
            self.text += f"{n},"
        else:
            self.strings[f"{p}a"] = self.strings[f"{p}b"] = str(n)

    def copy(self):
        other = Model.__new__(Model)
        other.__dict__ = dict(self.__dict__, strings=dict(self.strings), hash=dict(self.hash))
        return other

    def state(self):
        return self.strings, self.hash, self.count, self.text


class Writer(threading.Thread):
    """Sends the operations after those of `model` until the server dies; keeps the answers of the shared counter."""

    def __init__(self, node, number, model):
        super().__init__(daemon=True)
        self.node, self.number, self.model = node, number, model
        self.sent = model.done
        self.places = {}  # operation -> answer of its INCR
        self.times = {}  # operation -> when that answer was here
        self.failure = None

    def run(self):
        try:
            with self.node.connect(timeout=20) as link:
                self.talk(link, link.makefile("rb"))
        except (OSError, ValueError):
            pass
        except Loss as refused:
            self.failure = refused

    def talk(self, link, replies):
        while True:
            batch, data = [], b""
            for n in range(self.sent + 1, self.sent + 1 + PIPELINE):
                commands = self.model.commands(n)
                data += b"".join(encode(*c) for c in commands) + encode("INCR", "order")
                batch.append((n, len(commands)))
            self.sent = batch[-1][0]
            link.sendall(data)
            for n, count in batch:
                for _ in range(count):
                    self.read_reply(replies)
                self.places[n] = int(self.read_reply(replies))
                self.times[n] = time.monotonic()

    def read_reply(self, replies):
        line = replies.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("connection ended")
        if line[:1] == b"-":
            raise Loss(f"writer {self.number}: {line!r}")
        if line[:1] == b"$" and int(line[1:]) >= 0:
            replies.read(int(line[1:]) + 2)
        if line[:1] == b"*":
            for _ in range(int(line[1:])):
                self.read_reply(replies)
        return line[1:-2]

    def must_survive(self, before):
        """The last operation that was answered before the moment `before`."""
        return max([self.model.done, *(n for n, moment in self.times.items() if moment <= before)])


def stored_state(client, writer):
    p = f"w{writer}:"
    names = [f"{p}s{i}" for i in range(17)] + [f"{p}a", f"{p}b"]
    strings = {k: v.decode() for k, v in zip(names, client.mget(names)) if v is not None}
    fields = {k.decode(): v.decode() for k, v in client.hgetall(f"{p}h").items()}
    return strings, fields, int(client.get(f"{p}n") or 0), (client.get(f"{p}t") or b"").decode()


def survived(client, writer, cut, least):
    """The model after the m operations whose result the store holds; fails when there is no such m.

    Some operations change nothing, so several m may fit: the least one that covers what is known to be in the log.
    """
    least = max([least, *(n for n, place in writer.places.items() if place <= cut)])
    stored = stored_state(client, writer.number)
    model = writer.model.copy()
    while True:
        if model.done >= least and model.state() == stored:
            return model
        if model.done >= writer.sent:
            raise Loss(f"writer {writer.number}: the store matches no point of its history from operation {least} "
                       f"(must survive) to {writer.sent} (sent)")
        model.advance()


def check(client, writers, before=float("inf")):
    """Compares the server with what the writers know; answers given after `before` may be lost.

    Returns the models to go on with.
    """
    cut = int(client.get("order") or 0)
    models = {}
    for writer in writers:
        model = survived(client, writer, cut, writer.must_survive(before))
        for n, place in writer.places.items():
            # The operation's own rows come before its INCR, so operation m may be there without its INCR.
            right = place > cut if n > model.done else (place <= cut or n == model.done)
            if not right:
                raise Loss(f"writer {writer.number}: operation {n} has place {place}, the log was cut at {cut}, yet "
                           f"its keys hold {model.done}")
        models[writer.number] = model
    return models


def start_writers(node, models):
    writers = [Writer(node, number, model) for number, model in models.items()]
    for writer in writers:
        writer.start()
    return writers


def join(writers):
    for writer in writers:
        writer.join(30)
        assert not writer.is_alive(), "a writer hangs on a dead server"
        if writer.failure:
            raise writer.failure
