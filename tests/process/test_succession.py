"""What happens to the archives when the role moves: nothing that was answered with a yes is lost, and none is held up."""

import contextlib
import subprocess

import redis

from replication import assert_same_data, await_link, fill, follow, info, join, nodes, promote
from test_backup import NEVER, flush, folder, start
from tidemark_process import server_binary, wait_until

SMALL_LOG = {"log_segment_size": "1mb", "log_retain_size": "1mb", "log_purge_interval_ms": 100, "log_apply_max": "8mb"}


def tool(*words):
    return subprocess.run([server_binary().parent / "tidemark", *words], capture_output=True, text=True, timeout=60,
                          check=False)


def lease_names(node):
    return [lease[lease.index(b"name") + 1].decode() for lease in node.client().execute_command("LEASES")]


def await_yes(node):
    """The node has become the primary, and the archive is its own."""
    def says_yes():
        with contextlib.suppress(redis.ResponseError):  # the tasks come with the end of the promotion
            return [one["success"] for one in flush(node.client())] == [1]
        return False
    wait_until("its own flushes say yes", says_yes, 30)


@contextlib.contextmanager
def group(interval=NEVER, **flags):
    """A primary with a task, an archive, a replica that has joined."""
    with folder() as archive, nodes(2, **flags) as (primary, replica):
        start(primary.client(), "t", f"local://{archive}", interval)
        join(replica, primary)
        yield primary, replica, archive


def test_what_a_flush_confirmed_survives_a_promotion_that_lacked_it():
    with group() as (primary, replica, archive):
        fill(primary, 2)
        assert_same_data(primary, replica)
        replica.client().execute_command("REPLICAOF", "127.0.0.1", 1)  # cut off: nothing reaches it from here on
        wait_until("the replica is cut off", lambda: info(primary)["connected_slaves"] == 0)
        primary.client().set("confirmed", "yes")
        assert [one["success"] for one in flush(primary.client())] == [1]
        primary.kill9()
        promote(replica)
        client = replica.client()
        assert client.set("after", "1")
        assert client.get("confirmed") == b"yes"
        await_yes(replica)
        verified = tool("archive", "verify", f"local://{archive}")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "timeline 2" in verified.stdout, verified.stdout


def test_a_former_primary_is_refused_by_the_archive_and_holds_no_log_for_it():
    with group() as (primary, replica, _archive):
        fill(primary, 1)
        assert_same_data(primary, replica)
        promote(replica)
        await_yes(replica)
        primary.client().set("astray", "1")
        assert [one["success"] for one in flush(primary.client())] == [0], "two primaries share an archive"
        follow(primary, replica)
        await_link(primary, replica)
        wait_until("the former primary holds no log", lambda: "archive:t" not in lease_names(primary))
        assert "archive:t" in lease_names(replica)
        assert_same_data(replica, primary)
        assert primary.client().get("astray") is None


def test_a_replica_that_was_away_too_long_catches_up_from_the_archive():
    with group(interval=200, replica_lease_max_bytes="1mb", **SMALL_LOG) as (primary, replica, _archive):
        replica.kill9()
        away = info(primary)["master_repl_offset"]
        fill(primary, 12)

        def purged():
            fill(primary, 1)
            return info(primary, "log")["log_oldest_lsn"] > away
        wait_until("the log has let go what the replica lacks", purged, 60)
        replica.start()
        await_link(replica, primary)
        assert_same_data(primary, replica)
        stats = info(primary, "stats")
        assert stats["sync_full"] == 1 and stats["sync_archive"] >= 1, stats
