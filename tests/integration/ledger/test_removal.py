"""Old days, and the requests of one subject, are removed; sums and verdicts stay, and what is wrong is still found."""

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from psycopg import errors
from rich.console import Console

from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.storage import FolderStore
from shadow_deployment.doctor.checks import ConcernError
from shadow_deployment.doctor.databases import ledger_probes
from shadow_deployment.errors import LedgerError, TransientError
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.history import erase as erasure
from shadow_deployment.pipeline.history.prune import prune
from shadow_deployment.pipeline.history.replay import days_to_replay
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.pipeline.sample import require_snapshot
from shadow_deployment.report.publishing import publish
from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import DAYS, OTHER, better, deploy, newest_verdict, produce, run
from tests.production import SHADOW, WRITER, World, day, unguarded

SUMS = ("evidence_batch", "comparison", "verdict", "label_collection", "score_bin")
SUBJECT, ITS_DAY = "f00305", 2
LABELS = "DELETE FROM flights.outcome WHERE request_id BETWEEN 'f00240' AND 'f00359'"  # of its day


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World], empty_production: str) -> World:
    """A fortnight of small shards, which tests copy."""
    world = worlds(own=True, production=empty_production)
    produce(world, better)
    small(world)
    run_days(context(world), [day(number) for number in range(DAYS)], Console(quiet=True))
    return world


@pytest.fixture
def world(worlds: Callable[..., World], judged: World, monkeypatch: pytest.MonkeyPatch) -> World:
    world = declare(worlds(judged, own=True), monkeypatch)
    small(world)
    return world


def small(world: World, **store: Any) -> None:
    deploy(world, sample={"shard_rows": 40}, store=store)


def context(world: World) -> DeploymentContext:
    return DeploymentContext(load_deployment(world.deployments / "late.yaml"), world.connection)


def sums(world: World, *but: str) -> dict[str, Any]:
    return {table: rows for table, rows in world.dump().items() if table in SUMS and table not in but}


def as_owner(world: World, statement: str, *values: Any, table: str = "sampled_window") -> None:
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, table):
        session.execute(statement, values)


def sampled_long_ago(world: World, last: int) -> None:
    as_owner(
        world,
        "UPDATE shadow.sampled_window AS w SET sampled_at = sampled_at - interval '99 days' "
        "FROM shadow.sampled_day AS d WHERE d.id = w.snapshot_id AND d.day <= %s",
        day(last),
    )


def folders(world: World) -> set[str]:
    return {path.parents[2].name for path in world.snapshots.rglob("*.parquet")}


def verified(invoke: Invoke) -> tuple[int, str]:
    code, out, err = invoke("verify", "late")
    return code, " ".join((out + err).split())


def test_the_daily_run_removes_what_is_older_than_the_owner_declared(world: World, invoke: Invoke) -> None:
    before, found = sums(world), newest_verdict(invoke)
    small(world, keep_days=30)
    sampled_long_ago(world, 4)
    assert prune(context(world)).days == []  # the owner has not declared it
    (probe,) = (each for each in ledger_probes(context(world)) if each.what == "retention")
    with pytest.raises(ConcernError, match="nothing is removed"):
        probe.look()
    assert invoke("migrate")[0] == 0
    assert "30 days after" in probe.look()
    assert prune(context(world)).days == [day(number) for number in range(5)]
    assert world.query("SELECT min(day) FROM shadow.request") == [(day(5),)]
    assert world.query("SELECT count(*) FROM pg_class WHERE relname LIKE '%%_batch_20240305'") == [(0,)]
    assert folders(world) == {str(day(number)) for number in range(5, DAYS)}
    assert prune(context(world)).days == []
    code, said = verified(invoke)
    assert (code, "5 pruned days, 9 days" in said, "removed by retention: 5 days" in said) == (0, True, True), said
    assert json.loads(invoke("verify", "late", "--json")[1])["removed"]
    assert invoke("run", "late", "--missing")[0] == 0  # they are not missing
    assert (sums(world), newest_verdict(invoke)) == (before, found)


def test_the_role_that_runs_the_days_removes_nothing_else(world: World) -> None:
    refused = [
        "DELETE FROM shadow.request_batch",
        "SELECT shadow.remove_day(1, 'me')",
        "INSERT INTO shadow.retention VALUES ('late', 1, 0, 0)",
        "INSERT INTO shadow.leftover VALUES ('late', 1)",
        "INSERT INTO shadow.removal (deployment_id) VALUES (1)",
    ]
    with psycopg.connect(world.postgres.uri(world.ledger, WRITER), autocommit=True) as session:
        session.execute("SET shadow.removing = 'yes'")
        for statement in refused:
            with pytest.raises(errors.InsufficientPrivilege):
                session.execute(statement)
        assert session.execute("SELECT shadow.prune('late', '{}', 'me')").fetchall() == [(None,)]


