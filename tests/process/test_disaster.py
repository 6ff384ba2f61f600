"""The story of examples/disaster.sh, told with a real S3 server: nothing missing, nothing extra, at three moments."""

import os
import subprocess

import s3_server
from tidemark_process import ROOT, free_port, server_binary


def test_the_disaster_of_the_examples_with_s3():
    with s3_server.S3Server() as s3:
        environment = dict(os.environ, TIDEMARK_SERVER=str(server_binary()),
                           TIDEMARK_CLI=str(server_binary().parent / "tidemark"), PORT=str(free_port()))
        story = subprocess.run([ROOT / "examples" / "disaster.sh", s3.uri("disaster")], env=environment,
                               capture_output=True, text=True, timeout=300)
        print(story.stdout[-3000:], story.stderr[-3000:])
        assert story.returncode == 0, story.returncode
        assert "nothing missing, nothing extra" in story.stdout
