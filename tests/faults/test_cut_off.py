"""Connections that are cut, and a server that is restarted, end a run with one clear message, and the next ends it."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from shadow_deployment.data.sources.postgres import reading as postgres_reading
from shadow_deployment.data.sources.postgres.catalogue import Catalogue
from shadow_deployment.data.sources.postgres.reading import PostgresReading
from shadow_deployment.errors import TransientError
from shadow_deployment.ledger import migrations
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from tests import production
from tests.conftest import Invoke, connection_to, database, declare
from tests.faults.moments import STEPS, Diary, Happening, Moments
from tests.faults.sameness import SMALL, assert_same, deployed, files
from tests.production import OWNER, READER, SHADOW, WRITER, World, day

LOST = "is lost or not there"
PATIENCE = dt.timedelta(seconds=120)  # far more than it takes on an idle machine


@pytest.fixture(scope="module")
def undisturbed(worlds: Callable[..., World]) -> World:
    world = worlds()
    assert run_day(world.shadow(**SMALL), day(0)) == []
    return world


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that nobody else uses, with production and an empty ledger."""
    folder = tmp_path_factory.mktemp("restarted")
    for part in (folder, *folder.parents):
        if part.stat().st_uid == 0 and part.is_relative_to(tmp_path_factory.getbasetemp()):
            part.chmod(0o711)
    with EmbeddedPostgres(folder / "pg") as server:
        for role in (OWNER, READER, SHADOW, WRITER):
            server.ensure_role(role)
        server.ensure_database("production", OWNER)
        with psycopg.connect(server.uri("production", OWNER)) as session:
            session.execute(production.TABLES)
            production.write(session, *production.synthetic())
        server.ensure_reader("production", READER, "flights")
        server.ensure_database("ledger", SHADOW)
        migrations.migrate(connection_to(server, "ledger", SHADOW), writer=WRITER)
        yield server


def terminate(postgres: EmbeddedPostgres, pid: int) -> None:
    """End one session on the server's side, and wait until it is gone."""
    with psycopg.connect(postgres.uri("postgres", SUPERUSER), autocommit=True) as session:
        milliseconds = PATIENCE // dt.timedelta(milliseconds=1)
        assert session.execute("SELECT pg_terminate_backend(%s, %s)", [pid, milliseconds]).fetchone() == (True,)


def looking(patch: Any, moments: Moments) -> None:
    """Watch every session that looks at a table of production as well."""
    table = Catalogue.table

    def wrapped(catalogue: Catalogue, *arguments: Any) -> Any:
        found = table(catalogue, *arguments)
        moments.arrive("a look", catalogue._session)
        return found

    patch(Catalogue, "table", wrapped)


def until_it_ends(invoke: Invoke, happening: Happening, monkeypatch: pytest.MonkeyPatch, *, most: int = 99) -> int:
    """Run the first day again and again while it fails for a lost connection alone; return how often it did."""
    for failures in range(most):
        with monkeypatch.context() as patch:
            moments = Moments(happening)
            moments.watch(patch.setattr)
            looking(patch.setattr, moments)
            code, _, err = invoke("run", "late", "--from", day(0))
        if not code:
            return failures
        assert code == 1
        assert err.count("error") == 1
        assert LOST in err
        assert "Traceback" not in err
    pytest.fail(f"the day does not end: {err}")


def test_a_session_that_is_cut_at_every_moment_in_turn_leaves_the_evidence_of_an_undisturbed_day(
    worlds: Callable[..., World],
    undisturbed: World,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    world, diary = deployed(declare(worlds(), monkeypatch)), Diary(tmp_path / "diary")
    ended: set[int] = set()  # whoever writes may not have noticed yet

    def cut(moment: str, session: Any) -> None:
        if session is not None and session.info.backend_pid not in ended and diary.is_new(moment):
            ended.add(session.info.backend_pid)
            terminate(world.postgres, session.info.backend_pid)

    failures = until_it_ends(invoke, cut, monkeypatch)
    assert {moment.split()[0] for moment in diary.moments} >= set(STEPS)
    assert failures >= len(diary.moments) * 0.75  # one that is cut when its work is done has nothing to lose
    assert_same(world, undisturbed)


def test_a_session_that_is_lost_is_worth_another_try(worlds: Callable[..., World]) -> None:
    world = worlds()

    def lose() -> None:
        with world.shadow(**SMALL).ledger() as session:
            terminate(world.postgres, session.info.backend_pid)
            session.execute("SELECT")

    with pytest.raises(TransientError, match=LOST):
        lose()


@pytest.mark.parametrize("rows", ["counted", "half read"])
def test_a_draw_that_is_cut_off_is_worth_another_try(
    worlds: Callable[..., World], undisturbed: World, monkeypatch: pytest.MonkeyPatch, rows: str
) -> None:
    """The rows are far more than the network holds, so half of them are still to come when the session ends."""
    world = worlds(own=True)
    world.change_production(
        "CREATE VIEW flights.wide AS SELECT *, repeat(request_id, 200000) AS wide FROM flights.prediction_log"
    )
    wide = {"requests": {"table": "flights.wide", "features": ["dep_hour", "distance", "wide"]}}
    draw, strip, cuts = PostgresReading.sample, postgres_reading.without_field_metadata, []

    def sample(reading: PostgresReading, *arguments: Any, **keywords: Any) -> pa.RecordBatchReader:
        reading._cursor.execute("SELECT pg_backend_pid()")
        cuts.append(reading._cursor.fetchone()[0])
        if rows == "counted":
            terminate(world.postgres, cuts[-1])
        return draw(reading, *arguments, **keywords)

    def half_read(found: pa.RecordBatchReader) -> pa.RecordBatchReader:
        first = found.read_next_batch()
        terminate(world.postgres, cuts[-1])
        return strip(
            pa.RecordBatchReader.from_batches(found.schema, (one for some in ([first], found) for one in some))
        )

    shadow = world.shadow(**SMALL, **wide)
    with monkeypatch.context() as patch:
        patch.setattr(PostgresReading, "sample", sample)
        if rows == "half read":
            patch.setattr(postgres_reading, "without_field_metadata", half_read)
        with pytest.raises(TransientError, match="connection production_db"):
            steps.sample(shadow, day(0))
    assert len(cuts) == 1
    assert files(world) == []
    assert run_day(shadow, day(0)) == []
    for name in ("request", "label", "evidence"):
        assert world.content()[name] == undisturbed.content()[name]


@pytest.mark.parametrize("moment", ["half a copy in postgres_copy", "a look", "before a commit in evidence"])
def test_a_server_that_is_restarted_under_a_run_is_there_again_for_the_next(
    own_server: EmbeddedPostgres,
    undisturbed: World,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    moment: str,
) -> None:
    ledger = database(own_server, SHADOW, "ledger")
    world = deployed(declare(World(own_server, "production", ledger, tmp_path, owns_production=True), monkeypatch))
    left = [moment]

    def restart(found: str, session: Any) -> None:
        if session is not None and left and left[0] in found and found.startswith(STEPS):
            left.pop()
            own_server.stop()
            own_server.start()

    assert until_it_ends(invoke, restart, monkeypatch) == 1
    assert left == []
    assert_same(world, undisturbed)
