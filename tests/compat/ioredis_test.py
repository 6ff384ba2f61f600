#!/usr/bin/python3
"""ioredis, the client of most Node programs, through ioredis.js. npm fetches it into build/node, from wherever npm is
configured to look; where it can't, this says so and ends with 77."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'process'))
import tidemark_process  # noqa: E402

# The last major that runs on Debian's Node 18.
IOREDIS = 'ioredis@5.4.1'
HERE = pathlib.Path(__file__).resolve().parent
FOLDER = tidemark_process.ROOT / 'build/node'


def fetch():
    """The reason why there is no ioredis, or None when it is there."""
    if not shutil.which('node'):
        return 'there is no node'
    if (FOLDER / 'node_modules/ioredis').is_dir():
        return None
    if not shutil.which('npm'):
        return 'there is no npm to fetch ioredis with'
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / 'package.json').write_text('{"private": true}\n')
    try:
        subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--fetch-retries=1', IOREDIS], cwd=FOLDER, timeout=90,
                       check=True, stdin=subprocess.DEVNULL)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        shutil.rmtree(FOLDER / 'node_modules', ignore_errors=True)
        return 'npm could not fetch ioredis'
    return None


def main():
    reason = fetch()
    if reason:
        print(f'ioredis: {reason}')
        return 77
    with tidemark_process.Node() as node:
        environment = dict(os.environ, NODE_PATH=str(FOLDER / 'node_modules'), PORT=str(node.port))
        done = subprocess.run(['node', str(HERE / 'ioredis.js')], env=environment, timeout=60)
        if done.returncode != 0:
            print(node.log())
        return done.returncode


if __name__ == '__main__':
    sys.exit(main())
