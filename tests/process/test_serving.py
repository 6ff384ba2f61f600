"""What a client library, a careless client and a hostile one may send, and what they get."""

import pathlib
import socket
import threading
import time

import redis

from tidemark_process import (
    Node, encode, free_port, receive_exactly, receive_until_closed, wait_until,
)


def test_redis_py_drives_it():
    with Node() as node:
        client = node.client(decode_responses=True)
        assert client.ping()
        assert client.set("k", "v") and client.get("k") == "v"
        assert client.hset("h", mapping={"a": "1", "b": "2"}) == 2
        assert client.hgetall("h") == {"a": "1", "b": "2"}
        assert client.incr("n") == 1
        pipe = client.pipeline()  # MULTI … EXEC
        pipe.set("x", "1").incr("x").get("x")
        assert pipe.execute() == [True, 2, "2"]
        messages = client.pubsub()
        messages.subscribe("channel")
        assert messages.get_message(timeout=10)["type"] == "subscribe"
        assert client.publish("channel", "hello") == 1
        assert messages.get_message(timeout=10)["data"] == "hello"


def test_ten_thousand_commands_in_one_pipeline_are_answered_in_order():
    with Node() as node:
        pipe = node.client().pipeline(transaction=False)
        for i in range(10000):
            pipe.set(f"key:{i}", i)
            pipe.get(f"key:{i}")
        answers = pipe.execute()
        assert answers[::2] == [True] * 10000
        assert answers[1::2] == [str(i).encode() for i in range(10000)]


def test_a_pipeline_sent_whole_before_a_reply_is_read():
    """40 MB of replies that nobody reads until all requests are sent: neither side may wait for the other for ever."""
    with Node() as node, node.connect() as link:
        node.client().set("big", b"x" * 10000)
        count = 4000
        link.sendall(encode("GET", "big") * count)
        assert receive_exactly(link, count * 10010) == (b"$10000\r\n" + b"x" * 10000 + b"\r\n") * count


def test_a_command_may_come_byte_by_byte():
    with Node() as node, node.connect() as link:
        for byte in encode("SET", "key", b"va\r\nlue") + encode("GET", "key"):
            link.sendall(bytes([byte]))
        expected = b"+OK\r\n$7\r\nva\r\nlue\r\n"
        assert receive_exactly(link, len(expected)) == expected


def test_inline_commands():
    with Node() as node, node.connect() as link:
        link.sendall(b'SET key "a b"\r\nGET key\r\n\r\nPING\n')
        expected = b"+OK\r\n$3\r\na b\r\n+PONG\r\n"
        assert receive_exactly(link, len(expected)) == expected


def test_replies_reach_a_client_that_has_closed_its_sending_side():
    with Node() as node, node.connect() as link:
        link.sendall(encode("SET", "key", "value") + encode("GET", "key"))
        link.shutdown(socket.SHUT_WR)
        assert receive_until_closed(link) == b"+OK\r\n$5\r\nvalue\r\n"


def test_quit_answers_and_closes_and_runs_nothing_behind_it():
    with Node() as node:
        with node.connect() as link:
            link.sendall(encode("QUIT") + encode("SET", "after", "quit"))
            assert receive_until_closed(link) == b"+OK\r\n"
        assert node.client().get("after") is None


