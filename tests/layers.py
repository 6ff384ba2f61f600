#!/usr/bin/env python3
"""Holds the floors of docs/architecture.md, and the few rules of this tree that a reader can't be asked to check.

    layers.py [ROOT]    prints each breach as file:line: what; exit code 1 when there is one

A folder under src/ includes only lower floors, folders of one floor do not include each other, only the named folder
names RocksDB, gRPC, libcurl or Lua, every folder says in a README what it is, no file outgrows its reader, and
nothing is left "to do". layers_test.py proves that a breach of each rule is found.
"""
import re
import sys
from pathlib import Path

# Folder → floor. A folder includes only folders of lower floors.
FLOORS = {
    'base': 0,
    'env': 1, 'format': 1, 'resp': 1, 'config': 1, 'metrics': 1,
    'log': 2, 'kv': 2, 'objstore': 2, 'meta': 2,
    'types': 3, 'archive': 3,
    'engine': 4,
    'replication': 5, 'backup': 5, 'restore': 5, 'scripting': 5,
    'commands': 6, 'cluster': 6,
    'rpc': 7, 'http': 7,
    'server': 8,
    'bin': 9,
}

# Header of an outside library → the folders that may include it, and why the others may not.
OWNERS = [
    (re.compile(r'^rocksdb/'), {'kv'}, 'RocksDB is named only in kv/'),
    (re.compile(r'^(grpc|grpcpp)/'), {'rpc'}, 'gRPC is named only in rpc/'),
    (re.compile(r'\.pb\.h$'), {'rpc'}, 'protobuf messages stay in rpc/'),
    (re.compile(r'^httplib\.h$'), {'http'}, 'cpp-httplib is named only in http/'),
    (re.compile(r'^curl/'), {'objstore'}, 'libcurl is named only in objstore/'),
    (re.compile(r'^hiredis/'), {'bin', 'rpc'},
     'hiredis is named only in bin/ and rpc/: the command line and a replica are clients, a server is none'),
    (re.compile(r'^(lua|lauxlib|lualib)(5\.1/|\.h)'), {'scripting'}, 'Lua is named only in scripting/'),
    (re.compile(r'^absl/synchronization/mutex\.h'), set(),
     'use base/mutex.h: the thread sanitizer cannot see into Debian\'s absl::Mutex'),
]

LINES_MAX = 800
# File → the reason why it may be longer.
LONG_FILES = {}

CODE = {'.cc', '.h', '.py', '.sh', '.ts', '.svelte', '.proto'}
CODE_FOLDERS = ('src', 'tests', 'bench', 'tools', 'proto', 'web/src')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Written in two parts, so that this file does not find itself.
LEFT_TO_DO = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b')


def code_files(root):
    for folder in CODE_FOLDERS:
        for path in sorted((root / folder).rglob('*')):
            if path.suffix in CODE and path.is_file() and 'node_modules' not in path.parts:
                yield path
    if (root / 'dev').is_file():
        yield root / 'dev'


def breach_of_include(folder, header, quoted):
    """Why `folder` may not include `header`; None when it may."""
    for pattern, owners, reason in OWNERS:
        if pattern.match(header) and folder not in owners:
            return reason
    target = header.split('/')[0]
    if not quoted or '/' not in header:
        return None
    if target not in FLOORS:
        return f'{target}/ is no folder under src/'
    if target != folder and FLOORS[target] >= FLOORS[folder]:
        return f'{folder}/ (floor {FLOORS[folder]}) must not use {target}/ (floor {FLOORS[target]})'
    return None


def check_folders(root):
    for folder in sorted(p for p in (root / 'src').iterdir() if p.is_dir()):
        if folder.name not in FLOORS:
            yield f'src/{folder.name}: stands on no floor; give it one in tests/layers.py'
        if not (folder / 'README.md').is_file():
            yield f'src/{folder.name}: has no README.md'


def check_file(root, path):
    name = str(path.relative_to(root))
    lines = path.read_text(encoding='utf-8').splitlines()
    if len(lines) > LINES_MAX and name not in LONG_FILES:
        yield f'{name}: {len(lines)} lines, more than {LINES_MAX}; split it by subject'
    in_src = name.startswith('src/') and name.count('/') >= 2
    folder = name.split('/')[1] if in_src else None
    for number, line in enumerate(lines, 1):
        if LEFT_TO_DO.search(line):
            yield f'{name}:{number}: something is left to do'
        include = INCLUDE.match(line)
        if include and folder in FLOORS:
            reason = breach_of_include(folder, include.group(2), include.group(1) == '"')
            if reason:
                yield f'{name}:{number}: {reason}'


def breaches(root):
    found = list(check_folders(root))
    count = 0
    for path in code_files(root):
        count += 1
        found.extend(check_file(root, path))
    return count, found


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    count, found = breaches(root)
    for breach in found:
        print(breach)
    print(f'result: {count} files, {len(found)} breaches')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
