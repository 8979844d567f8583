"""A synthetic production for tests: a champion's prediction log, labels that come late or never, and a deployment.

Everything is drawn from one seed, so that each run of the tests sees the same requests.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import yaml
from psycopg import sql

from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, connect
from shadow_deployment.ledger import predictions
from shadow_deployment.metrics.catalog import QUIET
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.trials import open_trials

OWNER, READER, SHADOW, WRITER = "production_owner", "production_reader", "shadow_owner", "shadow_writer"
FIRST = dt.date(2024, 3, 1)
TRAINED_UNTIL = FIRST - dt.timedelta(days=30)
DAYS = 8
MATURITY = 3

TABLES = """
CREATE SCHEMA flights;
CREATE TABLE flights.prediction_log (
    request_id text PRIMARY KEY, predicted_at timestamptz NOT NULL, dep_hour float8, distance float8, origin text,
    carrier text, champion_probability float8, other_probability float8, model_version text, latency_ms float8
);
CREATE TABLE flights.outcome (request_id text, is_late int, known_at timestamptz);
"""


def day(number: int) -> dt.date:
    """Return the day of this number; 0 is the first."""
    return FIRST + dt.timedelta(days=number)


def moment(number: float) -> dt.datetime:
    """Return a moment so many days after the first midnight, in UTC."""
    return dt.datetime.combine(FIRST, dt.time(), dt.UTC) + dt.timedelta(days=number)


def synthetic(days: int = DAYS, per_day: int = 60, seed: int = 20240301) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return requests and labels: late labels, labels after maturity, requests without one, and missing answers."""
    random = np.random.default_rng(seed)
    rows = days * per_day
    number = np.repeat(np.arange(days), per_day)
    late = random.random(rows)  # the chance that the flight is late
    hours = np.where(
        (kind := random.random(rows)) < 0.75, 5.0, np.where(kind < 0.9, 30.0, np.where(kind < 0.95, 54.0, 240.0))
    )
    predicted_at = [moment(float(at)) for at in number + random.random(rows)]
    log = pd.DataFrame(
        {
            "request_id": [f"f{index:04d}" for index in range(rows)],
            "predicted_at": predicted_at,
            "dep_hour": random.integers(5, 23, rows).astype(float),
            "distance": random.integers(100, 2500, rows).astype(float),
            "origin": random.choice(["EWR", "JFK", "LGA"], rows, p=[0.6, 0.3, 0.1]),
            "carrier": random.choice(["AA", "UA"], rows).astype(object),
            "champion_probability": np.clip(late + random.normal(0, 0.25, rows), 0.01, 0.99),
            "other_probability": np.clip(late + random.normal(0, 0.15, rows), 0.01, 0.99),
            "model_version": "7",
            "latency_ms": random.exponential(4, rows),
        }
    )
    log.loc[random.random(rows) < 0.05, "carrier"] = None
    log.loc[random.random(rows) < 0.02, "champion_probability"] = np.nan
    log.loc[random.random(rows) < 0.03, "other_probability"] = np.nan
    known_at = [at + dt.timedelta(hours=float(wait)) for at, wait in zip(predicted_at, hours, strict=True)]
    outcome = pd.DataFrame(
        {"request_id": log["request_id"], "is_late": (random.random(rows) < late).astype(int), "known_at": known_at}
    )
    return log, outcome[random.random(rows) >= 0.06]  # the others were cancelled


def write(session: "psycopg.Connection[Any]", log: pd.DataFrame, outcome: pd.DataFrame) -> None:
    """Append requests and labels to the tables of production; NaN becomes null."""
    for name, frame in (("prediction_log", log), ("outcome", outcome)):
        columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier("flights", name), columns)
        with session.cursor() as cursor, cursor.copy(statement) as stream:
            for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
                stream.write_row(row)