def test_garbage_and_impossible_lengths_get_an_error_and_cost_nothing_else():
    with Node() as node:
        before = node.resident_bytes()
        for sent, expected in (
            (b"*1\r\n$4294967296\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
            (b"*4294967296\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
            (b"*1\r\n$-5\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
            (b"*1\r\n:5\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
            (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        ):
            with node.connect() as link:
                link.sendall(sent)
                assert receive_until_closed(link) == expected, (sent, expected)
        for seed in range(20):
            with node.connect() as link:
                noise = bytes((seed * 7 + i * i * 31) % 256 for i in range(4000))
                try:
                    link.sendall(noise + b"\r\n")
                    link.shutdown(socket.SHUT_WR)
                    receive_until_closed(link)
                except OSError:
                    pass
        assert node.client().ping()
        assert node.resident_bytes() < before + (64 << 20)


def test_a_claimed_length_costs_nothing_until_its_bytes_come():
    with Node() as node:
        before = node.resident_bytes()
        links = [node.connect() for _ in range(200)]
        for link in links:
            link.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\nonly this much")
        assert node.client().ping()
        assert node.resident_bytes() < before + (32 << 20)
        for link in links:
            link.close()


def test_a_value_of_64_mib_goes_and_comes():
    with Node() as node:
        value = bytes(range(256)) * (64 << 12)
        client = node.client(socket_timeout=120)
        client.set("large", value)
        assert client.get("large") == value


def test_client_reply_off_and_skip():
    with Node() as node, node.connect() as link:
        link.sendall(
            encode("CLIENT", "REPLY", "SKIP") + encode("SET", "a", "1") + encode("GET", "a")
            + encode("CLIENT", "REPLY", "OFF") + encode("GET", "a") + encode("GET", "a")
            + encode("CLIENT", "REPLY", "ON") + encode("PING")
        )
        expected = b"$1\r\n1\r\n+OK\r\n+PONG\r\n"
        assert receive_exactly(link, len(expected)) == expected


def test_messages_come_although_replies_are_off():
    with Node() as node, node.connect() as link:
        link.sendall(
            encode("CLIENT", "REPLY", "OFF") + encode("SUBSCRIBE", "news") + encode("GET", "a") + encode("PING")
        )
        confirmation = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
        assert receive_exactly(link, len(confirmation)) == confirmation
        assert node.client().publish("news", "hello") == 1
        message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
        assert receive_exactly(link, len(message)) == message


def test_who_waits_for_a_pause_costs_nothing_and_goes_on_at_its_end():
    with Node() as node:
        control = node.client()
        waiting = node.client()
        answers = []

        def ask():
            answers.append(waiting.incr("n"))

        def switches():
            text = pathlib.Path(f"/proc/{node.pid}/task/{node.pid}/status").read_text()
            return int(text.split("voluntary_ctxt_switches:")[1].split()[0])

        control.client_pause(60_000, all=False)
        asker = threading.Thread(target=ask)
        asker.start()
        wait_until("the request has arrived", lambda: b"cmd=incr" in control.execute_command("CLIENT", "LIST"))
        before = switches()
        assert not answers
        time.sleep(1)  # a length of time is what is measured
        assert switches() - before < 50, "the I/O thread looks again and again whether the pause is over"
        assert not answers
        control.client_unpause()
        asker.join(10)
        assert answers == [1], answers
        control.client_pause(200, all=False)
        assert waiting.incr("n") == 2, "a pause ends by itself too"


def test_the_log_says_where_each_port_is_ready():
    rpc, http = free_port(), free_port()
    with Node(rpc_port=rpc, http_port=http) as node:
        log = node.log()
        for line in (f"connections on 0.0.0.0:{node.port}", f"gRPC calls on port {rpc}", f"HTTP requests on port {http}"):
            assert line in log, (line, log)


def test_four_io_threads_share_one_store():
    with Node(io_threads=4) as node:
        def count():
            pipe = node.client().pipeline(transaction=False)
            for _ in range(5000):
                pipe.incr("shared")
            answers.append(pipe.execute())

        answers = []
        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(n for answer in answers for n in answer) == list(range(1, 40001))
        for answer in answers:
            assert answer == sorted(answer)


def test_messages_cross_io_threads_in_order():
    with Node(io_threads=4) as node:
        listeners = [node.connect() for _ in range(8)]
        greeting = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
        for link in listeners:
            link.sendall(encode("SUBSCRIBE", "c"))
            assert receive_exactly(link, len(greeting)) == greeting
        pipe = node.client().pipeline(transaction=False)
        for i in range(2000):
            pipe.publish("c", f"{i:04}")
        assert pipe.execute() == [8] * 2000
        expected = b"".join(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n%04d\r\n" % i for i in range(2000))
        for link in listeners:
            assert receive_exactly(link, len(expected)) == expected


def test_always_answers_every_pipelined_write_and_survives_kill():
    with Node(appendfsync="always") as node:
        pipe = node.client().pipeline(transaction=False)
        for i in range(2000):
            pipe.set(f"k{i}", i)
        assert pipe.execute() == [True] * 2000
        node.kill9()
        node.start()
        assert node.client().mget([f"k{i}" for i in range(2000)]) == [str(i).encode() for i in range(2000)]


def test_appendfsync_can_change_under_load():
    with Node(io_threads=2) as node:
        stop = threading.Event()
        counts = []

        def write(name):
            client = node.client()
            count = 0
            while not stop.is_set():
                assert client.incr(name) == count + 1
                count += 1
            counts.append(count)

        threads = [threading.Thread(target=write, args=(f"n{i}",), daemon=True) for i in range(4)]
        for thread in threads:
            thread.start()
        admin = node.client()
        for mode in ("always", "everysec", "no", "always", "everysec") * 4:
            admin.config_set("appendfsync", mode)
            for _ in range(20):
                admin.incr("admin")
        stop.set()
        for thread in threads:
            thread.join()
        assert min(counts) > 0


def test_idle_clients_are_closed_after_timeout_but_not_listeners():
    with Node(timeout=1) as node, node.connect() as idle, node.connect() as listener:
        listener.sendall(encode("SUBSCRIBE", "c"))
        assert listener.recv(100)
        assert receive_until_closed(idle) == b""
        listener.settimeout(1.5)
        try:
            assert listener.recv(1), "a subscriber was closed for being idle"
        except socket.timeout:
            pass


def test_redis_py_sees_a_closed_connection_and_comes_back():
    with Node() as node:
        client = node.client()
        victim = node.client()
        ident = victim.client_id()
        assert client.execute_command("CLIENT", "KILL", "ID", ident) == 1
        wait_until("the killed client is gone", lambda: str(ident) not in
                   {c["id"] for c in client.client_list()})
        try:
            victim.ping()
        except redis.ConnectionError:
            pass
        assert victim.ping()
