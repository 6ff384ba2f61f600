#!/usr/bin/env python3
"""Alert rules and the dashboard use only metrics that the server has: an alert on a name that nobody exports never rings."""
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r'\b(?:tidemark|redis)_[a-z0-9_]+')


def exported():
    source = (ROOT / 'src/http/metrics_page.cc').read_text()
    return set(re.findall(r'(?:Family|Counter|Gauge|each)\(\s*"((?:tidemark|redis)_[a-z0-9_]+)"', source))


def used():
    for line in (ROOT / 'deploy/prometheus/tidemark-alerts.yml').read_text().splitlines():
        if line.strip().startswith('expr:'):
            yield from NAME.findall(line)
    board = json.loads((ROOT / 'deploy/grafana/tidemark.json').read_text())
    for panel in board['panels']:
        for target in panel['targets']:
            yield from NAME.findall(target['expr'])


def documented():
    return set(NAME.findall((ROOT / 'docs/operations.md').read_text()))


def main():
    have = exported()
    wrong = [f'no metric {name}, but deploy/ uses it' for name in sorted(set(used()) - have)]
    wrong += [f'docs/operations.md lacks {name}' for name in sorted(have - documented())]
    print('\n'.join(wrong) if wrong else f'result: {len(have)} metrics, all documented; deploy/ uses no other')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
