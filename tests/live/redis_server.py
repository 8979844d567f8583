"""A real Redis for tests, on loopback and a free port, with a password, as docker-compose.yaml runs it."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REDIS = shutil.which("redis-server")
PASSWORD = "only-of-the-tests"
NEEDED = pytest.mark.skipif(REDIS is None, reason="there is no redis-server on this machine")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis that keeps nothing; yield its address, with the password, which stands on no command line."""
    port = free_port()
    log = folder / "redis.log"
    settings = ["bind 127.0.0.1", f"port {port}", f"requirepass {PASSWORD}", "save ''", f"dir {folder}"]
    with log.open("wb") as output:
        process = subprocess.Popen([str(REDIS), "-"], stdin=subprocess.PIPE, stdout=output, stderr=output)
    try:
        assert process.stdin is not None
        process.stdin.write("\n".join(settings).encode())
        process.stdin.close()
        end = time.monotonic() + 120
        while "Ready to accept connections" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, "Redis does not start"
            time.sleep(0.02)
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=120)
