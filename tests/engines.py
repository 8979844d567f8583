"""A real Spark Connect server, for `make test-engines` (the contract of sources) and `make bench-engines`.

Of two environments one holds what users install (the extra `spark`), the other the whole of Spark, which needs a Java
runtime.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.data.connections import Connection

UV = [sys.executable, "-m", "uv"]
HOME = PROJECT / ".shadow" / "engines"
SETTINGS = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "WARN",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}
ADDRESS = os.environ.get("TEST_SPARK_CONNECT", "")  # localhost:PORT, where a token needs no TLS
TOKEN = "neverToBeSeenInAnyText"
WORK = {
    "test": ["pytest", "-q", "tests/integration/engines"],
    "bench": ["tests.bench", "large_log"],
}
PATIENCE = 180  # seconds until the server answers


@contextmanager
def spark_session() -> Iterator[Any]:
    """Yield a session on the server that was started."""
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(f"sc://{ADDRESS}/;token={TOKEN}").create()
    try:
        yield session
    finally:
        session.stop()


def connection(conn_id: str) -> Connection:
    """Return the connection to that server which a deployment names."""
    host, _, port = ADDRESS.partition(":")
    return Connection(conn_id, host, int(port), "tester", TOKEN)


def install(name: str, *requirements: str) -> Path:
    """Return the interpreter of an environment with these packages."""
    folder = HOME / name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([*UV, "pip", "install", "--quiet", "--python", python, *requirements], check=True)
    return python


@contextmanager
def server(python: Path) -> Iterator[str]:
    """Start a Spark Connect server on loopback; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spark = next(python.parents[1].glob("lib/python*/site-packages/pyspark"))
    settings = SETTINGS | {
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(HOME / "warehouse"),
    }
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    main = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", "local[2]"]
    variables = {"SPARK_HOME": str(spark), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONNECT_AUTHENTICATE_TOKEN": TOKEN}
    with (HOME / "server.log").open("w") as log:
        process = subprocess.Popen(
            [spark / "bin" / "spark-submit", *main, *options, "spark-internal"],
            cwd=HOME, env=os.environ | variables, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(port, process)
            yield f"localhost:{port}"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(120)


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers; exit with the end of its log where it does not."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    sys.exit(f"engines: the server does not answer:\n{(HOME / 'server.log').read_text()[-3000:]}")


def main() -> None:
    """Make the environments, start the server, run the tests or the bench; exit as they do."""
    what, *arguments = sys.argv[1:]
    if shutil.which("java") is None:
        sys.exit("engines: Spark needs a Java runtime, such as Debian's openjdk-17-jre-headless")
    HOME.mkdir(parents=True, exist_ok=True)
    lock = ["--requirements", str(PROJECT / "requirements.txt")]
    client = install("client", *lock)
    install("client", *lock, "--no-build-isolation", "--editable", f"{PROJECT}[spark]")
    ask = "import importlib.metadata as m; print(m.version('pyspark-client'))"
    found = subprocess.run([client, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    spark = install("spark", f"pyspark=={found}")
    print(f"engines: Spark {found}", flush=True)
    with server(spark) as address:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        variables = kept | {"TEST_SPARK_CONNECT": address}
        work = [client, "-m", *WORK[what], *arguments]
        code = subprocess.run(work, cwd=PROJECT, env=variables, check=False).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
