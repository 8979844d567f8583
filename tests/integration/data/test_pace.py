"""Production rests while it is read: in which pieces, how long in between, and that the rows are the same."""

import math
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.sampling import allocate
from shadow_deployment.data.sources.postgres import throttle as paces
from shadow_deployment.data.sources.postgres.labels import PostgresLabels
from shadow_deployment.data.sources.postgres.requests import PostgresRequests
from shadow_deployment.data.sources.postgres.throttle import FREE_SECONDS, PIECE_SECONDS, REST_SECONDS, Throttle
from tests.builders import asked
from tests.production import World, day, moment

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


class Clock:
    """Time that passes only where the work says so, or where somebody sleeps."""

    def __init__(self) -> None:
        self.now = self.slept = self.used = 0.0

    def perf_counter(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(paces, "time", found)
    return found


def work(throttle: Throttle, clock: Clock, amount: float, *, fixed: float = 0.0004, each: float = 2e-6) -> list[float]:
    """Work off an amount; return the seconds of each piece."""
    took = []
    while amount > 0:
        size = min(throttle.size, amount)
        with throttle.piece():
            took.append(fixed + each * size)
            clock.now += took[-1]
        amount -= size
    return took


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_work_takes_its_share_of_the_time_and_no_more(clock: Clock, share: float) -> None:
    worked = sum(work(Throttle(share, 100), clock, 1_000_000))
    assert (worked - FREE_SECONDS) / (clock.now - FREE_SECONDS) == pytest.approx(share, rel=1e-6)


def test_what_is_read_first_does_not_rest(clock: Clock) -> None:
    throttle = Throttle(0.1, 100)
    work(throttle, clock, 300, fixed=0.0001)
    assert FREE_SECONDS / 4 < clock.now < FREE_SECONDS
    assert clock.slept == 0


def test_one_long_piece_is_not_made_up_for(clock: Clock) -> None:
    """Production ends a session that is idle for long; what could not be divided is over."""
    throttle = Throttle(0.1, 100)
    for piece, rest in ((60.0, REST_SECONDS), (0.001, 0.009)):
        before = clock.slept
        with throttle.piece():
            clock.now += piece
        assert clock.slept - before == pytest.approx(rest)


@pytest.mark.parametrize("away", [0.0001, 0.002])
def test_the_way_to_the_server_is_rest_and_not_work(clock: Clock, away: float) -> None:
    throttle = Throttle(0.1, 10, away=away)
    waited = work(throttle, clock, 1_000_000, fixed=away + 0.00005)
    worked = sum(waited) - away * len(waited)
    assert (worked - FREE_SECONDS) / (clock.now - FREE_SECONDS) == pytest.approx(0.1, rel=0.02)
    assert all(one - away <= 1.5 * PIECE_SECONDS for one in waited)
    assert worked / len(waited) > 0.8 * PIECE_SECONDS


def test_what_we_compute_ourselves_is_rest_and_not_work(clock: Clock) -> None:
    throttle = Throttle(0.1, 100)
    for _ in range(100):
        with throttle.piece():
            clock.now += 0.003
            clock.used += 0.002
    assert (0.1 - FREE_SECONDS) / (clock.now - FREE_SECONDS) == pytest.approx(0.1, rel=1e-6)


def test_a_share_of_one_is_one_piece_and_never_rests(clock: Clock) -> None:
    assert len(work(Throttle(1.0, 100), clock, 10_000_000)) == 1
    assert clock.slept == 0


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_pieces_never_become_larger_than_the_most(clock: Clock, share: float) -> None:
    throttle = Throttle(share, 100, 5000)
    sizes = []
    for part in throttle.pieces(range(100_000)):
        sizes.append(len(part))
        with throttle.piece():
            clock.now += 1e-9
    assert max(sizes) == 5000
    assert sum(sizes) == 100_000
    assert share < 1 or len(sizes) == 20


def test_pieces_grow_until_each_takes_what_it_should(clock: Clock) -> None:
    took = work(Throttle(0.1, 1), clock, 1_000_000, fixed=0.00005)
    assert took[0] < PIECE_SECONDS / 4
    assert all(one <= 1.5 * PIECE_SECONDS for one in took)
    assert sum(took) / len(took) > 0.8 * PIECE_SECONDS


def test_pieces_shrink_where_rows_become_dear(clock: Clock) -> None:
    throttle = Throttle(0.1, 10)
    work(throttle, clock, 100_000, fixed=0.00005)
    took = work(throttle, clock, 100_000, fixed=0.00005, each=5e-6)
    assert all(one <= 1.5 * PIECE_SECONDS for one in took[3:])


def test_pieces_never_become_smaller_than_the_first(clock: Clock) -> None:
    """A slow network, or a busy machine, makes every piece slow: smaller ones would only be more of them."""
    throttle = Throttle(0.1, 100)
    with throttle.piece():
        clock.now += 0.0003
    took = work(throttle, clock, 10_000, fixed=0.01, each=0)
    assert len(took) <= 100


def test_where_the_smallest_piece_takes_long_there_are_few(clock: Clock) -> None:
    """A view may read everything for each of them: to read little at a time would then be more work, not less."""
    took = work(Throttle(0.1, 1), clock, 100_000, fixed=0.5)
    assert len(took) < 30
    took = work(Throttle(0.1, 1), clock, 1_000_000, fixed=0.01)
    assert 0.01 * len(took) < 0.7 * sum(took)


def test_a_piece_that_takes_no_time_is_no_division_by_zero(clock: Clock) -> None:
    throttle = Throttle(0.1, 100)
    with pytest.raises(KeyError), throttle.piece():
        raise KeyError
    with throttle.piece():
        pass
    assert math.isfinite(throttle.size)
    assert throttle.size > 0


def test_parts_are_all_there_is_once(clock: Clock) -> None:
    throttle, seen = Throttle(0.1, 3), list[int]()
    for part in throttle.pieces(range(1000)):
        assert len(part) >= 1
        with throttle.piece():
            clock.now += 0.02 * len(part)
        seen += part
    assert seen == list(range(1000))
    assert [list(one) for one in Throttle(1.0, 3).pieces(range(1000))] == [seen]
    assert list(Throttle(1.0, 3).pieces([])) == []


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    world = worlds(own=True)
    world.change_production(FILLED)
    return world


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would be slept after the pieces of a read that rests from the first row on."""
    slept = list[float]()
    monkeypatch.setattr(paces, "FREE_SECONDS", 0.0)
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def a_deployment(ours: World, table: str, *, pace: float, **requests: Any) -> Deployment:
    columns = {"table": f"flights.{table}", "id": "id", "time": "at", "features": ["p"], "prediction": "p"}
    return ours.deploy(
        throttle=pace,
        requests=columns | {"version": None, "latency": None} | requests,
        labels={"table": f"flights.{table}", "id": "id", "value": "label", "time": "at"},
        sample={"strata": ["port"], "rate": 0.5, "minimum_per_stratum": 0, "max_rows": ROWS},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    )


def drawn(ours: World, table: str, *, pace: float, **requests: Any) -> tuple[dict[str, int], pa.Table]:
    deployment = a_deployment(ours, table, throttle=pace, **requests)
    source = PostgresRequests(deployment, ours.connection("production_db"))
    with source.reading(window_of(deployment, day(0))) as reading:
        counted = reading.population()
        return counted, reading.sample(allocate(deployment.sample, counted)).read_all()


def test_a_day_is_drawn_in_pieces_with_rests_and_is_the_same_day(ours: World, rests: list[float]) -> None:
    whole = drawn(ours, "long_log", throttle=1)
    assert rests == []
    began = time.perf_counter()
    paced = drawn(ours, "long_log", throttle=0.1)
    took = time.perf_counter() - began
    assert paced == whole
    assert whole[0] == {"A": 6667, "B": 6667, "C": 6666}
    assert whole[1].num_rows == 10_001
    assert len(rests) > 5
    assert sum(rests) < 9 * took


def test_a_draw_goes_along_the_index_of_the_time(ours: World, rests: list[float]) -> None:
    """Any other plan would read the whole window, or the whole table, before its first row."""
    deployment = a_deployment(ours, "long_log", throttle=0.1)
    source = PostgresRequests(deployment, ours.connection("production_db"))
    with source.reading(window_of(deployment, day(0))) as reading:
        draws = allocate(deployment.sample, reading.population())
        counted = len(rests)
        reader = reading.sample(draws)
        before_the_first = len(rests) - counted
        assert reader.read_all().num_rows == 10_001
        reading._cursor.execute("SELECT statement FROM pg_cursors")
        declared = reading._cursor.fetchone()[0]
        reading._cursor.execute("EXPLAIN " + declared[declared.index("FOR ") + 4 :])
        plan = "\n".join(line for (line,) in reading._cursor.fetchall())
    assert "Index Scan using long_log_at_idx on long_log" in plan
    assert "Sort" not in plan
    assert before_the_first == 1
    assert len(rests) - counted > 10


@pytest.mark.parametrize("throttle", [0.1, 1])
def test_a_draw_from_a_table_without_an_index_on_the_time_reads_it_once(
    ours: World, rests: list[float], pace: float
) -> None:
    assert drawn(ours, "no_index", throttle=pace) == drawn(ours, "long_log", throttle=1)
    assert rests == []


def test_where_an_id_may_be_there_twice_the_window_is_one_piece(ours: World, rests: list[float]) -> None:
    once = drawn(ours, "long_log", throttle=0.1, duplicates="first")
    assert once == drawn(ours, "long_log", throttle=1)
    assert rests == []


def test_a_window_in_which_all_requests_are_of_one_moment_is_read(ours: World, rests: list[float]) -> None:
    assert drawn(ours, "one_moment", throttle=0.1)[0] == {"A": ROWS}
    assert rests


@pytest.mark.parametrize(("table", "rests_between"), [("long_log", True), ("no_index", False)])
def test_labels_and_logged_answers_are_looked_up_in_pieces_where_an_index_finds_them(
    ours: World, rests: list[float], table: str, rests_between: bool
) -> None:
    ids = {number: f"r{number * 7919 % ROWS}" for number in range(5000)}
    found = {}
    for pace in (1, 0.1):
        deployment = a_deployment(ours, table, throttle=pace)
        labels = PostgresLabels(deployment, ours.connection("production_db"))
        table_ = labels.labels(asked(ids), None, moment(5)).sort_by("ordinal")
        requests = PostgresRequests(deployment, ours.connection("production_db"))
        logged = requests.logged("p", list(ids.values()), window_of(deployment, day(0)))
        found[pace] = table_, logged
        assert bool(rests) == (rests_between and pace < 1)
    assert found[1] == found[0.1]
    assert found[1][0]["ordinal"].to_pylist() == list(ids)
    assert set(found[1][0]["value"].to_pylist()) == {1.0}
    assert found[1][1] == {one: (float(one[1:]),) for one in ids.values()}


def test_few_labels_are_one_piece(ours: World, rests: list[float]) -> None:
    labels = PostgresLabels(a_deployment(ours, "long_log", throttle=0.1), ours.connection("production_db"))
    assert labels.labels(asked({0: "r0", 1: "nobody"}), None, moment(5)).num_rows == 1
    assert len(rests) == 1
