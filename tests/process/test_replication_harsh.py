"""Replication where it is meant to break: crashes at any moment, power failures, silent networks, roles that change in the
middle of things."""

import contextlib
import random
import signal
import threading

import redis

from replication import (
    HOST, Counter, Load, Wire, assert_same_data, await_link, fill, follow, info, join, make_node, nodes, promote,
)
from test_powerloss import Machine
from tidemark_process import free_port, long_form, seed, wait_until

SMALL = {"log_segment_size": "1mb", "log_retain_size": "1mb", "log_purge_interval_ms": 100, "log_apply_max": "2mb",
         "store_dirty_size": "1mb"}


def test_kills_of_both_at_any_moment_leave_no_difference():
    rng = random.Random(seed())
    rounds = 60 if long_form() else 12
    with nodes(2, repl_rate_limit="8mb", **SMALL) as (primary, replica):
        fill(primary, 4)
        with Load(primary, keys=500) as load, Counter(primary.client) as counter:
            follow(replica, primary)
            for _ in range(rounds):
                threading.Event().wait(rng.uniform(0, 1.5))  # the moment is the test's input, not a wait
                victim = rng.choice([replica, replica, primary])
                victim.kill9()
                victim.start()
                if rng.random() < 0.3:
                    await_link(replica, primary, 120)
            await_link(replica, primary, 120)
            load.await_more(500)
        assert_same_data(primary, replica)
        counter.assert_nothing_lost(replica)


def test_a_power_failure_of_the_primary_leaves_no_replica_ahead_of_it():
    rng = random.Random(seed())
    with Machine(appendfsync="no", bind=HOST, rpc_port=free_port(), enable_debug_command="yes", **SMALL) as machine:
        primary = machine.power_on()
        with make_node(appendfsync="no", **SMALL) as replica:
            with Load(primary, pipeline=10) as load:
                join(replica, primary)
                for number in range(5):
                    load.await_more(rng.randrange(100, 400))
                    disk = machine.power_off()
                    disk.write_to(machine.data, rng.randrange(1 << 30), 1 + number % 2)
                    machine.power_on()
                    await_link(replica, primary)
                    stats = info(primary, "stats")
                    assert stats["sync_full"] == 0 and stats["sync_partial_ok"] >= 1, (number, stats)
            assert_same_data(primary, replica)
            torn = list((replica.dir / "log").glob("torn-*"))
            assert not torn, f"the replica had what its primary had lost: {torn}"


def test_what_waitaof_confirmed_survives_a_power_failure_of_the_replica():
    rng = random.Random(seed())
    with Machine(appendfsync="no", bind=HOST, rpc_port=free_port(), enable_debug_command="yes", **SMALL) as machine:
        replica = machine.power_on()
        with make_node(appendfsync="no", **SMALL) as primary, Load(primary, pipeline=10):
            client = primary.client()
            for number in range(6):
                join(replica, primary)
                client.set(f"promised:{number}", number)
                assert client.execute_command("WAITAOF", 0, 1, 0)[1] == 1
                disk = machine.power_off()
                disk.write_to(machine.data, rng.randrange(1 << 30), 1 + number % 2)
                machine.power_on()
                promote(replica)
                assert replica.client().get(f"promised:{number}") == str(number).encode()


def test_roles_that_change_faster_than_anything_can_follow_end_well():
    rng = random.Random(seed())
    with nodes(3, repl_rate_limit="20mb") as servers:
        for number, server in enumerate(servers):
            fill(server, 4, name=f"of{number}")
        turning = servers[2]
        for _ in range(60):
            threading.Event().wait(rng.uniform(0, 0.2))  # input, not a wait
            target = rng.choice([servers[0], servers[1], None])
            if target is None:
                promote(turning)
                turning.client().set("mine", 1)
            else:
                follow(turning, target)
        follow(turning, servers[0])
        await_link(turning, servers[0], 120)
        assert_same_data(servers[0], turning)
        promote(turning)
        assert turning.client().exists("of0:0:0") == 1
        for number, server in enumerate(servers[:2]):
            assert server.client().dbsize() == 4 * 64, "another's roles do not touch this one"


def test_two_that_follow_each_other_are_freed_by_a_promotion():
    with nodes(2) as (one, other):
        fill(one, 1)
        with Counter(one.client) as counter:
            join(other, one)
            counter.await_more(50)
        assert_same_data(one, other)
        follow(one, other)
        # The chain has no head any more; what is in it stays readable.
        wait_until("it is told why", lambda: "follows the one that asks" in str(info(one)["master_link_problem"]))
        for node in (one, other):
            counter.assert_nothing_lost(node)
        promote(one)
        await_link(other, one)
        one.client().set("key", 1)
        assert_same_data(one, other)
        counter.assert_nothing_lost(other)


def test_a_cut_network_heals_without_a_snapshot():
    with nodes(2, replica_lease_max_age=3600, **SMALL) as (primary, replica), Wire(primary) as wire:
        with Load(primary) as load, Counter(primary.client) as counter:
            follow(replica, primary, host=Wire.HOST)
            await_link(replica, primary)
            for _ in range(3):
                wire.cut(stays_cut=True)
                wait_until("the replica sees that", lambda: info(replica)["master_link_status"] == "down")
                segments = info(primary, "log")["log_appended_lsn"] >> 20
                wait_until("many segments are written meanwhile",
                           lambda: info(primary, "log")["log_appended_lsn"] >> 20 >= segments + 8, 60)
                wire.heal()
                await_link(replica, primary)
            counter.await_more(10)
        assert_same_data(primary, replica)
        stats = info(primary, "stats")
        assert stats["sync_full"] == 1 and stats["sync_partial_ok"] >= 3, stats


