"""Commands that wait for keys, with real clients on real connections and several I/O threads: who is served first, how a
wait ends, and that what was taken from a list stays taken after a crash."""

import concurrent.futures
import contextlib
import socket
import threading
import time

import redis

import replication
from tidemark_process import Node, encode, wait_until

CLIENTS = 8


def blocked(client):
    return client.info("clients")["blocked_clients"]


def waiting_ids(client):
    return [int(each["id"]) for each in client.client_list() if "b" in each["flags"]]


class Waiting:
    """One client that waits: its words are on the way to the server once this is made; reply() is what came."""

    def __init__(self, node, *words):
        self.link = socket.create_connection(("127.0.0.1", node.port), timeout=20)
        self.link.sendall(encode(*words))

    def reply(self):
        return self.link.recv(4096)

    def close(self):
        self.link.close()


def test_waiters_are_served_in_order_of_arrival_on_all_threads():
    with Node(io_threads=4) as node:
        client = node.client()
        waiters = []
        for i in range(CLIENTS):
            waiters.append(Waiting(node, "BLPOP", "q", "0"))
            wait_until("the waiter is known", lambda count=i + 1: blocked(client) == count)
        assert len(waiting_ids(client)) == CLIENTS
        for i in range(CLIENTS):
            assert client.rpush("q", f"e{i}") == 1
            assert waiters[i].reply() == b"*2\r\n$1\r\nq\r\n$2\r\n" + f"e{i}".encode() + b"\r\n"
        assert client.exists("q") == 0
        wait_until("nobody waits", lambda: blocked(client) == 0)


def test_a_wait_ends_by_time_by_unblock_and_by_hanging_up():
    with Node() as node:
        client = node.client()
        began = time.monotonic()
        timed = Waiting(node, "BLPOP", "q", "0.3")
        assert timed.reply() == b"*-1\r\n"
        assert 0.29 < time.monotonic() - began < 5
        named = Waiting(node, "BLMOVE", "q", "r", "LEFT", "LEFT", "0")
        wait_until("one waits", lambda: blocked(client) == 1)
        assert client.client_unblock(waiting_ids(client)[0], error=True) == 1
        assert named.reply() == b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
        gone = Waiting(node, "BLPOP", "q", "0")
        wait_until("one waits", lambda: blocked(client) == 1)
        gone.close()
        wait_until("nobody waits", lambda: blocked(client) == 0)
        assert client.rpush("q", "e") == 1
        assert client.lrange("q", 0, -1) == [b"e"], "an element went to a client that had hung up"


def test_a_pipeline_behind_a_wait_goes_on_after_it_and_a_chain_is_served_at_once():
    with Node(io_threads=2) as node:
        client = node.client()
        first = Waiting(node, "BLMOVE", "a", "b", "LEFT", "RIGHT", "0")
        first.link.sendall(encode("PING") + encode("LLEN", "c"))
        wait_until("one waits", lambda: blocked(client) == 1)
        second = Waiting(node, "BRPOPLPUSH", "b", "c", "0")
        wait_until("both wait", lambda: blocked(client) == 2)
        pipe = client.pipeline(transaction=False)
        pipe.rpush("a", "e").exists("a", "b").lrange("c", 0, -1)
        assert pipe.execute() == [1, 0, [b"e"]], "the chain was not over before the pusher's next command"
        assert second.reply() == b"$1\r\ne\r\n"
        reply = first.reply()
        while len(reply) < len(b"$1\r\ne\r\n+PONG\r\n:1\r\n"):
            reply += first.reply()
        assert reply == b"$1\r\ne\r\n+PONG\r\n:1\r\n"


def test_what_was_popped_stays_popped_after_kill9():
    """Elements are handed over under load; the server is killed; none that a client got is there again, none is lost."""
    with Node(appendfsync="always", io_threads=2) as node:
        taken, stop = [], threading.Event()

        def take():
            client = node.client()
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                while True:
                    taken.append(int(client.blpop(["q", "r"])[1]))

        def push(key, first):
            client, sent = node.client(), []
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                for i in range(first, 100000, 2):
                    if stop.is_set():
                        break
                    client.rpush(key, i)
                    sent.append(i)
            return sent

        takers = [threading.Thread(target=take, daemon=True) for _ in range(4)]
        for taker in takers:
            taker.start()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pushers = [pool.submit(push, "q", 0), pool.submit(push, "r", 1)]
            wait_until("enough was handed over", lambda: len(taken) > 500, 60)
            node.kill9()
            stop.set()
            sent = sum((pusher.result() for pusher in pushers), [])
        for taker in takers:
            taker.join(20)
        node.start()
        left = [int(i) for key in ("q", "r") for i in node.client().lrange(key, 0, -1)]
        assert len(set(taken)) == len(taken), "an element was handed over twice"
        assert not set(taken) & set(left), "what was popped is there again"
        # What was pushed last may have been popped in the moment of the kill, its reply never sent: one a taker.
        assert len(set(sent) - set(taken) - set(left)) <= len(takers), "elements are lost"


def test_who_becomes_a_replica_sends_its_waiters_away_and_what_a_wait_took_is_gone_there_too():
    with replication.nodes(2) as (primary, other):
        stranded = Waiting(other, "BLPOP", "q", "0")
        wait_until("one waits", lambda: blocked(other.client()) == 1)
        replication.follow(other, primary)
        reply = stranded.reply()
        assert reply.startswith(b"-UNBLOCKED force unblock from blocking operation, instance state changed"), reply
        assert stranded.reply() == b"", "the connection did not end"
        replication.await_link(other, primary)
        waiter = Waiting(primary, "BLMOVE", "q", "done", "LEFT", "RIGHT", "0")
        wait_until("one waits", lambda: blocked(primary.client()) == 1)
        primary.client().rpush("q", "a", "b")
        assert waiter.reply() == b"$1\r\na\r\n"
        replica = other.client()
        wait_until("the replica has both", lambda: replica.lrange("done", 0, -1) == [b"a"])
        assert replica.lrange("q", 0, -1) == [b"b"]
