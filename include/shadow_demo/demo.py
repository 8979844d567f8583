"""The demo: ten weeks of days on the command line's path, then three days under Airflow's scheduler.

It ends with a question in Airflow: shall the challenger that passes be champion?
"""

import contextlib
import datetime as dt
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from rich.console import Console

from shadow_demo.airflow import USER, LocalAirflow
from shadow_demo.home import DEPLOYMENT, Home
from shadow_deployment.config.discovery import find_deployment
from shadow_deployment.config.window import days_between
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.ledger import verdicts
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.report import text

FIRST, LAST = dt.date(2013, 3, 1), dt.date(2013, 5, 9)
SCHEDULED = [dt.date(2013, 5, 10), dt.date(2013, 5, 11), dt.date(2013, 5, 12)]  # the bug is found out on the second
DAG_ID = f"shadow_{DEPLOYMENT}"
PROMOTION_ID = f"{DAG_ID}_promotion"
DAY_SECONDS, APPROVAL_SECONDS = 600, 120
EXPECTED = {"gradient_boosting": "PASS", "gradient_boosting_percent": "FAIL", "a_a_check": "INCONCLUSIVE"}


def run(home: Home, console: Console) -> int:
    """Run the whole demo; return the exit code: 0 only if all three verdicts came out."""
    with _timed(console, "PostgreSQL with the databases airflow, production and shadow"):
        home.start_databases()
    airflow = LocalAirflow(home, follows=True)
    try:
        with _timed(console, "models trained, the 336,776 flights of 2013 loaded as production"):
            home.load_production()
            home.migrate()
        context = DeploymentContext(find_deployment(DEPLOYMENT), environment)
        _run_missing(context, console)
        with _timed(console, "Airflow: api-server, scheduler, triggerer, dag-processor"):
            airflow.start()
        _run_scheduled(airflow, console)
        outcomes = _show(context, console)
        approval = _approval_request(airflow)
        line = f"{approval[0]}: [bold]{approval[1]}[/]" if approval else "[bold red]no approval is requested[/]"
        console.print(line, soft_wrap=True)
        _offer(airflow, console)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    finally:
        with _timed(console, "everything stopped; make up starts Airflow again"):
            airflow.stop()
            home.postgres.stop()
    if outcomes != EXPECTED:
        console.print(f"[bold red]the verdicts should be {EXPECTED}[/]")
    return 0 if approval and outcomes == EXPECTED else 1


def up(home: Home, console: Console) -> int:
    """Start Airflow on the demo's data and leave it running."""
    with _timed(console, "PostgreSQL, models, production"):
        home.start_databases()
        home.load_production()
        home.migrate()
    airflow = LocalAirflow(home, follows=True)
    with _timed(console, "Airflow: api-server, scheduler, triggerer, dag-processor"):
        airflow.start()
    console.print(_login(airflow))
    return 0


def down(home: Home, console: Console) -> int:
    """Stop whatever runs for this home."""
    stopped = LocalAirflow(home).stop()
    running = home.postgres.is_running()
    home.postgres.stop()
    console.print("stopped" if stopped or running else "nothing was running")
    return 0


def _run_missing(context: DeploymentContext, console: Console) -> None:
    """Run those of the first days that have no verdict of every challenger yet."""
    with context.ledger() as session:
        done = verdicts.judged_days(session, challenger_keys(context, session).values())
    missing = [day for day in days_between(context.deployment, FIRST, LAST) if day not in done]
    if not missing:
        console.print(f"[green]✓[/] {FIRST} to {LAST} were shadowed before")
        return
    console.print(f"  shadow run {DEPLOYMENT} --from {missing[0]} --to {missing[-1]}")
    problems = run_days(context, missing, console)
    for problem in problems:
        console.print(f"[bold red]error[/] {problem}", markup=False)
    console.print(f"[green]✓[/] {len(missing)} days shadowed on the command line")


def _run_scheduled(airflow: LocalAirflow, console: Console) -> None:
    for dag_id in (DAG_ID, PROMOTION_ID):
        airflow.wait_for_dag(dag_id)
    airflow.call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})
    for day in SCHEDULED:
        if day == SCHEDULED[-1]:  # approval is requested on the newest verdict
            airflow.call("PATCH", f"/dags/{PROMOTION_ID}", json={"is_paused": False})
        with _timed(console, f"{DAG_ID} for {day} under the scheduler"):
            state = _wait_for_run(airflow, _ensure_run(airflow, day))
        console.print(f"  run {state}{': a challenger fails for the first time' if state == 'failed' else ''}")


def _ensure_run(airflow: LocalAirflow, day: dt.date) -> str:
    """Return the id of the day's run, triggering it if there is none."""
    run_id = f"demo__{day}"
    runs = airflow.call("GET", f"/dags/{DAG_ID}/dagRuns", params={"limit": 100})["dag_runs"]
    if run_id not in {run["dag_run_id"] for run in runs}:
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {"day": str(day)}}
        airflow.call("POST", f"/dags/{DAG_ID}/dagRuns", json=body)
    return run_id


def _wait_for_run(airflow: LocalAirflow, run_id: str) -> str:
    end = time.monotonic() + DAY_SECONDS
    while time.monotonic() < end:
        state = str(airflow.call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")["state"])
        if state in ("success", "failed"):
            return state
        time.sleep(1)
    return "not finished"


def _show(context: DeploymentContext, console: Console) -> dict[str, Any]:
    with context.ledger() as session:
        verdicts = text.verdicts(session, context.deployment, SCHEDULED[-1])
    console.print()
    console.print(text.text(verdicts), crop=False)
    fresh = [verdict for verdict in verdicts["challengers"] if verdict["day"] == str(SCHEDULED[-1])]
    return {verdict["name"]: verdict["outcome"] for verdict in fresh}


def _approval_request(airflow: LocalAirflow) -> tuple[str, str] | None:
    """Wait for the approval request; return its state in words and its page."""
    end = time.monotonic() + APPROVAL_SECONDS
    while time.monotonic() < end:
        for run in airflow.call("GET", f"/dags/{PROMOTION_ID}/dagRuns")["dag_runs"]:
            path = f"/dags/{PROMOTION_ID}/dagRuns/{run['dag_run_id']}/taskInstances/approve"
            page = f"{airflow.url}/dags/{PROMOTION_ID}/runs/{quote(run['dag_run_id'])}/tasks/approve/required_actions"
            state = airflow.call("GET", path)["state"]
            if state == "awaiting_input":
                return "Its promotion waits for an answer", page
            if state == "success":
                return "Its promotion was answered", page
        time.sleep(1)
    return None


def _offer(airflow: LocalAirflow, console: Console) -> None:
    """At a terminal, leave the UI up until Ctrl-C."""
    if not sys.stdin.isatty():
        return
    console.print(_login(airflow))
    console.print("Ctrl-C stops everything.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _login(airflow: LocalAirflow) -> str:
    page = f"{airflow.url}/dags/{DAG_ID}"
    return f"Airflow is at [bold]{page}[/], user [bold]{USER}[/], password [bold]{airflow.password}[/]"


@contextmanager
def _timed(console: Console, what: str) -> Iterator[None]:
    """Say what is going on, and how long it took."""
    began = time.monotonic()
    with console.status(what):
        yield
    console.print(f"[green]✓[/] {what} [dim]({time.monotonic() - began:.0f} s)[/]")
