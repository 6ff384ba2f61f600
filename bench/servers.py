"""The servers that benchmarks compare: started in a folder of their own, asked for what they used, stopped.

Standard library only. CPU and disk figures are of the whole process with its threads and the children it waited for,
as Linux counts them in /proc/PID.
"""
import ctypes
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TICKS = os.sysconf('SC_CLK_TCK')


def free_port():
    """A port that was free a moment ago, below the range from which the system takes ports for clients."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) != 0:
                return port


def end_with_parent():
    """In the child: a benchmark that is killed takes its servers with it (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """`kind` is 'tidemark' or 'redis'; `prefix` runs before the program (a cgroup's entry, say)."""

    def __init__(self, kind, folder, policy='everysec', flags=(), prefix=()):
        self.kind = kind
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        common = ['--port', str(self.port), '--dir', str(self.folder), '--appendfsync', policy]
        if kind == 'redis':
            command = ['redis-server', *common, '--appendonly', 'yes', '--save', '']
        else:
            binary = os.environ.get('TIDEMARK_SERVER', ROOT / 'build/release/tidemark-server')
            command = [str(binary), *common]
        self.log = self.folder.with_suffix('.log')
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen([*prefix, *command, *flags], stdout=log, stderr=log, preexec_fn=end_with_parent)
        self.wait_ready()

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.call('PING').startswith(b'+PONG'):
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f'bench: {self.kind} does not answer; its log {self.log} ends with\n{self.tail()}')
            time.sleep(0.02)

    def tail(self):
        return ''.join(self.log.read_text(errors='replace').splitlines(True)[-10:])

    def call(self, *words):
        """One command; the raw reply as far as it comes in one piece (good for short ones)."""
        request = f'*{len(words)}\r\n' + ''.join(f'${len(w)}\r\n{w}\r\n' for w in words)
        with socket.create_connection(('127.0.0.1', self.port), timeout=60) as connection:
            connection.sendall(request.encode())
            return connection.recv(65536)

    def version(self):
        reply = self.call('INFO', 'server').decode(errors='replace')
        fields = dict(line.split(':', 1) for line in reply.splitlines() if ':' in line)
        return fields.get('tidemark_version' if self.kind == 'tidemark' else 'redis_version', 'unknown')

    def cpu_seconds(self):
        fields = pathlib.Path(f'/proc/{self.process.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return sum(int(ticks) for ticks in fields[11:15]) / TICKS

    def disk_bytes_written(self):
        try:
            lines = pathlib.Path(f'/proc/{self.process.pid}/io').read_text().splitlines()
        except OSError:
            return 0
        return int(next(line for line in lines if line.startswith('write_bytes')).split()[1])

    def settle(self, seconds=30):
        """Waits until the server has done what it put off: less than 2 % of a CPU over half a second."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(0.5)
            if self.cpu_seconds() - before <= 0.01:
                return

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def loadgen(port, **options):
    """Runs tm-loadgen against the port; its JSON as a dict."""
    import json
    command = [str(ROOT / 'build/release/tm-loadgen'), '--port', str(port)]
    for name, value in options.items():
        command += ['--' + name.replace('_', '-'), str(value)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f'bench: {" ".join(command)}: {done.stderr}')
    result = json.loads(done.stdout)
    if result['errors']:
        raise SystemExit(f'bench: {result["errors"]} errors of the server, the first: {result["first_error"]}')
    return result


def others_cpu_seconds(own):
    """CPU that the machine has spent on anything but the bench, its children and the servers `own`; what a hypervisor
    took away counts, too. For differences. Interrupts are left out: they are mostly of the load itself."""
    user, nice, system, _, _, _, _, stolen = (int(ticks) for ticks in open('/proc/stat').readline().split()[1:9])
    mine = os.times()
    mine = mine.user + mine.system + mine.children_user + mine.children_system
    return (user + nice + system + stolen) / TICKS - mine - sum(server.cpu_seconds() for server in own)


def machine():
    """What a figure is worth nothing without."""
    cpus = [line.split(':', 1)[1].strip() for line in open('/proc/cpuinfo') if line.startswith('model name')]
    memory = next(line for line in open('/proc/meminfo') if line.startswith('MemTotal')).split()[1]
    commit = subprocess.run(['git', '-C', ROOT, 'describe', '--always', '--dirty'], capture_output=True, text=True)
    return {
        'cpu': cpus[0] if cpus else os.uname().machine,
        'cpus': os.cpu_count(),
        'memory_gib': round(int(memory) / 1048576, 1),
        'kernel': os.uname().release,
        'commit': commit.stdout.strip() or 'unknown',
        'date': time.strftime('%Y-%m-%d'),
    }
