"""Names from YAML and values from production are never SQL: a name is that of a column or an error, a value is itself.

The same day is run with plain names and with names that are made to break out of a statement, and must give the same
evidence; values of that kind must arrive in the ledger as they are. In Postgres and in Parquet.
"""

import datetime as dt
import io
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.ports import all_labels
from shadow_deployment.errors import DeploymentError, ShadowError, SourceError
from shadow_deployment.pipeline.run import run_days
from tests.builders import asked
from tests.parquet import by_day, encoded, on_disk
from tests.production import OWNER, World, day, moment, synthetic, write

HOSTILE = {
    "request_id": 'id"; DROP TABLE flights.outcome; --',
    "predicted_at": "at' OR '1'='1",
    "dep_hour": "%s %(start)s %% {} {id}",
    "distance": """:'start' :"table" :columns""",
    "origin": "o\\'; SELECT 1/0; --",
    "carrier": 'c"" /* d',
    "champion_probability": "$1::int $files",
    "other_probability": "p;--",
    "model_version": "E'\\x41 %(since)s'",
    "latency_ms": "l $$ */",
    "is_late": "y) OR (1=%s",
    "known_at": 'k%" IS NULL OR "',
}
ATTEMPTS = [
    *HOSTILE.values(),
    'a"',
    "a'",
    "nul\x00",
    "a\\",
    "(SELECT 1)",
    "1; SELECT pg_sleep(9)",
    "ctid",
    "é\u202e",
    "*",
]
VALUES = [
    "'; DROP TABLE flights.outcome; --",
    '"; DROP SCHEMA shadow CASCADE; --',
    "\\N",
    "\\",
    "\\x41",
    "%s",
    "%(start)s",
    ":'salt'",
    "$1",
    "{a,b}",
    "NULL",
    "a/b\tc\nd",
    "é\u202e<script>",
    "''",
    " ",
]
REQUESTS = {
    "id": "request_id",
    "time": "predicted_at",
    "prediction": "champion_probability",
    "version": "model_version",
}


def into_postgres(world: World, log: pd.DataFrame, outcome: pd.DataFrame, names: dict[str, str]) -> dict[str, Any]:
    """Fill production with these rows, its columns and tables renamed; return where they are."""
    tables = {"prediction_log": 'log"; --', "outcome": "out' ; --"} if names else {}
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.execute("TRUNCATE flights.prediction_log, flights.outcome")
        write(session, log, outcome)
        for table, frame in (("prediction_log", log), ("outcome", outcome)):
            place = sql.Identifier("flights", table)
            for column in frame.columns if names else ():
                session.execute(
                    sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}").format(
                        place, sql.Identifier(column), sql.Identifier(names[column])
                    )
                )
            if names:
                session.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(place, sql.Identifier(tables[table])))
    found = {table: f"flights.{tables.get(table, table)}" for table in ("prediction_log", "outcome")}
    return {"requests": {"table": found["prediction_log"]}, "labels": {"table": found["outcome"]}}


def into_parquet(world: World, log: pd.DataFrame, outcome: pd.DataFrame, names: dict[str, str]) -> dict[str, Any]:
    folder = world.folder / ("it's a %s $1 folder" if names else "plain")
    parts = {}

    def rename(rows: pa.Table) -> pa.Table:
        return rows.rename_columns([names.get(name, name) for name in rows.column_names])

    for table, frame, time in (("log", log, "predicted_at"), ("labels", outcome, "known_at")):
        rows = pa.Table.from_pandas(frame, preserve_index=False)
        for one, content in by_day(rows, time).items():
            on_disk(folder)(f"{table}/{one}.parquet", encoded(rename(content)))
        parts[table] = f"parquet:{folder}/{table}/{{day}}.parquet"
    return {
        "requests": {"conn_id": None, "table": parts["log"]},
        "labels": {"conn_id": None, "table": parts["labels"]},
    }


