#!/usr/bin/python3
"""What a backup task costs the clients, and what it gives: RPO under load, the time of a forced flush.

Values are unique and incompressible. With a task and without, two servers of the same build take turns in the same run;
what counts is the ratio. The store is a real S3 server (Ceph's gateway) on this machine's loopback, whose CPU is the
machine's too, or a folder.

    ./dev bench backup [--store s3|folder] [--seconds 5] [--repeats 5] [--only WORD]

Prints medians and spread, and writes bench/results/backup-STORE.json.
"""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

import redis

import servers

sys.path.insert(0, str(servers.ROOT / 'tests/process'))
import s3_server  # noqa: E402

MIB = 1 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--store', choices=['s3', 'folder'], default='s3')
    parser.add_argument('--seconds', type=float, default=5, help='each measurement')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--value-size', type=int, default=256)
    parser.add_argument('--connections', type=int, default=50)
    parser.add_argument('--pipeline', type=int, default=8)
    parser.add_argument('--rpo-seconds', type=float, default=30)
    parser.add_argument('--flushes', type=int, default=200)
    parser.add_argument('--only', default='', help='impact, rpo, flush or pace')
    parser.add_argument('--folder', default=str(servers.ROOT / 'build/bench'))
    return parser.parse_args()


@contextlib.contextmanager
def archive(kind):
    """A function from a name to a URI."""
    if kind == 's3':
        with s3_server.S3Server() as s3:
            yield lambda name: s3.uri(f'bench/{name}')
    else:
        with tempfile.TemporaryDirectory(dir=servers.ROOT / 'build') as folder:
            yield lambda name: f'local://{folder}/{name}'


def client(server):
    return redis.Redis(port=server.port, socket_timeout=120)


def start_task(server, uri, **options):
    words = [word for name, value in options.items() for word in (name.upper(), value)]
    client(server).execute_command('LOGBACKUP', 'START', 'TASK', 'bench', 'STORAGE', uri, *words)


def flush(connection):
    reply = connection.execute_command('LOGBACKUP', 'FLUSH', 'TIMEOUT', 60000)
    outcome = fields(reply[0])
    if not int(outcome['success']):
        raise SystemExit(f'bench: a forced flush failed: {outcome}')
    return outcome


def fields(reply):
    """A map of RESP2, flat."""
    if isinstance(reply, dict):
        pairs = reply.items()
    else:
        pairs = zip(reply[::2], reply[1::2])
    text = lambda value: value.decode() if isinstance(value, bytes) else value
    return {text(name): text(value) for name, value in pairs}


def status(connection):
    return fields(connection.execute_command('LOGBACKUP', 'STATUS')[0])


def spread(values):
    return {'median': round(statistics.median(values), 4), 'min': round(min(values), 4), 'max': round(max(values), 4)}


def load(server, options, rate=0, seed=1):
    cpu = server.cpu_seconds()
    result = servers.loadgen(server.port, connections=options.connections, pipeline=options.pipeline, keys=1_000_000,
                             value_size=options.value_size, mode='mixed', get_ratio=0, seconds=options.seconds,
                             rate=rate, seed=seed)
    result['p99_ms'] = result['set']['p99_ms']
    result['cpu_per_million'] = (server.cpu_seconds() - cpu) / (result['requests'] / 1e6)
    return result


def impact(options, uri):
    """With a task and without, alternating: as fast as it goes, then at half of that."""
    with servers.Server('tidemark', f'{options.folder}/with') as task, \
            servers.Server('tidemark', f'{options.folder}/without') as bare:
        start_task(task, uri('impact'))
        saturated = statistics.median(load(bare, options, seed=100 + i)['per_second'] for i in range(3))
        report = {'saturating_per_second': round(saturated)}
        for name, rate in (('saturation', 0), ('half', saturated / 2)):
            pairs = []
            for repeat in range(options.repeats):
                order = [task, bare] if repeat % 2 == 0 else [bare, task]
                runs = {}
                for server in order:
                    for other in (task, bare):
                        other.settle(5)
                    runs[server] = load(server, options, rate=round(rate), seed=repeat + 1)
                pairs.append((runs[task], runs[bare]))
            report[name] = {
                'throughput_ratio': spread([a['per_second'] / b['per_second'] for a, b in pairs]),
                'p99_ratio': spread([b['p99_ms'] / a['p99_ms'] for a, b in pairs]),
                'p99_ms_with': spread([a['p99_ms'] for a, _ in pairs]),
                'p99_ms_without': spread([b['p99_ms'] for _, b in pairs]),
                'cpu_per_command_ratio': spread([a['cpu_per_million'] / b['cpu_per_million'] for a, b in pairs]),
            }
        report['lag_bytes_at_end'] = int(status(client(task))['lag_bytes'])
        return report


