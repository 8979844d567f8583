"""What Spark refuses or lacks is named as in other sources, and whether another try helps is in the type."""

import re
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from shadow_deployment.config.window import window_of
from shadow_deployment.context import LOCAL_FILES, DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.ports import all_labels
from shadow_deployment.errors import CredentialsError, SourceError, TransientError
from shadow_deployment.onboarding.preview.words import requests_access
from shadow_deployment.onboarding.tables.opening import open_table
from tests.builders import asked
from tests.integration.data.test_same_sample import drawn
from tests.production import World, day, moment

ROWS = pa.table({
    "id": ["a", "b"],
    "time": pa.array([moment(0.5), moment(0.6)], pa.timestamp("us", "UTC")),
    "p": [0.5, 0.25],
    "bytes": [b"x", b"y"],
})  # fmt: skip


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    return worlds()


def found(world: World, lake: Connection, table: str, **changes: Any) -> DeploymentContext:
    deployment = world.deploy(
        requests={"table": table, "conn_id": "lake", "id": "id", "time": "time", "features": ["p"], "prediction": "p",
                  "version": None, "latency": None, **changes.pop("requests", {})},
        labels={"table": table, "conn_id": "lake", "id": "id", "value": "p", "time": "time",
                **changes.pop("labels", {})},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    )  # fmt: skip
    return DeploymentContext(deployment, lambda _: lake)


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ({"prediction": "q"}, r"requests\.prediction == 'q', must be a column of spark:.*: id, time, p, bytes"),
        ({"id": "p"}, r"requests\.id == 'p' is of type double, must be text, a whole number or a UUID"),
        ({"id": "bytes"}, r"requests\.id == 'bytes' is of type binary, must be text, a whole number or a UUID"),
        ({"time": "p"}, r"requests\.time == 'p' is of type double, must be timestamptz, timestamp or date"),
        ({"features": ["bytes"]}, r"requests\.features: column 'bytes' is of type binary, must be a number, boolean"),
    ],
)
def test_a_column_is_refused_as_in_other_sources(
    requests: dict[str, Any], said: str, ours: World, lake: Connection, in_spark: Callable[..., str]
) -> None:
    with pytest.raises(SourceError, match=said):
        found(ours, lake, in_spark(ROWS), requests=requests).request_source.check()


def test_a_table_that_is_not_there_is_named(ours: World, lake: Connection) -> None:
    with pytest.raises(SourceError, match=r"labels\.table == 'spark:nowhere\.x' in Spark of connection lake: .*cannot"):
        found(ours, lake, "spark:nowhere.x").label_source.check()


def test_a_server_that_is_away_is_worth_another_try(ours: World, spark: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = Connection("lake", "127.0.0.1", free.getsockname()[1])
    with pytest.raises(TransientError, match=r"requests\.table == 'spark:x' in Spark of connection lake: .*refused"):
        found(ours, away, "spark:x").request_source.check()


def test_a_wrong_token_is_no_reason_to_try_again(ours: World, lake: Connection) -> None:
    with pytest.raises(CredentialsError, match="in Spark of connection lake: ") as caught:
        found(ours, replace(lake, password="another"), "spark:x").request_source.check()
    assert "another" not in str(caught.value)


def test_an_id_that_is_none_there_is_an_error_without_its_value(
    ours: World, lake: Connection, in_spark: Callable[..., str]
) -> None:
    table = in_spark(pa.table({"id": [1, 2], "time": ROWS["time"], "p": [1.0, 0.0]}))
    source = found(ours, lake, table).label_source
    with pytest.raises(SourceError, match=r"labels\.table == ") as caught:
        all_labels(source, asked({0: "secret"}), None, moment(2))
    assert "secret" not in str(caught.value)


def test_rows_that_are_read_are_estimated(ours: World, lake: Connection, in_spark: Callable[..., str]) -> None:
    shadow = found(ours, lake, in_spark(ROWS))
    access = shadow.request_source.access(window_of(shadow.deployment, day(0)))
    assert 10 < (access.bytes or 0) < 10_000
    assert re.fullmatch(rf"{access.table}, about \S+ k?B", requests_access(access, "time"))


def test_of_partitions_only_those_near_the_window_are_read(
    ours: World, lake: Connection, in_spark: Callable[..., str]
) -> None:
    table = in_spark(ROWS.append_column("dt", pa.array(["2024/03/02", "2024/05/01"])))
    for name, expected in ((table, 2), (f"{table}/dt={{day:%Y/%m/%d}}", 1)):
        shadow = found(ours, lake, name)
        population, _ = drawn(shadow.request_source, shadow.deployment, window_of(shadow.deployment, day(0)))
        assert population == {"all": expected}


def test_a_window_without_requests_is_empty(ours: World, lake: Connection, in_spark: Callable[..., str]) -> None:
    shadow = found(ours, lake, in_spark(ROWS))
    population, rows = drawn(shadow.request_source, shadow.deployment, window_of(shadow.deployment, day(3)))
    assert population == {}
    assert rows.num_rows == 0
    assert shadow.request_source.newest_time() == moment(0.6)
    assert all_labels(shadow.label_source, asked({}), None, moment(2)).num_rows == 0


def test_a_connection_without_a_host_says_so(ours: World, spark: Any) -> None:
    with pytest.raises(CredentialsError, match="connection lake: host is missing"):
        found(ours, Connection("lake", None), "spark:x").request_source.check()


def test_an_unknown_table_is_looked_at_before_there_is_a_deployment(
    lake: Connection, in_spark: Callable[..., str]
) -> None:
    table = open_table(in_spark(ROWS), "lake", "requests.table", lambda _: lake, LOCAL_FILES)
    assert list(table.columns) == ["id", "time", "p"]
    assert table.sample() == {"id": ["a", "b"], "time": [moment(0.5), moment(0.6)], "p": [0.5, 0.25]}
    assert table.matching("p", ["0.25", "x"])["id"] == ["b"]
    assert table.span("time") == (moment(0.5), moment(0.6))
