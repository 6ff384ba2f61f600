"""A proxy between a client and an HTTP server (S3) that does, on a test's demand, what networks and stores do.

    with FaultProxy(port_of_server) as proxy:
        proxy.add("answer", times=2, status=503, code="SlowDown")
        …                              # the client, pointed at proxy.endpoint
        assert proxy.count("PUT") == 3

Each rule applies to the next `times` requests that `match` accepts (method, key suffix, or a function of the request);
rules are tried in the order in which they were added. What was requested is remembered in `requests`. Standard library
only; one thread a connection; everything ends with close().
"""

import contextlib
import dataclasses
import random
import re
import socket
import ssl
import struct
import threading
import typing
import urllib.parse

from tidemark_process import free_port

FAULTS = {
    "reset": "the connection is reset as soon as the request's head is there",
    "cut_upload": "the connection is reset after half of the request's body",
    "lose_answer": "the request is forwarded, then the connection is reset without an answer",
    "stall": "the request is read, and nothing more happens until the client gives up",
    "stall_body": "half of the answer's body, then nothing more",
    "answer": "the request is read and answered here: status, code, headers",
    "change_etag": "the answer's ETag becomes another",
    "cut_body": "half of the answer's body, then a reset",
    "corrupt_upload": "one byte of the request's body is another when it is forwarded",
    "handle": "`handler`, given the request, returns (status, headers, body) of the answer",
}


@dataclasses.dataclass
class Request:
    method: str
    target: str
    head: bytes
    headers: dict
    body: bytes = b""
    fault: typing.Optional[str] = None

    @property
    def path(self):
        return urllib.parse.unquote(self.target.split("?")[0])

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@dataclasses.dataclass
class Rule:
    fault: str
    match: typing.Callable
    times: int
    details: dict


def matcher(match):
    if match is None:
        return lambda request: True
    if callable(match):
        return match
    return lambda request: request.method == match


class FaultProxy:
    def __init__(self, server_port, tls=None):
        """`tls`: (certificate file, key file); the client then speaks https."""
        self.server_port = server_port
        self.port = free_port()
        self.tls = None
        if tls is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.lock = threading.Lock()
        self.rules = []
        self.requests = []
        self.connections = 0
        self.links = set()
        self.chaos_random = None
        self.chaos_rate = 0.0

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            links = list(self.links)
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    # -- what a test says and asks

    def add(self, fault, match=None, times=1, **details):
        assert fault in FAULTS, fault
        with self.lock:
            self.rules.append(Rule(fault, matcher(match), times, details))

    def clear(self):
        """Forgets rules and requests."""
        with self.lock:
            self.rules.clear()
            self.requests.clear()
            self.connections = 0
            self.chaos_random = None

    def chaos(self, seed, rate):
        """From now on each request meets a fault that passes, by chance. None that leaves its outcome unknown."""
        with self.lock:
            self.chaos_random = random.Random(seed)
            self.chaos_rate = rate

    def count(self, match=None):
        wanted = matcher(match)
        with self.lock:
            return sum(1 for request in self.requests if wanted(request))

    def last(self, match=None):
        wanted = matcher(match)
        with self.lock:
            return [request for request in self.requests if wanted(request)][-1]

    # -- the work

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        with contextlib.suppress(OSError, EOFError, ssl.SSLError), contextlib.ExitStack() as closing:
            closing.callback(link.close)
            with self.lock:
                self.connections += 1
            if self.tls is not None:
                link = self.tls.wrap_socket(link, server_side=True)
                closing.callback(link.close)
            server = closing.enter_context(socket.create_connection(("127.0.0.1", self.server_port)))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.links |= {link, server}
            closing.callback(lambda: self.links.difference_update({link, server}))
            source, answers = link.makefile("rb"), server.makefile("rb")
            while self.exchange(link, source, server, answers):
                pass

    def exchange(self, link, source, server, answers):
        """One request and its answer; False when the connection is at its end."""
        request = read_request(source)
        if request is None:
            return False
        rule = self.choose(request)
        length = int(request.headers.get("content-length", 0))
        fault = request.fault
        if fault == "reset":
            return reset(link)
        if fault == "cut_upload":
            read_exactly(source, length // 2)
            return reset(link)
        request.body = read_exactly(source, length)
        if fault == "stall":
            return wait_for_end(link)
        if fault == "answer":
            link.sendall(own_answer(request, rule.details))
            return True
        if fault == "handle":
            status, headers, body = rule.details["handler"](request)
            link.sendall(own_answer(request, {"status": status, "headers": headers, "body": body}))
            return True
        head, body = request.head, request.body
        if fault == "corrupt_upload" and body:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1:]
        server.sendall(head)
        server.sendall(body)
        head, body = read_answer(answers, request.method)
        return self.give_back(link, request, fault, head, body)

    def give_back(self, link, request, fault, head, body):
        if fault == "lose_answer":
            return reset(link)
        if fault == "change_etag":
            head = re.sub(rb'(?im)^(etag:\s*"?)([0-9a-f]{4})', rb"\g<1>0bad", head)
        if fault in ("cut_body", "stall_body"):
            link.sendall(head + body[:len(body) // 2])
            return reset(link) if fault == "cut_body" else wait_for_end(link)
        link.sendall(head)
        link.sendall(body)
        return True

    def choose(self, request):
        with self.lock:
            self.requests.append(request)
            for rule in self.rules:
                if rule.times > 0 and rule.match(request):
                    rule.times -= 1
                    request.fault = rule.fault
                    return rule
            if self.chaos_random is not None and self.chaos_random.random() < self.chaos_rate:
                reads = request.method == "GET"
                request.fault = self.chaos_random.choice(["reset", "answer", "cut_body" if reads else "cut_upload"])
                return Rule("answer", None, 1, {"status": self.chaos_random.choice([500, 503])})
        return None


def reset(link):
    """Closes so that the other side sees ECONNRESET, not an orderly end."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw = socket.socket(fileno=link.detach())  # past TLS, which would say goodbye
    raw.close()
    return False


def wait_for_end(link):
    with contextlib.suppress(OSError):
        while link.recv(1 << 16):
            pass
    return False


def read_exactly(source, count):
    data = source.read(count)
    if len(data) < count:
        raise EOFError
    return data


def read_head(source):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = source.readline(1 << 16)
        if not line:
            return None
        head += line
    headers = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return head, headers


def read_request(source):
    got = read_head(source)
    if got is None:
        return None
    head, headers = got
    method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
    return Request(method, target, head, headers)


def read_answer(source, method):
    while True:
        got = read_head(source)
        if got is None:
            raise EOFError
        head, headers = got
        status = int(head.split(b" ", 2)[1])
        if status != 100:
            break
    if method == "HEAD" or status in (204, 304):
        return head, b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            line = source.readline()
            size = int(line.split(b";")[0], 16)
            body += line + read_exactly(source, size + 2)
            if size == 0:
                return head, body
    return head, read_exactly(source, int(headers.get("content-length", 0)))


def own_answer(request, details):
    status = details.get("status", 500)
    code = details.get("code", {500: "InternalError", 503: "SlowDown", 403: "AccessDenied", 501: "NotImplemented"}.get(status, ""))
    message = details.get("message", "said the proxy")
    body = details.get("body", f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>").encode()
    head = f"HTTP/1.1 {status} Fault\r\nContent-Length: {len(body)}\r\nContent-Type: application/xml\r\n"
    for name, value in details.get("headers", {}).items():
        head += f"{name}: {value}\r\n"
    return head.encode() + b"\r\n" + (b"" if request.method == "HEAD" else body)
