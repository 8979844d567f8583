"""Labels are looked up many at once where an index can do that, and are the same labels where none can."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.data.db import Sessions
from shadow_deployment.data.ports import all_labels
from shadow_deployment.data.sources.postgres import labels as postgres_labels
from shadow_deployment.data.sources.postgres import throttle
from shadow_deployment.data.sources.postgres.labels import PostgresLabels
from shadow_deployment.data.sources.postgres.requests import reading_session
from shadow_deployment.data.sources.postgres.throttle import SMALL_LOOKUP_IDS
from tests.builders import asked
from tests.production import OWNER, World, moment

ROWS = 12_000
TYPES = {
    "text": "'r' || n",
    "varchar(12)": "'r' || n",
    "char(12)": "'r' || n",
    "bigint": "n",
    "numeric": "n + 0.50",
    "uuid": "lpad(n::text, 32, '0')::uuid",
}
PARTS = """CREATE TABLE {name} (LIKE {plain}) PARTITION BY HASH (id);
CREATE TABLE {name}_0 PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO {name} TABLE {plain};
CREATE INDEX ON {name} (id)"""
TABLES = {  # how a table of labels is made from one without an index, and whether many ids are found at once in it
    "btree": ("CREATE TABLE {name} AS TABLE {plain}; CREATE INDEX ON {name} (id)", True),
    "longer": ("CREATE TABLE {name} AS TABLE {plain}; CREATE INDEX ON {name} (id, label)", True),
    "view": ("CREATE VIEW {name} AS SELECT * FROM flights.{key}_btree", True),
    "parts": (PARTS, True),
    "later": ("CREATE TABLE {name} AS TABLE {plain}; CREATE INDEX ON {name} (label, id)", None),  # from Postgres 18 on
    "hash": ("CREATE TABLE {name} AS TABLE {plain}; CREATE INDEX ON {name} USING hash (id)", False),
    "some": ("CREATE TABLE {name} AS TABLE {plain}; CREATE INDEX ON {name} (id) WHERE label = 0", False),
}
PLAIN = """
CREATE TABLE flights.{key} (id {kind}, label int, known_at timestamptz, filler text);
INSERT INTO flights.{key} SELECT {id}, mod(n, 2), '2024-03-01 00:00+00'::timestamptz + n * interval '1 minute',
    repeat('x', 200) FROM generate_series(0, {rows} - 1) AS n;