def test_a_removal_that_is_killed_before_its_files_go_is_finished_by_the_next(
    world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(world, keep_days=30)
    sampled_long_ago(world, 1)
    invoke("migrate")

    def killed(_: FolderStore, folder: str) -> None:
        raise KeyboardInterrupt(folder)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(context(world))
    assert str(day(0)) in folders(world)
    prune(context(world))
    assert folders(world) == {str(day(number)) for number in range(2, DAYS)}
    assert world.query("SELECT * FROM shadow.leftover") == []


def test_days_before_one_are_removed_by_hand_and_those_that_wait_are_kept(world: World, invoke: Invoke) -> None:
    code, _, err = invoke("prune", "late", "--yes")
    assert (code, "declare store.keep_days" in " ".join(err.split())) == (2, True)
    world.change_production(LABELS)
    deploy(world, sample={"rate": 0.5, "strata": [], "minimum_per_stratum": 0, "salt": "another"})
    run(invoke, ITS_DAY, ITS_DAY + 1)
    code, out, err = invoke("prune", "late", "--before", day(DAYS), "--yes")
    said = " ".join(out.split())
    assert code == 0, err
    assert f"15 days removed, {day(0)} to {day(DAYS - 1)}; kept, because labels" in said  # 14 of the earlier design
    assert world.query("SELECT DISTINCT day FROM shadow.request ORDER BY 1") == [(day(ITS_DAY),)]
    small(world)
    with pytest.raises(LedgerError, match="its evidence stays as it is"):
        steps.validate_predictions(context(world), day(3), "other")
    assert days_to_replay(context(world), "other") == []


def test_a_subject_is_erased_from_ledger_and_files_and_the_sums_stay(world: World, invoke: Invoke) -> None:
    before, found = sums(world, "label_collection"), newest_verdict(invoke)
    assert SUBJECT in str(world.dump())
    code, out, _ = invoke("erase", "late", "--key", SUBJECT, "--dry-run")
    assert (code, f"{day(ITS_DAY)}: 1 request would be erased" in out) == (0, True)
    assert SUBJECT in str(world.dump())
    (page,) = publish(context(world), day(ITS_DAY), ["other"])
    ids = {name for (name,) in world.query("SELECT request_id FROM shadow.request")}
    assert not [name for name in ids if name in (world.snapshots / page).read_text()]
    code, out, err = invoke("erase", "late", "--key", SUBJECT, "--by", "ann", "--yes")
    assert (code, f"{day(ITS_DAY)}: 1 request erased" in out, "not reached: production" in out) == (0, True, True), err
    assert SUBJECT not in str(world.dump())
    for path in world.snapshots.rglob("*"):
        if path.suffix == ".parquet":
            assert SUBJECT not in pq.read_table(path)["request_id"].to_pylist()
        elif path.is_file():
            assert SUBJECT not in path.read_text()
    assert world.query("SELECT removed_by, requests, kind FROM shadow.removal") == [("ann", 1, "erasure")]
    assert (sums(world, "label_collection"), newest_verdict(invoke)) == (before, found)
    code, said = verified(invoke)
    assert (code, "erased: 1 request of 1 day" in said) == (0, True), said
    assert run(invoke, ITS_DAY)[0] == 0
    code, out, _ = invoke("erase", "late", "--key", SUBJECT, "--yes")
    assert (code, "was erased on" in out) == (0, True)
    code, _, err = invoke("erase", "late", "--key", "nobody", "--yes")
    assert (code, "no kept request has this value in request_id" in " ".join(err.split())) == (1, True)
    code, _, err = invoke("erase", "late", "--key", "x", "--column", "customer", "--yes")
    assert (code, "must be one of champion" in " ".join(err.split())) == (1, True)


@pytest.mark.parametrize("when", ["before the ledger changes", "before the old files go"])
def test_an_erasure_that_is_killed_ends_the_same(
    world: World, invoke: Invoke, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if when == "before the ledger changes":
            patch.setattr(erasure.erasure, "erase_requests", killed)
        else:
            patch.setattr(FolderStore, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            erasure.erase(context(world), SUBJECT, "request_id", "ann")
    erasure.erase(context(world), SUBJECT, "request_id", "ann")
    assert verified(invoke)[0] == 0
    (folder,) = world.query("SELECT location FROM shadow.snapshot WHERE day = %s", [day(ITS_DAY)])[0]
    assert {path.parents[1].name for path in (world.snapshots / "late" / str(day(ITS_DAY))).rglob("*.parquet")} == {
        folder.rpartition("/")[2]
    }


def test_what_is_forged_after_an_erasure_is_found(world: World, invoke: Invoke) -> None:
    erasure.erase(context(world), SUBJECT, "request_id", "ann")
    changed = "UPDATE shadow.{} WHERE day = %s"
    for table, column in (("request_batch", "champion[1] = 1 - champion[1]"), ("evidence_batch", "pairs[1][1] = 1")):
        as_owner(world, changed.format(f"{table} SET {column}"), day(ITS_DAY), table=table)
        code, said = verified(invoke)
        assert (code, "differs" in said) == (1, True), said
    as_owner(world, "UPDATE shadow.removal SET requests = 0", table="removal")
    assert "removal 1, row 15 of the chain, is not as it was" in verified(invoke)[1]


def test_requests_that_are_gone_without_a_line_about_it_are_found(world: World, invoke: Invoke) -> None:
    as_owner(world, f"DROP TABLE shadow.request_batch_{day(3):%Y%m%d}")
    code, said = verified(invoke)
    assert (code, "is not in the ledger as its snapshot has it" in said) == (1, True), said


def test_a_day_that_waits_for_labels_ends_as_if_the_subject_had_never_been_there(
    worlds: Callable[..., World], judged: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence, counts = [], []
    for is_erased in (True, False):
        world = declare(worlds(own=True, production=judged.production), monkeypatch)
        small(world)
        labels = "SELECT request_id, is_late, known_at + '1 day' FROM flights.outcome WHERE request_id BETWEEN 'f00240'"
        world.change_production(f"CREATE TABLE flights.later AS {labels} AND 'f00359'")
        world.change_production(LABELS)
        if not is_erased:
            world.change_production("DELETE FROM flights.prediction_log WHERE request_id = %s", [SUBJECT])
        run(invoke, ITS_DAY)
        if is_erased:
            erasure.erase(context(world), SUBJECT, "request_id", "ann")
        world.change_production("INSERT INTO flights.outcome SELECT * FROM flights.later")
        run(invoke, ITS_DAY + 1)
        evidence.append(world.evidence().query("day == @day(@ITS_DAY)").reset_index(drop=True))
        counts.append(world.query("SELECT rows, labelled, complete_at FROM shadow.labelled_snapshot ORDER BY day"))
        assert verified(invoke)[0] == 0
    assert counts[0] == counts[1]
    assert len(evidence[0])
    pd.testing.assert_frame_equal(*evidence, rtol=1e-12)


def test_a_whole_shard_is_erased(world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.query("SELECT request_id FROM shadow.request WHERE day = %s AND ordinal < 41", [day(ITS_DAY)])
    monkeypatch.setattr(erasure, "_is", lambda column, _: pc.is_in(column, pa.array([name for (name,) in first])))
    erasure.erase(context(world), "those of a shard", "request_id", "ann")
    assert world.query("SELECT rows, shards FROM shadow.snapshot WHERE day = %s", [day(ITS_DAY)]) == [(79, 2)]
    assert world.query(
        "SELECT shard, first_ordinal, c.rows FROM shadow.scoring AS c JOIN shadow.snapshot AS s ON s.id = snapshot_id "
        "WHERE day = %s ORDER BY 1",
        [day(ITS_DAY)],
    ) == [(0, 0, 39), (1, 39, 40)]
    assert verified(invoke)[0] == 0
    deploy(world, sample={"shard_rows": 40}, challenger={"version": "2"})
    assert invoke("replay", "late", "--challenger", OTHER["name"])[0] == 0
    assert verified(invoke)[0] == 0


def test_a_window_of_a_day_is_erased_whole(
    worlds: Callable[..., World], judged: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(production=judged.production), monkeypatch)
    deploy(world, sample={"shard_rows": 40}, schedule="0 */12 * * *")
    run(invoke, ITS_DAY)
    first = world.query("SELECT request_id FROM shadow.request WHERE requested_at < %s", [f"{day(ITS_DAY)} 12:00Z"])
    monkeypatch.setattr(erasure, "_is", lambda column, _: pc.is_in(column, pa.array([name for (name,) in first])))
    erasure.erase(context(world), "those of a window", "request_id", "ann")
    found = world.query("SELECT number, first_ordinal, rows, first_shard FROM shadow.sampled_window ORDER BY number")
    assert found == [(1, 0, 0, 0), (2, 0, 120 - len(first), 0)]
    assert verified(invoke)[0] == 0


def test_rows_of_a_matrix_are_taken_out_as_elements_are(world: World) -> None:
    arrays = "shadow.without('{{1,2},{3,4},{5,6}}'::float8[], '{1,3}'), shadow.without('{a,NULL,c}'::text[], '{3}')"
    assert world.query(f"SELECT {arrays}, shadow.without(NULL::int[], '{{1}}')") == [([[3, 4]], ["a", None], None)]


def test_nothing_is_erased_while_a_step_works_on_requests(world: World) -> None:
    with context(world).ledger() as session:
        require_snapshot(session, context(world).deployment, day(ITS_DAY))
        with pytest.raises(TransientError, match="erase when it has ended"):
            erasure.erase(context(world), SUBJECT, "request_id", "ann")
