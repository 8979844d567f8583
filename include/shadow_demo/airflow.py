"""A real Airflow on one machine: api-server, scheduler, triggerer and dag-processor, on the embedded Postgres.

The scheduler runs the tasks itself (LocalExecutor), or Celery workers that share a Redis do (CeleryExecutor).
Everything listens on loopback. The processes are remembered in a file, so that those of a killed demo are found and
ended by the next one.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from shadow_demo.account import command_line
from shadow_demo.home import METADATA, OWNER_CONNECTION, OWNERS, PRODUCTION, Home
from shadow_demo.production import OWNER_VARIABLE
from shadow_deployment.base.paths import PROJECT

USER = "admin"
SCORING_POOL, SCORING_SLOTS = "shadow_scoring", 2
WORKERS = ("worker-1", "worker-2")
START_SECONDS = 300
BECOMING_SECONDS = 0.5
# Airflow would write all of its defaults there, with this folder's paths, which a copy of the checkout then kept.
CONFIGURATION = "# Airflow is configured by its environment: see shadow_demo/airflow.py.\n"
HOST = "127.0.0.1"
FAVOURITE_PORT = 8080


class AirflowError(Exception):
    """Airflow does not start or does not answer; the message says where its logs are."""


class LocalAirflow:
    """Airflow's processes and its REST API, for one home folder; `users` are names with their roles.

    It takes `port` where that is free, and another one otherwise; 0 leaves it to the system.
    Where it `follows`, there is one DAG more, by which the demo's production serves whom a promotion has made champion.
    With `broker`, the address of a Redis, the Celery workers of WORKERS run the tasks, one at a time each.
    """

    def __init__(
        self,
        home: Home,
        users: Mapping[str, str] | None = None,
        broker: str | None = None,
        *,
        port: int = FAVOURITE_PORT,
        follows: bool = False,
    ) -> None:
        self.home = home
        self.port = port
        self.users = {USER: "admin", **(users or {})}
        self.broker = broker
        self.follows = follows
        self.folder = home.airflow
        self._processes = self.folder / "processes.json"
        self._clients: dict[str, httpx.Client] = {}

    @property
    def url(self) -> str:
        """Where the UI is."""
        return f"http://{HOST}:{self._remembered()['port']}"

    @property
    def password(self) -> str:
        """The password of USER."""
        return self.password_of(USER)

    def password_of(self, user: str) -> str:
        """Return the password of one of the users."""
        return self.home.secret("airflow-password" if user == USER else f"airflow-password-{user}")

    def start(self) -> None:
        """Migrate the metadata, start the processes, and wait until they are healthy."""
        self.stop()
        port = _free_port(self.port)
        settings = self.configure(port)
        self._run(settings, "db", "migrate")
        started: dict[str, int] = {}
        for name, command in self._commands(port).items():
            started[name] = self._spawn(settings, name, command)
            _write(self._processes, {"folder": str(self.folder), "port": port, "processes": started})
        self._wait(port)
        self._make_pool()

    def stop(self) -> bool:
        """End the processes that were started for this home, whoever started them; return whether there were any."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        groups = [pid for pid in self._remembered()["processes"].values() if _is_ours(pid)]
        for how in (signal.SIGTERM, signal.SIGKILL):
            for pid in groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, how)
            if _gone(groups, seconds=20):
                break
        self._processes.unlink(missing_ok=True)
        return bool(groups)

    def configure(self, port: int) -> dict[str, str]:
        """Write what Airflow's home must hold, and return the environment of its processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "airflow.cfg").write_text(CONFIGURATION, encoding="utf-8")
        _write(self.folder / "passwords.json", {user: self.password_of(user) for user in self.users})
        variables = {name: value for name, value in os.environ.items() if name != OWNER_CONNECTION}
        return variables | self.settings(port)

    def settings(self, port: int) -> dict[str, str]:
        """Return Airflow's configuration as environment variables."""
        metadata = self.home.postgres.uri(METADATA, OWNERS[METADATA]).replace("postgresql://", "postgresql+psycopg2://")
        return self.home.connections() | {
            **self._executor(metadata),
            **(self._production() if self.follows else {}),
            "AIRFLOW_HOME": str(self.folder),
            "PYTHONPATH": str(PROJECT / "include"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in self.users.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.folder / "passwords.json"),
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
            "AIRFLOW__API__SECRET_KEY": self.home.secret("airflow-session"),
            "AIRFLOW__API_AUTH__JWT_SECRET": self.home.secret("airflow-jwt"),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.4",  # at 0.1 it takes nearly half a core from tasks
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def call(self, method: str, path: str, *, user: str = USER, **arguments: Any) -> Any:
        """Call Airflow's REST API; raise AirflowError for anything but success."""
        if user not in self._clients:
            answer = httpx.post(
                f"{self.url}/auth/token", json={"username": user, "password": self.password_of(user)}, timeout=30
            )
            token = answer.raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            self._clients[user] = httpx.Client(base_url=f"{self.url}/api/v2", headers=headers, timeout=30)
        response = self._clients[user].request(method, path, **arguments)
        if response.is_error:
            raise AirflowError(f"{method} {path} answers {response.status_code}: {response.text[:500]}")
        return response.json() if response.content else None

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until a DAG was parsed; raise AirflowError with the import errors where it was not."""
        for _ in _until(START_SECONDS):
            with contextlib.suppress(AirflowError):
                self.call("GET", f"/dags/{dag_id}")
                return
        errors = self.call("GET", "/importErrors")["import_errors"]
        text = "\n".join(error["stack_trace"] for error in errors) or "without an import error"
        raise AirflowError(f"{dag_id} was not parsed within {START_SECONDS} seconds: {text}")

    def _make_pool(self) -> None:
        """Make the pool that challengers are scored in: by the API, since `airflow pools` starts all of Airflow."""
        pool = {"name": SCORING_POOL, "slots": SCORING_SLOTS, "description": "challengers being scored"}
        create = {"action": "create", "entities": [pool], "action_on_existence": "overwrite"}
        if errors := self.call("PATCH", "/pools", json={"actions": [create]})["create"]["errors"]:
            raise AirflowError(f"the pool {SCORING_POOL} cannot be made: {errors}")

    def _commands(self, port: int) -> dict[str, list[str]]:
        """Return by name what each process runs: a module and its arguments."""
        worker = ["airflow", "celery", "worker", "--skip-serve-logs", "--celery-hostname"]
        workers = WORKERS if self.broker else ()
        runs_tasks = "airflow" if self.broker else "shadow_demo.airflow_preloaded"
        return {
            "api-server": ["airflow", "api-server", "--host", HOST, "--port", str(port), "--workers", "1"],
            "scheduler": [runs_tasks, "scheduler", "--skip-serve-logs"],
            "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
            "dag-processor": ["airflow", "dag-processor"],
            **{name: [*worker, name] for name in workers},
        }

    def _executor(self, metadata: str) -> dict[str, str]:
        if self.broker is None:
            return {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
        return {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": self.broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
        }

    def _production(self) -> dict[str, str]:
        """Return what the DAG of the demo's production needs: a second folder of DAGs, and the log's owner."""
        kind = "airflow.dag_processing.bundles.local.LocalDagBundle"
        folders = {"dags-folder": {}, "demo": {"path": str(PROJECT / "include" / "shadow_demo" / "dags")}}
        bundles = [{"name": name, "classpath": kind, "kwargs": path} for name, path in folders.items()]
        return {
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            OWNER_VARIABLE: self.home.postgres.uri(PRODUCTION, OWNERS[PRODUCTION]),
        }

    def _wait(self, port: int) -> None:
        for _ in _until(START_SECONDS):
            self._require_alive()
            with contextlib.suppress(httpx.HTTPError, ValueError):
                health = httpx.get(f"http://{HOST}:{port}/api/v2/monitor/health", timeout=5).json()
                parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
                if all(health.get(part, {}).get("status") == "healthy" for part in parts):
                    return
        raise AirflowError(f"Airflow is not healthy after {START_SECONDS} seconds: see {self.folder / 'output'}")

    def _require_alive(self) -> None:
        for name, pid in self._remembered()["processes"].items():
            if not _is_ours(pid):
                raise AirflowError(f"Airflow's {name} ended: see {self.folder / 'output' / name}.log")

    def _run(self, settings: Mapping[str, str], *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command],
            env=settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise AirflowError(f"airflow {' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")

    def _spawn(self, settings: Mapping[str, str], name: str, command: list[str]) -> int:
        log = self.folder / "output" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).pid

    def _remembered(self) -> dict[str, Any]:
        nothing = {"port": FAVOURITE_PORT, "processes": {}}
        try:
            content: dict[str, Any] = json.loads(self._processes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return nothing
        return content if content.get("folder") == str(self.folder) else nothing  # the original's, in a copy


def _write(path: Path, content: object) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
        json.dump(content, file)
    temporary.replace(path)


def _free_port(favourite: int) -> int:
    """Return a port where it is free, else one that is."""
    for port in (favourite, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise AirflowError("no port is free on loopback")


def _is_ours(pid: int) -> bool:
    """Whether a process is still the one that was started: its number may belong to another program by now.

    A Celery worker names itself celeryd once it is up. While a process becomes another program it has no command line
    for a moment, as one that has ended and was not waited for.
    """
    command = command_line(pid)
    for _ in _until(BECOMING_SECONDS, pause=0.01):
        if command or not _exists(pid):
            break
        command = command_line(pid)
    return "airflow" in command or "celeryd" in command


def _exists(pid: int, send: Callable[[int, int], None] = os.kill) -> bool:
    """Whether there is a process, or with `os.killpg` any of its group."""
    try:
        send(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _gone(pids: list[int], seconds: int) -> bool:
    for _ in _until(seconds, pause=0.2):
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if not any(_exists(pid, os.killpg) for pid in pids):
            return True
    return False


def _until(seconds: float, pause: float = 0.5) -> Any:
    """Yield again and again, with pauses, until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(pause)