def test_a_stopped_primary_is_seen_and_followed_again():
    with nodes(2, repl_timeout=2) as (primary, replica):
        with Counter(primary.client) as counter:
            join(replica, primary)
            counter.await_more(50)
            primary.process.send_signal(signal.SIGSTOP)
            try:
                wait_until("the replica sees that", lambda: info(replica)["master_link_status"] == "down", 15)
                assert replica.client().get("count:1") == b"1", "it still answers reads"
            finally:
                primary.process.send_signal(signal.SIGCONT)
            await_link(replica, primary)
            counter.await_more(50)
        assert_same_data(primary, replica)
        assert info(primary, "stats")["sync_full"] == 1


def test_a_replica_whose_lease_is_capped_comes_back_by_one_snapshot():
    with nodes(2, replica_lease_max_bytes="2mb", **SMALL) as (primary, replica):
        with Load(primary) as load:
            join(replica, primary)
            load.await_more(500)
            replica.kill9()
            end = info(primary, "log")["log_appended_lsn"]
            wait_until("the log is purged past the cap",
                       lambda: info(primary, "log")["log_oldest_lsn"] > end + (2 << 20), 60)
            replica.start()
            await_link(replica, primary)
            load.await_more(500)
        assert_same_data(primary, replica)
        assert info(primary, "stats")["sync_full"] == 2


def test_increments_over_hand_overs_are_counted_once():
    with nodes(2) as servers:
        join(servers[1], servers[0])
        answered, unknown, ended, failures = [0], [0], threading.Event(), []

        def primary():
            for server in servers:
                client = server.client()
                with contextlib.suppress(redis.ConnectionError):
                    if client.info("replication")["role"] == "master":
                        return client
            return servers[0].client()

        def increment():
            while not ended.is_set():
                try:
                    client = primary()
                    while not ended.is_set():
                        with client.pipeline(transaction=True) as pipe:
                            pipe.incr("counter")
                            pipe.incr("twin")
                            pipe.execute()
                        answered[0] += 1
                except redis.ReadOnlyError:
                    pass
                except redis.exceptions.ExecAbortError:
                    pass
                except redis.ConnectionError:
                    unknown[0] += 1
                except redis.RedisError as failure:
                    failures.append(failure)
                    return

        thread = threading.Thread(target=increment)
        thread.start()
        try:
            for number in range(6):
                former, heir = servers[number % 2], servers[1 - number % 2]
                before = answered[0]
                wait_until("increments", lambda: answered[0] > before + 50 or failures)
                assert former.client().execute_command("FAILOVER") == b"OK"
                wait_until("the roles are swapped", lambda: info(heir)["role"] == "master", 30)
                await_link(former, heir)
        finally:
            ended.set()
            thread.join()
        assert not failures, failures
        assert_same_data(servers[0], servers[1])
        counter, twin = (int(value) for value in servers[0].client().mget("counter", "twin"))
        assert counter == twin, "half of a transaction"
        assert answered[0] <= counter <= answered[0] + unknown[0], (answered, counter, unknown)


def test_a_wait_ends_when_its_server_becomes_a_replica():
    with nodes(2) as (one, other):
        one.client().set("key", 1)
        answers = []

        def wait():
            client = one.client(socket_timeout=60)
            try:
                client.set("key", 2)
                answers.append(client.execute_command("WAIT", 1, 0))
            except redis.RedisError as why:
                answers.append(why)
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        wait_until("it waits", lambda: one.client().get("key") == b"2")
        join(one, other)
        waiting.join(10)
        assert answers and answers[0] != 1, f"hangs, or claims a replica: {answers}"


def test_a_clean_stop_of_the_primary_leaves_every_acknowledged_write_on_the_replica():
    with nodes(2) as (primary, replica):
        for _ in range(3):
            with Counter(primary.client) as counter, Load(primary):
                join(replica, primary)
                counter.await_more(100)
                assert primary.stop() == 0
                counter.ended.set()
            counter.assert_nothing_lost(replica)
            primary.start()
            primary.client().flushall()


def test_what_expires_is_gone_on_the_replica_and_after_its_promotion():
    with nodes(2) as (primary, replica):
        join(replica, primary)
        client = primary.client()
        for n in range(100):
            client.set(f"short:{n}", n, px=300)
            client.set(f"long:{n}", n, ex=3600)
        client.execute_command("WAIT", 1, 0)
        reads = replica.client()
        assert reads.ttl("long:0") > 3000
        primary.kill9()
        wait_until("the replica shows none that has expired", lambda: reads.get("short:99") is None)
        promote(replica)
        wait_until("they are removed", lambda: replica.client().dbsize() == 100, 30)


def test_a_wrong_password_is_told_and_a_right_one_taken_up():
    with nodes(1, requirepass="secret") as (primary,), nodes(1) as (replica,):
        primary.client(password="secret").set("key", 1)
        replica.client().config_set("masterauth", "not-the-one")
        follow(replica, primary)
        wait_until("the problem is told", lambda: info(replica).get("master_link_problem"))
        assert "not-the-one" not in replica.log() + str(info(replica)["master_link_problem"])
        replica.client().config_set("masterauth", "secret")
        wait_until("the data are there", lambda: replica.client().get("key") == b"1", 30)
        wait_until("the link is up", lambda: info(replica)["master_link_status"] == "up")
