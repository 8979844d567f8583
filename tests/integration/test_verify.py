"""What somebody changed in the ledger, in a snapshot or in a model is found, and promotes nothing."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.rows import dict_row

from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.evidence import digest_of_row
from shadow_deployment.pipeline.sample import files_of
from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import DAYS, better, deploy, newest_verdict, produce, run, run_all, worse
from tests.production import SHADOW, World, day, linear_model, unguarded

MODEL = "model.onnx"
FORGED = (
    "INSERT INTO shadow.verdict (deployment_id, day, challenger_id, champion_version, design, trial_id, days, outcome, "
    "reasons, warnings, findings, blocked, alpha, counted_evidence, shown_evidence, policy, explanation, input_digest, "
    "code_version, revision) SELECT deployment_id, day, challenger_id, champion_version, design, trial_id, days, "
    "'PASS', '[]', warnings, findings, blocked, alpha, counted_evidence, shown_evidence, policy, explanation, "
    "input_digest, code_version, revision + 1 FROM shadow.verdict WHERE day = %s"
)
Forge = Callable[[World], object]


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World], empty_production: str) -> World:
    """A fortnight of an honest challenger that is better, and passes. Tests copy it."""
    world = worlds(own=True, production=empty_production)
    produce(world, better)
    run_all(world, deploy(world))
    return world


@pytest.fixture
def world(worlds: Callable[..., World], judged: World, monkeypatch: pytest.MonkeyPatch) -> World:
    world = declare(worlds(judged), monkeypatch)
    deploy(world)
    return world


def change(world: World, table: str, statement: str, *values: Any) -> None:
    """Change rows as only the ledger's owner can."""
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, table):
        assert session.execute(statement, values).rowcount > 0


def promote(invoke: Invoke) -> tuple[int, str]:
    who = ("--approved-by", "ann", "--reason", "it is better", "--yes")
    code, _, err = invoke("promote", "late", "--challenger", "other", *who)
    return code, " ".join(err.split())


def verified(invoke: Invoke, *options: Any) -> tuple[int, str]:
    code, out, err = invoke("verify", "late", *options)
    return code, " ".join((out + err).split())


def test_an_honest_ledger_is_as_it_was_and_is_promoted_and_is_still(world: World, invoke: Invoke) -> None:
    code, found = verified(invoke)
    assert (code, "as it was written: chain, trials, 14 days, 14 verdicts, 1 newest verdicts" in found) == (
        0,
        True,
    ), found
    assert promote(invoke)[0] == 0
    assert verified(invoke)[0] == 0
    assert verified(invoke, "--day", day(3))[0] == 0
    code, out, _ = invoke("verify", "late", "--json")
    content = json.loads(out)
    assert (code, content["difference"], content["chain"]["number"]) == (0, None, DAYS + 1)
    ((database, person),) = world.query("SELECT database_user, os_user FROM shadow.promotion")
    assert database
    assert person


def evidence_row(world: World) -> None:
    change(
        world,
        "evidence_batch",
        "UPDATE shadow.evidence_batch SET difference_sum[1][1] = difference_sum[1][1] + 1 WHERE day = %s",
        day(2),
    )


def whole_evidence(world: World) -> None:
    """Change evidence with its digest."""
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW), row_factory=dict_row) as session:
        row = session.execute(
            "SELECT * FROM shadow.evidence_batch WHERE needs_labels AND day = %s", [day(2)]
        ).fetchone()
    assert row is not None
    row["difference_sum"][0][0] += 1
    statement = "UPDATE shadow.evidence_batch SET difference_sum = %s, digest = %s WHERE id = %s"
    change(world, "evidence_batch", statement, row["difference_sum"], digest_of_row(row), row["id"])


def prediction(world: World) -> None:
    world.query("UPDATE shadow.prediction_batch SET value[1] = 1 - value[1] WHERE day = %s RETURNING 1", [day(2)])


def champions_prediction(world: World) -> None:
    world.query("UPDATE shadow.request_batch SET champion[1] = 1 - champion[1] WHERE day = %s RETURNING 1", [day(2)])


def stored_verdict(world: World) -> None:
    change(world, "verdict", "UPDATE shadow.verdict SET outcome = 'FAIL' WHERE day = %s", day(2))


def added_verdict(world: World) -> None:
    """Anybody who may write can insert a verdict; it enters the chain like any other."""
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        session.execute(FORGED.replace("'PASS'", "'FAIL'"), [day(2)])


