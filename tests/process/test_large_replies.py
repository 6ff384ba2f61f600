"""Replies larger than what the server keeps of them: sent in parts, of one moment, in order, in bounded memory."""

import socket

from tidemark_process import Node, encode, wait_until

FIELDS = 60_000
VALUE = "v" * 1000  # 60 MB altogether


def fill(client):
    pipe = client.pipeline(transaction=False)
    for first in range(0, FIELDS, 1000):
        pipe.hset("h", mapping={f"f{i}": f"{i}-{VALUE}" for i in range(first, first + 1000)})
        pipe.execute()


def read_line(stream):
    line = stream.readline()
    assert line.endswith(b"\r\n"), line
    return line[:-2]


def read_hash(stream):
    """One HGETALL in RESP2."""
    count = int(read_line(stream)[1:])
    strings = []
    for _ in range(count):
        length = int(read_line(stream)[1:])
        strings.append(stream.read(length))
        assert stream.read(2) == b"\r\n"
    return dict(zip(strings[::2], strings[1::2]))


def test_a_slow_reader_of_a_large_hash_costs_little_memory_and_gets_one_moment():
    with Node() as node:
        client = node.client()
        fill(client)
        client.hgetall("h")
        before = node.resident_bytes()
        links = []
        for _ in range(4):
            link = socket.create_connection(("127.0.0.1", node.port))
            # The next request waits behind the reply under way.
            link.sendall(encode("HGETALL", "h") + encode("PING"))
            links.append(link)
        wait_until("four replies are under way", lambda: sum(int(c["obl"]) > 0 for c in client.client_list()) == 4)
        # Four replies of 60 MB are under way; a part of each is unsent.
        grown = node.resident_bytes() - before
        assert grown < 100 << 20, f"{grown >> 20} MiB for replies that nobody reads"
        # What changes now is none of theirs.
        client.hset("h", "f1", "changed")
        client.hdel("h", *[f"f{i}" for i in range(100, 300)])
        client.delete("h")
        client.hset("h", "other", "1")
        for link in links:
            stream = link.makefile("rb")
            found = read_hash(stream)
            assert len(found) == FIELDS
            assert found[b"f1"] == f"1-{VALUE}".encode() and found[b"f200"] == f"200-{VALUE}".encode()
            assert read_line(stream) == b"+PONG"
        assert client.hgetall("h") == {b"other": b"1"}


def test_a_reader_that_goes_away_leaves_nothing_behind():
    with Node() as node:
        client = node.client()
        fill(client)
        for _ in range(10):
            link = socket.create_connection(("127.0.0.1", node.port))
            link.sendall(encode("HGETALL", "h"))
            assert link.recv(1000).startswith(b"*120000\r\n")
            link.close()
        wait_until("only this connection is left", lambda: len(client.client_list()) == 1)
        # A stop with a reply under way.
        link = socket.create_connection(("127.0.0.1", node.port))
        link.sendall(encode("HGETALL", "h"))
        assert link.recv(1000).startswith(b"*120000\r\n")
        assert node.stop() == 0
