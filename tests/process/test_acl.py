"""Users: where they are kept, who gets in by which port, and what ends when rights are taken away."""

import base64
import subprocess
import urllib.error
import urllib.request

import redis

from tidemark_process import Node, free_port, wait_until


class ConfiguredNode(Node):
    """A node with a configuration file of its own."""

    def __init__(self, text, **options):
        super().__init__(**options)
        self.file = self.dir / "tidemark.conf"
        self.file.write_text(text)

    def command(self, **more_flags):
        words = super().command(**more_flags)
        return [words[0], str(self.file), *words[1:]]


def refused(client, *words):
    try:
        client.execute_command(*words)
    except redis.RedisError as error:
        return str(error)
    return ""


def start_fails(node):
    ended = subprocess.run(node.command(), capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    return ended.stdout + ended.stderr


def test_users_of_the_configuration_and_its_rewriting():
    text = "# users\nuser alice on >wonder ~a:* +@read +@write\nrequirepass top\n"
    with ConfiguredNode(text) as node:
        admin = node.client(password="top", decode_responses=True)
        alice = node.client(username="alice", password="wonder", decode_responses=True)
        assert alice.set("a:1", "x") and alice.get("a:1") == "x"
        assert "one of the keys" in refused(alice, "GET", "b:1")
        assert "'config|get' command" in refused(alice, "CONFIG", "GET", "port")
        admin.execute_command("ACL", "SETUSER", "bob", "on", "nopass", "allkeys", "+get", "(+set ~b:*)")
        admin.execute_command("ACL", "SETUSER", "alice", "resetkeys", "~z*")
        admin.config_rewrite()
        lines = node.file.read_text().splitlines()
        assert lines[0] == "# users" and "requirepass top" in lines
        assert sum(line.startswith("user alice ") for line in lines) == 1, lines
        before = admin.execute_command("ACL", "LIST")
        node.restart()
        admin = node.client(password="top", decode_responses=True)
        assert admin.execute_command("ACL", "LIST") == before
        bob = node.client(username="bob", password="any")
        assert bob.set("b:1", "x") and bob.get("a:1") == b"x"
        assert "one of the keys" in refused(bob, "SET", "c:1", "x")
        # Written again, nothing changes.
        text = node.file.read_text()
        admin.config_rewrite()
        assert node.file.read_text() == text


def test_the_acl_file_is_loaded_whole_or_not_at_all():
    node = Node()
    path = node.dir / "users.acl"
    path.write_text("user alice on >wonder ~* +get\n")
    node.flags["aclfile"] = str(path)
    with node:
        admin = node.client(decode_responses=True)
        assert admin.execute_command("ACL", "USERS") == ["alice", "default"]
        alice = node.client(username="alice", password="wonder")
        assert alice.get("x") is None
        path.write_text("user alice on >wonder ~* +set\nuser bob on bad\nuser\n")
        assert refused(admin, "ACL", "LOAD").endswith(
            "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
        assert alice.get("x") is None
        path.write_text("user alice on >wonder ~* +set\n")
        assert admin.execute_command("ACL", "LOAD")
        assert "'get' command" in refused(alice, "GET", "x")
        admin.execute_command("ACL", "SETUSER", "carol", "on", ">c", "%R~c:*", "&news", "+@all")
        assert admin.execute_command("ACL", "SAVE")
        before = admin.execute_command("ACL", "LIST")
        node.kill9()
        node.start()
        assert node.client(decode_responses=True).execute_command("ACL", "LIST") == before
        path.unlink()
        assert "No such file or directory" in refused(node.client(), "ACL", "LOAD")


def test_a_mistake_stops_the_start_and_is_named():
    node = ConfiguredNode("user bob on +nothing\n")
    try:
        assert "user bob: +nothing: Unknown command or category name in ACL" in start_fails(node)
        node.file.write_text("user bob on\naclfile /nonexistent/users.acl\n")
        assert "both in an ACL file and by `user` lines" in start_fails(node)
        node.file.write_text("aclfile /nonexistent/users.acl\n")
        assert "opening file '/nonexistent/users.acl'" in start_fails(node)
    finally:
        node.close()


def test_subscribers_are_ended_when_their_channels_are_taken_away():
    with Node() as node:
        admin = node.client()
        admin.execute_command("ACL", "SETUSER", "ear", "on", "nopass", "&news*", "+@all")
        link = node.connect()
        link.sendall(b"AUTH ear x\r\nSUBSCRIBE news1\r\nPSUBSCRIBE news*\r\n")
        wait_until("the subscriptions stand", lambda: admin.pubsub_numpat() == 1)
        admin.execute_command("ACL", "SETUSER", "ear", "&other")
        assert admin.pubsub_numpat() == 1
        admin.execute_command("ACL", "SETUSER", "ear", "resetchannels", "&news1")
        wait_until("the connection is gone", lambda: admin.pubsub_numpat() == 0)
        other = node.client(username="ear", password="x")
        assert other.ping()
        admin.execute_command("ACL", "DELUSER", "ear")
        wait_until("his connections are gone",
                   lambda: "user=ear" not in admin.execute_command("CLIENT", "LIST").__str__())
        assert refused(node.client(username="ear", password="x"), "PING")


def http_status(port, user=None, password=""):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics")
    if user is not None:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_other_ports_and_replicas_know_the_same_users():
    http = free_port()
    users = "user default off\nuser admin on >root ~* &* +@all\nuser repl on >copy +replconf +ping\nuser app on >a ~* +@read\n"
    with ConfiguredNode(users, rpc_port=free_port(), http_port=http) as primary:
        admin = primary.client(username="admin", password="root")
        assert "NOAUTH" in refused(primary.client(), "GET", "x") or "uthentication" in refused(primary.client(), "GET", "x")
        assert http_status(http) in (401, 403)
        assert http_status(http, "app", "a") in (401, 403)
        assert http_status(http, "repl", "wrong") in (401, 403)
        assert http_status(http, "admin", "root") == 200
        admin.set("k", "v")
        with Node(rpc_port=free_port(), replicaof=f"127.0.0.1 {primary.port}", masteruser="repl",
                  masterauth="copy") as replica:
            wait_until("the replica has the key", lambda: replica.client().get("k") == b"v", 60)
