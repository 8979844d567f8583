"""A challenger's own features are those that were known when a request was made, the same from each source.

Those in Spark and Athena are looked up by the tests of these engines, against the same rows.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import SourceError
from tests.json_lines import encoded_lines
from tests.parquet import by_day, encoded, on_disk
from tests.production import OWNER, World, moment

TICK = dt.timedelta(microseconds=1)
ASKED = moment(5.5)
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema([
    ("customer", pa.int64()), ("known_at", TIME), ("spend", pa.float64()), ("tier", pa.string()),
    ("visits", pa.int64()), ("vip", pa.bool_()),
])  # fmt: skip
FEATURES = ["spend", "tier", "visits", "vip"]
LINES = {"customer": "integer", "known_at": "timestamp", "spend": "number $.of.spend", "tier": "string",
         "visits": "integer", "vip": "boolean"}  # fmt: skip
TABLE = """CREATE TABLE flights.{name} (
    customer bigint, known_at timestamptz, spend float8, tier text, visits bigint, vip boolean
)"""


def row(customer: int, at: dt.datetime, spend: float | None, tier: str | None = "a", visits: int = 1) -> dict[str, Any]:
    return {"customer": customer, "known_at": at, "spend": spend, "tier": tier, "visits": visits, "vip": visits > 1}


def planted() -> tuple[list[dict[str, Any]], dict[int, tuple[Any, ...] | None]]:
    """Return rows of customers that no drawn one is, and what a request of each at ASKED must see."""
    rows = [
        row(9001, ASKED, 1.0),  # known at that very moment
        row(9001, ASKED + TICK, 666.0),  # a leak, by a microsecond
        row(9002, ASKED - TICK, 2.0),
        row(9002, ASKED + dt.timedelta(days=3), 3.0),  # corrected later
        row(9003, ASKED + TICK, 4.0),  # nothing was known yet
        row(9004, ASKED - TICK, 5.0, None),  # of equal moments the greatest: a null is least, then by tier
        row(9004, ASKED - TICK, 5.0, "é"),
        row(9004, ASKED - TICK, 5.0, "z"),
        row(9004, ASKED - TICK, None, "zz", 9),
        row(9005, ASKED - TICK, 6.0),
        row(9005, ASKED - TICK, None, None, 7) | {"known_at": ASKED - 2 * TICK},
        row(9006, ASKED - TICK, None, None, 8),  # known, and null: no older value comes in its place
        row(9006, ASKED - 2 * TICK, 7.0),
    ]
    expected = {
        9001: (1.0, "a", 1, False),
        9002: (2.0, "a", 1, False),
        9003: None,
        9004: (5.0, "é", 1, False),
        9005: (6.0, "a", 1, False),
        9006: (None, None, 8, True),
        9999: None,
    }
    return rows, expected


def drawn() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows of 200 customers over 8 days, and requests of them, in no order."""
    random = np.random.default_rng(20241130)
    rows = pd.DataFrame(
        {
            "customer": random.integers(0, 200, 3000),
            "known_at": [moment(float(at)) for at in random.random(3000) * 8],
            "spend": random.normal(size=3000),
            "tier": random.choice(["a", "b", "c"], 3000),
            "visits": random.integers(0, 50, 3000),
        }
    )
    rows["vip"] = rows["visits"] > 40
    asked = [moment(float(at)) for at in random.random(400) * 8]
    return rows, pd.DataFrame({"key": random.integers(0, 250, 400), "requested_at": asked})


def everything() -> pa.Table:
    """Return the rows of both, in no order of time."""
    rows = pd.concat([drawn()[0], pd.DataFrame(planted()[0])])[SCHEMA.names].astype(object)
    return pa.Table.from_pandas(rows.where(rows.notna(), None), SCHEMA, preserve_index=False)


