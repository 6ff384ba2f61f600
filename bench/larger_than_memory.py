#!/usr/bin/env python3
"""Data of several times the memory: what a server does when almost every read is one of the disk.

The server runs under a memory limit of the kernel (a cgroup), which counts its page cache too, so that the disk is not
hidden. Values are unique and incompressible, keys uniform. Printed beside what the disk itself can do (fio, direct
random reads of 4 KiB, as many under way): GET, and GET with SET half and half. Then, what PING and GET of hot keys cost
one client while another reads cold, and while nothing else happens. Writes bench/results/larger-than-memory.json.

    ./dev bench larger-than-memory [--memory-mib 256] [--times 4] [--seconds 20]
"""
import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import servers

MIB = 1 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--memory-mib', type=int, default=256, help='the limit of the server, page cache included')
    parser.add_argument('--times', type=float, default=4, help='data as a multiple of the memory')
    parser.add_argument('--value-size', type=int, default=1024)
    parser.add_argument('--connections', type=int, default=64)
    parser.add_argument('--cold-connections', type=int, default=1, help='of the client that reads cold beside the hot one')
    parser.add_argument('--seconds', type=float, default=20, help='each measurement')
    parser.add_argument('--server', choices=['tidemark', 'redis'], default='tidemark')
    parser.add_argument('--maxmemory-mib', type=int, help='the caches of the server; half the memory when not given')
    parser.add_argument('--folder', default=str(servers.ROOT / 'build/bench'), help='on the disk to be measured')
    return parser.parse_args()


class MemoryLimit:
    """A cgroup of version 1 or 2 with a limit, made inside the one we are in. `prefix` starts a program in it."""

    def __init__(self, limit_bytes):
        self.folder = None
        own = dict(line.rstrip('\n').split(':', 2)[1:] for line in open('/proc/self/cgroup'))
        v1 = next((path for names, path in own.items() if 'memory' in names.split(',')), None)
        try:
            if v1 is not None:
                self._make(f'/sys/fs/cgroup/memory{v1.rstrip("/")}', 'memory.limit_in_bytes', limit_bytes)
            else:
                self._make_v2(own.get('', '/'), limit_bytes)
        except OSError as error:
            self.close()
            raise SystemExit(f'bench: this machine does not let us limit memory ({error}). It takes root and a memory '
                             'cgroup that can be written: not given in most containers.') from error
        self.prefix = ['sh', '-c', f'echo $$ >{self.folder}/cgroup.procs && exec "$@"', 'sh']

    def _make(self, parent, name, limit_bytes):
        folder = pathlib.Path(parent) / f'tidemark-bench-{os.getpid()}'
        folder.mkdir()
        self.folder = folder
        (folder / name).write_text(str(limit_bytes))

    def _make_v2(self, own, limit_bytes):
        # A group that holds processes cannot pass controllers on, so look upwards for one that does.
        group = pathlib.PurePosixPath(own)
        while True:
            parent = pathlib.Path(f'/sys/fs/cgroup{str(group).rstrip("/")}')
            if 'memory' in (parent / 'cgroup.subtree_control').read_text().split():
                break
            if str(group) == '/':
                raise OSError('no cgroup above us passes the memory controller on')
            group = group.parent
        self._make(parent, 'memory.max', limit_bytes)
        with contextlib.suppress(OSError):
            (self.folder / 'memory.swap.max').write_text('0')

    def close(self):
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def disk_reads(folder, size, depth, seconds):
    """Random reads of 4 KiB a second that the disk itself gives, past the page cache, and their p99 in ms."""
    path = pathlib.Path(folder) / 'fio.data'
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ['fio', '--name=disk', f'--filename={path}', f'--size={size}', '--rw=randread', '--bs=4k', '--direct=1',
               '--ioengine=libaio', f'--iodepth={depth}', '--time_based', f'--runtime={seconds:.0f}', '--output-format=json']
    done = subprocess.run(command, capture_output=True, text=True)
    path.unlink(missing_ok=True)
    if done.returncode != 0:
        raise SystemExit(f'bench: fio: {done.stderr}')
    read = json.loads(done.stdout[done.stdout.index('{'):])['jobs'][0]['read']
    return {'per_second': read['iops'], 'p99_ms': read['clat_ns']['percentile']['99.000000'] / 1e6}


