"""The S3 store of src/objstore against a real S3 server, directly and through a proxy that does what networks do.

Driven by the program objstore_contract (objstore/driver.cc). What is in the bucket is read past our own client.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile

from fault_proxy import FaultProxy
from s3_server import S3Server
from tidemark_process import free_port, server_binary

MIB = 1 << 20


def program():
    path = server_binary().parent / "objstore_contract"
    assert path.exists(), f"no {path}: build the target process_shims"
    return str(path)


class Driver:
    """One store, in a process of its own."""

    def __init__(self, uri, env=None, **flags):
        words = [program(), uri]
        for name, value in flags.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**clean_environment(), **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()

    def __call__(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ok(self, *words):
        answer = self(*words)
        assert answer["code"] == "OK", (words, answer)
        return answer


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SSL_CERT"))}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def run_contract(uri, env=None):
    done = subprocess.run([program(), "--contract"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, env={**clean_environment(), "TM_TEST_S3": uri, "TM_TEST_S3_ONLY": "1", **(env or {})})
    assert done.returncode == 0, done.stdout


def certificate(folder):
    """A certificate for 127.0.0.1 that is its own authority."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
    return str(cert), str(key)


@contextlib.contextmanager
def proxied(**flags):
    """A server, a proxy before it, and a store that goes through the proxy."""
    flags.setdefault("stall_ms", 5000)
    with S3Server() as s3, FaultProxy(s3.port) as proxy:
        with Driver(s3.uri("p", endpoint=proxy.endpoint), **flags) as store:
            yield s3, proxy, store


def test_the_promises_hold_on_a_real_server():
    with S3Server() as s3:
        run_contract(s3.uri("contract"))
        assert s3.uploads() == []
        # What others keep in the bucket is neither listed nor in the way, and pages end where the server's do.
        s3.put("mixed/with space/ä+b", b"x")
        s3.put("mixed/marker/", b"")
        s3.put("mixedup", b"x")
        keys = [f"mixed/k/{n:05}" for n in range(1100)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: s3.put(key, b"x"), keys))
        with Driver(s3.uri("mixed")) as store:
            assert [o["key"] for o in store.ok("list")["objects"]] == [key[len("mixed/"):] for key in keys]
            assert [o["key"] for o in store.ok("list", "k/0109")["objects"]] == [f"k/{n:05}" for n in range(1090, 1100)]


def test_the_promises_hold_over_a_network_that_fails_at_random():
    with S3Server() as s3, FaultProxy(s3.port) as proxy:
        proxy.chaos(seed=7, rate=0.08)
        run_contract(s3.uri("contract", endpoint=proxy.endpoint))
        assert any(request.fault for request in proxy.requests)
        assert s3.uploads() == []