INSERT INTO flights.{key} SELECT {id}, 1, '2024-03-10 00:00+00', '' FROM generate_series(0, 100, 10) AS n
"""


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    """One production with every kind of table for every type of id."""
    world = worlds(own=True)
    for kind, id_ in TYPES.items():
        key = key_of(kind)
        world.change_production(PLAIN.format(key=key, kind=kind, id=id_, rows=ROWS))
        for suffix, (made, _) in TABLES.items():
            for statement in made.format(name=f"flights.{key}_{suffix}", plain=f"flights.{key}", key=key).split(";"):
                world.change_production(statement)
    world.change_production("ANALYZE")
    return world


def key_of(kind: str) -> str:
    return kind.partition("(")[0]


def labels_of(ours: World, table: str, share: float = 1) -> PostgresLabels:
    deployment = ours.deploy(
        labels={"table": f"flights.{table}", "id": "id", "value": "label", "time": "known_at"}, throttle=share
    )
    return PostgresLabels(deployment, ours.connection("production_db"), Sessions())


def found(labels: PostgresLabels, ids: dict[int, str], since: dt.datetime | None, until: dt.datetime) -> list[Any]:
    arrived = all_labels(labels, asked(ids), since, until)
    columns = (arrived[name].to_pylist() for name in ("ordinal", "value", "known_at"))
    return sorted(zip(*columns, strict=True))


def ids_of(kind: str, numbers: dict[int, int]) -> dict[int, str]:
    shown = {"bigint": "{}", "numeric": "{}.5", "uuid": "{:032d}"}.get(kind, "r{}")
    return {ordinal: shown.format(number) for ordinal, number in numbers.items()}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("suffix", ["", *(f"_{name}" for name in TABLES)])
def test_labels_are_the_same_however_they_are_found(ours: World, kind: str, suffix: str) -> None:
    """Of all types, with labels that are there twice, requests that are there twice, and ids that nobody knows."""
    labels = labels_of(ours, key_of(kind) + suffix)
    numbers = {1000 + place: place * 7 % 3500 * 4 for place in range(600)} | {7: 20, 8: 20}
    start, later = moment(0), moment(9)
    expected = [
        (ordinal, float(number % 2), start + dt.timedelta(minutes=number))
        for ordinal, number in numbers.items()
        if number < ROWS
    ]
    expected += [(ordinal, 1.0, later) for ordinal, number in numbers.items() if number <= 100 and number % 10 == 0]
    since, until = start + dt.timedelta(minutes=20), start + dt.timedelta(minutes=9996)
    within = [one for one in expected if since < one[2] <= until]
    ids = ids_of(kind, numbers)
    assert len(ids) > SMALL_LOOKUP_IDS
    assert found(labels, ids, None, later) == sorted(expected)
    assert found(labels, ids, since, until) == sorted(within)
    assert len(within) < len(expected) - 10
    few = dict(list(ids.items())[:SMALL_LOOKUP_IDS])
    assert found(labels, few, None, later) == sorted(one for one in expected if one[0] in few)


@pytest.mark.parametrize(("suffix", "many"), [(name, many) for name, (_, many) in TABLES.items() if many is not None])
def test_an_index_is_asked_for_many_ids_only_where_it_can_be(
    ours: World, monkeypatch: pytest.MonkeyPatch, suffix: str, many: bool
) -> None:
    """Where none can be, each row of the table would be compared with each of a hundred thousand ids."""
    used = list[str]()

    def chosen(path: Path, pieces: Mapping[str, sql.Composable]) -> sql.Composed:
        used.append(path.name)
        return load_statement(path, pieces)

    monkeypatch.setattr(postgres_labels, "load_statement", chosen)
    labels = labels_of(ours, f"text_{suffix}")
    for count in (SMALL_LOOKUP_IDS, SMALL_LOOKUP_IDS + 1, SMALL_LOOKUP_IDS + 1):
        assert len(found(labels, ids_of("text", {place: place for place in range(count)}), None, moment(1))) == count
    by_index = "labels_by_index.sql" if many else "labels.sql"
    assert used == ["labels.sql", by_index, by_index]


def test_no_row_is_compared_with_every_id_though_the_moment_has_an_index(ours: World) -> None:
    """The planner may take the moments for rarer than the ids; only the ids' index is good for many of them."""
    ours.change_production("CREATE TABLE flights.moments AS TABLE flights.text")
    for column in ("id", "known_at"):
        ours.change_production(f"CREATE INDEX ON flights.moments ({column})")
    ours.change_production("ANALYZE flights.moments")
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        pieces = {
            "table": sql.Identifier("flights", "moments"),
            "id": sql.Identifier("id"),
            "moment": sql.SQL("known_at::timestamptz"),
            "type": sql.SQL("text"),
            "value": sql.SQL("label::float8"),
            "label": sql.SQL("label"),
        }
        path = Path(postgres_labels.__file__).with_name("labels_by_index.sql")
        session.execute("SET enable_bitmapscan TO off")
        statement = sql.SQL("EXPLAIN ") + load_statement(path, pieces)
        values = {"ids": [f"r{number}" for number in range(1000)], "since": moment(5), "until": moment(6)}
        plan = "\n".join(line for (line,) in session.execute(statement, values))
    assert "Index Cond: (id = ANY" in plan
    assert "Filter: (id = ANY" not in plan
    assert "Hash Join" in plan
    assert "Nested Loop" not in plan


def test_each_chunk_is_planned_for_the_ids_that_it_has(ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan for any ids is made after five chunks, takes them for ten, and compares each label with each of them."""
    plans = list[Any]()

    @contextmanager
    def watched(*of: Any) -> Iterator[Any]:
        with reading_session(*of) as session:
            yield session
            plans.extend(session.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements"))

    monkeypatch.setattr(postgres_labels, "reading_session", watched)
    monkeypatch.setattr(throttle, "MAX_CHUNK_IDS", 2 * SMALL_LOOKUP_IDS)
    labels = labels_of(ours, "text_btree", 0.99)
    assert len(found(labels, ids_of("text", {place: place for place in range(6000)}), None, moment(9))) > 6000
    assert [generic for generic, _ in plans] == [0]
    assert plans[0][1] > 20