def linear_model(path: Path, weights: Mapping[str, float], *, beside: str | None = None) -> Path:
    """Write an ONNX model with one float input of shape (n, 1) for each name: the logistic of their weighted sum.

    `beside` names the file that is to hold the weights instead.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    path.parent.mkdir(parents=True, exist_ok=True)
    shape = [None, 1]
    nodes, terms = [], []
    for name in weights:
        nodes.append(helper.make_node("Mul", [name, f"weight_{name}"], [f"term_{name}"]))
        terms.append(f"term_{name}")
    nodes += [helper.make_node("Sum", terms, ["total"]), helper.make_node("Sigmoid", ["total"], ["probability"])]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in weights],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array([each], np.float32), f"weight_{name}") for name, each in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    if beside is None:
        save(model, path)
    else:
        path.with_name(beside).unlink(missing_ok=True)
        save(model, path, save_as_external_data=True, location=beside, size_threshold=0)
    return path


@contextmanager
def unguarded(session: Session[Any], table: str) -> Iterator[None]:
    """Let the block change rows that are append-only, as only the ledger's owner can."""
    session.execute(f"ALTER TABLE shadow.{table} DISABLE TRIGGER USER")
    yield
    session.execute(f"ALTER TABLE shadow.{table} ENABLE TRIGGER USER")