def challenger(name: str, place: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a challenger whose own features lie somewhere."""
    columns = {"id": "customer", "key": "carrier", "known_at": "known_at", "features": FEATURES}
    return {"name": name, "model": "python:tests.integration.data.test_features_as_of:spent",
            "features_from": {**place, **columns, **changes}}  # fmt: skip


@pytest.fixture(scope="module")
def sources(worlds: Callable[..., World]) -> DeploymentContext:
    """The same rows in a table with an index, in one without, and in files of each day."""
    world = worlds(own=True)
    rows = everything()
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session, session.cursor() as cursor:
        for name in ("indexed", "unindexed"):
            cursor.execute(TABLE.format(name=name))
            with cursor.copy(f"COPY flights.{name} FROM STDIN") as stream:
                for each in rows.to_pylist():
                    stream.write_row(tuple(each.values()))
        cursor.execute("CREATE INDEX ON flights.indexed (customer, known_at)")
        cursor.execute("ANALYZE flights.indexed; ANALYZE flights.unindexed")
    put = on_disk(world.folder)
    for day, part in by_day(rows, "known_at").items():
        put(f"features/dt={day}/0.parquet", encoded(part.append_column("never", pa.nulls(len(part), TIME))))
        put(f"features/dt={day}/0.jsonl", encoded_lines({**row, "of": row} for row in part.to_pylist()))
    folder = f"{world.folder}/features/dt={{day}}"
    return world.shadow(
        challengers=[
            challenger("indexed", {"conn_id": "production_db", "table": "flights.indexed"}),
            challenger("unindexed", {"conn_id": "production_db", "table": "flights.unindexed"}),
            challenger("parquet", {"table": f"parquet:{folder}/*.parquet"}),
            challenger("jsonl", {"table": f"jsonl:{folder}/*.jsonl", "columns": LINES}),
        ]
    )


def looked_up(context: DeploymentContext, name: str, key: list[Any], at: list[dt.datetime]) -> pa.Table:
    requests = pa.table({"key": pa.array(key, pa.string()), "requested_at": pa.array(at, TIME)})
    source = context.feature_source(context.deployment.challenger(name))
    assert source is not None
    source.check()
    return source.features(requests)


def assert_as_planted(context: DeploymentContext, name: str) -> None:
    """Look planted rows up: what became known after the request is not there."""
    expected = planted()[1]
    found = looked_up(context, name, [*map(str, expected), None], [ASKED] * (len(expected) + 1))
    rows = [tuple(each.values()) for each in found.to_pylist()]
    nothing = (None,) * len(FEATURES)
    assert rows == [each or nothing for each in expected.values()] + [nothing]


def assert_as_pandas_joins(context: DeploymentContext, name: str) -> None:
    """Look drawn rows up: each request has the newest row of its key."""
    rows, requests = drawn()
    found = looked_up(context, name, [*map(str, requests["key"])], [*requests["requested_at"]])
    joined = pd.merge_asof(
        requests.reset_index().sort_values("requested_at"),
        rows.sort_values("known_at"),
        left_on="requested_at",
        right_on="known_at",
        left_by="key",
        right_by="customer",
    ).sort_values("index")
    assert 0.2 < joined["spend"].isna().mean() < 0.4
    expected = joined[FEATURES].astype(object)
    schema = pa.schema([SCHEMA.field(name) for name in FEATURES])
    assert found.equals(pa.Table.from_pandas(expected.where(expected.notna(), None), schema, preserve_index=False))
    assert found.schema.equals(schema, check_metadata=True)
    assert looked_up(context, name, [], []).equals(schema.empty_table())


@pytest.mark.parametrize("name", ["indexed", "unindexed", "parquet", "jsonl"])
def test_each_request_has_the_newest_row_and_none_that_became_known_later(
    name: str, sources: DeploymentContext
) -> None:
    assert_as_planted(sources, name)
    assert_as_pandas_joins(sources, name)


def test_the_index_is_searched_for_each_key_twice(sources: DeploymentContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the whole history of each key would be read."""
    from shadow_deployment.data.sources.postgres import features

    used: list[str] = []
    load = features.load_literal_statement
    monkeypatch.setattr(
        features, "load_literal_statement", lambda path, *rest: used.append(path.name) or load(path, *rest)
    )
    for name in ("indexed", "unindexed"):
        looked_up(sources, name, ["1", "2"], [ASKED] * 2)
    assert used == ["features.sql", "features_by_scan.sql"]


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("indexed", {"table": "flights.nowhere"}, "table == 'flights.nowhere', must be a table in"),
        ("indexed", {"features": ["spend", "spent"]}, "features == 'spent', must be a column of flights.indexed"),
        ("indexed", {"known_at": "tier"}, "known_at == 'tier' is of type text, must be timestamptz"),
        ("indexed", {"id": "client"}, "id == 'client', must be a column of flights.indexed"),
        ("parquet", {"table": "parquet:nowhere/*"}, "table == 'parquet:nowhere/*', must match files: there are none"),
        ("parquet", {"features": ["spend", "spent"]}, "features == 'spent', must be a column of parquet:"),
        ("parquet", {"known_at": "tier"}, "known_at == 'tier' is of type varchar, must be timestamptz"),
        ("parquet", {"id": "spend"}, "id == 'spend' is of type double, must be text, a whole number or a UUID"),
        (
            "parquet",
            {"known_at": "never"},
            "known_at == 'never', must have a value: none of the newest rows of parquet:",
        ),
        ("jsonl", {"columns": LINES | {"known_at": "timestamp $.tier"}}, 'columns.known_at == "'),
    ],
)
def test_what_is_missing_or_of_the_wrong_type_is_named(
    name: str, changes: dict[str, Any], says: str, sources: DeploymentContext
) -> None:
    challenger = sources.deployment.challenger(name)
    wanted = challenger.features_from
    assert wanted is not None
    wrong = challenger.model_copy(update={"features_from": wanted.model_copy(update=changes)})
    source = sources.feature_source(wrong)
    assert source is not None
    with pytest.raises(SourceError) as error:
        source.check()
    position = sources.deployment.challengers.index(challenger)
    assert f"challengers[{position}].features_from.{says}" in str(error.value)
