#!/usr/bin/python3
"""Runs the process tests: every function test_* of every test_*.py here, each against servers of its own.

    tests/process/run.py [--only WORD] [--jobs N] [--list] [--long]

Debian's own python3, because python3-redis is installed for that one.

A test is a function without arguments; it fails by raising, and is skipped by raising tidemark_process.Skipped. A
function marked @alone runs by itself, after the others (it needs the machine). --long sets TIDEMARK_LONG=1 for tests
that have a long form. A test that fails prints the tail of the logs of its servers. Exit code 0 when none failed; the
last line is the summary.
"""

import argparse
import concurrent.futures
import importlib.util
import multiprocessing
import os
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import tidemark_process  # noqa: E402


def discover(only):
    tests = []
    for path in sorted(HERE.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, value in vars(module).items():
            full = f"{path.stem}.{name}"
            if name.startswith("test_") and callable(value) and (only is None or only in full):
                tests.append((full, path, name, getattr(value, "alone", False)))
    return tests


def run_one(path, name):
    """In a process of its own, so that a test may change limits and leave threads behind.

    Returns its time, its failure and why it was skipped.
    """
    nodes = []
    constructor = tidemark_process.Node.__init__

    def remember(node, *args, **kwargs):
        constructor(node, *args, **kwargs)
        nodes.append(node)

    tidemark_process.Node.__init__ = remember
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    began = time.monotonic()
    failure = skipped = None
    log = tidemark_process.Node.log
    # Logs are read before the folders go.
    tails = {}
    close = tidemark_process.Node.close

    def close_with_tail(node):
        tails[node.port] = log(node) or tails.get(node.port, "")  # a second close finds no folder
        close(node)

    tidemark_process.Node.close = close_with_tail
    try:
        spec.loader.exec_module(module)
        getattr(module, name)()
    except tidemark_process.Skipped as why:
        skipped = str(why)
    except BaseException:
        failure = traceback.format_exc()
    for node in nodes:
        node.close()
    if failure is not None:
        failure += "".join(f"\n-- log of the server on port {port}:\n{tail}" for port, tail in tails.items() if tail)
    return time.monotonic() - began, failure, skipped


def worker(path, name, pipe):
    pipe.send(run_one(path, name))


def run_in_child(path, name):
    seconds = 7200 if tidemark_process.long_form() else 900
    mine, its = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.Process(target=worker, args=(path, name, its))
    child.start()
    its.close()
    try:
        result = mine.recv() if mine.poll(seconds) else (seconds, f"no end after {seconds} s", None)
    except EOFError:
        result = (0.0, "the test's process died", None)
    if child.is_alive():
        child.join(5)
    if child.is_alive():
        child.kill()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="run tests whose full name contains this")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    if options.long:
        os.environ["TIDEMARK_LONG"] = "1"

    tests = discover(options.only)
    if options.list:
        print("\n".join(full for full, *_ in tests))
        return 0
    if not tests:
        print("process tests: none match")
        return 1
    print(f"process tests: {len(tests)} against {tidemark_process.server_binary()}", flush=True)

    failed, skips = [], []

    def report(full, result):
        seconds, failure, skipped = result
        outcome = "FAILED" if failure is not None else "ok" if skipped is None else f"skipped: {skipped}"
        print(f"  {full:<60} {seconds:7.2f} s  {outcome}", flush=True)
        if skipped is not None:
            skips.append(full)
        if failure is not None:
            failed.append(full)
            print("    " + failure.replace("\n", "\n    "), flush=True)

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
        running = {pool.submit(run_in_child, path, name): full for full, path, name, alone in tests if not alone}
        for future in concurrent.futures.as_completed(running):
            report(running[future], future.result())
    for full, path, name, alone in tests:
        if alone:
            report(full, run_in_child(path, name))

    took = time.monotonic() - began
    if failed:
        print(f"process tests: {len(failed)} of {len(tests)} FAILED in {took:.0f} s: {', '.join(failed)}")
        return 1
    print(f"process tests: {len(tests) - len(skips)} of {len(tests)} passed, {len(skips)} skipped, in {took:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