def test_tls_is_verified_and_payloads_are_still_checked():
    with tempfile.TemporaryDirectory() as folder, S3Server() as s3:
        cert, key = certificate(pathlib.Path(folder))
        with FaultProxy(s3.port, tls=(cert, key)) as proxy:
            uri = s3.uri("tls", endpoint=proxy.endpoint)
            with Driver(uri) as store:
                refused = store("get", "x")
                assert refused["code"] == "FAILED_PRECONDITION" and "ertificate" in refused["message"], refused
                assert refused["requests"] == 1 and proxy.count() == 0
            trusting = {"SSL_CERT_FILE": cert}
            run_contract(uri, trusting)
            with Driver(uri, trusting) as store:
                proxy.clear()
                store.ok("put", "k", 100_000, 1)
                sent = proxy.last("PUT").headers
                assert sent["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" and sent["content-md5"]
                # The server refuses what is not what was sent, though the payload is not signed.
                proxy.add("corrupt_upload", "PUT")
                answer = store.ok("put", "k2", 100_000, 2)
                assert answer["retries"] == 1
                assert sha(s3.get("tls/k2")) == store.ok("sha", 100_000, 2)["sha256"]


def test_passing_faults_pass_and_cost_what_they_must():
    with proxied() as (s3, proxy, store):
        faults = [("answer", {"status": 503}), ("answer", {"status": 503, "code": "ServiceUnavailable"}),
                  ("answer", {"status": 500}), ("answer", {"status": 429, "code": "TooManyRequests"}),
                  ("answer", {"status": 502, "body": "<html>bad gateway</html>"}), ("reset", {})]
        for number, (fault, details) in enumerate(faults):
            for operation in (("put", f"k{number}", 1000, number), ("get", f"k{number}"), ("head", f"k{number}"),
                              ("list", "k"), ("delete", f"k{number}")):
                proxy.clear()
                proxy.add(fault, times=2, **details)
                answer = store.ok(*operation)
                # A kept connection that turns out to be closed libcurl makes anew by itself.
                assert answer["retries"] == 2 or fault == "reset", (fault, operation, answer)
                assert proxy.count() == 3, (fault, operation, answer)
        for fault in ("cut_upload", "corrupt_upload", "change_etag"):
            proxy.clear()
            proxy.add(fault, "PUT", times=2)
            assert store.ok("put", "up", 3 * MIB, 5)["retries"] == 2 or fault == "cut_upload", fault
            assert proxy.count("PUT") == 3, fault
            assert sha(s3.get("p/up")) == store.ok("sha", 3 * MIB, 5)["sha256"], fault
        # The pause that the store asks for is kept.
        proxy.clear()
        proxy.add("answer", status=503, headers={"Retry-After": "1"})
        assert store.ok("get", "up")["seconds"] >= 1.0


def test_lasting_faults_are_told_apart():
    with proxied(retries=2) as (s3, proxy, store):
        for fault, details, code, requests in [
                ("answer", {"status": 503}, "RESOURCE_EXHAUSTED", 3),
                ("answer", {"status": 503, "code": "ServiceUnavailable"}, "UNAVAILABLE", 3),
                ("answer", {"status": 500}, "UNAVAILABLE", 3),
                ("reset", {}, "UNAVAILABLE", 3),
                ("change_etag", {}, "DATA_LOSS", 3),
                ("corrupt_upload", {}, "DATA_LOSS", 3),
                ("answer", {"status": 403}, "PERMISSION_DENIED", 1),
                ("answer", {"status": 400, "code": "ExpiredToken"}, "PERMISSION_DENIED", 1),
                ("answer", {"status": 404, "code": "NoSuchBucket"}, "FAILED_PRECONDITION", 1),
                ("answer", {"status": 301, "code": "PermanentRedirect"}, "FAILED_PRECONDITION", 1)]:
            proxy.clear()
            proxy.add(fault, times=99, **details)
            answer = store("put", "k", 1000, 1)
            assert answer["code"] == code and answer["requests"] == requests, (fault, details, answer)
            assert proxy.count() == requests or fault == "reset"  # kept connections libcurl makes anew by itself
        # Secrets do not come back in messages, even where a store is so kind as to repeat them.
        proxy.clear()
        proxy.add("answer", status=403, message=f"{s3.secret_key} of {s3.access_key} is wrong")
        message = store("get", "k")["message"]
        assert s3.secret_key not in message and s3.access_key not in message and "is wrong" in message, message
        assert "secret" not in store("stats")["display_uri"]
    with S3Server() as s3:
        with Driver(s3.uri("p", bucket="no-such-bucket")) as store:
            answer = store("put", "k", 10, 1)
            assert answer["code"] == "FAILED_PRECONDITION" and "NoSuchBucket" in answer["message"], answer
        with Driver(s3.uri("p", **{"access-key": s3.access_key, "secret-access-key": "wrong"})) as store:
            assert store("put", "k", 10, 1)["code"] == "PERMISSION_DENIED"
        with Driver(s3.uri("p"), retries=1) as store:
            store.ok("put", "k", 10, 1)
            s3.kill9()
            assert store("get", "k")["code"] == "UNAVAILABLE"
    with Driver(f"s3://bucket/p?endpoint=http://127.0.0.1:{free_port()}&access-key=a&secret-access-key=b", retries=0) as store:
        assert store("get", "k")["code"] == "UNAVAILABLE"


def test_an_answer_that_was_lost_is_not_a_second_writer():
    with proxied() as (s3, proxy, store):
        proxy.add("lose_answer", "PUT")
        assert store.ok("put", "k", 1000, 1)["retries"] == 1
        # Whose object it is the caller finds out by comparing: it is whole, and it is ours.
        proxy.add("lose_answer", "PUT")
        assert store("put", "fence", 1000, 2, "new")["code"] == "ALREADY_EXISTS"
        assert store.ok("get", "fence")["sha256"] == store.ok("sha", 1000, 2)["sha256"]
        proxy.add("lose_answer", "DELETE")
        store.ok("delete", "k")
        assert s3.keys() == ["p/fence"]


def test_reads_that_are_cut_or_stand_still_go_on_where_they_were():
    with proxied(stall_ms=400) as (s3, proxy, store):
        store.ok("put", "k", 5 * MIB, 9)
        wanted = store.ok("sha", 5 * MIB, 9)["sha256"]
        # Every attempt gets half of what is left: more of them than a call has patience for without progress.
        proxy.clear()
        proxy.add("cut_body", "GET", times=8)
        assert store.ok("getstream", "k")["sha256"] == wanted
        assert proxy.count("GET") == 9
        # From where it was, not from the beginning; a reset may take back what the kernel had not handed over yet.
        assert int(proxy.last("GET").headers["range"].removeprefix("bytes=").split("-")[0]) > MIB
        for fault in ("stall", "stall_body"):
            proxy.clear()
            proxy.add(fault, "GET")
            answer = store.ok("getstream", "k")
            assert answer["sha256"] == wanted and 0.4 <= answer["seconds"] < 5, (fault, answer)
        for operation in (("get", "k"), ("range", "k", 0, 5 * MIB)):
            proxy.clear()
            proxy.add("cut_body", "GET", times=2)
            assert store.ok(*operation)["sha256"] == wanted
        proxy.add("stall", "PUT")
        assert store.ok("put", "k2", 2 * MIB, 3)["retries"] == 1
        # Another object under the same name midway: not half of each.
        proxy.clear()
        proxy.add("cut_body", "GET")

        def replace(request):
            s3.put("p/k", b"another")
            return 503, {}, ""

        proxy.add("handle", "GET", handler=replace)
        assert store("getstream", "k")["code"] in ("FAILED_PRECONDITION", "OUT_OF_RANGE")


def test_uploads_in_parts_survive_faults_and_leave_nothing():
    with proxied() as (s3, proxy, store):
        size = 32 * MIB + 17
        wanted = store.ok("sha", size, 4)["sha256"]

        def part(request):
            return "partNumber" in request.query

        def completion(request):
            return request.method == "POST" and "uploadId" in request.query

        for match, fault, details in [(part, "answer", {"status": 503}), (part, "reset", {}), (part, "change_etag", {}),
                                      (part, "corrupt_upload", {}), (part, "lose_answer", {}),
                                      (completion, "answer", {"status": 500}), (completion, "answer", {"status": 200}),
                                      (completion, "lose_answer", {})]:
            proxy.clear()
            proxy.add(fault, match, **details)
            store.ok("stream", "big", size, 4)
            assert sha(s3.get("p/big")) == wanted, fault
            assert proxy.count(part) == 3 + (match is part)
            s3.delete("p/big")
        proxy.clear()
        proxy.add("answer", lambda request: request.query.get("partNumber") == "2", status=400, code="InvalidRequest", times=99)
        assert store("stream", "big", size, 4)["code"] == "FAILED_PRECONDITION"
        proxy.clear()
        proxy.add("answer", completion, status=200, code="InvalidPart", times=99)
        assert store("stream", "big", size, 4)["code"] != "OK"
        assert s3.get("p/big") is None and s3.uploads() == []
        # Part sizes follow the announced size, so that there are never more than 10,000.
        proxy.clear()
        store.ok("stream", "big", size, 4, 9001 * 16 * MIB)
        assert proxy.count(part) == 2


def test_conditional_puts_where_the_store_has_none():
    def conditional(request):
        return "if-none-match" in request.headers

    with proxied() as (s3, proxy, store):
        assert store.ok("probe", "n1")["conditional_put"]
        proxy.add("answer", conditional, status=501, times=99)
        assert not store.ok("probe", "n2")["conditional_put"]
        proxy.clear()
        store.ok("put", "k", 10, 1, "new")
        assert [r.method for r in proxy.requests] == ["HEAD", "PUT"]
        assert store("put", "k", 10, 2, "new")["code"] == "ALREADY_EXISTS"
    with proxied() as (s3, proxy, store):
        # A store that knows nothing of the condition and overwrites.
        def overwrite(request):
            bucket, _, key = request.path.lstrip("/").partition("/")
            s3.put(key, request.body, bucket=bucket)
            return 200, {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'}, ""

        proxy.add("handle", conditional, handler=overwrite, times=99)
        assert not store.ok("probe", "n3")["conditional_put"]
        store.ok("put", "k", 10, 1, "new")
        assert store("put", "k", 10, 2, "new")["code"] == "ALREADY_EXISTS"
        assert sha(s3.get("p/k")) == store.ok("sha", 10, 1)["sha256"]


def test_credentials_that_end_are_read_again():
    with tempfile.TemporaryDirectory() as folder, S3Server() as s3:
        file = pathlib.Path(folder) / "credentials"

        def write(access_key, secret_key):
            file.write_text(f"[backup]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")

        env = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "backup"}
        with Driver(s3.uri("p", credentials=False), env) as store:
            missing = store("put", "k", 10, 1)
            assert missing["code"] == "PERMISSION_DENIED" and str(file) in missing["message"], missing
            write("AKIAOLD", "old")
            assert store("put", "k", 10, 1)["code"] == "PERMISSION_DENIED"
            write(s3.access_key, s3.secret_key)
            answer = store.ok("put", "k", 10, 1)
            assert answer["requests"] == 2, answer
            assert store.ok("get", "k")["requests"] == 1
        given = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}
        with Driver(s3.uri("p", credentials=False), given) as store:
            store.ok("get", "k")


