#!/usr/bin/python3
"""The same random commands for Tidemark and for Debian's redis-server, every reply compared.

    tests/differential/run.py [--seconds N] [--seed N] [--families a,b] [--itself]

A run is many short rounds; a round empties both servers and sends them the same commands, in a random protocol, partly
in transactions. A round whose replies differ is shrunk to the fewest commands that still show it, and printed as they
would be typed into redis-cli. The seed is that of the day, so that a day's runs agree and the next day's differ; it is
printed. Debian's python3 only; $TIDEMARK_SERVER as the process tests have it. What is drawn from is in families.py.
"""

import argparse
import datetime
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "process")]

import families  # noqa: E402
from tidemark_process import Node, encode, free_port, wait_until  # noqa: E402

COMMANDS_A_ROUND = 120
# Seconds that a reply may take.
PATIENCE = 10


class Connection:
    """Requests as they are, replies as Python values: errors ("error", text), maps ("map", …) and so on."""

    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.link.makefile("rb")

    def run(self, requests):
        """The replies; "no reply" from where the connection ended or PATIENCE was over."""
        replies = []
        try:
            self.link.sendall(b"".join(encode(*words) for words in requests))
            for _ in requests:
                replies.append(self.reply())
        except OSError as error:
            replies += [f"no reply: {error}"] * (len(requests) - len(replies))
        return replies

    def reply(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind in b"+(,#":
            return kind.decode(), rest
        if kind == b"-":
            return "error", rest
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        length = int(rest)
        if length < 0:
            return "null array" if kind == b"*" else None
        if kind in b"$=":
            return self.input.read(length + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(length)]
        if kind == b"%":
            return "map", [(self.reply(), self.reply()) for _ in range(length)]
        if kind in b"~>":
            return kind.decode(), [self.reply() for _ in range(length)]
        raise ValueError(f"no reply begins so: {line!r}")


class Redis:
    """Debian's redis-server on a free port, with nothing on disk. It looks for waits that are over hz times a second."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="differential-")
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--dir", self.folder.name, "--save", "", "--loglevel", "warning",
             "--hz", "500"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until("redis-server answers", self.answers)
        return self

    def answers(self):
        try:
            return Connection(self.port).run([["PING"]]) == [("+", b"PONG")]
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()


def draw(part, rng):
    """The words of one argument."""
    if isinstance(part, str):
        return [part.encode()]
    if isinstance(part, tuple):
        return [rng.choice(part).encode()]
    if isinstance(part, families.Many):
        return [word for _ in range(rng.randint(1, part.most)) for each in part.parts for word in draw(each, rng)]
    if isinstance(part, families.Optional):
        return [word for each in part.parts for word in draw(each, rng)] if rng.random() < 0.4 else []
    return [part(rng)]


def draw_round(table, rng):
    """Requests, each with how its reply is compared."""
    requests, in_multi = [], False
    while len(requests) < COMMANDS_A_ROUND:
        if rng.random() < (0.15 if in_multi else 0.02):
            word = rng.choice([b"EXEC", b"EXEC", b"EXEC", b"DISCARD"]) if in_multi else b"MULTI"
            requests.append(([word], families.exact))
            in_multi = not in_multi
            continue
        command = rng.choice(table)
        words = [command.name] + [word for part in command.parts for word in draw(part, rng)]
        if rng.random() < 0.02:
            del words[rng.randrange(1, len(words) + 1):]
        requests.append((words, command.compare))
    return requests + ([([b"EXEC"], families.exact)] if in_multi else [])


def comparable(replies, requests):
    """The replies as they must be equal: each by its own command's rule, within EXEC too."""
    result, queued = [], []
    for reply, (words, compare) in zip(replies, requests):
        name = words[0].upper()
        if name == b"MULTI":
            queued = []
        elif reply == ("+", b"QUEUED"):
            queued.append(compare)
        if name == b"EXEC" and isinstance(reply, list) and len(reply) == len(queued):
            result.append([by(plain(one)) for by, one in zip(queued, reply)])
        else:
            result.append(compare(plain(reply)))
    return result


def plain(reply):
    """Sets and maps have no order, in whatever protocol."""
    if isinstance(reply, tuple) and reply[0] == "map":
        return "map", sorted(reply[1], key=repr)
    if isinstance(reply, tuple) and reply[0] == "~":
        return "~", sorted(reply[1], key=repr)
    return reply


class Pair:
    """Both servers, each behind one connection."""

    def __init__(self, ports):
        self.ports = ports

    def differ(self, requests, protocol):
        """The first request whose replies differ, with both replies; None when all agree."""
        replies = []
        for port in self.ports:
            link = Connection(port)
            link.run([["FLUSHALL"], ["HELLO", protocol]])
            replies.append(link.run([words for words, _ in requests]))
            link.link.close()
        ours, theirs = (comparable(each, requests) for each in replies)
        for i, (a, b) in enumerate(zip(ours, theirs)):
            if a != b:
                return requests[i][0], replies[0][i], replies[1][i]
        return None

    def shrink(self, requests, protocol):
        """Fewest requests that still differ: leaves out ever smaller runs of them (Zeller's ddmin, simplified)."""
        step = len(requests) // 2
        while step > 0:
            at = 0
            while at < len(requests):
                fewer = requests[:at] + requests[at + step:]
                if fewer and self.differ(fewer, protocol):
                    requests = fewer
                else:
                    at += step
            step //= 2
        return requests


def typed(words):
    def word(raw):
        text = "".join(chr(c) if 32 < c < 127 and c not in b'"\\' else f"\\x{c:02x}" for c in raw)
        return text if text and len(text) == len(raw) else f'"{text}"'
    return " ".join(word(each) for each in words)


def commands_of(ports, names):
    """What both servers have of the families."""
    table = [each for name in names for each in families.FAMILIES[name]]
    for port in ports:
        known = Connection(port).run([["COMMAND", "INFO", each.name] for each in table])
        table = [each for each, info in zip(table, known) if info and info[0] not in (None, "null array")]
    return [each for each in table for _ in range(each.weight)]


def tables_of(ports, names):
    """What rounds draw from: the families that may meet, as often as there are of them, and each that stands apart."""
    together = [name for name in names if name not in families.APART]
    groups = [together] * len(together)
    groups += [[name, *families.APART[name]] for name in names if name in families.APART]
    known = {tuple(group): commands_of(ports, group) for group in groups}
    return [table for group in groups if (table := known[tuple(group)])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=datetime.datetime.now(datetime.timezone.utc).date().toordinal())
    parser.add_argument("--itself", action="store_true", help="redis-server twice: what differs then is the test's fault")
    parser.add_argument("--families", default=",".join(families.FAMILIES))
    options = parser.parse_args()
    names = options.families.split(",")
    print(f"differential: seed {options.seed}, {options.families}", flush=True)
    rounds, sent, found = 0, 0, 0
    with Redis() if options.itself else Node() as node, Redis() as redis:
        ports = (node.port, redis.port)
        tables, pair = tables_of(ports, names), Pair(ports)
        deadline = time.monotonic() + options.seconds
        while time.monotonic() < deadline and found < 5:
            # A round draws from few families, so that their commands meet the same keys; its number is its seed.
            rng = random.Random(options.seed * 1_000_003 + rounds)
            table = rng.choice(tables)
            drawn, protocol = draw_round(rng.sample(table, min(len(table), rng.choice([15, 40, 200]))), rng), rng.choice("23")
            rounds, sent = rounds + 1, sent + len(drawn)
            difference = pair.differ(drawn, protocol)
            if difference is None:
                continue
            few = pair.shrink(drawn, protocol)
            again = pair.differ(few, protocol)
            found += again is not None
            print(f"DIFFERENCE in round {rounds - 1}, RESP{protocol}{'' if again else ', seen once and not again'}:")
            for each, _ in few if again else []:
                print(f"    {typed(each)}")
            words, ours, theirs = again or difference
            print(f"  reply to {typed(words)}\n    tidemark {ours}\n    redis    {theirs}", flush=True)
    print(f"result: {rounds} rounds, {sent} commands, {found} differences")
    return 1 if found or rounds == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
