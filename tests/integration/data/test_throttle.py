"""Production pauses while it is read, and the rows are those of a read without pauses."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Sessions
from shadow_deployment.data.ports import all_labels
from shadow_deployment.data.sampling import allocate
from shadow_deployment.data.sources.postgres import throttle as throttles
from shadow_deployment.data.sources.postgres.labels import PostgresLabels
from shadow_deployment.data.sources.postgres.requests import PostgresRequests
from shadow_deployment.errors import TransientError
from tests.builders import asked
from tests.production import READER, World, day, moment

ROWS = 20_000
FILLED = f"""
CREATE TABLE flights.long_log AS SELECT 'r' || n AS id,
    '2024-03-01 00:00+00'::timestamptz + n * interval '86400 s' / {ROWS} AS at,
    chr(65 + mod(n, 3)) AS port, n::float8 AS p, 1 AS label FROM generate_series(0, {ROWS} - 1) AS n;
CREATE TABLE flights.no_index AS SELECT * FROM flights.long_log;
CREATE TABLE flights.one_moment AS SELECT id, '2024-03-01 06:00+00'::timestamptz AS at, 'A' AS port, p, label
    FROM flights.long_log;
CREATE INDEX ON flights.one_moment (at);
CREATE INDEX ON flights.long_log (at);
CREATE INDEX ON flights.long_log (id);
ANALYZE
"""


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    world = worlds(own=True)
    world.change_production(FILLED)
    return world


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which are not made, of a read that has some from the first row on."""
    seconds = list[float]()
    monkeypatch.setattr(throttles, "FREE_SECONDS", 0.0)
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def a_deployment(ours: World, table: str, *, throttle: float, **requests: Any) -> Deployment:
    columns = {"table": f"flights.{table}", "id": "id", "time": "at", "features": ["p"], "prediction": "p"}
    return ours.deploy(
        throttle=throttle,
        requests=columns | {"version": None, "latency": None} | requests,
        labels={"table": f"flights.{table}", "id": "id", "value": "label", "time": "at"},
        sample={"strata": ["port"], "rate": 0.5, "minimum_per_stratum": 0, "max_rows": ROWS},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    )


def drawn(ours: World, table: str, *, throttle: float, **requests: Any) -> tuple[dict[str, int], pa.Table]:
    deployment = a_deployment(ours, table, throttle=throttle, **requests)
    source = PostgresRequests(deployment, ours.connection("production_db"), Sessions())
    with source.reading(window_of(deployment, day(0))) as reading:
        counted = reading.population()
        return counted, reading.sample(allocate(deployment.sample, counted)).read_all()


def test_a_day_is_drawn_in_chunks_with_pauses_and_is_the_same_day(ours: World, pauses: list[float]) -> None:
    whole = drawn(ours, "long_log", throttle=1)
    assert pauses == []
    start = time.perf_counter()
    throttled = drawn(ours, "long_log", throttle=0.1)
    elapsed = time.perf_counter() - start
    assert throttled == whole
    assert whole[0] == {"A": 6667, "B": 6667, "C": 6666}
    assert whole[1].num_rows == 10_001
    assert len(pauses) > 5
    assert sum(pauses) < 9 * elapsed


@pytest.mark.parametrize("throttle", [0.1, 1])
def test_production_has_no_transaction_open_while_this_process_pauses_or_writes(
    ours: World, monkeypatch: pytest.MonkeyPatch, throttle: float
) -> None:
    seen = list[tuple[Any, ...]]()
    uri = ours.postgres.uri(ours.production, READER)
    sessions = "SELECT state, xact_start, backend_xmin FROM pg_stat_activity WHERE application_name = 'shadow'"
    monkeypatch.setattr(throttles, "FREE_SECONDS", 0.0)
    with psycopg.connect(uri, autocommit=True, application_name="watcher") as watcher:
        look = partial(watcher.execute, sessions)
        monkeypatch.setattr(time, "sleep", lambda _: seen.extend(look().fetchall()))
        deployment = a_deployment(ours, "long_log", throttle=throttle)
        source, window = (
            PostgresRequests(deployment, ours.connection("production_db"), Sessions()),
            window_of(deployment, day(0)),
        )
        with source.reading(window) as reading:
            rows = reading.sample(allocate(deployment.sample, reading.population())).read_all()
            seen += look().fetchall()
        ids = {number: f"r{number}" for number in range(5000)}
        source.logged("p", list(ids.values()), window)
        labels = PostgresLabels(deployment, ours.connection("production_db"), Sessions())
        all_labels(labels, asked(ids), None, moment(5))
    assert rows.num_rows == 10_001
    assert len(seen) > (30 if throttle < 1 else 0)
    assert set(seen) == {("idle", None, None)}