def removed_verdict(world: World) -> None:
    change(world, "verdict", "DELETE FROM shadow.verdict WHERE day = %s", day(2))


def snapshot_file(world: World) -> None:
    shadow = world.shadow()
    with shadow.ledger() as session:
        snapshot = snapshots.find(session, shadow.deployment, day(2))
    assert snapshot is not None
    part = files_of(shadow, snapshot).parts[0]
    path = shadow.store.path(f"{snapshot.location}/{part.name}")
    table = pq.read_table(path)
    place = table.schema.get_field_index("champion")
    table = table.set_column(place, "champion", pa.array([0.5] * len(table)))
    path.chmod(0o644)
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (evidence_row, f"evidence 5 of other on {day(2)}, which was changed"),
        (whole_evidence, f"of other on {day(2)}, which is not what its predictions and labels give"),
        (prediction, f"of other on {day(2)}, which is not what its predictions and labels give"),
        (champions_prediction, f"of {day(2)} is not in the ledger as its snapshot has it"),
        (stored_verdict, "verdict 3, row 3 of the chain, is not as it was when it was entered"),
        (added_verdict, f"the verdict of {day(2)} on other says FAIL, and its evidence gives"),
        (removed_verdict, "verdict 3, row 3 of the chain, is gone"),
        (snapshot_file, "the inputs were changed"),
    ],
)
def test_what_was_changed_is_found_and_named(world: World, invoke: Invoke, forge: Forge, said: str) -> None:
    forge(world)
    code, found = verified(invoke)
    assert code == 1
    assert said in found
    assert verified(invoke, "--day", day(2))[0] == 1


def test_a_removed_promotion_is_found(world: World, invoke: Invoke) -> None:
    assert promote(invoke)[0] == 0
    change(world, "promotion", "DELETE FROM shadow.promotion")
    assert verified(invoke) == (1, f"late: differs: promotion 1, row {DAYS + 1} of the chain, is gone")


def test_an_exchanged_model_is_found(
    worlds: Callable[..., World], judged: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(production=judged.production), monkeypatch)
    path = linear_model(world.folder / MODEL, {"dep_hour": 0.001})
    deploy(world, challenger={"model": f"onnx:{path}"})
    run(invoke, 0, 2)
    assert verified(invoke)[0] == 0
    linear_model(path, {"dep_hour": 0.002})
    code, found = verified(invoke)
    assert (code, f"onnx:{path} has digest" in found) == (1, True), found


def test_a_forged_pass_is_not_promoted_and_is_found(
    worlds: Callable[..., World], empty_production: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(own=True, production=empty_production), monkeypatch)
    produce(world, worse)
    deploy(world)
    run(invoke, 0, DAYS - 1)
    assert newest_verdict(invoke)["outcome"] == "FAIL"
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        session.execute(FORGED, [day(DAYS - 1)])
    assert newest_verdict(invoke)["outcome"] == "PASS"
    code, found = promote(invoke)
    assert code == 1
    assert f"its verdict of {day(DAYS - 1)} says PASS, and the ledger's evidence gives FAIL now" in found
    assert world.query("SELECT count(*) FROM shadow.promotion") == [(0,)]
    code, found = verified(invoke)
    assert (code, f"the verdict of {day(DAYS - 1)} on other says PASS, and its evidence gives FAIL" in found) == (
        1,
        True,
    )


def test_a_pass_that_was_edited_into_its_evidence_is_not_promoted(world: World, invoke: Invoke) -> None:
    statement = (
        "UPDATE shadow.evidence_batch SET challenger_sum = champion_sum, difference_sum[1][1] = 0 WHERE needs_labels"
    )
    change(world, "evidence_batch", statement)
    code, found = promote(invoke)
    assert (code, "says PASS, and the ledger's evidence gives" in found) == (1, True)


def test_an_old_pass_is_judged_again_before_it_is_promoted(world: World, invoke: Invoke) -> None:
    change(world, "verdict", "UPDATE shadow.verdict SET judged_at = judged_at - interval '8 days'")
    code, found = promote(invoke)
    assert (code, "more than 7 days ago (promotion.valid_days): judge it again" in found) == (1, True)


def test_only_approvers_promote_from_the_command_line(world: World, invoke: Invoke) -> None:
    deploy(world, promotion={"approvers": ["bob", "cid"]})
    code, found = promote(invoke)
    assert (code, "approved_by == 'ann', must be one of promotion.approvers: bob, cid" in found) == (1, True)