def test_parameters_of_the_uri_reach_the_store():
    with proxied() as (s3, proxy, _):
        uri = s3.uri("p", endpoint=proxy.endpoint, storage_class="STANDARD", sse="aws:kms", sse_kms_key_id="key-1",
                     session_token="token", region="eu-central-1")
        proxy.add("answer", status=400, times=99)
        with Driver(uri) as store:
            store("put", "k", 10, 1)
            store("stream", "k", 20 * MIB, 1)
        for method in ("PUT", "POST"):
            headers = proxy.last(method).headers
            assert headers["x-amz-storage-class"] == "STANDARD"
            assert headers["x-amz-server-side-encryption"] == "aws:kms"
            assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
            assert headers["x-amz-security-token"] == "token"
            assert "/eu-central-1/s3/aws4_request" in headers["authorization"]
        proxy.clear()
        proxy.add("answer", status=400, times=99)
        with Driver(s3.uri("p", endpoint=f"http://localhost:{proxy.port}", force_path_style="false")) as store:
            store("get", "k")
        assert proxy.last().headers["host"] == f"{s3.BUCKET}.localhost:{proxy.port}"
        assert proxy.last().path == "/p/k"


def test_connections_are_kept_and_the_rate_is_limited():
    with proxied(rate=4 * MIB) as (s3, proxy, store):
        for number in range(20):
            store.ok("put", f"k{number}", 1000, number)
        assert proxy.connections == 1
        assert store.ok("put", "big", 4 * MIB, 1)["seconds"] >= 0.8
        assert store.ok("getstream", "big")["seconds"] >= 0.8
