"""Promise 1 against a real server: kill -9 at random moments under many pipelining writers (history.py compares).

TM_KILL_ROUNDS is how many kills, TM_SEED repeats a run.
"""

import os
import random
import time

import history
from tidemark_process import Node, seed

WRITERS = 50
ROUNDS = int(os.environ.get("TM_KILL_ROUNDS", "20"))


def kill_rounds(durability, rounds):
    rng = random.Random(seed())
    # A small store, so that persisting and replay both have their part.
    with Node(appendfsync=durability, log_segment_size="4mb", store_dirty_size="2mb", log_apply_max="1mb",
              log_retain_size="8mb") as node:
        models = {w: history.Model(w) for w in range(WRITERS)}
        for _ in range(rounds):
            writers = history.start_writers(node, models)
            time.sleep(rng.uniform(0.05, 0.8))  # the moment of the kill is the test's input, not a wait for something
            node.kill9()
            history.join(writers)
            node.start()
            models = history.check(node.client(), writers)


def test_kill9_always_keeps_every_acknowledged_write():
    kill_rounds("always", ROUNDS)


def test_kill9_everysec_loses_nothing_when_only_the_process_dies():
    kill_rounds("everysec", max(2, ROUNDS // 4))
