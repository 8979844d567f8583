"""The scheduler of a test's Airflow, killed and started again."""

import contextlib
import json
import os
import signal
from pathlib import Path

from shadow_demo.airflow import LocalAirflow

SOON = {  # when a scheduler sees that the one before it is gone, in seconds; by default after 30, looking every 300
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "1",
}


def kill(airflow: LocalAirflow, *, with_tasks: bool) -> list[int]:
    """Kill the scheduler as a lost machine does, with all that runs below it, or alone; return who is left below it."""
    pid = airflow._remembered()["processes"]["scheduler"]
    below = descendants(pid)
    for one in [pid, *below] if with_tasks else [pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    os.waitpid(pid, 0)
    return [] if with_tasks else below


def start(airflow: LocalAirflow) -> None:
    """Start another one in its place, which soon sees what the one before it has left."""
    remembered = airflow._remembered()
    port = remembered["port"]
    settings = os.environ | airflow.settings(port) | SOON
    remembered["processes"]["scheduler"] = airflow._spawn(settings, "scheduler", airflow._commands(port)["scheduler"])
    airflow._processes.write_text(json.dumps(remembered))


def descendants(pid: int) -> list[int]:
    """Return the processes below one: a task is in a process group of its own, so the group would not name it."""
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found
