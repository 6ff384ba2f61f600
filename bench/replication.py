#!/usr/bin/python3
"""What a replica costs its primary, and what it gives: beside Debian's redis-server with a replica of its own.

Values are unique and incompressible. Every server, its replica and the load share this machine, for us and for Redis
alike; what counts are ratios of measurements that take turns in the same run.

    ./dev bench replication [--only stream,lag,sync,copy,catchup] [--policies everysec] [--repeats 5] [--gib 1]

stream   throughput and CPU of a primary with a replica against one without; the same for Redis
lag      from a primary's yes until the replica shows the write, at half of the saturating load
sync     throughput while a full sync is in flight against that before it; the same for Redis
copy     a full sync against a plain parallel copy of the same files over TCP, with checksum and sync
catchup  how fast a replica that was away comes back, against the rate at which the primary wrote meanwhile

Prints medians and spread, and writes each part into bench/results/replication.json.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import threading
import time

import servers

RESULT = pathlib.Path(__file__).parent / 'results/replication.json'


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda value: value.split(',')
    parser.add_argument('--only', type=words, default=list(PARTS), help='of ' + ', '.join(PARTS))
    parser.add_argument('--policies', type=words, default=['everysec'], help='appendfsync of all servers')
    parser.add_argument('--pipelines', type=lambda v: [int(n) for n in v.split(',')], default=[1, 32])
    parser.add_argument('--seconds', type=float, default=4, help='each measurement under load')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--keys', type=int, default=1_000_000)
    parser.add_argument('--value-size', type=int, default=128, help='where no store is filled beforehand')
    parser.add_argument('--connections', type=int, default=50)
    parser.add_argument('--gib', type=float, default=1, help='the store of a full sync, in values of 1 KiB')
    parser.add_argument('--lag-seconds', type=float, default=20, help='for which the lag is sampled')
    parser.add_argument('--away-seconds', type=float, default=8, help='for which a replica is away')
    parser.add_argument('--rate-limit', default='0', help='repl-rate-limit of our primary in part sync')
    parser.add_argument('--kinds', type=words, default=['tidemark', 'redis'], help='of part sync')
    parser.add_argument('--folder', default=str(servers.ROOT / 'build/bench'), help='where the servers keep their data')
    parser.add_argument('--dry', action='store_true', help='do not write the results')
    return parser.parse_args()


def info(server, section='replication'):
    reply = server.call('INFO', section).decode(errors='replace')
    return dict(line.split(':', 1) for line in reply.splitlines() if ':' in line)


def wait_until(what, holds, seconds=300, every=0.01):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f'bench: in {seconds} s it did not happen: {what}')
        time.sleep(every)


def linked(replica):
    fields = info(replica)
    return fields['master_link_status'] == 'up' and fields['master_sync_in_progress'] == '0'


def caught_up(primary, replica):
    return int(info(replica)['slave_repl_offset']) >= int(info(primary)['master_repl_offset'])


def follow(replica, primary):
    replica.call('REPLICAOF', '127.0.0.1', str(primary.port))


def start(stack, kind, name, policy, flags=()):
    if kind == 'redis':
        flags = ('--repl-diskless-sync-delay', '0', *flags)
    return stack.enter_context(servers.Server(kind, f'{OPTIONS.folder}/{kind}-{name}', policy, flags))


def spread(values):
    return {'median': round(statistics.median(values), 3), 'min': round(min(values), 3), 'max': round(max(values), 3)}


def load(server, pipeline, seed, **options):
    given = {'connections': OPTIONS.connections, 'pipeline': pipeline, 'keys': OPTIONS.keys, 'mode': 'set', 'seed': seed,
             'value_size': OPTIONS.value_size, 'seconds': OPTIONS.seconds, **options}
    return servers.loadgen(server.port, **given)


class Others:
    """Takes a measurement again when somebody else's work lay beside it: at most twice, and the least disturbed counts."""

    def __init__(self, *own):
        self.own = own

    def undisturbed(self, measure):
        taken = []
        while len(taken) < 3:
            before, began = servers.others_cpu_seconds(self.own), time.monotonic()
            run = measure()
            used = servers.others_cpu_seconds(self.own) - before
            run['others_share'] = round(max(used, 0) / (time.monotonic() - began) / os.cpu_count(), 3)
            taken.append(run)
            if run['others_share'] <= 0.05:
                break
        return min(taken, key=lambda run: run['others_share'])


