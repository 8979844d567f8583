"""Whatever is asked of production is bounded: in time, in waiting for locks, in sessions and in processes."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from adbc_driver_postgresql import dbapi

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Sessions, connect
from shadow_deployment.data.ports import all_labels
from shadow_deployment.data.sources.postgres import requests as source
from shadow_deployment.errors import SourceError, TransientError
from tests.builders import asked
from tests.production import OWNER, World, day

LOG = "flights.prediction_log"
SLOW = "CREATE VIEW flights.{name} AS SELECT {columns} FROM {table} AS l, (SELECT pg_sleep(60)) AS s"
CROWD = """
CREATE VIEW flights.crowd AS SELECT l.*, (
    SELECT n FROM pg_sleep(0.3), LATERAL (
        SELECT count(*)::float8 FROM pg_stat_activity WHERE usename = current_user AND datname = current_database()
    ) AS c (n)
) AS sessions FROM flights.prediction_log AS l
"""
FORCED = {"parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0"}


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    world = worlds(own=True)
    world.change_production(CROWD)
    for name, columns, table in (
        ("slow_log", "l.*", LOG),
        ("slow_labels", "l.*", "flights.outcome"),
        ("slow_other", "l.request_id, l.other_probability", LOG),
    ):
        world.change_production(SLOW.format(name=name, columns=columns, table=table))
    return world


def window(shadow: DeploymentContext) -> Any:
    return window_of(shadow.deployment, day(0))


def counting(shadow: DeploymentContext) -> Any:
    with shadow.request_source.reading(window(shadow)) as reading:
        return reading.population()


READS: dict[str, Callable[[DeploymentContext], Any]] = {
    "check": lambda shadow: shadow.check_sources(),
    "population": counting,
    "labels": lambda shadow: all_labels(shadow.label_source, asked({0: "f0000"}), None, window(shadow).end),
    "logged": lambda shadow: shadow.request_source.logged("other_probability", ["f0000"], window(shadow)),
    "logged elsewhere": lambda shadow: shadow.request_source.logged(
        "flights.slow_other.other_probability", ["f0000"], window(shadow)
    ),
    "newest version": lambda shadow: shadow.request_source.newest_version(None),
}
READS_ROWS = [name for name in READS if name != "check"]


@pytest.mark.parametrize("read", READS_ROWS)
def test_what_takes_too_long_is_ended(ours: World, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source.SETTINGS, "statement_timeout", "150ms")
    shadow = ours.shadow(requests={"table": "flights.slow_log"}, labels={"table": "flights.slow_labels"})
    with pytest.raises(
        TransientError, match=r"connection production_db .*canceling statement due to statement timeout"
    ):
        READS[read](shadow)


@pytest.mark.parametrize("read", READS_ROWS)
def test_a_lock_is_not_waited_for(ours: World, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source.SETTINGS, "lock_timeout", "150ms")
    shadow = ours.shadow()
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        session.execute(f"LOCK TABLE {LOG}, flights.outcome IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TransientError, match=r"connection production_db .*canceling statement due to lock timeout"):
            READS[read](shadow)
        session.rollback()


def test_the_catalogue_is_read_whatever_is_locked(ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source.SETTINGS, "lock_timeout", "150ms")
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        session.execute(f"LOCK TABLE {LOG}, flights.outcome IN ACCESS EXCLUSIVE MODE")
        READS["check"](ours.shadow())
        session.rollback()


@pytest.mark.parametrize("read", READS)
def test_no_session_is_opened_without_its_bounds(ours: World, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    by_psycopg, by_adbc = psycopg.connect, dbapi.connect

    def psycopg_connect(*arguments: Any, **keywords: Any) -> Any:
        opened.append(keywords["options"])
        return by_psycopg(*arguments, **keywords)

    def adbc_connect(address: str, *arguments: Any, **keywords: Any) -> Any:
        opened.append(psycopg.conninfo.conninfo_to_dict(address)["options"])
        return by_adbc(address, *arguments, **keywords)

    monkeypatch.setattr(psycopg, "connect", psycopg_connect)
    monkeypatch.setattr(dbapi, "connect", adbc_connect)
    monkeypatch.setitem(source.SETTINGS, "statement_timeout", "2s" if read == "logged elsewhere" else "60s")
    shadow = ours.shadow()
    if read == "logged elsewhere":
        with pytest.raises(TransientError):
            READS[read](shadow)
    else:
        READS[read](shadow)
    assert opened
    wanted = {"default_transaction_read_only", "statement_timeout", "lock_timeout", "max_parallel_workers_per_gather"}
    assert wanted | {"work_mem", "jit"} <= set(source.SETTINGS)
    for options in opened:
        assert all(f"-c {name}={value}" in options for name, value in source.SETTINGS.items()), options


@pytest.mark.parametrize(
    ("name", "most"),
    [("statement_timeout", 300), ("lock_timeout", 5), ("idle_in_transaction_session_timeout", 300)],
)
def test_the_bounds_are_bounds(ours: World, name: str, most: int) -> None:
    """As the server understands them: 0 would be none."""
    with connect(ours.connection("production_db"), **source.SETTINGS) as session:
        row = session.execute("SELECT extract(epoch FROM current_setting(%s)::interval)", [name]).fetchone()
    assert row is not None
    assert 0 < row[0] <= most


def test_a_read_is_one_session(ours: World) -> None:
    """Seen from inside while rows are drawn, a moment after the catalogue was looked at."""
    shadow = ours.shadow(requests={"table": "flights.crowd", "features": ["sessions"]})
    with shadow.request_source.reading(window(shadow)) as reading:
        draws = source_draws(shadow, reading.population())
        counted = set(reading.sample(draws).read_all()["sessions"].to_pylist())
    assert counted == {1.0}


def source_draws(shadow: DeploymentContext, population: dict[str, int]) -> Any:
    from shadow_deployment.data.sampling import allocate

    return allocate(shadow.deployment.sample, population)


@pytest.fixture
def plan(ours: World) -> Callable[..., str]:
    """Explain a count over the log in a session where parallel workers cost nothing."""

    def call(**settings: str) -> str:
        with connect(ours.connection("production_db"), **settings, **FORCED) as session:
            lines = session.execute(f"EXPLAIN SELECT count(*) FROM {LOG}".encode()).fetchall()
            session.rollback()
        return "\n".join(line for (line,) in lines)

    return call


def test_a_query_is_one_process(plan: Callable[..., str]) -> None:
    assert "Gather" in plan(), "the server would not use workers here, so that this test shows nothing"
    assert "Gather" not in plan(**source.SETTINGS)


@pytest.mark.parametrize("value", ["rare O'Neil", 'rare "quoted" O\'Neil', "rare\nO'Neil", "rare \\ % :'x'"])
@pytest.mark.parametrize("when", ["at once", "in the stream"])
def test_a_value_that_production_cannot_use_is_in_no_error(ours: World, value: str, when: str) -> None:
    """A view that turns text into numbers: the server repeats the text, where it begins or after some rows."""
    rows = "SELECT 0 AS n" if when == "at once" else "SELECT n FROM generate_series(0, 20000) AS n ORDER BY n DESC"
    literal = psycopg.sql.Literal(value).as_string().replace("%", "%%")
    ours.change_production(
        "CREATE OR REPLACE VIEW flights.turned AS SELECT request_id || n AS request_id, predicted_at, "
        f"CASE WHEN n > 0 THEN '1' ELSE {literal} END::text::float8 AS dep_hour, champion_probability, origin, carrier "
        f"FROM {LOG}, LATERAL (SELECT 1 AS one OFFSET 0) AS o, ({rows}) AS g WHERE request_id = 'f0000'"
    )
    deployment = {"table": "flights.turned", "features": ["dep_hour"], "version": None, "latency": None}
    shadow = ours.shadow(requests=deployment)
    wanted = "invalid input syntax for type double precision: …"
    with pytest.raises(SourceError, match=wanted) as caught, shadow.request_source.reading(window(shadow)) as reading:
        reading.sample(source_draws(shadow, reading.population())).read_all()
    assert caught.value.__cause__ is None
    assert "rare" not in str(caught.value)
    assert "Neil" not in str(caught.value)


def test_an_error_about_what_is_not_there_still_names_it(ours: World) -> None:
    ours.change_production("CREATE VIEW flights.gone AS SELECT * FROM flights.prediction_log")
    shadow = ours.shadow(requests={"table": "flights.gone"})
    requests = source.PostgresRequests(shadow.deployment, ours.connection("production_db"), Sessions())
    with source.reading_session(ours.connection("production_db"), Sessions()) as session:
        pieces = requests._pieces(session)
    requests._pieces = lambda _: pieces  # type: ignore[method-assign]
    ours.change_production("DROP VIEW flights.gone")
    there_is_none = pytest.raises(SourceError, match=r'relation "flights\.gone" does not exist')
    with there_is_none, requests.reading(window(shadow)) as reading:
        reading.population()
