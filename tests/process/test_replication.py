"""Replication between real servers: joining, coming back, promotion, and what WAIT and FAILOVER promise."""

import signal

import redis

from replication import (
    Counter, Load, Wire, assert_same_data, await_link, digest, fill, follow, info, join, nodes, promote,
)
from tidemark_process import encode, long_form, receive_exactly, wait_until

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

# What a cut may lose: four files at a time, of each a message and what the connection buffers.
UNDER_WAY = 4 << 20
SMALL_LOG = {"log_segment_size": "1mb", "log_retain_size": "1mb", "log_purge_interval_ms": 100, "log_apply_max": "8mb"}


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
        print(f"    {stats['sync_full_bytes'] / size:.3f} times the snapshot was sent", flush=True)
        again = stats["sync_full_bytes"] - size
        assert again <= cuts * UNDER_WAY, f"{again} bytes of {size} were sent again after {cuts} cuts"
        assert again <= 0.1 * size or not long_form(), f"{again} bytes of {size} were sent again"


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


# -- promotion


def test_a_promoted_replica_takes_writes_at_once():
    with nodes(2) as (primary, replica), Load(primary, pipeline=10) as load:
        for turn in range(5):
            join(replica, primary)
            load.await_more(50)
            with replica.connect() as asks, replica.connect() as writes, replica.connect() as watches:
                asks.sendall(encode("REPLICAOF", "NO", "ONE"))
                assert receive_exactly(asks, 5) == b"+OK\r\n"
                writes.sendall(encode("SET", f"first:{turn}", turn))
                asks.sendall(encode("SET", f"second:{turn}", turn))
                watches.sendall(encode("GET", f"first:{turn}"))
                assert receive_exactly(writes, 5) == b"+OK\r\n"
                assert receive_exactly(asks, 5) == b"+OK\r\n"
                assert receive_exactly(watches, 1) == b"$", "a read beside the promotion"
            client = replica.client()
            assert client.get(f"first:{turn}") == client.get(f"second:{turn}") == str(turn).encode()
            assert info(replica)["role"] == "master"


def aside(node):
    """Everything that the node has saved from its log before cutting it."""
    return b"".join(path.read_bytes() for path in sorted((node.dir / "log").glob("torn-*.bak")))


def test_a_former_primary_with_writes_of_its_own_keeps_them_aside_and_rejoins():
    with nodes(2, store_dirty_size="64mb") as (former, heir):
        fill(former, 2)
        with Counter(former.client) as counter:
            join(heir, former)
            counter.await_more(100)
        assert_same_data(former, heir)
        promote(heir)
        astray = [f"astray-{n}-" + "x" * 50 for n in range(200)]
        for n, text in enumerate(astray):
            former.client().set(f"astray:{n}", text)
        with Counter(heir.client, name="after") as after:
            after.await_more(100)
            join(former, heir)
            after.await_more(100)
        assert_same_data(heir, former)
        counter.assert_nothing_lost(former)
        after.assert_nothing_lost(former)
        assert former.client().exists("astray:0") == 0
        saved = aside(former)
        missing = [text for text in astray if text.encode() not in saved]
        assert not missing, f"{len(missing)} writes are nowhere, the first: {missing[:1]}"
        assert info(heir, "stats")["sync_full"] == 0, info(heir, "stats")
        # What was cut stays cut, and the role stays, over a crash.
        former.kill9()
        former.start()
        await_link(former, heir)
        assert_same_data(heir, former)


def test_writes_of_a_former_primary_are_kept_aside_even_when_its_store_has_them():
    with nodes(2) as (former, heir):
        fill(former, 2)
        join(heir, former)
        assert_same_data(former, heir)
        promote(heir)
        astray = [f"astray-{n}-" + "x" * 50 for n in range(200)]
        for n, text in enumerate(astray):
            former.client().set(f"astray:{n}", text)
        digest(former)  # persists the store: the log alone cannot be cut any more
        heir.client().set("after", 1)
        join(former, heir)
        assert_same_data(heir, former)
        assert former.client().exists("astray:0") == 0 and former.client().get("after") == b"1"
        saved = aside(former)
        missing = [text for text in astray if text.encode() not in saved]
        assert not missing, f"{len(missing)} writes are nowhere, the first: {missing[:1]}"
        # And outlives the next full sync, which this node gets for its data of another cluster.
        with nodes(1) as (stranger,):
            stranger.client().set("key", 1)
            join(former, stranger)
            assert_same_data(stranger, former)
        assert aside(former) == saved


