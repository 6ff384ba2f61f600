"""What the command line says where something is missing: an archive, a key, a base, a node."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import redis

from tidemark_process import Node, free_port, server_binary, wait_until

USAGE, DAMAGE, DEADLINE, FAILED = 1, 2, 3, 4
NEVER = "1h"


@contextlib.contextmanager
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-command-line-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def tidemark(*words, node=None, cwd=None, code=0):
    command = [str((server_binary().parent / "tidemark").resolve()), *map(str, words)]
    if node is not None:
        command += ["--node", f"127.0.0.1:{node.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, stdin=subprocess.DEVNULL,
                          check=False)
    assert done.returncode == code, done
    return done


def write_key(path):
    path.write_text(os.urandom(32).hex() + "\n")
    path.chmod(0o600)
    return path


def task_status(node):
    [task] = json.loads(tidemark("log", "status", "--json", node=node).stdout)
    return task


def test_a_reader_makes_no_folder():
    with folder() as root:
        missing = root / "missing"
        uri = f"local://{missing}"
        for words in (("archive", "ls", uri), ("archive", "verify", uri), ("archive", "inspect", uri, "archive.json"),
                      ("inspect", "--from", uri, "--at", "latest"),
                      ("restore", "--from", uri, "--to", "latest", "--data", root / "data")):
            done = tidemark(*words, code=USAGE)
            assert f"there is no folder {missing}" in done.stderr, done
        assert "there is no folder" in tidemark("log", "metadata", "--storage", uri, code=FAILED).stderr
        assert not list(root.iterdir()), list(root.iterdir())


def test_a_key_file_is_found_wherever_the_server_is_started_and_its_absence_names_the_key():
    with folder() as root:
        key = write_key(root / "key")
        archive = root / "archive"
        with Node() as node:
            client = node.client()
            words = ("LOGBACKUP", "START", "TASK", "t", "STORAGE", f"local://{archive}", "CRYPTERKEYFILE")
            try:
                client.execute_command(*words, "key")
            except redis.ResponseError as error:
                assert "whole path" in str(error), error
            else:
                raise AssertionError("a relative path was taken")
            tidemark("log", "start", "--task-name", "t", "--storage", f"local://{archive}", "--crypter-key-file", "key",
                     node=node, cwd=root)
            assert task_status(node)["key_file"] == str(key)
            client.set("key", "value")
            tidemark("log", "flush", node=node)
        whole = tidemark("archive", "verify", f"local://{archive}", "--crypter-key-file", key)
        assert "archive: OK" in whole.stdout, whole
        blind = tidemark("archive", "verify", f"local://{archive}", "--json", code=DAMAGE)
        [key_id] = {finding["key_id"] for finding in json.loads(blind.stdout)["findings"]}
        assert key_id in blind.stderr and "--crypter-key-file" in blind.stderr, blind
        refused = tidemark("restore", "--from", f"local://{archive}", "--to", "latest", "--data", root / "data",
                           code=USAGE)
        assert key_id in refused.stderr, refused


def test_what_an_unread_archive_has_is_called_unknown():
    with folder() as root, Node() as node:
        archive = root / "archive"
        tidemark("log", "start", "--task-name", "t", "--storage", f"local://{archive}", "--flush-interval", NEVER,
                 node=node)
        tidemark("log", "flush", node=node)
        assert task_status(node)["restorable"] and task_status(node)["restorable_known"]
        screen = tidemark("log", "status", node=node).stdout
        assert " … " in screen and "not listed" not in screen, screen
        tidemark("log", "pause", "--task-name", "t", node=node)
        node.stop()
        node.start()
        now = task_status(node)
        assert now["state"] == "paused" and not now["restorable_known"], now
        screen = tidemark("log", "status", node=node).stdout
        assert "unknown until the archive can be read" in screen and "NO:" not in screen, screen
        tidemark("log", "resume", "--task-name", "t", node=node)
        wait_until("the archive was read", lambda: task_status(node)["restorable"])


def test_a_flush_of_an_absent_node_says_that_it_asks_again():
    port = free_port()
    done = tidemark("log", "flush", "--nodes", f"127.0.0.1:{port}", "--timeout", "300ms", code=DEADLINE)
    again = [line for line in done.stderr.splitlines() if "asking" in line]
    assert len(again) == 1 and "refused" in again[0] and str(port) in again[0], done


def test_a_flush_waits_for_the_first_base_and_says_so():
    flags = dict(log_segment_size="1mb", log_retain_size="0", log_purge_interval_ms=50, store_dirty_size="2mb")
    with folder() as root, Node(**flags) as node:
        client = node.client()
        for i in range(16):
            client.set(f"k{i}", os.urandom(1 << 20))
        # Without the log's beginning a base is needed, and it is so slow that it is on its way for seconds.
        wait_until("the log's beginning is gone", lambda: client.info("log")["log_oldest_lsn"] > 1 << 20, seconds=30)
        start = ("log", "start", "--task-name", "t", "--storage", f"local://{root / 'archive'}", "--flush-interval",
                 NEVER, "--ratelimit", "2MiB")
        tidemark(*start, node=node)
        client.set("key", "value")
        [refused] = json.loads(tidemark("log", "flush", "--mode", "join", "--json", node=node,
                                        code=FAILED).stdout)["nodes"][0]["tasks"]
        assert refused["awaits_base"], refused
        short = tidemark("log", "flush", "--timeout", "300ms", node=node, code=DEADLINE)
        assert "waits for its base" in short.stderr, short
        told = tidemark("log", "flush", node=node)
        assert "waits for its base" in told.stderr and "durable" in told.stdout, told
        assert task_status(node)["restorable"]


def test_exit_codes_are_in_the_help():
    for command in ("start", "status", "pause", "resume", "stop", "base", "truncate", "metadata", "flush"):
        assert "Exit codes: 0" in tidemark("log", command, "--help").stdout, command