@pytest.fixture(params=[into_postgres, into_parquet], ids=["postgres", "parquet"])
def put(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    return request.param  # type: ignore[no-any-return]


def shadow_of(world: World, places: dict[str, Any], names: dict[str, str], **changes: Any) -> DeploymentContext:
    """Deploy with these names in every field that ends in SQL."""

    def name(column: str) -> str:
        return names.get(column, column)

    requests = {key: name(column) for key, column in {**REQUESTS, "latency": "latency_ms"}.items()}
    content: dict[str, Any] = {
        "requests": {**requests, "features": [name("dep_hour"), name("distance")], **places["requests"]},
        "labels": {
            "id": name("request_id"),
            "value": name("is_late"),
            "time": name("known_at"),
            **places["labels"],
        },
        "slices": [name("origin"), name("carrier")],
        "sample": {"rate": 0.7, "strata": [name("origin")], "minimum_per_stratum": 1, "salt": "sa'lt:%s\\"},
        "challengers": [
            {"name": "other", "model": f"logged:{name('other_probability')}"},
            {"name": "a_a_check", "model": "champion"},
        ],
        "policy": {"rules": [{"metric": "brier_score", "is": "superior", "slices": [name("origin")]}]},
    }
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return world.shadow(**content)


def run(shadow: DeploymentContext, days: Sequence[dt.date]) -> None:
    """Run whole days; raise the first problem there was."""
    for problem in run_days(shadow, days, Console(file=io.StringIO())):
        raise problem


def evidence(world: World, names: dict[str, str]) -> list[tuple[Any, ...]]:
    """Return what the ledger keeps of the days, with the plain names of columns."""
    plain = {hostile: name for name, hostile in names.items()}
    rows = world.query(
        "SELECT e.day, m.name, slice_column, slice_value, metric, requests, labelled, pairs, champion_sum, "
        "challenger_sum, difference_sum FROM shadow.evidence AS e "
        "JOIN shadow.model_version AS m ON m.id = challenger_id"
    )
    return sorted(((*row[:2], plain.get(row[2], row[2]), *row[3:]) for row in rows), key=repr)


def test_names_that_break_out_of_a_statement_are_names(
    put: Callable[..., dict[str, Any]], worlds: Callable[..., World]
) -> None:
    log, outcome = synthetic(days=2, per_day=40)
    found = []
    for names in ({}, HOSTILE):
        world = worlds(own=put is into_postgres)
        shadow = shadow_of(world, put(world, log, outcome, names), names)
        shadow.check_sources()
        run(shadow, [day(0)])
        assert shadow.request_source.newest_version(None) == "7"
        found.append(evidence(world, names))
    plain, hostile = found
    assert len(plain) > 50
    assert hostile == plain


FIELDS = [
    "requests.table",
    "requests.id",
    "requests.time",
    "requests.features",
    "requests.prediction",
    "requests.version",
    "requests.latency",
    "labels.table",
    "labels.id",
    "labels.value",
    "labels.time",
    "sample.strata",
    "slices",
    "model",
]


def with_field(field: str, name: str) -> dict[str, Any]:
    part, _, key = field.partition(".")
    rules = {"policy": {"rules": [{"metric": "brier_score", "is": "superior"}]}}
    if field == "slices":
        return {"slices": [name], **rules}
    if field == "model":
        return {"challengers": [{"name": "other", "model": f"logged:{name}"}]}
    return {part: {key: [name] if key in ("features", "strata") else name}, **rules}


@pytest.fixture(scope="module")
def shared(worlds: Callable[..., World]) -> World:
    return worlds()


@pytest.mark.parametrize("field", FIELDS)
def test_a_name_that_is_not_there_is_a_clear_error_wherever_it_stands(shared: World, field: str) -> None:
    for attempt in ATTEMPTS:
        name = f"flights.{attempt}" if field.endswith(".table") and "." not in attempt else attempt
        try:
            shadow = shadow_of(shared, {"requests": {}, "labels": {}}, {}, **with_field(field, name))
        except DeploymentError:
            continue  # refused before production is asked
        with pytest.raises(ShadowError) as caught:
            looked_up(shadow, field, name)
        assert isinstance(caught.value, SourceError), (attempt, caught.value)
        assert any(words in str(caught.value) for words in ("must be a", "NUL", "cannot contain")), caught.value


def looked_up(shadow: DeploymentContext, field: str, name: str) -> None:
    from shadow_deployment.config.window import window_of

    window = window_of(shadow.deployment, day(0))
    if field == "model":
        shadow.request_source.logged(name, ["f0000"], window)
    shadow.check_sources()
    all_labels(shadow.label_source, asked({0: "f0000"}), None, window.end)


def hostile_values() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a request for each value in each place, and its label an hour later."""
    rows = [
        (f"{request} {number}", moment(0.3), 1.0, 2.0, origin, VALUES[-number % len(VALUES)], 0.6, 0.7, version, 1.0)
        for number, (request, origin, version) in enumerate(
            (VALUES[number % len(VALUES)], VALUES[(number // 3) % len(VALUES)], "7") for number in range(90)
        )
    ]
    log = pd.DataFrame(rows, columns=list(synthetic(days=1, per_day=1)[0].columns))
    outcome = pd.DataFrame({"request_id": log["request_id"], "is_late": 1, "known_at": moment(0.4)})
    return log, outcome


def test_values_that_break_out_of_a_statement_are_values(
    put: Callable[..., dict[str, Any]], worlds: Callable[..., World]
) -> None:
    log, outcome = hostile_values()
    world = worlds(own=put is into_postgres)
    shadow = shadow_of(world, put(world, log, outcome, {}), {}, sample={"rate": 1.0})
    run(shadow, [day(0)])
    found = world.query(
        "SELECT request_id, c.slices->>'origin', c.slices->>'carrier' FROM shadow.request "
        "JOIN shadow.cell AS c USING (snapshot_id, cell)"
    )
    assert sorted(found) == sorted(log[["request_id", "origin", "carrier"]].itertuples(index=False, name=None))
    assert world.query("SELECT count(*) FROM shadow.label") == [(len(log),)]
    values = world.query(
        "SELECT DISTINCT slice_value FROM shadow.evidence WHERE slice_column = 'origin' AND pairs > 0 ORDER BY 1"
    )
    assert {value for (value,) in values} == set(VALUES)
    assert world.query("SELECT count(*) FROM shadow.prediction WHERE error IS NOT NULL") == [(0,)]


@pytest.mark.parametrize("column", ["request_id", "origin", "model_version"])
def test_a_text_that_postgres_cannot_hold_is_a_clear_error(worlds: Callable[..., World], column: str) -> None:
    """Parquet can hold a NUL, the ledger cannot."""
    world = worlds()
    log, outcome = hostile_values()
    log.loc[0, column] = "rare\x00text"
    shadow = shadow_of(world, into_parquet(world, log, outcome, {}), {}, sample={"rate": 1.0})
    with pytest.raises(ShadowError) as caught:
        run(shadow, [day(0)])
    assert "rare" not in str(caught.value)
    assert world.query("SELECT count(*) FROM shadow.request") == [(0,)]


def test_every_column_has_a_name_that_breaks_out() -> None:
    assert set(HOSTILE) == {*synthetic(1, 1)[0].columns, *synthetic(1, 1)[1].columns}
