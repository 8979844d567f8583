"""Old requests are removed by a command; what verdicts rest on is kept, and is never computed from nothing."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from shadow_deployment.errors import LedgerError
from shadow_deployment.pipeline import steps
from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import DAYS, better, deploy, produce, run, verdict
from tests.production import SHADOW, World, day

KEPT = ("evidence_batch", "validation", "comparison", "verdict", "chain", "sampled_window", "scoring")


@pytest.fixture
def world(
    worlds: Callable[..., World], empty_production: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> World:
    world = declare(worlds(own=True, production=empty_production), monkeypatch)
    produce(world, better)
    deploy(world)
    run(invoke, 0, DAYS - 1)
    return world


def kept(world: World) -> dict[str, Any]:
    return {table: rows for table, rows in world.dump().items() if table in KEPT}


def test_sums_and_verdicts_stay_and_the_next_day_goes_on(world: World, invoke: Invoke) -> None:
    before, found = kept(world), verdict(invoke)
    code, out, err = invoke("prune", "--before", day(10), "--yes")
    assert (code, out) == (0, f"shadow_owner: 10 days removed, {day(0)} to {day(9)}\n"), err
    assert world.query("SELECT min(day) FROM shadow.request") == [(day(10),)]
    assert kept(world) == before
    assert invoke("prune", "--before", day(10), "--yes")[1] == "shadow_owner: 0 days removed\n"
    assert run(invoke, DAYS - 1)[0] == 0
    assert verdict(invoke) == found
    assert invoke("verify", "late")[0] == 0


def test_a_day_whose_requests_are_gone_is_not_run_again(world: World, invoke: Invoke) -> None:
    invoke("prune", "--before", day(10), "--yes")
    before = kept(world)
    code, _, err = run(invoke, 3)
    assert (code, f"the requests of {day(3)} are not in the ledger any more" in " ".join(err.split())) == (1, True)
    with pytest.raises(LedgerError, match="its evidence stays as it is"):
        steps.validate_predictions(world.shadow(), day(3), "other")
    assert kept(world) == before


def test_partitions_that_somebody_dropped_take_no_evidence_with_them(world: World, invoke: Invoke) -> None:
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        session.execute(f"DROP TABLE shadow.prediction_batch_{day(3):%Y%m%d}, shadow.request_batch_{day(3):%Y%m%d}")
    before = kept(world)
    assert run(invoke, 3)[0] == 1
    assert kept(world) == before


def test_days_that_wait_for_labels_are_kept(world: World, invoke: Invoke) -> None:
    world.change_production("DELETE FROM flights.outcome WHERE request_id >= 'f01600'")
    deploy(world, sample={"rate": 0.5, "strata": [], "minimum_per_stratum": 0, "salt": "another"})
    run(invoke, DAYS - 2, DAYS - 1)
    code, _, err = invoke("prune", "--before", day(DAYS), "--yes")
    assert (code, "still waits for labels, so its evidence is not final" in " ".join(err.split())) == (1, True)
    assert world.query("SELECT min(day) FROM shadow.request") == [(day(0),)]