class Pair:
    """A primary with a replica and one without, of one kind."""

    def __init__(self, stack, kind, policy):
        self.kind = kind
        self.primary = start(stack, kind, 'primary', policy)
        self.replica = start(stack, kind, 'replica', policy)
        self.bare = start(stack, kind, 'bare', policy)
        follow(self.replica, self.primary)
        wait_until(f'the replica of {kind} has joined', lambda: linked(self.replica))
        self.servers = (self.primary, self.replica, self.bare)

    def settle(self):
        wait_until('the replica has everything', lambda: caught_up(self.primary, self.replica))
        for server in self.servers:
            server.settle(10)

    def measure(self, server, pipeline, seed):
        self.settle()
        run = {'load_before': round(os.getloadavg()[0], 2)}
        cpu, replica_cpu = server.cpu_seconds(), self.replica.cpu_seconds()
        made = load(server, pipeline, seed)
        run['per_second'] = made['per_second']
        run['p99_ms'] = made['latency']['p99_ms']
        if server is self.primary:
            ended = time.monotonic()
            wait_until('the replica has everything', lambda: caught_up(self.primary, self.replica))
            run['replica_done_after_s'] = round(time.monotonic() - ended, 2)
        server.settle(10)
        run['cpu_seconds_per_million'] = (server.cpu_seconds() - cpu) / made['requests'] * 1e6
        run['replica_cpu_seconds_per_million'] = (self.replica.cpu_seconds() - replica_cpu) / made['requests'] * 1e6
        return run


def stream():
    """As fast as it goes: with a replica and without, Redis and us, all four in turns."""
    cases = []
    for policy in OPTIONS.policies:
        with contextlib.ExitStack() as stack:
            pairs = [Pair(stack, kind, policy) for kind in ('tidemark', 'redis')]
            for pipeline in OPTIONS.pipelines:
                for pair in pairs:
                    for server in (pair.primary, pair.bare):
                        load(server, pipeline, 99, seconds=1)
                runs = {pair.kind: [] for pair in pairs}
                others = Others(*(server for pair in pairs for server in pair.servers))
                for repeat in range(OPTIONS.repeats):
                    for pair in pairs:
                        order = [pair.primary, pair.bare] if repeat % 2 == 0 else [pair.bare, pair.primary]
                        taken = {server: others.undisturbed(lambda: pair.measure(server, pipeline, repeat + 1))
                                 for server in order}
                        runs[pair.kind].append({'with': taken[pair.primary], 'without': taken[pair.bare]})
                case = {'policy': policy, 'pipeline': pipeline, 'load_average': os.getloadavg()[0]}
                for kind, taken in runs.items():
                    of = lambda side, name: spread([run[side][name] for run in taken])
                    over = lambda name: spread([run['with'][name] / run['without'][name] for run in taken])
                    case[kind] = {
                        'per_second_with': of('with', 'per_second'), 'per_second_without': of('without', 'per_second'),
                        'throughput_ratio': over('per_second'), 'cpu_ratio': over('cpu_seconds_per_million'),
                        'cpu_seconds_per_million_with': of('with', 'cpu_seconds_per_million'),
                        'cpu_seconds_per_million_of_replica': of('with', 'replica_cpu_seconds_per_million'),
                        'replica_done_after_s': of('with', 'replica_done_after_s'),
                        'others_share_max': max(run[side]['others_share'] for run in taken for side in run), 'runs': taken,
                    }
                    brief = {name: value for name, value in case[kind].items() if name != 'runs'}
                    print(f'stream {policy} -P {pipeline} {kind}: {json.dumps(brief)}', flush=True)
                cases.append(case)
    return cases