def test_a_request_that_arrives_late_in_a_window_that_is_read_in_pieces_is_no_part_of_a_wrong_draw(
    ours: World, pauses: list[float]
) -> None:
    deployment = a_deployment(ours, "long_log", throttle=0.1)
    source = PostgresRequests(deployment, ours.connection("production_db"), Sessions())
    late = "INSERT INTO flights.long_log VALUES ('late', '2024-03-01 12:00+00', 'A', 1, 1)"
    complaint = (
        "flights.long_log' held 20000 requests from 2024-03-01 00:00 to .* counted, and 20001 when they were drawn"
    )
    with source.reading(window_of(deployment, day(0))) as reading:
        draws = allocate(deployment.sample, reading.population())
        ours.change_production(late)
        rows = reading.sample(draws)
        with pytest.raises(TransientError, match=complaint):
            rows.read_all()
    ours.change_production("DELETE FROM flights.long_log WHERE id = 'late'")
    assert pauses


def test_a_draw_goes_along_the_index_of_the_time(ours: World, pauses: list[float]) -> None:
    """Any other plan would read the whole window, or the whole table, before its first row."""
    deployment = a_deployment(ours, "long_log", throttle=0.1)
    source = PostgresRequests(deployment, ours.connection("production_db"), Sessions())
    with source.reading(window_of(deployment, day(0))) as reading:
        draws = allocate(deployment.sample, reading.population())
        counted = len(pauses)
        reader = reading.sample(draws)
        before_the_first = len(pauses) - counted
        assert reader.read_all().num_rows == 10_001
        reading._cursor.execute("EXPLAIN EXECUTE piece ('2024-03-01 06:00+00', 100)")
        plan = "\n".join(line for (line,) in reading._cursor.fetchall())
    assert "Index Scan using long_log_at_idx on long_log" in plan
    assert "Sort" not in plan
    assert before_the_first == 1
    assert len(pauses) - counted > 10


@pytest.mark.parametrize("throttle", [0.1, 1])
def test_a_draw_from_a_table_without_an_index_on_the_time_reads_it_once(
    ours: World, pauses: list[float], throttle: float
) -> None:
    assert drawn(ours, "no_index", throttle=throttle) == drawn(ours, "long_log", throttle=1)
    assert pauses == []


def test_where_an_id_may_be_there_twice_the_window_is_one_chunk(ours: World, pauses: list[float]) -> None:
    once = drawn(ours, "long_log", throttle=0.1, duplicates="first")
    assert once == drawn(ours, "long_log", throttle=1)
    assert pauses == []


def test_a_window_in_which_all_requests_are_of_one_moment_is_read(ours: World, pauses: list[float]) -> None:
    assert drawn(ours, "one_moment", throttle=0.1)[0] == {"A": ROWS}
    assert pauses


@pytest.mark.parametrize(("table", "pauses_expected"), [("long_log", True), ("no_index", False)])
def test_labels_and_logged_predictions_are_looked_up_in_chunks_where_an_index_finds_them(
    ours: World, pauses: list[float], table: str, pauses_expected: bool
) -> None:
    ids = {number: f"r{number * 7919 % ROWS}" for number in range(5000)}
    results = {}
    for throttle in (1, 0.1):
        deployment = a_deployment(ours, table, throttle=throttle)
        labels = PostgresLabels(deployment, ours.connection("production_db"), Sessions())
        table_ = all_labels(labels, asked(ids), None, moment(5)).sort_by("ordinal")
        requests = PostgresRequests(deployment, ours.connection("production_db"), Sessions())
        logged = requests.logged("p", list(ids.values()), window_of(deployment, day(0)))
        results[throttle] = table_, logged
        assert bool(pauses) == (pauses_expected and throttle < 1)
    assert results[1] == results[0.1]
    assert results[1][0]["ordinal"].to_pylist() == list(ids)
    assert set(results[1][0]["value"].to_pylist()) == {1.0}
    assert results[1][1] == {id_: (float(id_[1:]),) for id_ in ids.values()}


def test_few_labels_are_one_chunk(ours: World, pauses: list[float]) -> None:
    labels = PostgresLabels(a_deployment(ours, "long_log", throttle=0.1), ours.connection("production_db"), Sessions())
    assert all_labels(labels, asked({0: "r0", 1: "nobody"}), None, moment(5)).num_rows == 1
    assert len(pauses) == 1
