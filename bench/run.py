#!/usr/bin/env python3
"""Tidemark and Debian's redis-server side by side, in alternating runs: requests a second, CPU and disk bytes a command.

Both run with their log on (Redis's AOF), the same durability, 50 clients, 128-byte values and 1 M random keys. A run
lasts some seconds; after it the server is given time to finish what it put off, and that CPU counts as the run's. What
is compared is the ratio of the medians. Prints a table; writes bench/results/NAME.json and NAME.svg.

    ./dev bench                          everything (about 15 minutes)
    ./dev bench --tests set,get --policies everysec --pipelines 32 --repeats 5
    ./dev bench --unique                 SET and GET with unique incompressible values, by tm-loadgen
"""
import argparse
import json
import os
import statistics
import subprocess

import picture
import servers

READS = {'get'}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda value: value.split(',')
    parser.add_argument('--tests', type=words, default=None, help='of set, get, incr, hset (or any of redis-benchmark\'s)')
    parser.add_argument('--policies', type=words, default=['everysec', 'always'], help='appendfsync of both servers')
    parser.add_argument('--pipelines', type=lambda v: [int(n) for n in v.split(',')], default=[1, 32])
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=4, help='about how long a run lasts')
    parser.add_argument('--keys', type=int, default=1_000_000)
    parser.add_argument('--clients', type=int, default=50)
    parser.add_argument('--value-size', type=int, default=128)
    parser.add_argument('--unique', action='store_true', help='unique incompressible values (tm-loadgen; SET and GET)')
    parser.add_argument('--quick', action='store_true', help='two short runs each: shows that it works, proves nothing')
    parser.add_argument('--redis-only', action='store_true')
    parser.add_argument('--folder', default=str(servers.ROOT / 'build/bench'), help='where the servers keep their data')
    parser.add_argument('--name', help='of the result files')
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.seconds = 2, 1
    options.tests = options.tests or (['set', 'get'] if options.unique else ['set', 'get', 'incr', 'hset'])
    options.name = options.name or ('quick' if options.quick else 'unique-values' if options.unique else 'redis-benchmark')
    return options


def redis_benchmark(server, test, pipeline, requests, options):
    """Requests a second and requests made."""
    command = ['redis-benchmark', '-p', str(server.port), '-t', test, '-n', str(requests), '-r', str(options.keys), '-c',
               str(options.clients), '-d', str(options.value_size), '-P', str(pipeline), '--csv']
    done = subprocess.run(command, capture_output=True, text=True)
    rows = [line.split(',') for line in done.stdout.splitlines() if line.startswith('"') and not line.startswith('"test"')]
    if done.returncode != 0 or len(rows) != 1:
        raise SystemExit(f'bench: {" ".join(command)} against {server.kind}:\n{done.stdout}{done.stderr}')
    return float(rows[0][1].strip('"')), requests


def unique_values(server, test, pipeline, requests, options):
    result = servers.loadgen(server.port, mode=test, pipeline=pipeline, requests=requests, keys=options.keys,
                             connections=options.clients, value_size=options.value_size, seed=os.getpid())
    return result['per_second'], requests


def measure(server, test, pipeline, requests, options):
    run = unique_values if options.unique else redis_benchmark
    load = os.getloadavg()[0]
    cpu, disk = server.cpu_seconds(), server.disk_bytes_written()
    per_second, made = run(server, test, pipeline, requests, options)
    server.settle()
    return {
        'per_second': per_second,
        'cpu_seconds_per_million': (server.cpu_seconds() - cpu) / made * 1e6,
        'disk_bytes_per_command': (server.disk_bytes_written() - disk) / made,
        'load_before': round(load, 2),
    }


def prepare(server, test, options):
    server.call('FLUSHALL')
    if test in READS:
        servers.loadgen(server.port, mode='load', keys=options.keys, value_size=options.value_size, pipeline=32)
    server.settle()


def calibrate(server, test, pipeline, options):
    """How many requests take about as long as a run shall last."""
    run = unique_values if options.unique else redis_benchmark
    run(server, test, pipeline, 2000 * pipeline, options)
    per_second, _ = run(server, test, pipeline, 10_000 * (4 if pipeline > 1 else 1), options)
    return max(int(per_second * options.seconds), 5000)


def summarise(runs):
    rates = [run['per_second'] for run in runs]
    median = lambda name: statistics.median(run[name] for run in runs)
    return {
        'median': statistics.median(rates), 'min': min(rates), 'max': max(rates),
        'cpu_seconds_per_million': median('cpu_seconds_per_million'),
        'disk_bytes_per_command': median('disk_bytes_per_command'),
        'load_before': median('load_before'), 'runs': runs,
    }


def compare(pair, policy, pipeline, test, options):
    for server in pair:
        prepare(server, test, options)
    requests = calibrate(pair[-1], test, pipeline, options)
    runs = {server.kind: [] for server in pair}
    for repeat in range(options.repeats):
        for server in pair if repeat % 2 == 0 else reversed(pair):
            runs[server.kind].append(measure(server, test, pipeline, requests, options))
    case = {'test': test, 'policy': policy, 'pipeline': pipeline, 'requests': requests}
    case.update({kind: summarise(results) for kind, results in runs.items()})
    if len(pair) == 2:
        ours, theirs = (case[server.kind] for server in pair)
        case['ratio'] = ours['median'] / theirs['median']
        if theirs['cpu_seconds_per_million'] > 0:
            case['cpu_ratio'] = ours['cpu_seconds_per_million'] / theirs['cpu_seconds_per_million']
    print_case(case, [server.kind for server in pair])
    return case


def print_case(case, kinds):
    for kind in kinds:
        side = case[kind]
        ratios = f'  ratio {case["ratio"]:.2f}  CPU ratio {case.get("cpu_ratio", float("nan")):.2f}' if kind == kinds[0] and 'ratio' in case else ''
        print(f'{case["policy"]:9} -P {case["pipeline"]:<3} {case["test"]:5} {kind:9} {side["median"]:>10,.0f}/s  '
              f'({side["min"]:,.0f} to {side["max"]:,.0f})  {side["cpu_seconds_per_million"]:6.2f} CPU s/M  '
              f'{side["disk_bytes_per_command"]:6.0f} B/cmd to disk  load {side["load_before"]:.1f}{ratios}', flush=True)


def main():
    options = arguments()
    kinds = ['redis'] if options.redis_only else ['tidemark', 'redis']
    result = {
        'tool': 'tm-loadgen (unique, incompressible values)' if options.unique else 'redis-benchmark',
        'machine': servers.machine(), 'repeats': options.repeats, 'clients': options.clients,
        'keys': options.keys, 'value_size': options.value_size, 'servers': {}, 'cases': [],
    }
    for policy in options.policies:
        pair = []
        try:
            for kind in kinds:
                pair.append(servers.Server(kind, os.path.join(options.folder, kind), policy))
                result['servers'][kind] = pair[-1].version()
            for pipeline in options.pipelines:
                for test in options.tests:
                    if policy == 'always' and test in READS:
                        continue
                    result['cases'].append(compare(pair, policy, pipeline, test, options))
        finally:
            for server in pair:
                server.stop()
    base = servers.ROOT / 'bench/results' / options.name
    base.parent.mkdir(parents=True, exist_ok=True)
    base.with_suffix('.json').write_text(json.dumps(result, indent=1) + '\n')
    base.with_suffix('.svg').write_text(picture.draw(result))
    print(f'written: {base.relative_to(servers.ROOT)}.json and .svg')


if __name__ == '__main__':
    main()
