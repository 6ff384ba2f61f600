"""Promise 1 when the power fails: the whole server, RocksDB included, on a disk that forgets or tears what is not synced.

The shim (powerloss/shim.cc) writes down what the server changes and syncs; after kill -9 the folder is rolled back to
what a power failure could have left (powerloss/image.py says what is modelled). The server has to start from that, and:

  - always: every acknowledged write is there; everysec: all but those of the last seconds;
  - what is there is a prefix of the one log (history.py).

And the test of the test: with syncs that only claim to have happened, it must find loss.
"""

import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

import history
from powerloss import image
from tidemark_process import Node, long_form, preload, seed, wait_until

WRITERS = 20
ROUNDS = int(os.environ.get("TM_POWERLOSS_ROUNDS", "100" if long_form() else "10"))
# everysec: a second until the sync begins, and what it takes on a busy disk.
EVERYSEC_LOSS_SECONDS = 2.0


class Machine:
    """A server on a disk whose power can be cut."""

    def __init__(self, lie="", **flags):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-powerloss-"))
        self.data, self.journal = self.place / "data", self.place / "journal"
        self.data.mkdir()
        env = {"LD_PRELOAD": str(preload("powerloss")), "TM_POWERLOSS_FOLDER": str(self.data),
               "TM_POWERLOSS_JOURNAL": str(self.journal)}
        self.node = Node(dir=self.data, env=dict(env, TM_POWERLOSS_LIE=lie) if lie else env, **flags)
        self.node.log_path = self.place / "server.log"

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.node.close()
        # A failure leaves its disk for whoever looks into it.
        if failure is None:
            shutil.rmtree(self.place, ignore_errors=True)

    def power_on(self, wait=True):
        self.journal.unlink(missing_ok=True)
        self.disk = image.Disk(self.data)
        return self.node.start() if wait else self.node.launch()

    def power_off(self):
        """The disk as the failure finds it: what was done, synced or not."""
        self.node.kill9()
        return self.disk.replay(self.journal)


def checked_elsewhere(machine, disk, seed, harshness, writers, before):
    """Another way in which the same failure could have gone, looked at by a server without the shim."""
    other = machine.place / "other"
    disk.write_to(other, seed, harshness)
    with Node(dir=other, **machine.node.flags) as node:
        history.check(node.client(), writers, before)


def power_failures(durability, rounds, loss_seconds=None):
    rng = random.Random(seed())
    with Machine(appendfsync=durability, log_segment_size="1mb", log_retain_size="1mb", log_purge_interval_ms=100,
                 store_dirty_size="1mb", log_apply_max="1mb") as machine:
        models = {w: history.Model(w) for w in range(WRITERS)}
        for number in range(rounds):
            node = machine.power_on()
            writers = history.start_writers(node, models)
            time.sleep(rng.uniform(0.05, 1.2))  # the moment of the failure is the test's input
            before = time.monotonic() - loss_seconds if loss_seconds else float("inf")
            disk = machine.power_off()
            history.join(writers)
            checked_elsewhere(machine, disk, rng.random(), 1, writers, before)
            checked_elsewhere(machine, disk, rng.random(), 2, writers, before)
            disk.write_to(machine.data, rng.random(), 2)
            if number % 3 == 0:
                fail_while_starting(machine, rng)
            node = machine.power_on()
            models = history.check(node.client(), writers, before)
            machine.power_off().write_to(machine.data, rng.random(), 2)


def fail_while_starting(machine, rng):
    machine.power_on(wait=False)
    time.sleep(rng.uniform(0.01, 0.25))
    machine.power_off().write_to(machine.data, rng.random(), 2)


def test_power_loss_always_keeps_every_acknowledged_write():
    power_failures("always", ROUNDS)


def test_power_loss_everysec_loses_the_last_seconds_at_most():
    power_failures("everysec", ROUNDS, EVERYSEC_LOSS_SECONDS)


def test_the_shim_misses_nothing():
    """With nothing lost, journal and folder agree byte for byte: so every write and every name was seen."""
    with Machine(appendfsync="always", log_segment_size="1mb", log_retain_size="1mb", log_purge_interval_ms=100,
                 store_dirty_size="1mb", log_apply_max="1mb") as machine:
        node = machine.power_on()
        models = {w: history.Model(w) for w in range(WRITERS)}
        writers = history.start_writers(node, models)
        info = node.client().info
        wait_until("the store has persisted and the log was purged",
                   lambda: info("store")["store_persists"] > 2 and info("log")["log_purged_segments"] > 2, seconds=60)
        assert node.client().execute_command("BGSAVE")
        # In order: a kill could fall between a change and its entry in the journal.
        assert node.stop() == 0
        disk = machine.power_off()
        history.join(writers)
        disk.write_to(machine.place / "other", 1, 0)
        compared = subprocess.run(["diff", "-r", "-x", "LOG", "-x", "LOG.old*", machine.data, machine.place / "other"],
                                  capture_output=True, text=True)
        assert compared.returncode == 0, compared.stdout[-2000:]


def test_a_disk_that_lies_is_found_out():
    """The test of the test: when the log's syncs do nothing, acknowledged writes are lost, and the check says so."""
    with Machine(lie="/log", appendfsync="always", log_segment_size="1mb") as machine:
        node = machine.power_on()
        writers = history.start_writers(node, {w: history.Model(w) for w in range(WRITERS)})
        time.sleep(0.5)  # half a second of writes
        disk = machine.power_off()
        history.join(writers)
        assert any(writer.places for writer in writers)
        for harshness in (1, 2):
            try:
                checked_elsewhere(machine, disk, 1, harshness, writers, float("inf"))
            except history.Loss:
                continue
            except AssertionError as refused:
                # Or the server itself notices that its log, or what stands beside it, is gone.
                assert "ended with 1 instead of serving" in str(refused), refused
                continue
            raise AssertionError(f"a log that was never synced passed the check (harshness {harshness})")
