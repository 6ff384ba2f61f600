"""A client generated from TiKV's contract forces a flush over gRPC, and a stranger gets nothing; HTTP does the same."""

import base64
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import grpc

from tidemark_process import Node, free_port

HERE = pathlib.Path(__file__).resolve().parent


def tikv_client():
    """The modules that protoc makes of the test's own contract."""
    folder = tempfile.mkdtemp(prefix="tidemark-proto-")
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE / 'logbackuppb'}", f"--python_out={folder}",
         f"--grpc_python_out={folder}", "logbackuppb.proto"], check=True)
    sys.path.insert(0, folder)
    import logbackuppb_pb2
    import logbackuppb_pb2_grpc
    return logbackuppb_pb2, logbackuppb_pb2_grpc


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def with_ports(**flags):
    rpc, http = free_port(), free_port()
    return Node(rpc_port=rpc, http_port=http, bind="127.0.0.1", **flags), rpc, http


def test_a_client_of_tikv_forces_a_flush():
    messages, services = tikv_client()
    with tempfile.TemporaryDirectory() as archive:
        node, rpc, _ = with_ports()
        with node:
            client = node.client()
            channel = grpc.insecure_channel(f"127.0.0.1:{rpc}")
            stub = services.LogBackupStub(channel)
            assert not stub.FlushNow(messages.FlushNowRequest(), timeout=20).results, "no task, no results"
            client.execute_command("LOGBACKUP", "START", "TASK", "t", "STORAGE", f"local://{archive}/a")
            before = int(time.time() * 1000)
            client.set("k", "v")
            answer = stub.FlushNow(messages.FlushNowRequest(), timeout=60)
            assert [(r.task_name, r.success, r.error_message) for r in answer.results] == [("t", True, "")], answer
            region = messages.RegionIdentity(id=1)
            checkpoints = stub.GetLastFlushTSOfRegion(
                messages.GetLastFlushTSOfRegionRequest(regions=[region]), timeout=20).checkpoints
            assert checkpoints[0].checkpoint >> 18 >= before, (checkpoints, before)
            events = stub.SubscribeFlushEvent(messages.SubscribeFlushEventRequest(client_id="x"), timeout=60)
            first = next(events).events[0].checkpoint
            assert first >= checkpoints[0].checkpoint
            client.set("k", "w")
            later = next(e.events[0].checkpoint for e in events if e.events[0].checkpoint > first)
            assert later > first
            events.cancel()
            client.execute_command("LOGBACKUP", "PAUSE", "TASK", "t")
            paused = stub.FlushNow(messages.FlushNowRequest(), timeout=20).results[0]
            assert not paused.success and "pause" in paused.error_message, paused


def test_a_stranger_gets_nothing_over_grpc_and_http():
    messages, services = tikv_client()
    node, rpc, http = with_ports(requirepass="s3cret")
    with node:
        stub = services.LogBackupStub(grpc.insecure_channel(f"127.0.0.1:{rpc}"))
        for metadata in (None, [("authorization", basic("default", "wrong"))], [("authorization", "nonsense")]):
            try:
                stub.FlushNow(messages.FlushNowRequest(), timeout=20, metadata=metadata)
                raise AssertionError(f"served {metadata}")
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
        right = [("authorization", basic("default", "s3cret"))]
        assert not stub.FlushNow(messages.FlushNowRequest(), timeout=20, metadata=right).results
        for path in ("/metrics", "/v1/backup/status"):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=20)
                raise AssertionError(f"served {path}")
            except urllib.error.HTTPError as error:
                assert error.code == 401, (path, error.code)


def test_metrics_and_flush_over_http():
    with tempfile.TemporaryDirectory() as archive:
        node, _, http = with_ports()
        with node:
            client = node.client()
            client.execute_command("LOGBACKUP", "START", "TASK", "t", "STORAGE", f"local://{archive}/a")
            client.set("k", "v")
            request = urllib.request.Request(f"http://127.0.0.1:{http}/v1/backup/flush", method="POST",
                                             data=b'{"timeout_ms": 60000}')
            with urllib.request.urlopen(request, timeout=90) as response:
                result = json.load(response)["results"][0]
            assert result["success"] and result["rpo_micros"] == 0, result
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=20) as response:
                page = response.read().decode()
            lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
            assert lines["redis_up"] == "1"
            assert lines['redis_commands_total{cmd="set"}'] == "1", page
            assert lines['tidemark_task_restorable{task="t"}'] == "1"
            assert int(lines['tidemark_task_checkpoint_lsn{task="t"}']) >= result["target_lsn"]
            assert lines['redis_db_keys{db="db0"}'] == "1"


def test_the_grpc_port_stands_beside_the_redis_port_unless_it_is_taken():
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 10000)):
        with Node(port=port, bind="127.0.0.1") as node:
            assert "No gRPC port" in node.log(), node.log()
            assert node.stop() == 0
            node.start(rpc_port=0)
            assert node.log().count("No gRPC port") == 1, node.log()
            assert node.stop() == 0
            node.launch(rpc_port=port + 10000)
            assert node.ended() != 0, "a port that was asked for is not left out"
    with Node(port=port, bind="127.0.0.1"):
        grpc.channel_ready_future(grpc.insecure_channel(f"127.0.0.1:{port + 10000}")).result(timeout=20)
