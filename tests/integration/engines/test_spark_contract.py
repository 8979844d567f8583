"""The same rows in Spark give the sample, labels and evidence that Postgres gives, to the byte of the snapshot."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.ports import all_labels
from tests import production
from tests.builders import asked
from tests.integration.data import test_features_as_of as as_of
from tests.integration.data.test_same_evidence import assert_all_is_the_same, run
from tests.integration.data.test_same_sample import (
    COLUMNS,
    IDS,
    LIKELIEST,
    STRATA,
    array,
    deployed,
    designs,
    drawn,
    into_postgres,
    logs,
    of_classes,
    probabilities,
)
from tests.production import World, day, moment


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    return worlds(own=True)


def connections(world: World, lake: Connection) -> Callable[[str], Connection]:
    return lambda conn_id: lake if conn_id == "lake" else world.connection(conn_id)


def as_arrow(kind: str, rows: list[dict[str, Any]], choose: st.DataObject) -> list[pa.Table]:
    """Return the rows in any order, in some parts; Spark has no type for UUIDs, which are text there."""
    types = {name: of_parquet for name, (_, of_parquet, _) in {"id": IDS[kind], **COLUMNS, **STRATA}.items()}
    time = choose.draw(st.sampled_from([pa.timestamp("us", "UTC"), pa.timestamp("us")]))
    types |= {"answer": pa.float64(), "time": time, "version": pa.int64()}
    rows = choose.draw(st.permutations(rows))
    cut = choose.draw(st.integers(0, len(rows)))
    return [pa.table({name: column([row[name] for row in part], type_) for name, type_ in types.items()})
            for part in (rows[:cut], rows[cut:])]  # fmt: skip


def column(values: list[Any], type_: pa.DataType) -> pa.Array:
    if type_ == pa.uuid():
        return pa.array([None if one is None else str(uuid.UUID(str(one))) for one in values], pa.string())
    return array(values, type_)


@settings(max_examples=12, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(log=logs(), choose=st.data())
def test_the_same_rows_give_the_same_sample(
    log: Any, choose: st.DataObject, ours: World, lake: Connection, in_spark: Callable[..., str]
) -> None:
    kind, rows = log
    sample = choose.draw(designs())
    duplicates = choose.draw(st.sampled_from(["refuse", "first"]))
    into_postgres(ours, kind, rows)
    deployment = deployed(ours, sample=sample, requests={"duplicates": duplicates})
    window = window_of(deployment, day(0))
    expected = drawn(DeploymentContext(deployment, ours.connection).request_source, deployment, window)
    table = in_spark(*as_arrow(kind, rows, choose))
    found = deployed(ours, sample=sample, requests={"duplicates": duplicates, "table": table, "conn_id": "lake"})
    source = DeploymentContext(found, connections(ours, lake)).request_source
    population, got = drawn(source, deployment, window)
    assert population == expected[0]
    if population:
        assert got.schema.equals(expected[1].schema, check_metadata=True)
        assert got.combine_chunks().equals(expected[1].combine_chunks())


def test_all_that_is_found_out_is_the_same(
    worlds: Callable[..., World], lake: Connection, in_spark: Callable[..., str]
) -> None:
    expected, world = worlds(), worlds()
    run(expected)
    log, outcome = production.synthetic()
    requests = pa.Table.from_pandas(log.where(log.notna(), None), preserve_index=False)
    labels = pa.Table.from_pandas(outcome, preserve_index=False)
    run(
        world,
        connections(world, lake),
        requests={"conn_id": "lake", "table": in_spark(requests[:200], requests[200:])},
        labels={"conn_id": "lake", "table": in_spark(labels)},
        challengers=[
            {"name": "other", "model": "logged:other_probability"},
            {"name": "a_a_check", "model": "champion"},
        ],
    )
    assert_all_is_the_same(world, expected)


def test_the_class_is_the_likeliest_the_first_of_equal_ones(
    ours: World, lake: Connection, in_spark: Callable[..., str]
) -> None:
    deployment = of_classes(ours, table=in_spark(probabilities()), conn_id="lake")
    source = DeploymentContext(deployment, connections(ours, lake)).request_source
    _, rows = drawn(source, deployment, window_of(deployment, day(0)))
    assert dict(zip(rows["request_id"].to_pylist(), rows["champion"].to_pylist(), strict=True)) == LIKELIEST
    assert rows.schema.field("champion_probabilities").type == pa.list_(pa.float64())


KEYS = {
    "shop": (pa.string(), ["a/b%", None, "é", "a/b%"]),
    "number": (pa.int64(), [1, 2, -3, 1]),
    "at": (pa.timestamp("us", "UTC"), [moment(0.5), moment(0.5), moment(0.25), moment(0.5 + 1e-9)]),
    "on": (pa.date32(), [day(0), day(0), day(0), day(1)]),
}


def test_ids_of_several_columns_find_their_labels_and_logged_predictions(
    ours: World, lake: Connection, in_spark: Callable[..., str]
) -> None:
    keys = {name: pa.array(values, type_) for name, (type_, values) in KEYS.items()}
    times = pa.array([moment(0.5)] * 4, pa.timestamp("us", "UTC"))
    known = pa.array([day(1), day(1), day(2), day(1)], pa.date32())  # known at the end of a day
    log = pa.table({**keys, "time": times, "p": [0.1, 0.2, 0.3, 0.4]})
    outcome = pa.table({**keys, "is_late": pa.array(["1", "0", "no", "0"]), "known_at": known})
    deployment = ours.deploy(
        requests={"table": in_spark(log), "conn_id": "lake", "id": list(KEYS), "time": "time", "features": ["p"],
                  "prediction": "p", "version": None, "latency": None},
        labels={"table": in_spark(outcome), "conn_id": "lake", "id": list(KEYS), "positive": "1", "negative": "0"},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    )  # fmt: skip
    shadow, window = DeploymentContext(deployment, connections(ours, lake)), window_of(deployment, day(0))
    _, rows = drawn(shadow.request_source, deployment, window)
    ids = rows["request_id"].to_pylist()
    assert sorted(filter(None, ids)) == [
        "a%2Fb%25/1/2024-03-01T12:00:00.000000Z/2024-03-01",
        "a%2Fb%25/1/2024-03-01T12:00:00.000086Z/2024-03-02",
        "é/-3/2024-03-01T06:00:00.000000Z/2024-03-01",
    ]
    found = [one for one in ids if one]
    logged = shadow.request_source.logged("p", found, window)
    assert {one[:1] + one[-1]: logged[one] for one in found} == {"a1": (0.1,), "a2": (0.4,), "é1": (0.3,)}
    labels = all_labels(shadow.label_source, asked(dict(enumerate(found))), None, window.end + dt.timedelta(days=1))
    got = {found[row["ordinal"]]: (row["value"], row["known_at"]) for row in labels.to_pylist()}
    assert {one[:1] + one[-1]: value for one, value in got.items()} == {
        "a1": (1.0, moment(2)), "a2": (0.0, moment(2)),
    }  # fmt: skip


def test_features_of_a_challengers_own_are_those_that_were_known(
    ours: World, lake: Connection, in_spark: Callable[..., str]
) -> None:
    rows = as_of.everything()
    place = {"table": in_spark(rows[1000:], rows[:1000]), "conn_id": "lake"}
    deployment = ours.deploy(challengers=[as_of.challenger("spark", place)])
    context = DeploymentContext(deployment, connections(ours, lake))
    as_of.assert_as_planted(context, "spark")
    as_of.assert_as_pandas_joins(context, "spark")