def test_a_chain_survives_the_promotion_of_its_middle():
    with nodes(3) as (head, middle, tail):
        fill(head, 2)
        with Counter(head.client) as counter:
            join(middle, head)
            join(tail, middle)
            counter.await_more(200)
        assert_same_data(head, middle, tail)
        promote(middle)
        with Counter(middle.client, name="after") as after:
            after.await_more(100)
            await_link(tail, middle)
            join(head, middle)
            after.await_more(100)
        assert_same_data(middle, head, tail)
        for node in (head, tail):
            counter.assert_nothing_lost(node)
            after.assert_nothing_lost(node)
        stats = info(middle, "stats")
        assert stats["sync_full"] == 1, f"the tail's own and no other: {stats}"


# -- what was promised


def test_what_wait_confirmed_is_on_the_replica():
    with nodes(2, appendfsync="no") as (primary, replica), Load(primary, pipeline=10):
        client = primary.client()
        for turn, words in enumerate([("WAIT", 1, 0), ("WAITAOF", 0, 1, 0), ("WAITAOF", 1, 1, 0)] * 2):
            join(replica, primary)
            client.set(f"promised:{turn}", turn)
            answer = client.execute_command(*words)
            replica.kill9()
            assert answer == 1 or answer[1] == 1, (words, answer)
            replica.start()
            promote(replica)
            assert replica.client().get(f"promised:{turn}") == str(turn).encode(), words


def test_wait_counts_no_replica_that_is_not_there():
    with nodes(3) as (primary, first, second):
        join(first, primary)
        join(second, primary)
        client = primary.client()
        client.set("key", 1)
        assert client.execute_command("WAIT", 2, 0) == 2
        second.kill9()
        client.set("key", 2)
        assert client.execute_command("WAIT", 2, 300) == 1
        first.kill9()
        client.set("key", 3)
        assert client.execute_command("WAIT", 1, 300) == 0
        assert client.execute_command("WAITAOF", 1, 1, 300) == [1, 0]
        second.start()
        assert client.execute_command("WAIT", 1, 0) == 1, "the one that is back"


def primary_of(servers):
    """A client of the one that says that it is the primary."""
    for server in servers:
        client = server.client()
        if client.info("replication")["role"] == "master":
            return client
    raise redis.ConnectionError("nobody is the primary now")


def test_a_hand_over_under_a_writing_client_loses_nothing():
    with nodes(3) as servers:
        fill(servers[0], 4)
        for replica in servers[1:]:
            join(replica, servers[0])
        find = lambda: primary_of(servers)
        with Counter(find) as counter, Counter(find, name="second") as second:
            for former, heir in [(servers[0], servers[1]), (servers[1], servers[2])]:
                for replica in servers:
                    if replica is not former:
                        follow(replica, former)
                        await_link(replica, former)
                counter.await_more(200)
                handed = former.client().execute_command("FAILOVER", "TO", "127.0.0.1", heir.port, "TIMEOUT", 20000)
                assert handed == b"OK"
                wait_until("the heir is the primary", lambda: info(heir)["role"] == "master", 30)
                await_link(former, heir)
                counter.await_more(200)
        for replica in servers[:2]:
            follow(replica, servers[2])
            await_link(replica, servers[2])
        assert_same_data(servers[2], *servers[:2])
        for client in (counter, second):
            client.assert_nothing_lost(servers[2])
        print(f"    {len(counter.acknowledged)} writes over two hand-overs, the longest pause "
              f"{counter.longest_pause() * 1000:.0f} ms, refused {counter.refused}", flush=True)


def test_a_hand_over_to_nobody_is_refused_and_writes_go_on():
    with nodes(2) as (primary, replica):
        client = primary.client()
        for words in [(), ("TO", "127.0.0.1", replica.port)]:
            try:
                client.execute_command("FAILOVER", *words)
                raise AssertionError("FAILOVER without replicas was accepted")
            except redis.ResponseError as refused:
                assert "replica" in str(refused), refused
        join(replica, primary)
        replica.process.send_signal(signal.SIGSTOP)
        try:
            client.set("key", 1)
            assert client.execute_command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 500) == b"OK"
            client.set("key", 2)  # waits until the hand-over has failed
            assert info(primary)["role"] == "master" and info(primary)["master_failover_state"] == "no-failover"
        finally:
            replica.process.send_signal(signal.SIGCONT)
        assert_same_data(primary, replica)