class Wire:
    """One connection, one command at a time, whose reply ends with the first piece."""

    def __init__(self, server):
        self.socket = socket.create_connection(('127.0.0.1', server.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, text):
        self.socket.sendall(text.encode() + b'\r\n')
        return self.socket.recv(4096)


def lag_samples(primary, replica, stop):
    """Seconds from the primary's yes until the replica shows the write, one write after the other."""
    writer, reader = Wire(primary), Wire(replica)
    samples = []
    while not stop.is_set():
        value = str(len(samples))
        if writer.call(f'SET lag:probe {value}') != b'+OK\r\n':
            raise SystemExit('bench: the primary refuses the probe')
        began = time.monotonic()
        while not reader.call('GET lag:probe').endswith(f'\r\n{value}\r\n'.encode()):
            if time.monotonic() - began > 30:
                raise SystemExit('bench: the replica does not get the probe')
            time.sleep(0.0005)
        samples.append(time.monotonic() - began)
        time.sleep(random.uniform(0.005, 0.03))
    return samples


def lag():
    cases = []
    for policy in OPTIONS.policies:
        with contextlib.ExitStack() as stack:
            pair = Pair(stack, 'tidemark', policy)
            for pipeline in OPTIONS.pipelines:
                saturated = statistics.median(load(pair.primary, pipeline, i, seconds=2)['per_second'] for i in range(3))
                pair.settle()
                stop, samples = threading.Event(), []
                thread = threading.Thread(target=lambda: samples.extend(lag_samples(pair.primary, pair.replica, stop)))
                thread.start()
                before, began = servers.others_cpu_seconds(pair.servers), time.monotonic()
                made = load(pair.primary, pipeline, 7, seconds=OPTIONS.lag_seconds, rate=round(saturated / 2))
                others = (servers.others_cpu_seconds(pair.servers) - before) / (time.monotonic() - began) / os.cpu_count()
                stop.set()
                thread.join()
                samples.sort()
                at = lambda share: round(samples[int(len(samples) * share)] * 1000, 1)
                cases.append({'policy': policy, 'pipeline': pipeline, 'saturating_per_second': round(saturated),
                              'per_second': round(made['per_second']), 'samples': len(samples), 'p50_ms': at(0.5),
                              'p99_ms': at(0.99), 'max_ms': round(samples[-1] * 1000, 1), 'others_share': round(others, 3),
                              'load_average': os.getloadavg()[0]})
                print(f'lag: {json.dumps(cases[-1])}', flush=True)
    return cases


def fill(server):
    """Values of 1 KiB; returns how many."""
    keys = int(OPTIONS.gib * (1 << 20))
    servers.loadgen(server.port, mode='load', keys=keys, value_size=1024, pipeline=32, connections=16, seed=5)
    server.settle()
    return keys


def commands_done(server):
    return int(info(server, 'stats')['total_commands_processed'])


@contextlib.contextmanager
def background_load(server, keys):
    command = [servers.ROOT / 'build/release/tm-loadgen', '--port', server.port, '--mode', 'set', '--keys', keys,
               '--value-size', 1024, '--connections', OPTIONS.connections, '--pipeline', OPTIONS.pipelines[-1],
               '--seconds', 600]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def rate_of(server, until):
    done, began = commands_done(server), time.monotonic()
    until()
    took = time.monotonic() - began
    return (commands_done(server) - done) / took, took


def join_under_load(stack, kind, number, primary, keys, policy):
    with contextlib.ExitStack() as of_this:
        replica = start(of_this, kind, f'joining-{number}', policy)
        primary.settle(10)
        with background_load(primary, keys):
            time.sleep(1)
            before, _ = rate_of(primary, lambda: time.sleep(OPTIONS.seconds))
            follow(replica, primary)
            during, took = rate_of(primary, lambda: wait_until('a full sync', lambda: linked(replica), every=0.05))
            after, _ = rate_of(primary, lambda: time.sleep(OPTIONS.seconds))
        wait_until('the replica has everything', lambda: caught_up(primary, replica))
        return {'per_second_before': before, 'per_second_during': during, 'per_second_after': after, 'sync_s': took}


def sync():
    """The same server before a full sync and in it, as fast as it goes."""
    cases = []
    for policy in OPTIONS.policies:
        for kind in OPTIONS.kinds:
            with contextlib.ExitStack() as stack:
                # Redis drops a replica whose buffer of writes grows beyond a limit, and begins anew.
                flags = ('--client-output-buffer-limit', 'replica 8gb 8gb 600') if kind == 'redis' else (
                    '--repl-rate-limit', OPTIONS.rate_limit)
                primary = start(stack, kind, 'primary', policy, flags)
                keys = fill(primary)
                runs = [join_under_load(stack, kind, number, primary, keys, policy) for number in range(OPTIONS.repeats)]
                of = lambda name: spread([run[name] for run in runs])
                cases.append({'policy': policy, 'kind': kind, 'gib': OPTIONS.gib, 'rate_limit': OPTIONS.rate_limit,
                              'throughput_ratio': spread([run['per_second_during'] / run['per_second_before'] for run in runs]),
                              'per_second_before': of('per_second_before'), 'per_second_during': of('per_second_during'),
                              'per_second_after': of('per_second_after'), 'sync_s': of('sync_s'),
                              'full_syncs': int(info(primary, 'stats')['sync_full']), 'load_average': os.getloadavg()[0]})
                print(f'sync: {json.dumps(cases[-1])}', flush=True)
    return cases


def tcp_copy(primary):
    target = pathlib.Path(OPTIONS.folder) / 'copied'
    done = subprocess.run([servers.ROOT / 'build/release/tm-tcp-copy', primary.folder / 'store', target, '4'],
                          capture_output=True, text=True, check=True)
    shutil.rmtree(target)
    return json.loads(done.stdout)


def copy():
    """Nothing else under way. A full sync counts from REPLICAOF until the replica serves: with the snapshot made, the
    files installed and the log replayed."""
    with contextlib.ExitStack() as stack:
        primary = start(stack, 'tidemark', 'primary', 'everysec')
        fill(primary)
        runs = []
        for number in range(OPTIONS.repeats):
            run = {}
            for ours in (True, False) if number % 2 == 0 else (False, True):
                subprocess.run(['sync'], check=True)
                if not ours:
                    copied = tcp_copy(primary)
                    run['copy_mib_per_s'] = copied['bytes'] / copied['seconds'] / (1 << 20)
                    continue
                with contextlib.ExitStack() as of_this:
                    replica = start(of_this, 'tidemark', 'joining', 'everysec')
                    sent, began = int(info(primary, 'stats')['sync_full_bytes']), time.monotonic()
                    follow(replica, primary)
                    wait_until('a full sync', lambda: linked(replica), every=0.02)
                    took = time.monotonic() - began
                    run['bytes'] = int(info(primary, 'stats')['sync_full_bytes']) - sent
                    run['sync_mib_per_s'] = run['bytes'] / took / (1 << 20)
            run['ratio'] = run['sync_mib_per_s'] / run['copy_mib_per_s']
            runs.append(run)
            print(f'copy: {json.dumps(run)}', flush=True)
        of = lambda name: spread([run[name] for run in runs])
        return {'bytes': runs[0]['bytes'], 'ratio': of('ratio'), 'sync_mib_per_s': of('sync_mib_per_s'),
                'copy_mib_per_s': of('copy_mib_per_s'), 'load_average': os.getloadavg()[0]}


def away(pair, pipeline, seed):
    """The replica follows a port where nobody is, while the primary is written to."""
    pair.settle()
    full = info(pair.primary, 'stats')['sync_full']
    pair.replica.call('REPLICAOF', '127.0.0.1', '1')
    first = int(info(pair.primary)['master_repl_offset'])
    began = time.monotonic()
    made = load(pair.primary, pipeline, seed, seconds=OPTIONS.away_seconds)
    last = int(info(pair.primary)['master_repl_offset'])
    written = (last - first) / (time.monotonic() - began)
    pair.primary.settle(10)
    began = time.monotonic()
    follow(pair.replica, pair.primary)
    wait_until('the replica has everything', lambda: int(info(pair.replica)['slave_repl_offset']) >= last)
    caught = (last - first) / (time.monotonic() - began)
    if info(pair.primary, 'stats')['sync_full'] != full:
        raise SystemExit('bench: a replica that was away took a full sync')
    return {'commands_per_second': made['per_second'], 'written_mib_per_s': written / (1 << 20),
            'caught_up_mib_per_s': caught / (1 << 20), 'ratio': caught / written}


def catchup():
    cases = []
    for policy in OPTIONS.policies:
        with contextlib.ExitStack() as stack:
            pair = Pair(stack, 'tidemark', policy)
            others = Others(*pair.servers)
            for pipeline in OPTIONS.pipelines:
                runs = [others.undisturbed(lambda: away(pair, pipeline, i)) for i in range(OPTIONS.repeats)]
                cases.append({'policy': policy, 'pipeline': pipeline, 'load_average': os.getloadavg()[0],
                              **{name: spread([run[name] for run in runs]) for name in runs[0]}})
                print(f'catchup: {json.dumps(cases[-1])}', flush=True)
    return cases


PARTS = {'stream': stream, 'lag': lag, 'sync': sync, 'copy': copy, 'catchup': catchup}


def main():
    global OPTIONS
    OPTIONS = arguments()
    report = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in OPTIONS.only:
        measured = {'machine': servers.machine(), 'load_average_before': os.getloadavg()[0], 'repeats': OPTIONS.repeats,
                    'seconds': OPTIONS.seconds, 'connections': OPTIONS.connections, 'result': PARTS[name]()}
        report[name] = measured
        if not OPTIONS.dry:
            RESULT.write_text(json.dumps(report, indent=1) + '\n')
            print(f'{name}: written to {RESULT}', flush=True)


if __name__ == '__main__':
    main()