def disk_bytes_read(server):
    lines = pathlib.Path(f'/proc/{server.process.pid}/io').read_text().splitlines()
    return int(next(line for line in lines if line.startswith('read_bytes')).split()[1])


def report(name, result, extra=''):
    latency = result['latency']
    print(f'{name:44} {result["per_second"]:>10,.0f}/s   p50 {latency["p50_ms"]:7.2f} ms   p99 {latency["p99_ms"]:7.2f} ms'
          f'   max {latency["max_ms"]:8.2f} ms   {extra}', flush=True)
    return result


def throughput(server, options, keys, disk):
    results = {}
    for name, mode in (('GET, uniform', 'get'), ('GET and SET, half and half', 'mixed')):
        before = disk_bytes_read(server)
        result = servers.loadgen(server.port, mode=mode, keys=keys, value_size=options.value_size, seed=int(time.time()),
                                 connections=options.connections, seconds=options.seconds)
        result['disk_bytes_read_per_request'] = (disk_bytes_read(server) - before) / result['requests']
        if result['missing']:
            raise SystemExit(f'bench: {result["missing"]} keys were not found that had been written')
        results[mode] = report(name, result, f'{result["per_second"] / disk["per_second"]:.2f} of the disk\'s reads, '
                               f'{result["disk_bytes_read_per_request"]:,.0f} B read a request')
    return results


def hot_latency(server, options, label):
    """PING and GET of a thousand keys that fit in any cache, at a rate that loads nobody."""
    results = {}
    for name, mode in (('PING', 'ping'), ('GET hot', 'get')):
        results[name] = report(f'{name}, {label}', servers.loadgen(
            server.port, mode=mode, keys=1000, connections=1, rate=1000, seconds=options.seconds / 2))
    return results


def beside_cold_reads(server, options, keys):
    servers.loadgen(server.port, mode='get', keys=1000, connections=4, requests=20_000)
    idle = hot_latency(server, options, 'nothing else going on')
    cold_result = []
    cold = threading.Thread(target=lambda: cold_result.append(servers.loadgen(
        server.port, mode='get', keys=keys, connections=options.cold_connections, seconds=options.seconds + 2, seed=7)))
    cold.start()
    busy = hot_latency(server, options, f'{options.cold_connections} connection(s) reading cold')
    cold.join()
    report('  the cold reads meanwhile', cold_result[0])
    ratios = {name: busy[name]['latency']['p99_ms'] / idle[name]['latency']['p99_ms'] for name in idle}
    print('p99 beside cold reads against idle: ' + ', '.join(f'{name} ×{ratio:.2f}' for name, ratio in ratios.items()))
    return {'idle': idle, 'beside_cold_reads': busy, 'cold': cold_result[0], 'p99_ratio': ratios}


def main():
    options = arguments()
    keys = int(options.memory_mib * MIB * options.times / options.value_size)
    disk = disk_reads(options.folder, keys * options.value_size, options.connections, options.seconds)
    print(f'{"the disk itself, random 4 KiB":44} {disk["per_second"]:>10,.0f}/s   p99 {disk["p99_ms"]:.2f} ms')
    limit = MemoryLimit(options.memory_mib * MIB)
    flags = []
    if options.server == 'tidemark':
        flags = ['--maxmemory', str((options.maxmemory_mib or options.memory_mib // 2) * MIB)]
    try:
        with servers.Server(options.server, os.path.join(options.folder, 'larger'), flags=flags, prefix=limit.prefix) as server:
            loaded = report(f'load: {keys:,} values of {options.value_size} B', servers.loadgen(
                server.port, mode='load', keys=keys, value_size=options.value_size, pipeline=16))
            server.settle(120)
            result = {
                'machine': servers.machine(), 'server': f'{server.kind} {server.version()}', 'memory_mib': options.memory_mib,
                'data_mib': keys * options.value_size // MIB, 'keys': keys, 'connections': options.connections,
                'disk': disk, 'load': loaded,
                'throughput': throughput(server, options, keys, disk),
                'isolation': beside_cold_reads(server, options, keys),
            }
    finally:
        limit.close()
    base = servers.ROOT / 'bench/results' / ('larger-than-memory.json' if options.server == 'tidemark' else 'quick.larger.json')
    base.parent.mkdir(parents=True, exist_ok=True)
    base.write_text(json.dumps(result, indent=1) + '\n')
    print(f'written: {base.relative_to(servers.ROOT)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
