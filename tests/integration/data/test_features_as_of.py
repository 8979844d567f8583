"""A challenger's own features are those that were known when a request was made, the same from each source."""

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
from tests.parquet import by_day, encoded, on_disk
from tests.production import OWNER, World, moment

TICK = dt.timedelta(microseconds=1)
ASKED = moment(5.5)
COLUMNS = ["customer", "known_at", "spend", "tier", "visits", "vip"]
FEATURES = ["spend", "tier", "visits", "vip"]
TABLE = """CREATE TABLE flights.{name} (
    customer bigint, known_at timestamptz, spend float8, tier text, visits int, vip boolean
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
            "visits": random.integers(0, 50, 3000).astype(np.int32),
        }
    )
    rows["vip"] = rows["visits"] > 40
    asked = [moment(float(at)) for at in random.random(400) * 8]
    return rows, pd.DataFrame({"key": random.integers(0, 250, 400), "requested_at": asked})


@pytest.fixture(scope="module")
def sources(worlds: Callable[..., World]) -> DeploymentContext:
    """The same rows in a table with an index, in one without, and in Parquet files of each day."""
    world = worlds(own=True)
    rows = pd.concat([drawn()[0], pd.DataFrame(planted()[0])])[COLUMNS].astype(object)
    rows = rows.where(rows.notna(), None)
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session, session.cursor() as cursor:
        for name in ("indexed", "unindexed"):
            cursor.execute(TABLE.format(name=name))
            with cursor.copy(f"COPY flights.{name} FROM STDIN") as stream:
                for each in rows.itertuples(index=False):
                    stream.write_row(each)
        cursor.execute("CREATE INDEX ON flights.indexed (customer, known_at)")
        cursor.execute("ANALYZE flights.indexed; ANALYZE flights.unindexed")
    schema = [("customer", pa.int64()), ("known_at", pa.timestamp("us", "UTC")), ("spend", pa.float64())]
    schema += [("tier", pa.string()), ("visits", pa.int32()), ("vip", pa.bool_())]
    for day, part in by_day(pa.Table.from_pandas(rows, pa.schema(schema), preserve_index=False), "known_at").items():
        on_disk(world.folder)(f"features/dt={day}/0.parquet", encoded(part))
    where: dict[str, Any] = {
        "indexed": {"conn_id": "production_db", "table": "flights.indexed"},
        "unindexed": {"conn_id": "production_db", "table": "flights.unindexed"},
        "parquet": {"table": f"parquet:{world.folder}/features/dt={{day}}/*.parquet"},
    }
    return world.shadow(
        challengers=[
            {
                "name": name,
                "model": "python:tests.integration.data.test_features_as_of:spent",
                "features_from": {
                    **place,
                    "id": "customer",
                    "key": "carrier",
                    "known_at": "known_at",
                    "features": FEATURES,
                },
            }
            for name, place in where.items()
        ]
    )


def looked_up(context: DeploymentContext, name: str, key: list[Any], at: list[dt.datetime]) -> pa.Table:
    requests = pa.table({"key": pa.array(key, pa.string()), "requested_at": pa.array(at, pa.timestamp("us", "UTC"))})
    source = context.feature_source(context.deployment.challenger(name))
    assert source is not None
    source.check()
    return source.features(requests)


@pytest.mark.parametrize("name", ["indexed", "unindexed", "parquet"])
def test_what_became_known_after_the_request_is_not_there(name: str, sources: DeploymentContext) -> None:
    expected = planted()[1]
    found = looked_up(sources, name, [*map(str, expected), None], [ASKED] * (len(expected) + 1))
    rows = [tuple(each.values()) for each in found.to_pylist()]
    nothing = (None,) * len(FEATURES)
    assert rows == [each or nothing for each in expected.values()] + [nothing]


@pytest.mark.parametrize("name", ["indexed", "unindexed", "parquet"])
def test_each_request_has_the_newest_row_as_pandas_joins_it(name: str, sources: DeploymentContext) -> None:
    rows, requests = drawn()
    found = looked_up(sources, name, [*map(str, requests["key"])], [*requests["requested_at"]])
    joined = pd.merge_asof(
        requests.reset_index().sort_values("requested_at"),
        rows.sort_values("known_at"),
        left_on="requested_at",
        right_on="known_at",
        left_by="key",
        right_by="customer",
    ).sort_values("index")
    assert 0.2 < joined["spend"].isna().mean() < 0.4
    assert found.schema.types == [pa.float64(), pa.string(), pa.int32(), pa.bool_()]
    for column in FEATURES:
        expected = joined[column].astype(object).where(joined[column].notna(), None)
        assert found[column].to_pylist() == expected.tolist()


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
    ("changes", "says"),
    [
        ({"table": "flights.nowhere"}, "features_from.table == 'flights.nowhere', must be a table in"),
        ({"features": ["spend", "spent"]}, "features_from.features == 'spent', must be a column of flights.indexed"),
        ({"known_at": "tier"}, "features_from.known_at == 'tier' is of type text, must be timestamptz"),
        ({"id": "client"}, "features_from.id == 'client', must be a column of flights.indexed"),
    ],
)
def test_what_is_missing_or_of_the_wrong_type_is_named(
    changes: dict[str, Any], says: str, sources: DeploymentContext
) -> None:
    challenger = sources.deployment.challenger("indexed")
    wanted = challenger.features_from
    assert wanted is not None
    wrong = challenger.model_copy(update={"features_from": wanted.model_copy(update=changes)})
    source = sources.feature_source(wrong)
    assert source is not None
    with pytest.raises(SourceError) as error:
        source.check()
    assert says in str(error.value)
    assert str(error.value).startswith("challengers[0].")
