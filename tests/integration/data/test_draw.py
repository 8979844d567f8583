"""Which requests are drawn, worked out in Python from the log itself: the smallest SHA-256 of salt:id of a stratum."""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from shadow_deployment.config.window import Window, window_of
from shadow_deployment.data.db import Sessions
from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.data.sources.postgres.requests import PostgresRequests
from tests.production import OWNER, World, day, moment

SALT = "pépper"
Row = tuple[str | None, dt.datetime, str]


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    return worlds(own=True)


def hash_of(request: str | None) -> int:
    """The first 52 bits of SHA-256 of salt:id; a request without an id comes before all others."""
    return -1 if request is None else int(hashlib.sha256(f"{SALT}:{request}".encode()).hexdigest()[:13], 16)


def source_of(world: World, rows: Sequence[Row]) -> tuple[PostgresRequests, Window]:
    """Return the source of a log of these rows, and its window."""
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.execute("DROP TABLE IF EXISTS flights.draws")
        session.execute("CREATE TABLE flights.draws (id text, at timestamptz, origin text, p float8)")
        with session.cursor() as cursor:
            cursor.executemany("INSERT INTO flights.draws VALUES (%s, %s, %s, 0.5)", rows)
    deployment = world.deploy(
        requests={
            "table": "flights.draws",
            "id": "id",
            "time": "at",
            "features": ["p"],
            "prediction": "p",
            "version": None,
            "latency": None,
        },
        sample={"salt": SALT, "strata": ["origin"]},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    )
    return PostgresRequests(deployment, world.connection("production_db"), Sessions()), window_of(deployment, day(0))


def found(world: World, rows: Sequence[Row], draws: Sequence[Draw], **more: Any) -> list[Row]:
    """Return what the source draws from a log of these rows."""
    source, window = source_of(world, rows)
    with source.reading(window) as reading:
        inside = [row[2] for row in rows if moment(0) <= row[1] < moment(1)]
        assert reading.population() == Counter(inside)
        drawn = reading.sample(draws, **more).read_all().to_pylist()
    return [(row["request_id"], row["requested_at"], row["stratum"]) for row in drawn]


def noon(request: str | None, stratum: str) -> Row:
    return request, moment(0.5), stratum


def smallest(rows: Sequence[Row], stratum: str, size: int) -> list[Row]:
    return sorted((row for row in rows if row[2] == stratum), key=lambda row: (hash_of(row[0]), row[0] or "", row[1]))[
        :size
    ]


NAMES = [f"{letter}{number}" for letter in "aéZ" for number in range(40)]


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 40, 7), (40, 0, 40)])
def test_each_stratum_gives_its_smallest_hashes_in_their_order_and_strata_come_by_their_bytes(
    sizes: tuple[int, int, int], every: bool, ours: World
) -> None:
    strata = ["Z", "a", "é"]  # as bytes; a language would say a, é, Z
    rows = [noon(f"{name}/{stratum}", stratum) for name in NAMES[:40] for stratum in strata]
    draws = [Draw(stratum, 40, size) for stratum, size in zip(strata, sizes, strict=True)]
    expected = [row for draw in draws for row in smallest(rows, draw.stratum, draw.size)]
    assert found(ours, list(reversed(rows)), draws, all_candidates=every) == expected


def test_a_stratum_that_is_not_asked_for_gives_nothing(ours: World) -> None:
    assert found(ours, [noon("1", "Z"), noon("2", "a")], [Draw("a", 1, 1)]) == [noon("2", "a")]


def test_a_day_has_its_first_moment_and_not_that_of_the_next(ours: World) -> None:
    tick = dt.timedelta(microseconds=1)
    times = [moment(0) - tick, moment(0), moment(0) + tick, moment(1) - tick, moment(1), moment(1) + tick]
    rows = [(f"{number}", at, "a") for number, at in enumerate(times)]
    assert {row[1] for row in found(ours, rows, [Draw("a", 4, 4)])} == {times[1], times[2], times[3]}


def test_of_one_id_the_earliest_comes_first_and_a_request_without_one_before_all(ours: World) -> None:
    rows = [(name, moment(at), "a") for name in ("one", "two", None) for at in (0.75, 0.25, 0.5)]
    expected = smallest(rows, "a", 9)
    assert [row[1] for row in expected] == [moment(0.25), moment(0.5), moment(0.75)] * 3
    for size in (2, 4, 9):
        assert found(ours, rows, [Draw("a", 9, size)]) == expected[:size]


def test_only_hashes_below_the_candidates_are_looked_at(ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [noon(f"{number}", "a") for number in range(20)]
    ordered = smallest(rows, "a", 20)
    fifth = hash_of(ordered[4][0])
    for candidates, expected in ((fifth, 4), (fifth + 1, 5), (HASHES, 20)):
        monkeypatch.setattr(Draw, "candidates", candidates)
        assert found(ours, rows, [Draw("a", 20, 20)]) == ordered[:expected]
    monkeypatch.setattr(Draw, "candidates", 0)
    assert found(ours, rows, [Draw("a", 20, 20)], all_candidates=True) == ordered


class Told:
    """A cursor that keeps what it is told to execute."""

    def __init__(self, cursor: Any) -> None:
        self.statements: list[str] = []
        self._cursor = cursor

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        self._cursor.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@pytest.mark.parametrize(("population", "made"), [(20, 1), (1_000_000, 2)])
def test_where_all_are_drawn_production_makes_each_hash_once(population: int, made: int, ours: World) -> None:
    rows = [noon(f"{stratum}{number}", stratum) for stratum in "ab" for number in range(20)]
    source, window = source_of(ours, rows)
    with source.reading(window) as reading:
        told = reading._cursor = Told(reading._cursor)
        reading.sample([Draw("a", 20, 20), Draw("b", population, 20)]).read_all()
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        plan = "".join(line for (line,) in session.execute(f"EXPLAIN (VERBOSE) {told.statements[0]}".encode()))
    assert plan.count("sha256") == made