@dataclass(frozen=True)
class World:
    """One production, one ledger, and a folder with deployment files and snapshots."""

    postgres: EmbeddedPostgres
    production: str
    ledger: str
    folder: Path
    owns_production: bool

    @property
    def snapshots(self) -> Path:
        return self.folder / "snapshots"

    @property
    def deployments(self) -> Path:
        return self.folder / "deployments"

    def variables(self) -> dict[str, str]:
        """Return what declares this world to the command line."""
        return {
            "AIRFLOW_CONN_PRODUCTION_DB": self.postgres.uri(self.production, READER),
            "AIRFLOW_CONN_SHADOW_DB": self.postgres.uri(self.ledger, WRITER),
            "AIRFLOW_CONN_SHADOW_OWNER": self.postgres.uri(self.ledger, SHADOW),
            "SHADOW_DEPLOYMENTS": str(self.deployments),
        }

    def deploy(self, **changes: Any) -> Deployment:
        """Write the deployment file `late`, with these keys changed (a mapping is merged), and read it."""
        content = self._content()
        for key, value in changes.items():
            content[key] = {**content[key], **value} if isinstance(content.get(key), dict) else value
        content = {key: value for key, value in content.items() if value is not None}
        _let_all_days_count(content)
        self.deployments.mkdir(parents=True, exist_ok=True)
        path = self.deployments / "late.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return load_deployment(path)

    def shadow(self, **changes: Any) -> DeploymentContext:
        """Deploy, and return it with this world's connections."""
        return DeploymentContext(self.deploy(**changes), self.connection)

    def register_before_the_first_day(self, deployment: Deployment) -> None:
        """Open what trials a deployment has not had, as if that had been before its first day: nothing was seen then.

        A test that judges days by several policies would otherwise do what the trials are there to prevent.
        """
        versions = self.query(
            "SELECT DISTINCT version FROM shadow.snapshot AS s JOIN shadow.deployment AS d ON d.id = s.deployment_id "
            "CROSS JOIN unnest(s.champion_versions) AS version WHERE d.name = %s",
            [deployment.name],
        )
        with connect(self.connection("shadow_owner")) as session:
            keys = {
                each.name: predictions.challenger_id(session, deployment, each, model_digest(each))
                for each in deployment.challengers
            }
            for (version,) in versions:
                ((before,),) = session.execute("SELECT coalesce(max(id), 0) FROM shadow.trial").fetchall()
                open_trials(session, deployment, keys, version)
                with unguarded(session, "trial"):  # more than a year apart: no batch takes another one's place
                    session.execute(
                        "UPDATE shadow.trial SET opened_at = %s::timestamptz + interval '400 days' * coalesce(batch, 0)"
                        " WHERE id > %s",
                        [dt.datetime(1980, 1, 1, tzinfo=dt.UTC), before],
                    )

    def connection(self, conn_id: str) -> Connection:
        """Return the engine's own description of one of this world's two connections."""
        database, role = {
            "production_db": (self.production, READER),
            "shadow_db": (self.ledger, WRITER),
            "shadow_owner": (self.ledger, SHADOW),
        }[conn_id]
        found = self.postgres.conninfo(database, role)
        return Connection(conn_id, found.host, found.port, found.user, found.password, found.dbname)

    def change_production(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Execute a statement in production as its owner."""
        assert self.owns_production, "other tests read this production: take the fixture world, or worlds(own=True)"
        with psycopg.connect(self.postgres.uri(self.production, OWNER)) as session:
            session.execute(statement, values)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows of the ledger."""
        with psycopg.connect(self.postgres.uri(self.ledger, SHADOW)) as session:
            return session.execute(statement, values).fetchall()

    def dump(self, *but: str) -> dict[str, list[str]]:
        """Return every row of every table of the ledger as text, times included; `but` names tables to leave out."""
        with psycopg.connect(self.postgres.uri(self.ledger, SHADOW)) as session:
            names = session.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'shadow'::regnamespace AND relkind IN ('r', 'p') "
                "AND NOT relispartition ORDER BY 1"
            ).fetchall()
            return {name: _rows(session, name) for (name,) in names if name not in but}

    def evidence(self) -> pd.DataFrame:
        """Return the evidence by names, without keys and times, in a fixed order."""
        return self._frame(
            "SELECT e.day, m.name AS challenger, m.digest, e.champion_version, e.slice_column, e.slice_value, "
            "e.metric, e.requests, e.labelled, e.unanswered, e.champion_missing, e.pairs, e.identical, e.weight, "
            "e.weight_squares, e.champion_sum, e.champion_squares, e.challenger_sum, e.challenger_squares, "
            "e.difference_sum, e.difference_squares, e.difference_sum_weighted, e.difference_squares_weighted, "
            "e.unlabelled_weight, e.unlabelled_least, e.unlabelled_most "
            "FROM shadow.evidence AS e "
            "JOIN shadow.model_version AS m ON m.id = e.challenger_id WHERE e.metric <> ALL(%s) "
            "ORDER BY 1, 2, 3, 4, 5, 6, 7",
            [sorted(QUIET)],
        )

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what the ledger says, by names instead of keys and without the times of writing."""
        return {
            name: self.query(statement)
            for name, statement in {
                "evidence": "SELECT m.name, m.digest, "
                "to_jsonb(e) - '{deployment_id,snapshot_id,challenger_id,computed_at}'::text[] "
                "FROM shadow.evidence AS e JOIN shadow.model_version AS m ON m.id = e.challenger_id ORDER BY 1, 2, 3",
                **{
                    name: f"SELECT m.name, m.digest, s.day, to_jsonb(t) - '{{challenger_id,snapshot_id}}'::text[] "
                    f"FROM shadow.{name} AS t JOIN shadow.model_version AS m ON m.id = t.challenger_id "
                    "JOIN shadow.snapshot AS s ON s.id = t.snapshot_id ORDER BY 1, 2, 3, 4"
                    for name in ("score_bin", "quadrant", "disagreement")
                },
                "request": "SELECT day, ordinal, request_id, requested_at, inclusion_probability, champion, "
                "champion_version, champion_latency_ms, c.slices FROM shadow.request "
                "JOIN shadow.cell AS c USING (snapshot_id, cell) ORDER BY 1, 2",
                "prediction": "SELECT day, m.name, m.digest, ordinal, value, error FROM shadow.prediction "
                "JOIN shadow.model_version AS m ON m.id = challenger_id ORDER BY 1, 2, 3, 4",
                "scoring": "SELECT s.day, m.name, shard, first_ordinal, o.rows, errors FROM shadow.scoring AS o "
                "JOIN shadow.snapshot AS s ON s.id = snapshot_id "
                "JOIN shadow.model_version AS m ON m.id = challenger_id ORDER BY 1, 2, 3",
                "label": "SELECT day, ordinal, value, known_at, conflict FROM shadow.label ORDER BY 1, 2",
                "snapshot": "SELECT day, population, rows, shards, digest, champion_versions, labels_until, labelled, "
                "contradicted, invalid, early FROM shadow.labelled_snapshot ORDER BY 1",
                "validation": "SELECT s.day, m.name, success, suite, evaluated, failures FROM shadow.newest_validation "
                "JOIN shadow.snapshot AS s ON s.id = snapshot_id "
                "LEFT JOIN shadow.model_version AS m ON m.id = challenger_id ORDER BY 1, 2",
            }.items()
        }

    def verdicts(self) -> list[tuple[Any, ...]]:
        """Return every revision of every verdict, by names and without times."""
        return self.query(
            "SELECT day, m.name, revision, outcome, champion_version, reasons, findings FROM shadow.verdict "
            "JOIN shadow.model_version AS m ON m.id = challenger_id ORDER BY 1, 2, 3"
        )

    def _frame(self, statement: str, values: Sequence[Any] = ()) -> pd.DataFrame:
        with psycopg.connect(self.postgres.uri(self.ledger, SHADOW)) as session:
            cursor = session.execute(statement, values)
            return pd.DataFrame(cursor.fetchall(), columns=[one.name for one in cursor.description or ()])

    def _content(self) -> dict[str, Any]:
        return {
            "name": "late",
            "start": FIRST,
            "task": "binary",
            "requests": {
                "conn_id": "production_db",
                "table": "flights.prediction_log",
                "id": "request_id",
                "time": "predicted_at",
                "features": ["dep_hour", "distance"],
                "prediction": "champion_probability",
                "version": "model_version",
                "latency": "latency_ms",
            },
            "labels": {
                "conn_id": "production_db",
                "table": "flights.outcome",
                "id": "request_id",
                "value": "is_late",
                "time": "known_at",
                "maturity_days": MATURITY,
            },
            "store": {"conn_id": "shadow_db", "owner_conn_id": "shadow_owner", "snapshots": self.snapshots.as_uri()},
            "sample": {"rate": 1.0, "shard_rows": 25},
            "slices": ["origin", "carrier"],
            "challengers": [
                {"name": "other", "model": "logged:flights.prediction_log.other_probability"},
                {"name": "a_a_check", "model": "champion"},
            ],
            "policy": {
                "burn_in": 2,
                "rules": [
                    {"metric": "brier_score", "is": "superior"},
                    {"metric": "log_loss", "is": "non_inferior", "margin": 0.05, "slices": ["origin"]},
                    {"metric": "error_rate", "is": "at_most", "value": 0.5},
                    {"metric": "agreement", "is": "at_least", "value": 0.5, "role": "advisory"},
                ],
            },
        }


def _let_all_days_count(content: dict[str, Any]) -> None:
    """Let all days of this production count: they are past, and some requests lack a prediction of either model."""
    policy, challengers = content.get("policy"), content.get("challengers")
    if not isinstance(policy, dict) or "replay" in policy or not isinstance(challengers, list):
        return
    content["policy"] = {"max_unanswered": 1.0, "max_champion_missing": 1.0, **policy, "replay": "count"}
    content["challengers"] = [
        {"trained_until": TRAINED_UNTIL, **each} if isinstance(each, dict) and not _has_no_date(each) else each
        for each in challengers
    ]


def _has_no_date(challenger: dict[str, Any]) -> bool:
    model = str(challenger.get("model"))
    return model == "champion" or model.endswith("/latest")


def findings(verdict: Mapping[str, Any], metric: str) -> Iterable[Mapping[str, Any]]:
    """Return the findings of one metric."""
    return [one for one in verdict["findings"] if one["metric"] == metric]


def _rows(session: "psycopg.Connection[Any]", name: str) -> list[str]:
    statement = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier("shadow", name))
    return [str(row) for (row,) in session.execute(statement)]
