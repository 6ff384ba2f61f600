#!/usr/bin/env python3
"""Every test that README.md names for a pain of backup tools exists: one that was renamed away proves nothing."""
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAINS = {'1', '2', '3', '4', '5', '6', '7', '8', '10'}


def unit_tests():
    for path in (HERE.parent / 'src').glob('*/*_test.cc'):
        for suite, name in re.findall(r'^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)', path.read_text(), re.M):
            yield f'{suite}.{name}'


def process_tests():
    for path in (HERE / 'process').glob('test_*.py'):
        for name in re.findall(r'^def (test_\w+)\(', path.read_text(), re.M):
            yield f'{path.stem}.{name}'


def main():
    there = {*unit_tests(), *process_tests()}
    wrong, seen = [], set()
    for line in (HERE / 'README.md').read_text().splitlines():
        row = re.match(r'\| (\d+) \|', line)
        if row is None:
            continue
        named = re.findall(r'`(\w+\.\w+)`', line)
        seen |= {row[1]} if named else set()
        wrong += [f'pain {row[1]}: there is no test {name}' for name in named if name not in there]
    wrong += [f'pain {number} names no test' for number in sorted(PAINS - seen, key=int)]
    print(*wrong, sep='\n', end='\n' if wrong else '')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
