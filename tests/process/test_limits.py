"""Limits on connections, on output that nobody reads, on files, and what the operator may get wrong."""

import os
import resource
import selectors
import signal
import socket
import subprocess
import tempfile
import time

import redis

from tidemark_process import (
    Node, alone, encode, free_port, receive_exactly, receive_until_closed, server_binary, wait_until,
)


def run_to_its_end(*words, cwd=None):
    """A start that is expected to fail: exit code, what it printed on stderr."""
    done = subprocess.run(
        [str(server_binary()), *words], capture_output=True, text=True, timeout=60, cwd=cwd or tempfile.gettempdir())
    return done.returncode, done.stderr


@alone
def test_ten_thousand_connections():
    clients = 10000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, clients + 200), max(hard, clients + 200)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        clients = min(clients, hard - 200, max(100, hard - 1300))
        print(f"    (open files are limited to {hard}: {clients} connections)", flush=True)
    with Node(maxclients=clients + 10) as node:
        before = node.resident_bytes()
        links = []
        for i in range(clients):
            link = socket.socket()
            link.setblocking(False)
            # The range of ports of one address is not enough for all.
            link.bind((f"127.0.1.{1 + i % 4}", 0))
            link.connect_ex(("127.0.0.1", node.port))
            links.append(link)
        waiting = selectors.DefaultSelector()
        for link in links:
            waiting.register(link, selectors.EVENT_WRITE)
        deadline = time.monotonic() + 60
        while waiting.get_map():
            assert time.monotonic() < deadline, f"{len(waiting.get_map())} connections were never accepted"
            for key, _ in waiting.select(timeout=5):
                waiting.unregister(key.fileobj)
                error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert error == 0, os.strerror(error)
        for link in links:
            link.setblocking(True)
            link.settimeout(60)
            link.sendall(b"PING\r\n")
        for link in links:
            assert receive_exactly(link, 7) == b"+PONG\r\n"
        assert (node.resident_bytes() - before) / clients < 16 << 10
        assert node.client().ping()
        for link in links:
            link.close()
        assert node.client().ping()


def test_out_of_files_it_goes_on_serving_and_accepts_again_later():
    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    with Node(maxclients=10000) as roomy:
        assert roomy.client().ping()
    # As an ordinary user the hard limit holds; as root the server raises it, so it is held down by prlimit afterwards.
    with Node(maxclients=10000, limits=few_files) as node:
        link = node.connect()
        in_use = len(os.listdir(f"/proc/{node.pid}/fd"))
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (in_use + 20, in_use + 20))
        crowd = [node.connect() for _ in range(60)]
        link.sendall(b"PING\r\n")
        assert receive_exactly(link, 7) == b"+PONG\r\n"
        for other in crowd[:50]:
            other.close()
        crowd[-1].sendall(b"PING\r\n")
        assert receive_exactly(crowd[-1], 7) == b"+PONG\r\n"


def test_maxclients():
    with Node(maxclients=5) as node:
        def admitted():
            link = node.connect()
            link.sendall(b"PING\r\n")
            if receive_exactly(link, 1) == b"+":
                return link
            link.close()
            return None

        # The connection that asked whether the server is up may count for a moment longer.
        links = [wait_until("a connection is admitted", admitted) for _ in range(5)]
        with node.connect() as refused:
            assert receive_until_closed(refused) == b"-ERR max number of clients reached\r\n"
        for link in links:
            link.close()
        wait_until("there is room again", node.answers)


def test_a_client_that_never_reads_holds_a_bounded_amount_of_memory():
    with Node() as node:
        node.client().set("big", b"x" * (1 << 20))
        before = node.resident_bytes()
        links = [node.connect() for _ in range(4)]
        for link in links:
            link.sendall(encode("GET", "big") * 2000)  # 2 GB of replies
        other = node.client()
        for _ in range(50):
            assert other.ping()
        assert node.resident_bytes() < before + (4 * 40 << 20)
        for link in links:
            link.close()


def test_a_client_past_its_output_limit_is_closed():
    with Node(client_output_buffer_limit="normal 1mb 0 0") as node, node.connect() as link:
        node.client().set("big", b"x" * (16 << 20))
        link.sendall(encode("GET", "big"))
        data = receive_until_closed(link)
        assert len(data) < 16 << 20
        assert node.client().ping()


def test_a_subscriber_that_never_reads_is_closed_at_its_limit():
    with Node(client_output_buffer_limit="pubsub 4mb 0 0") as node, node.connect() as link:
        link.sendall(encode("SUBSCRIBE", "c"))
        assert link.recv(100)
        client = node.client()
        message = b"x" * 100000
        wait_until("the subscriber is closed", lambda: client.publish("c", message) == 0, seconds=30)
        assert node.resident_bytes() < 1 << 30


