"""Failovers by three real sentinels, under a client that finds its primary through them and counts what it wrote."""

import contextlib
import os
import signal
import socket
import subprocess

import redis

from replication import HOST, Counter, assert_same_data, await_link, fill, info, join, nodes
from sentinels import Sentinels
from tidemark_process import ROOT, free_port, server_binary, wait_until


@contextlib.contextmanager
def group():
    """A primary, two replicas and their sentinels; every write of the counting client is confirmed by both replicas, or,
    while one of three is gone, by the one that is left."""
    with nodes(3) as servers:
        primary, *replicas = servers
        fill(primary, 2)
        for replica in replicas:
            join(replica, primary)
        with Sentinels(primary) as sentinels:
            sentinels.await_watch(replicas=2)
            yield servers, sentinels


def await_failover(servers, sentinels):
    """The server that took over, once the sentinels agree and it says so itself."""
    def heir():
        port = sentinels.primary_port()
        found = [server for server in servers[1:] if server.port == port]
        with contextlib.suppress(redis.ConnectionError):  # sentinels end the connections of whom they reconfigure
            return found[0] if found and info(found[0])["role"] == "master" else None
    return wait_until("one of the replicas is the primary", heir, 60)


def await_followers(servers, heir):
    others = [server for server in servers if server is not heir]
    for server in others:
        await_link(server, heir, 60)
    return others


def fail_over(harm, repair):
    """`harm` takes the primary away from a group under a counting client, `repair` gives it back as what it was."""
    with group() as (servers, sentinels):
        with Counter(sentinels.writer, confirm=2) as both:
            both.await_more(50)
            harm(servers[0])
            heir = await_failover(servers, sentinels)
            with Counter(sentinels.writer, confirm=1, name="after") as after:
                after.await_more(50)
                both.assert_nothing_lost(heir)
                repair(servers[0])
                others = await_followers(servers, heir)
                both.await_more(50)
        assert_same_data(heir, *others)
        for server in servers:
            both.assert_nothing_lost(server)
            after.assert_nothing_lost(server)
        print(f"    {len(both.acknowledged)} writes confirmed by both replicas, the longest pause "
              f"{both.longest_pause():.1f} s (with one server gone there is no second replica), refused {both.refused}",
              flush=True)


def test_a_killed_primary_is_replaced_and_comes_back_as_a_replica():
    fail_over(lambda primary: primary.kill9(), lambda primary: primary.start())


def test_a_stopped_primary_is_replaced_and_comes_back_as_a_replica():
    fail_over(lambda primary: primary.process.send_signal(signal.SIGSTOP),
              lambda primary: primary.process.send_signal(signal.SIGCONT))


def test_a_failover_that_an_operator_asks_of_a_sentinel_loses_nothing_confirmed():
    with group() as (servers, sentinels):
        with Counter(sentinels.writer, confirm=2) as counter:
            counter.await_more(50)
            sentinels.fail_over()
            heir = await_failover(servers, sentinels)
            others = await_followers(servers, heir)
            counter.await_more(50)
        assert_same_data(heir, *others)
        counter.assert_nothing_lost(heir)


def ports_from():
    """The first of the ports that examples/failover.sh uses, all free a moment ago."""
    while True:
        base = free_port()
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for offset in (0, 1, 2, 10, 11, 12, 20, 21, 22):
                probes.enter_context(socket.create_server((HOST, base + offset)))
            return base


def test_the_failover_of_the_examples():
    environment = dict(os.environ, TIDEMARK_SERVER=str(server_binary()), PORT=str(ports_from()))
    story = subprocess.run([ROOT / "examples" / "failover.sh"], env=environment, capture_output=True, text=True,
                           timeout=300)
    print(story.stdout[-3000:], story.stderr[-3000:])
    assert story.returncode == 0, story.returncode
    assert "nothing confirmed was lost" in story.stdout