def rpo(options, uri):
    """A steady 20,000 writes a second; the RPO, asked every 20 ms."""
    with servers.Server('tidemark', f'{options.folder}/rpo') as server:
        start_task(server, uri('rpo'))
        samples = []
        done = threading.Event()

        def sample():
            connection = client(server)
            while not done.wait(0.02):
                samples.append(int(status(connection)['rpo_micros']) / 1e6)

        thread = threading.Thread(target=sample)
        thread.start()
        result = servers.loadgen(server.port, connections=options.connections, pipeline=1, keys=1_000_000,
                                 value_size=options.value_size, mode='mixed', get_ratio=0,
                                 seconds=options.rpo_seconds, rate=20000)
        done.set()
        thread.join()
        samples.sort()
        at = lambda share: round(samples[int(len(samples) * share)], 3)
        return {'writes_per_second': round(result['per_second']), 'samples': len(samples), 'p50_s': at(0.5),
                'p99_s': at(0.99), 'max_s': round(samples[-1], 3)}


def forced(options, uri):
    """1 MiB of log pending, then a flush; and 1,000 callers at once."""
    with servers.Server('tidemark', f'{options.folder}/flush') as server:
        start_task(server, uri('flush'), flushinterval=600000)
        connection = client(server)
        took = []
        for i in range(options.flushes):
            pipe = connection.pipeline(transaction=False)
            for k in range(64):
                pipe.set(f'k{i}-{k}', os.urandom(16 << 10))
            pipe.execute()
            began = time.monotonic()
            flush(connection)
            took.append((time.monotonic() - began) * 1000)
        before = int(status(connection)['flushes'])
        crowd = [client(server) for _ in range(1000)]
        for caller in crowd:
            caller.ping()
        connection.set('crowd', os.urandom(MIB))
        threads = [threading.Thread(target=flush, args=(caller,)) for caller in crowd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        flushes = int(status(connection)['flushes']) - before
        took.sort()
        return {'pending_bytes': MIB, 'flushes': len(took), 'p50_ms': round(took[len(took) // 2], 2),
                'p99_ms': round(took[int(len(took) * 0.99)], 2), 'max_ms': round(took[-1], 2),
                'flushes_of_1000_callers': flushes}


def pace(options, uri):
    """Throughput while somebody forces a flush every second, against the same task left alone."""
    with servers.Server('tidemark', f'{options.folder}/pace') as server:
        start_task(server, uri('pace'))
        ratios = []
        for repeat in range(options.repeats):
            done = threading.Event()

            def every_second():
                connection = client(server)
                while not done.wait(1):
                    flush(connection)

            runs = {}
            for forced_too in ([True, False] if repeat % 2 == 0 else [False, True]):
                server.settle(5)
                thread = threading.Thread(target=every_second) if forced_too else None
                done.clear()
                if thread:
                    thread.start()
                runs[forced_too] = load(server, options, seed=repeat + 1)['per_second']
                done.set()
                if thread:
                    thread.join()
            ratios.append(runs[True] / runs[False])
        return {'throughput_ratio': spread(ratios)}


def main():
    options = arguments()
    report = {'machine': servers.machine(), 'load_average_before': os.getloadavg()[0], 'store': options.store,
              'value_size': options.value_size, 'seconds': options.seconds, 'repeats': options.repeats}
    with archive(options.store) as uri:
        for name, measure in (('impact', impact), ('rpo', rpo), ('flush', forced), ('pace', pace)):
            if options.only and options.only != name:
                continue
            report[name] = measure(options, uri)
            print(f'{name}: {json.dumps(report[name], indent=2)}', flush=True)
    report['load_average_after'] = os.getloadavg()[0]
    if not options.only:
        path = pathlib.Path(__file__).parent / 'results' / f'backup-{options.store}.json'
        path.write_text(json.dumps(report, indent=2) + '\n')
        print(f'written to {path}')


if __name__ == '__main__':
    main()