def test_the_soft_output_limit_needs_its_time():
    with Node(client_output_buffer_limit="pubsub 0 1mb 1") as node, node.connect() as link:
        link.sendall(encode("SUBSCRIBE", "c"))
        assert link.recv(100)
        client = node.client()
        for _ in range(160):
            assert client.publish("c", b"x" * 100000) == 1
        wait_until("the subscriber is closed", lambda: client.publish("c", b"x") == 0, seconds=10)


def test_sigterm_leaves_nothing_to_replay():
    with Node() as node:
        pipe = node.client().pipeline(transaction=False)
        for i in range(5000):
            pipe.set(f"k{i}", i)
        pipe.execute()
        assert node.stop() == 0
        node.start()
        assert node.client().get("k4999") == b"4999"
        assert " 0 records replayed" in node.log()


def test_a_kill_is_replayed():
    with Node() as node:
        node.client().set("key", "value")
        node.kill9()
        node.start()
        assert node.client().get("key") == b"value"
        assert " 0 records replayed" not in node.log(lines=4)


def test_stopping_under_load_answers_or_closes_and_loses_nothing_answered():
    with Node(io_threads=2) as node:
        links = [node.connect() for _ in range(20)]
        for number, link in enumerate(links):
            link.sendall(b"".join(encode("SET", f"{number}:{i}", i) for i in range(2000)))
        node.process.send_signal(signal.SIGTERM)
        answered = [receive_until_closed(link).count(b"+OK\r\n") for link in links]
        assert node.ended() == 0
        node.start()
        client = node.client()
        for number, count in enumerate(answered):
            if count > 0:
                assert client.get(f"{number}:{count - 1}") == str(count - 1).encode()


def test_a_second_server_on_the_same_folder_is_refused():
    with Node() as node:
        code, said = run_to_its_end("--port", str(free_port()), "--dir", str(node.dir))
        assert code == 1
        assert len(said.strip().splitlines()) == 1 and str(node.pid) in said, said
        assert node.client().ping()


def test_a_port_in_use_is_refused():
    with Node(bind="127.0.0.1") as node, tempfile.TemporaryDirectory() as folder:
        code, said = run_to_its_end("--port", str(node.port), "--bind", "127.0.0.1", "--dir", folder)
        assert code == 1
        assert len(said.strip().splitlines()) == 1 and str(node.port) in said, said


def test_wrong_flags_are_named():
    with tempfile.TemporaryDirectory() as folder:
        code, said = run_to_its_end("--prot", "7000", "--dir", folder)
        assert code == 1 and '"prot"' in said and '"port"' in said, said
        code, said = run_to_its_end("--port", "banana", "--dir", folder)
        assert code == 1 and "banana" in said, said
        path = os.path.join(folder, "tidemark.conf")
        with open(path, "w") as file:
            file.write("# comment\nport 7000\nappendfsinc always\n")
        code, said = run_to_its_end(path)
        assert code == 1 and "line 3" in said and "appendfsync" in said, said


def test_a_folder_that_cannot_be_used_is_named():
    code, said = run_to_its_end("--port", str(free_port()), "--dir", "/proc/nowhere")
    assert code == 1
    assert len(said.strip().splitlines()) == 1 and "/proc/nowhere" in said, said


def test_protected_mode_refuses_other_machines():
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    if not address:
        print("    (this machine has no address but loopback: not tried)", flush=True)
        return
    with Node() as node:
        with socket.create_connection((address[0], node.port), timeout=10) as link:
            assert receive_until_closed(link).startswith(b"-DENIED ")
        node.client().config_set("protected-mode", "no")
        with socket.create_connection((address[0], node.port), timeout=10) as link:
            link.sendall(b"PING\r\n")
            assert receive_exactly(link, 7) == b"+PONG\r\n"


def test_a_password_is_asked_for():
    with Node(requirepass="secret") as node:
        with node.connect() as link:
            link.sendall(b"PING\r\n")
            assert link.recv(200).startswith(b"-NOAUTH")
        assert node.client(password="secret").ping()
        try:
            answer = node.client(password="wrong").ping()
        except redis.RedisError as error:
            answer = str(error)
        assert str(answer).startswith("WRONGPASS"), answer


def test_version_and_help():
    for flag, word in (("--version", "tidemark-server"), ("--help", "--appendfsync")):
        done = subprocess.run([str(server_binary()), flag], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and word in done.stdout
