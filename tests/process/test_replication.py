"""Replication between real servers: joining, coming back, promotion, and what WAIT and FAILOVER promise."""

import redis

from replication import (
    Counter, Load, Wire, assert_same_data, await_link, fill, follow, info, join, nodes,
)
from tidemark_process import long_form, wait_until

# -- joining


def test_a_replica_joins_under_writers_with_one_full_sync():
    with nodes(2) as (primary, replica):
        fill(primary, 8)
        replica.client().set("of another life", "x")  # a replica has nothing that its primary has not
        with Load(primary) as load, Counter(primary.client) as counter:
            join(replica, primary)
            load.await_more(2000)
            counter.await_more(100)
        assert_same_data(primary, replica)
        counter.assert_nothing_lost(replica)
        stats = info(primary, "stats")
        assert stats["sync_full"] == 1 and stats["sync_full_repeated"] == 0, stats
        assert info(primary)["connected_slaves"] == 1
        assert info(replica)["master_replid"] == info(primary)["master_replid"]
        try:
            replica.client().set("key", "value")
            raise AssertionError("a replica took a write")
        except redis.ReadOnlyError:
            pass


def test_two_replicas_and_one_behind_a_replica_have_the_same_data():
    with nodes(4) as (primary, first, second, behind):
        fill(primary, 4)
        with Load(primary) as load:
            follow(first, primary)
            follow(second, primary)
            await_link(first, primary)
            await_link(second, primary)
            join(behind, first)
            load.await_more(2000)
        assert_same_data(primary, first, second, behind)
        assert info(primary)["connected_slaves"] == 2 and info(first)["connected_slaves"] == 1

SMALL_LOG = {"log_segment_size": "1mb", "log_retain_size": "1mb", "log_purge_interval_ms": 100}


def snapshot_position(primary):
    """Where the log is held for the snapshot that a replica takes; None while it takes none."""
    for lease in primary.client().execute_command("LEASES"):
        if lease[lease.index(b"name") + 1].startswith(b"snapshot:"):
            return lease[lease.index(b"position") + 1]
    return None


def await_part(primary, replica, part):
    """Waits until that part of the snapshot is sent. Its size."""
    def sent():
        size = info(replica).get("master_sync_total_bytes", 0)
        return size if size and info(primary, "stats")["sync_full_bytes"] >= part * size else None
    return wait_until(f"{part:.0%} of the snapshot are sent", sent, 120)


def purged_past(primary, position):
    return info(primary, "log")["log_oldest_lsn"] > position


def test_one_snapshot_is_enough_however_often_the_join_is_cut_beside_a_small_log():
    cuts = 20 if long_form() else 10
    with nodes(2, repl_rate_limit="40mb", appendfsync="no", **SMALL_LOG) as (primary, replica), Wire(primary) as wire:
        fill(primary, 1024 if long_form() else 96)
        with Load(primary) as load:
            wait_until("the log is purged", lambda: info(primary, "log")["log_purged_segments"] > 0)
            follow(replica, primary, host=Wire.HOST)
            for cut in range(cuts):
                size = await_part(primary, replica, (cut + 0.5) / cuts)
                position = snapshot_position(primary)
                assert position and not purged_past(primary, position), "the log of the snapshot is gone"
                if cut % 3 == 2:
                    replica.kill9()
                    replica.start()
                else:
                    wire.cut()
            await_link(replica, primary, 120)
            load.await_more(2000)
            wait_until("the log is purged past the snapshot", lambda: purged_past(primary, position), 60)
        assert_same_data(primary, replica)
        stats = info(primary, "stats")
        assert stats["sync_full"] == 1 and stats["sync_full_repeated"] == 0, stats
        assert stats["sync_full_bytes"] <= 1.1 * size, (stats["sync_full_bytes"], size)


def test_a_join_goes_on_after_the_primary_was_killed_in_its_middle():
    with nodes(2, repl_rate_limit="20mb", appendfsync="no", **SMALL_LOG) as (primary, replica):
        fill(primary, 32)
        with Load(primary) as load:
            follow(replica, primary)
            await_part(primary, replica, 0.4)
            primary.kill9()
            primary.start()
            await_link(replica, primary)
            load.await_more(1000)
        assert_same_data(primary, replica)
        stats = info(primary, "stats")
        assert stats["sync_full"] == 0, f"the snapshot was taken anew: {stats}"


# -- coming back


def test_a_replica_killed_under_load_goes_on_where_it_was():
    with nodes(2) as (primary, replica):
        with Load(primary) as load, Counter(primary.client) as counter:
            join(replica, primary)
            for _ in range(3):
                before = info(primary, "stats")
                load.await_more(500)
                replica.kill9()
                load.await_more(500)
                replica.start()
                await_link(replica, primary)
                after = info(primary, "stats")
                assert after["sync_partial_ok"] > before["sync_partial_ok"], (before, after)
                assert after["sync_full"] == 1, after
        assert_same_data(primary, replica)
        counter.assert_nothing_lost(replica)


def test_a_replica_stopped_in_order_comes_back_as_one():
    with nodes(2) as (primary, replica):
        with Load(primary) as load:
            join(replica, primary)
            load.await_more(500)
            assert replica.stop() == 0
            load.await_more(500)
            replica.start()
            await_link(replica, primary)
        assert_same_data(primary, replica)
        assert info(primary, "stats")["sync_full"] == 1


def test_a_primary_killed_under_load_is_followed_again():
    with nodes(2) as (primary, replica):
        with Load(primary) as load, Counter(primary.client) as counter:
            join(replica, primary)
            for _ in range(3):
                load.await_more(500)
                primary.kill9()
                wait_until("the replica sees that", lambda: info(replica)["master_link_status"] == "down")
                primary.start()
                await_link(replica, primary)
                load.await_more(500)
                stats = info(primary, "stats")
                assert stats["sync_full"] == 0 and stats["sync_partial_ok"] >= 1, stats
        assert_same_data(primary, replica)
        counter.assert_nothing_lost(replica)
