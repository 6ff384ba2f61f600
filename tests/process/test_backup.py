"""Backup tasks and force flush as clients and operators meet them: LOGBACKUP, INFO, a clean stop, `tidemark log`."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import redis

import fault_proxy
import s3_server
from tidemark_process import (
    Node, encode, free_port, receive_exactly, receive_until_closed, server_binary, wait_until,
)

# So rare that only a forced flush can be the cause of anything.
NEVER = 3_600_000


@contextlib.contextmanager
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-archive-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def node_with_task(interval=NEVER, **flags):
    """A node whose task `t` archives to a folder, and a client of it."""
    with folder() as archive, Node(**flags) as node:
        client = node.client()
        start(client, "t", f"local://{archive}", interval)
        yield node, client, archive


def start(client, task, uri, interval=NEVER):
    assert client.execute_command("LOGBACKUP", "START", "TASK", task, "STORAGE", uri, "FLUSHINTERVAL", interval)
    wait_until(f"task {task} runs", lambda: status(client, task)["state"] in ("normal", "erroring"))


def as_dict(flat):
    decode = lambda value: value.decode() if isinstance(value, bytes) else value
    return {decode(flat[i]): decode(flat[i + 1]) for i in range(0, len(flat), 2)}


def status(client, task="t"):
    return as_dict(client.execute_command("LOGBACKUP", "STATUS", "TASK", task)[0])


def flush(client, *words):
    return [as_dict(one) for one in client.execute_command("LOGBACKUP", "FLUSH", *words)]


def log_end(client):
    return client.info("log")["log_appended_lsn"]


def refused(what, *words, client):
    try:
        answer = client.execute_command("LOGBACKUP", *words)
    except redis.ResponseError as error:
        assert what in str(error), error
        return
    raise AssertionError(f"{words} was not refused: {answer}")


class BrokenStore:
    """A node whose task `s3` cannot reach its store any more, until heal()."""

    def __enter__(self):
        self.parts = contextlib.ExitStack()
        self.s3 = self.parts.enter_context(s3_server.S3Server())
        self.proxy = self.parts.enter_context(fault_proxy.FaultProxy(self.s3.port))
        self.node = self.parts.enter_context(Node(loglevel="verbose"))
        self.client = self.node.client()
        self.uri = self.s3.uri("backup", endpoint=self.proxy.endpoint, force_path_style="true")
        start(self.client, "s3", self.uri)
        wait_until("a first flush", lambda: flush(self.client, "TASK", "s3")[0]["success"])
        self.proxy.add("answer", match="PUT", times=10**9, status=503, code="SlowDown")
        return self

    def heal(self):
        self.proxy.clear()

    def __exit__(self, *_):
        self.heal()
        self.parts.close()


# -- force flush


def test_a_yes_means_everything_is_archived():
    with node_with_task() as (_, client, archive):
        for i in range(100):
            client.set(f"key{i}", i)
        assert status(client)["rpo_micros"] > 0
        end = log_end(client)
        [outcome] = flush(client)
        assert outcome["success"] == 1 and outcome["code"] == "ok" and outcome["task"] == "t", outcome
        assert outcome["flushed"] >= outcome["target"] >= end and outcome["rpo_micros"] == 0, outcome
        assert outcome["objects"] >= 1 and outcome["bytes"] > 0, outcome
        now = status(client)
        assert now["checkpoint"] == outcome["flushed"] and now["rpo_micros"] == 0 and now["lag_bytes"] == 0, now
        assert list(archive.glob("log/*/*.log")), "no log object in the folder"
        info = client.info("backup")
        assert info["backup_tasks"] == 1 and info["backup_rpo_ms"] == 0, info
        assert info["task0"]["name"] == "t" and info["task0"]["state"] == "normal", info
        # Asking again is free.
        [again] = flush(client)
        assert again["success"] == 1 and status(client)["flushes"] == now["flushes"], again


def test_the_rpo_is_kept_at_the_flush_interval_by_itself():
    with node_with_task(interval=100) as (_, client, _):
        client.set("key", "value")
        wait_until("the task flushes by itself", lambda: client.info("backup")["backup_rpo_ms"] == 0)


def test_a_thousand_callers_share_two_flushes():
    with node_with_task(maxclients=2000) as (node, client, _):
        flush(client)
        links = [node.connect() for _ in range(1000)]
        before = status(client)["flushes"]
        client.set("key", "value")
        end = log_end(client)
        request = encode("LOGBACKUP", "FLUSH")
        for link in links:
            link.sendall(request)
        for link in links:
            reply = receive_exactly(link, 16)
            assert reply.startswith(b"*1\r\n*28\r\n$4\r\nta"), reply
        assert status(client)["flushes"] - before <= 2, status(client)
        assert status(client)["checkpoint"] >= end
        for link in links:
            link.close()


def test_requests_behind_a_waiting_flush_keep_their_order():
    with node_with_task() as (node, _, _):
        link = node.connect()
        link.sendall(encode("SET", "k", "1") + encode("LOGBACKUP", "FLUSH") + encode("GET", "k") + encode("SET", "k", "2")
                     + encode("LOGBACKUP", "FLUSH") + encode("GET", "k") + encode("QUIT"))
        reply = receive_until_closed(link)
        assert re.fullmatch(rb"\+OK\r\n(\*1\r\n\*28.*?)\$1\r\n1\r\n\+OK\r\n(\*1\r\n\*28.*?)\$1\r\n2\r\n\+OK\r\n", reply,
                            re.DOTALL), reply
        assert reply.count(b"$7\r\nsuccess\r\n:1\r\n") == 2, reply


def test_flush_without_a_task_is_an_error():
    with Node() as node:
        client = node.client()
        refused("there is no backup task", "FLUSH", client=client)
        refused("there is no backup task", "WAIT", 1, 0, client=client)
        assert client.execute_command("LOGBACKUP", "STATUS") == []


def test_paused_and_stopped_tasks_say_no_at_once():
    with node_with_task() as (_, client, _):
        client.set("key", "value")
        client.execute_command("LOGBACKUP", "PAUSE", "TASK", "t", "MESSAGE", "moving the disk")
        [outcome] = flush(client)
        assert outcome["success"] == 0 and outcome["code"] == "failed_precondition", outcome
        assert outcome["flushed"] < outcome["target"] and outcome["rpo_micros"] > 0, outcome
        now = status(client)
        assert now["state"] == "paused" and now["pause_message"] == "moving the disk", now
        client.execute_command("LOGBACKUP", "RESUME", "TASK", "t")
        wait_until("the task goes on", lambda: flush(client)[0]["success"] == 1)
        client.execute_command("LOGBACKUP", "STOP", "TASK", "t")
        refused("there is no backup task", "FLUSH", "TASK", "t", client=client)
        refused("there is no backup task", "STOP", "TASK", "t", client=client)


def test_a_deadline_ends_the_wait_and_not_the_flush():
    with BrokenStore() as broken:
        client = broken.client
        client.set("key", "value")
        began = time.monotonic()
        [outcome] = flush(client, "TIMEOUT", 300)
        took = time.monotonic() - began
        assert outcome["success"] == 0 and outcome["code"] == "deadline_exceeded", outcome
        assert outcome["flushed"] < outcome["target"] and outcome["error"], outcome
        assert 0.25 < took < 5, took
        target = outcome["target"]
        broken.heal()
        wait_until("the flush goes on by itself", lambda: status(client, "s3")["checkpoint"] >= target, 60)


def test_who_hangs_up_or_is_unblocked_waits_no_longer():
    with BrokenStore() as broken:
        client = broken.client
        client.set("key", "value")
        blocked = lambda: client.info("clients")["blocked_clients"]
        link = broken.node.connect()
        link.sendall(encode("LOGBACKUP", "FLUSH"))
        wait_until("the flush waits", lambda: blocked() == 1)
        link.close()
        wait_until("the caller is forgotten", lambda: blocked() == 0)

        for reason, answer in (("TIMEOUT", b"deadline_exceeded"), ("ERROR", b"-UNBLOCKED")):
            link = broken.node.connect()
            link.sendall(encode("CLIENT", "ID"))
            number = int(link.recv(100)[1:])
            link.sendall(encode("LOGBACKUP", "FLUSH") + encode("PING"))
            wait_until("the flush waits", lambda: blocked() == 1)
            assert client.execute_command("CLIENT", "UNBLOCK", number, reason) in (1, True)
            data = b""
            while not data.endswith(b"+PONG\r\n"):
                data += link.recv(4096)
            assert answer in data, data
            assert client.execute_command("CLIENT", "UNBLOCK", number) in (0, False)
            link.close()


def test_wait_counts_the_archives_that_have_this_clients_writes():
    with BrokenStore() as broken, folder() as archive:
        client = broken.client
        start(client, "local", f"local://{archive}")
        writer = broken.node.client(single_connection_client=True)
        assert writer.execute_command("LOGBACKUP", "WAIT", 2, 0) == 2, "nothing written, nothing to wait for"
        writer.set("key", "value")
        assert writer.execute_command("LOGBACKUP", "WAIT", 1, 10000) == 1
        began = time.monotonic()
        assert writer.execute_command("LOGBACKUP", "WAIT", 2, 300) == 1, "at its time-out it tells how many have it"
        assert time.monotonic() - began > 0.25
        # In a transaction it tells what is so, and does not wait.
        pipe = writer.pipeline(transaction=True)
        pipe.set("key", "other")
        pipe.execute_command("LOGBACKUP", "WAIT", 2, 0)
        assert pipe.execute()[1] == 0
        broken.heal()
        assert writer.execute_command("LOGBACKUP", "WAIT", 2, 60000) == 2


# -- starts and stops of the server


def test_tasks_and_checkpoints_survive_a_restart_and_a_kill():
    with node_with_task() as (node, client, archive):
        client.set("key", "value")
        [outcome] = flush(client)
        assert outcome["success"] == 1
        for end in (node.stop, node.kill9):
            end()
            node.start()
            client = node.client()
            wait_until("the task runs again", lambda: status(client)["state"] == "normal")
            now = status(client)
            assert now["checkpoint"] >= outcome["flushed"], (now, outcome)
            assert now["storage"] == f"local://{archive}" and now["flush_interval_ms"] == NEVER, now
            client.set("key", "more")
            [outcome] = flush(client)
            assert outcome["success"] == 1, outcome


def archived_up_to(archive):
    """End of the newest log object in the folder, from its name."""
    return max(int(path.name.split("-")[1], 16) for path in archive.glob("log/*/*.log"))


def test_a_clean_stop_leaves_nothing_behind():
    with node_with_task() as (node, client, archive):
        for how in ("SIGTERM", "SHUTDOWN"):
            for i in range(50):
                client.set(f"key{i}", how)
            end = log_end(client)
            assert status(client)["checkpoint"] < end
            if how == "SIGTERM":
                node.stop()
            else:
                with contextlib.suppress(redis.ConnectionError):
                    client.shutdown()
                assert node.ended() == 0
            assert "RPO 0" in node.log(), node.log()
            assert archived_up_to(archive) >= end, (archived_up_to(archive), end)
            node.start()
            client = node.client()
            wait_until("the task runs again", lambda: status(client)["state"] == "normal")


def test_a_clean_stop_under_writes_leaves_nothing_behind():
    with node_with_task() as (node, client, archive):
        acknowledged = []

        def write(number):
            with contextlib.suppress(redis.ConnectionError, ConnectionError):
                own = node.client()
                i = 0
                while True:
                    own.set(f"{number}:{i}", "x")
                    acknowledged.append(own.execute_command("ROLE")[1])
                    i += 1

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        wait_until("some writes", lambda: len(acknowledged) > 500, 30)
        node.stop()
        for thread in threads:
            thread.join()
        assert "RPO 0" in node.log(), node.log()
        assert archived_up_to(archive) >= max(acknowledged), "an acknowledged write is not in the archive"


def test_a_stop_without_the_archive_says_what_it_leaves():
    with node_with_task() as (node, client, archive):
        flush(client)
        client.set("key", "value")
        end = log_end(client)
        with contextlib.suppress(redis.ConnectionError):
            client.shutdown(nosave=True)
        assert node.ended() == 0
        assert archived_up_to(archive) < end, "SHUTDOWN NOSAVE does not wait for archives"
    with BrokenStore() as broken:
        broken.client.config_set("backup-shutdown-timeout", 300)
        broken.client.set("key", "value")
        began = time.monotonic()
        assert broken.node.stop() == 0
        assert time.monotonic() - began < 30
        log = broken.node.log()
        assert re.search(r"Backup: the archive ends at lsn:[0-9a-f]+; RPO \d+\.\d+ s: task s3: ", log), log


def test_the_default_task_is_started_once():
    with folder() as archive, Node(backup_folder=str(archive / "a")) as node:
        for _ in range(2):
            client = node.client()
            wait_until("the default task", lambda: status(client, "default")["state"] == "normal")
            now = status(client, "default")
            assert now["storage"] == f"local://{archive}/a" and now["keep_s"] == 7 * 86400, now
            assert now["base_interval_s"] == 86400, now
            client.set("key", "value")
            assert flush(client)[0]["success"] == 1
            assert client.info("backup")["backup_tasks"] == 1
            node.restart()
    # The archive of another data directory is nobody else's: the server serves, and says why it has no task.
    with folder() as archive, Node(backup_folder=str(archive)) as first:
        wait_until("the default task", lambda: status(first.client(), "default")["state"] == "normal")
        with Node(backup_folder=str(archive)) as second:
            assert second.client().execute_command("LOGBACKUP", "STATUS") == []
            assert "no backup task" in second.log(), second.log()


# -- what must not be seen


def test_credentials_are_shown_nowhere():
    with Node(slowlog_log_slower_than=0, loglevel="debug") as node:
        client = node.client()
        uri = f"s3://bucket/prefix?endpoint=http://127.0.0.1:{free_port()}&access-key=AK&secret-access-key=hush-hush"
        with contextlib.suppress(redis.ResponseError):
            client.execute_command("LOGBACKUP", "START", "TASK", "t", "STORAGE", uri)
        try:
            client.execute_command("LOGBACKUP", "START", "TASK", "t", "STORAGE", uri, "NONSENSE", "1")
        except redis.ResponseError as error:
            assert "hush" not in str(error), error
        shown = b"".join(
            repr(client.execute_command(*words.split())).encode()
            for words in ("SLOWLOG GET 100", "CLIENT LIST", "INFO everything", "LOGBACKUP STATUS", "CONFIG GET *"))
        assert b"hush" not in shown
        assert "hush" not in node.log(10000)


# -- the command line


def tidemark(*words, node=None, env=None):
    command = [str(server_binary().parent / "tidemark"), "log", *words]
    if node is not None:
        command += ["--node", f"127.0.0.1:{node.port}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ, **(env or {})),
                          stdin=subprocess.DEVNULL)


def test_the_command_line_runs_a_task_from_start_to_stop():
    with folder() as archive, Node() as node:
        client = node.client()
        done = tidemark("start", "--task-name", "t", "--storage", f"local://{archive}", "--compression", "3",
                        "--flush-interval", "1h", "--keep", "7d", "--base-interval", "1d", node=node)
        assert done.returncode == 0, done
        now = status(client)
        assert (now["compression_level"], now["flush_interval_ms"], now["keep_s"]) == (3, NEVER, 7 * 86400), now
        again = tidemark("start", "--task-name", "t", "--storage", f"local://{archive}", node=node)
        assert again.returncode == 4 and "already" in again.stderr and not again.stdout, again
        client.set("key", "value")

        done = tidemark("flush", "--json", node=node)
        assert done.returncode == 0 and not done.stderr, done
        answer = json.loads(done.stdout)
        [task] = answer["nodes"][0]["tasks"]
        assert answer["success"] is True and task["success"] is True and task["flushed"] >= task["target"], answer
        table = tidemark("flush", node=node).stdout
        assert "durable" in table and f"127.0.0.1:{node.port}" in table, table

        [shown] = json.loads(tidemark("status", "--json", node=node).stdout)
        assert shown["name"] == "t" and shown["state"] == "normal" and shown["rpo_micros"] == 0, shown
        screen = tidemark("status", node=node).stdout
        assert "gap=" in screen and "nothing could be lost" in screen and "restorable" in screen, screen

        assert tidemark("pause", "--task-name", "t", "--message", "why", "--ttl", "1h", node=node).returncode == 0
        assert "why" in tidemark("status", node=node).stdout
        refused_flush = tidemark("flush", node=node)
        assert refused_flush.returncode == 4 and "t" in refused_flush.stderr, refused_flush
        assert tidemark("resume", "--task-name", "t", node=node).returncode == 0
        meta = tidemark("metadata", "--storage", f"local://{archive}", "--json")
        assert meta.returncode == 0, meta
        assert json.loads(meta.stdout)["cluster_id"] == client.info("backup")["cluster_id"]
        assert tidemark("stop", "--task-name", "t", node=node).returncode == 0
        gone = tidemark("flush", node=node)
        assert gone.returncode == 4 and "there is no backup task" in gone.stderr, gone


def test_exit_codes_tell_causes_apart():
    assert tidemark("flush", "--mode", "sometimes").returncode == 1
    assert tidemark("flush", "--timeout", "soon").returncode == 1
    assert tidemark("nonsense").returncode == 1
    nobody = tidemark("flush", "--nodes", f"127.0.0.1:{free_port()}", "--timeout", "300ms", "--json")
    assert nobody.returncode == 3 and json.loads(nobody.stdout)["success"] is False, nobody
    with Node(requirepass="open") as node:
        stranger = tidemark("status", node=node)
        assert stranger.returncode == 4 and "REDISCLI_AUTH" in stranger.stderr, stranger
        friend = tidemark("status", "--json", node=node, env={"REDISCLI_AUTH": "open"})
        assert friend.returncode == 0 and json.loads(friend.stdout) == [], friend
        wrong = tidemark("start", "--task-name", "t", "--storage", "local:///nowhere", "--cluster-id", "00", node=node,
                         env={"REDISCLI_AUTH": "open"})
        assert wrong.returncode == 4 and "cluster" in wrong.stderr, wrong


def test_all_nodes_are_flushed_at_once():
    with node_with_task() as (one, first, _), node_with_task() as (two, second, _):
        first.set("key", "value")
        second.set("key", "value")
        nodes = f"127.0.0.1:{one.port},127.0.0.1:{two.port}"
        done = tidemark("flush", "--nodes", nodes, "--json")
        assert done.returncode == 0, done
        assert [len(node["tasks"]) for node in json.loads(done.stdout)["nodes"]] == [1, 1], done
        # A node that is away for a moment is waited for.
        two.stop()
        waiting = {}
        asker = threading.Thread(target=lambda: waiting.update(done=tidemark("flush", "--nodes", nodes, "--json")))
        asker.start()
        two.start()
        asker.join()
        assert waiting["done"].returncode == 0, waiting
        # One that stays away makes the deadline pass; the others' answers are there all the same.
        two.stop()
        late = tidemark("flush", "--nodes", nodes, "--timeout", "500ms", "--json")
        assert late.returncode == 3, late
        outcome = json.loads(late.stdout)["nodes"]
        assert outcome[0]["tasks"][0]["success"] is True and outcome[1]["error"], outcome


def test_a_deadline_on_the_command_line():
    with BrokenStore() as broken:
        broken.client.set("key", "value")
        done = tidemark("flush", "--timeout", "300ms", node=broken.node)
        assert done.returncode == 3 and "deadline_exceeded" in done.stdout, done


def test_the_command_line_hides_secrets_from_the_process_list():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [str(server_binary().parent / "tidemark"), "log", "start", "--task-name", "t", "--node", node, "--password",
             "hush1", "--storage", "s3://b/p?secret-access-key=hush2"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            link, _ = silent.accept()  # it has read its arguments by now
            arguments = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert b"hush" not in arguments and b"--storage" in arguments, arguments
            link.close()
        finally:
            process.kill()
            process.wait()
