"""A real S3 server under test: Ceph's RADOS gateway over objects in memory, started in a folder of its own in 1 to 3 s.

    with s3_server.S3Server() as s3:
        s3.uri("tests/prefix")    # s3://bucket/prefix?endpoint=…&access-key=…&secret-access-key=…
        s3.get("tests/prefix/key"), s3.keys("tests/prefix/")    # what is really there, past our own client

Standard library and Debian's radosgw, ceph-mon and ceph-osd only. The three daemons are children of the test's process
and die with it, however it ends. `durable=True` keeps objects on disk (bluestore): what was acknowledged then survives
kill9() and start_again().

    tests/process/s3_server.py [--durable] serves until Ctrl-C and prints a URI, for trying things out.
"""

import contextlib
import ctypes
import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import uuid
import xml.etree.ElementTree

from tidemark_process import Skipped, free_port, wait_until

CONFIGURATION = """[global]
fsid = {fsid}
mon_host = {mon}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
ms_bind_port_min = {osd_port}
ms_bind_port_max = {osd_port_max}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = false
pid_file = {dir}/run/$name.pid
log_file = {dir}/run/$name.log
run_dir = {dir}/run
crash_dir = {dir}/run
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
mon_max_pg_per_osd = 1000
[mon]
mon_data = {dir}/mon/$id
mon_cluster_log_file = {dir}/run/cluster.log
admin_socket = {dir}/run/$name.asok
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[osd]
osd_data = {dir}/osd/$id
osd_objectstore = {objectstore}
memstore_device_bytes = 4294967296
bluestore_block_size = 10737418240
osd_memory_target = 1073741824
admin_socket = {dir}/run/$name.asok
[client]
ms_mon_client_mode = crc
[client.rgw]
rgw_data = {dir}/rgw
rgw_thread_pool_size = 64
admin_socket = {dir}/run/$name.asok
"""

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """In the child: the kernel kills it when the test's process ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class S3Server:
    BUCKET = "tidemark-test"
    REGION = "us-east-1"

    def __init__(self, durable=False, buckets=(BUCKET,)):
        self.durable = durable
        self.buckets = buckets
        self.access_key = "AKIATEST"
        self.secret_key = "secret+test/key"  # with characters that must be encoded
        self.port = free_port()
        self.dir = None
        self.daemons = []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def uri(self, prefix="", endpoint=None, bucket=None, credentials=True, **parameters):
        """The URI of a prefix; `parameters` with underscores for dashes. `endpoint` names a proxy before the server."""
        parameters["endpoint"] = endpoint or self.endpoint
        if credentials:
            parameters.setdefault("access-key", self.access_key)
            parameters.setdefault("secret-access-key", self.secret_key)
        query = urllib.parse.urlencode({name.replace("_", "-"): value for name, value in parameters.items()},
                                       quote_via=urllib.parse.quote)
        return f"s3://{bucket or self.buckets[0]}/{prefix}?{query}"

    # -- the daemons

    def start(self):
        for program in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool"):
            if shutil.which(program) is None:
                raise Skipped(f"no {program} here")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-s3-"))
        try:
            self.prepare()
            self.run_daemons()
            self.admin("user", "create", "--uid=t", "--display-name=t", f"--access-key={self.access_key}",
                       f"--secret-key={self.secret_key}")
            for bucket in self.buckets:
                status, body, _ = self.request("PUT", f"/{bucket}")
                assert status == 200, (status, body)
        except BaseException:
            sys.stderr.write(self.log())
            self.close()
            raise
        return self

    def prepare(self):
        for name in ("mon", "osd/0", "run", "rgw"):
            (self.dir / name).mkdir(parents=True)
        self.fsid = str(uuid.uuid4())
        self.mon = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
        osd_port = free_port()
        (self.dir / "ceph.conf").write_text(CONFIGURATION.format(
            dir=self.dir, fsid=self.fsid, mon=self.mon, osd_port=osd_port, osd_port_max=osd_port + 99,
            objectstore="bluestore" if self.durable else "memstore"))
        self.env = dict(os.environ, CEPH_CONF=str(self.dir / "ceph.conf"))
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", self.mon, str(self.dir / "monmap"))
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.dir / "monmap"))
        self.osd_made = False

    def run_daemons(self):
        self.launch("ceph-mon", "-f", "-i", "a")
        if not self.osd_made:
            osd = str(uuid.uuid4())
            self.run("ceph", "--connect-timeout", "20", "osd", "new", osd)
            self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
            self.osd_made = True
        self.launch("ceph-osd", "-f", "-i", "0")
        self.launch("radosgw", "-f", "-n", "client.rgw", "--rgw-frontends",
                    f"beast endpoint=127.0.0.1:{self.port} tcp_nodelay=1")
        wait_until("the S3 server answers", self.answers, 60)

    def run(self, *command):
        done = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, preexec_fn=die_with_parent)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout.decode(errors='replace')}"

    def admin(self, *words):
        self.run("radosgw-admin", "-n", "client.rgw", *words)

    def launch(self, *command):
        with open(self.dir / "run" / "daemons.out", "ab") as out:
            self.daemons.append(subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                                 stderr=out, preexec_fn=die_with_parent))

    def answers(self):
        for daemon in self.daemons:
            assert daemon.poll() is None, f"{daemon.args[0]} ended with {daemon.returncode}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/", timeout=2)[0] in (200, 403)
        return False

    def kill9(self):
        for daemon in reversed(self.daemons):
            daemon.kill()
            daemon.wait()
        self.daemons = []

    def start_again(self):
        """After kill9, on the same port. What was there is there only where it is durable."""
        self.run_daemons()

    def log(self, lines=30):
        text = ""
        for path in sorted((self.dir / "run").glob("*.log")) + [self.dir / "run" / "daemons.out"]:
            if path.exists():
                text += f"-- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) + "\n"
        return text

    def close(self):
        self.kill9()
        if self.dir is not None:
            shutil.rmtree(self.dir, ignore_errors=True)

    # -- a client of its own, so that tests see what is there and not what our client says

    def request(self, method, path, query=(), body=b"", headers=(), timeout=30):
        """One signed request; status, body and headers of the answer."""
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        quoted = urllib.parse.quote(path, safe="/-_.~")
        query = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(str(v), safe='-_.~')}"
                         for k, v in sorted(dict(query).items()))
        digest = hashlib.sha256(body).hexdigest()
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": stamp}
        names = ";".join(sorted(signed))
        canonical = "\n".join([method, quoted, query, *[f"{k}:{signed[k]}" for k in sorted(signed)], "", names, digest])
        scope = f"{day}/{self.REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self.secret_key.encode()
        for part in (day, self.REGION, "s3", "aws4_request"):
            key = sign(key, part)
        signed["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, "
                                   f"Signature={sign(key, text).hex()}")
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            link.request(method, quoted + ("?" + query if query else ""), body=body, headers={**signed, **dict(headers)})
            answer = link.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            link.close()

    def get(self, key, bucket=None):
        """The bytes of an object; None when there is none."""
        status, body, _ = self.request("GET", f"/{bucket or self.buckets[0]}/{key}")
        assert status in (200, 404), (status, body)
        return body if status == 200 else None

    def put(self, key, body, bucket=None):
        status, answer, _ = self.request("PUT", f"/{bucket or self.buckets[0]}/{key}", body=body)
        assert status == 200, (status, answer)

    def delete(self, key, bucket=None):
        status, answer, _ = self.request("DELETE", f"/{bucket or self.buckets[0]}/{key}")
        assert status == 204, (status, answer)

    def keys(self, prefix="", bucket=None):
        """Every key that begins so, in order."""
        keys, after = [], ""
        while True:
            query = {"list-type": 2, "prefix": prefix, "start-after": after}
            status, body, _ = self.request("GET", f"/{bucket or self.buckets[0]}", query)
            assert status == 200, (status, body)
            tree = xml.etree.ElementTree.fromstring(body)
            space = tree.tag[:tree.tag.index("}") + 1] if tree.tag.startswith("{") else ""
            keys += [node.text for node in tree.iter(space + "Key")]
            if tree.findtext(space + "IsTruncated") != "true":
                return keys
            after = keys[-1]

    def uploads(self, bucket=None):
        """Keys of multipart uploads that were neither completed nor aborted."""
        status, body, _ = self.request("GET", f"/{bucket or self.buckets[0]}", {"uploads": ""})
        assert status == 200, (status, body)
        return [node.text for node in xml.etree.ElementTree.fromstring(body).iter() if node.tag.endswith("Key")]


def main():
    with S3Server(durable="--durable" in sys.argv) as server:
        print(server.uri("try"), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    main()
