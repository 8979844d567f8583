"""A new challenger answers the days that are kept, through the command line: on which days, and what it decides."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.pipeline.history import replay as steps_of_replay
from shadow_deployment.report.queries import pages
from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import POLICY, better, produce
from tests.production import World, day, linear_model

A_A_CHECK = {"name": "a_a_check", "model": "champion"}
LAST = 13
GONE = "ALTER SCHEMA flights RENAME TO gone"


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World], empty_production: str) -> World:
    """Fourteen days that nobody but the A/A check has answered; a logistic of `dep_hour` would be the better model."""
    from shadow_deployment.pipeline.run import run_day

    world = worlds(own=True, production=empty_production)
    produce(world, better)
    world.change_production(
        "UPDATE flights.prediction_log SET dep_hour = ln(other_probability / (1 - other_probability)), "
        "model_version = CASE WHEN predicted_at < '2024-03-03' THEN '6' ELSE '7' END"
    )
    shadow = world.shadow(challengers=[A_A_CHECK], policy=POLICY, slices=[], sample={"rate": 1.0, "shard_rows": 50})
    for number in range(LAST + 1):
        run_day(shadow, day(number))
    return world


@pytest.fixture
def world(worlds: Callable[..., World], judged: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(judged, own=True), monkeypatch)


def deploy(world: World, *, weight: float = 1.0, policy: dict[str, Any] | None = None, **challenger: Any) -> None:
    path = linear_model(world.folder / "fresh.onnx", {"dep_hour": weight})
    fresh = {"name": "fresh", "model": f"onnx:{path}", **challenger}
    world.deploy(
        challengers=[fresh, A_A_CHECK],
        policy={**POLICY, "replay": "shown", **(policy or {})},
        slices=[],
        sample={"rate": 1.0, "shard_rows": 50},
    )


def replay(invoke: Invoke, *arguments: object) -> tuple[int, str, str]:
    code, out, err = invoke("replay", "late", "--challenger", *(arguments or ["fresh"]))
    return code, out, " ".join(err.split())


def verdict(invoke: Invoke) -> dict[str, Any]:
    code, out, err = invoke("verdict", "late", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)["challengers"][0]
    return found


def answered(world: World) -> list[dt.date]:
    return [
        each
        for (each,) in world.query(
            "SELECT s.day FROM shadow.scoring AS o JOIN shadow.snapshot AS s ON s.id = o.snapshot_id "
            "JOIN shadow.model_version AS m ON m.id = o.challenger_id WHERE m.name = 'fresh' "
            "GROUP BY s.day, s.rows HAVING sum(o.rows) = s.rows ORDER BY s.day"
        )
    ]


def days(first: int, last: int = LAST) -> list[dt.date]:
    return [day(number) for number in range(first, last + 1)]


def test_a_new_challenger_has_a_verdict_of_all_days_of_this_champion_without_production(
    world: World, invoke: Invoke
) -> None:
    deploy(world)
    world.change_production(GONE)
    code, out, err = replay(invoke)
    assert code == 0, err
    assert "fresh" in out
    assert answered(world) == days(2), "the champion of the first two days was another one"
    found = verdict(invoke)
    assert (found["day"], found["outcome"]) == (str(day(LAST)), "INCONCLUSIVE")
    assert found["reasons"][0].startswith("with its replayed days it would PASS since ")
    assert (found["days"]["counted"], found["days"]["replayed"], found["days"]["left_out"]) == (0, 12, [])
    ((before,),) = world.query(
        "SELECT (SELECT opened_at FROM shadow.trial JOIN shadow.model_version AS m ON m.id = challenger_id "
        "WHERE m.name = 'fresh') < (SELECT min(scored_at) FROM shadow.scoring JOIN shadow.model_version AS m "
        "ON m.id = challenger_id WHERE m.name = 'fresh')"
    )
    assert before, "its trial is opened before anything is scored"
    page = pages.deployment_page(DeploymentContext(load_deployment(world.deployments / "late.yaml"), world.connection))
    assert [(len(one.days), one.replayed) for one in page.sequences] == [(12, 12)]


def test_a_second_replay_does_nothing_but_judge(world: World, invoke: Invoke) -> None:
    deploy(world)
    replay(invoke)
    before = world.dump()
    assert replay(invoke)[0] == 0
    assert world.dump() == before
    world.change_production(GONE)
    deploy(world, policy={"burn_in": 5})
    assert replay(invoke)[0] == 0
    assert verdict(invoke)["trial"]["number"] > 2
    assert verdict(invoke)["days"]["replayed"] == 0, "days that were seen before another trial are not shown in it"


def test_what_was_interrupted_is_finished(world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    from shadow_deployment.pipeline import steps

    deploy(world)
    compare, calls = steps.compare, iter(range(100))

    def breaks(*arguments: Any) -> int:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return compare(*arguments)

    monkeypatch.setattr(steps, "compare", breaks)
    assert replay(invoke)[0] != 0
    monkeypatch.setattr(steps, "compare", compare)
    assert answered(world) == days(2, 5)
    replay(invoke)
    ((compared,),) = world.query(
        "SELECT count(DISTINCT day) FROM shadow.evidence JOIN shadow.model_version AS m ON m.id = challenger_id "
        "WHERE m.name = 'fresh'"
    )
    assert (compared, verdict(invoke)["days"]["replayed"]) == (12, 12)


@pytest.mark.parametrize("trained", [None, 4])
def test_days_that_it_may_have_learned_from_are_not_replayed(trained: int | None, world: World, invoke: Invoke) -> None:
    deploy(world, **({} if trained is None else {"trained_until": str(day(trained))}))
    replay(invoke)
    assert answered(world) == days(2 if trained is None else 4 + 3), "labels mature in three days"


def test_days_that_are_withdrawn_removed_or_failed_are_not_replayed(world: World, invoke: Invoke) -> None:
    from shadow_deployment.data.quality.expectations import Failure, Validation
    from shadow_deployment.ledger import snapshots
    from shadow_deployment.ledger.checks import validations

    deploy(world)  # with this world's own files
    invoke("withdraw", "late", "--day", day(9), "--reason", "the log was loaded twice", "--by", "ada")
    code, _, err = invoke("prune", "late", "--before", day(5), "--yes")
    assert code == 0, err
    shadow = world.shadow()
    deploy(world)
    with shadow.ledger() as session:
        failed = snapshots.find(session, shadow.deployment, day(11))
        assert failed is not None
        validations.record(
            session,
            failed,
            None,
            Validation("", 1, [Failure("expect_column_max_to_be_between", "dep_hour", "1 value", [])]),
        )
    replay(invoke)
    assert answered(world) == [each for each in days(5) if each not in (day(9), day(11))]


def test_the_newest_days_are_replayed_as_many_as_the_policy_says_or_fewer(world: World, invoke: Invoke) -> None:
    deploy(world, policy={"replay_days": 7})
    assert replay(invoke, "fresh", "--days", 3)[0] == 0
    assert answered(world) == days(LAST - 2)
    replay(invoke)
    replay(invoke)
    assert answered(world) == days(LAST - 6)
    ((trials,),) = world.query("SELECT count(*) FROM shadow.trial WHERE kind = 'challenger'")
    assert trials == 1
    deploy(world, policy={"replay_days": 9})
    replay(invoke)
    assert answered(world) == days(LAST - 8)
    assert world.query("SELECT count(*) FROM shadow.trial WHERE kind = 'challenger'") == [(1,)], "it is no term"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a_a_check"], "challenger == 'a_a_check', must be no A/A check"),
        ([FORMER_CHAMPION], f"challenger == '{FORMER_CHAMPION}', must be a challenger: a former champion is judged"),
        (["frehs"], "challenger == 'frehs', must be one of fresh, a_a_check"),
        (["fresh", "--days", 91], "days == 91, must be from 1 to 90 (policy.replay_days)"),
        (["fresh", "--days", 0], "days == 0, must be from 1 to 90 (policy.replay_days)"),
    ],
)
def test_what_cannot_be_replayed_is_refused_and_nothing_is_written(
    arguments: list[object], message: str, world: World, invoke: Invoke
) -> None:
    deploy(world)
    before = world.dump()
    code, _, err = replay(invoke, *arguments)
    assert code == 1
    assert message in err
    assert world.dump() == before


def test_a_model_that_is_missing_opens_no_trial(world: World, invoke: Invoke) -> None:
    deploy(world, model="onnx:/nowhere/fresh.onnx")
    before = world.dump()
    code, _, err = replay(invoke)
    assert (code, "/nowhere/fresh.onnx" in err) == (1, True)
    assert world.dump() == before


def test_a_deployment_without_a_day_says_so(
    worlds: Callable[..., World], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(declare(worlds(), monkeypatch))
    code, _, err = replay(invoke)
    assert (code, "deployment late has no day yet: run one with shadow run first" in err) == (1, True)


def test_predictions_that_fail_their_expectations_are_reported_and_count(world: World, invoke: Invoke) -> None:
    suite = {
        "expectations": [
            {"type": "expect_column_max_to_be_between", "kwargs": {"column": "prediction", "max_value": 0.5}}
        ]
    }
    path = world.folder / "suite.json"
    path.write_text(json.dumps(suite))
    deploy(world)
    text = (world.deployments / "late.yaml").read_text()
    (world.deployments / "late.yaml").write_text(f"{text}expectations: {{predictions: {path}}}\n")
    code, _, err = replay(invoke)
    assert code == 1
    assert err.count("expectations are not met by the predictions of fresh") == 12
    assert verdict(invoke)["days"]["replayed"] == 12
    assert any("predictions do not meet their expectations on 12 days" in one for one in verdict(invoke)["warnings"])


def test_without_a_training_date_no_replayed_day_counts_whatever_the_policy_says(world: World) -> None:
    """As of an MLflow alias whose version has no tag `trained_until`: the file need not declare a date for it."""
    deploy(world, policy={"replay": "count"}, trained_until=str(day(-4)))
    declared = DeploymentContext(load_deployment(world.deployments / "late.yaml"), world.connection)
    fresh, a_a_check = declared.deployment.challengers
    challengers = [fresh.model_copy(update={"trained_until": None}), a_a_check]
    context = replace(declared, deployment=declared.deployment.model_copy(update={"challengers": challengers}))
    for each in steps_of_replay.days_to_replay(context, "fresh"):
        steps_of_replay.replay_day(context, each, "fresh")
    judged = steps_of_replay.judge_newest(context, "fresh")
    assert (judged.verdict.outcome, judged.days.counted) == ("INCONCLUSIVE", 0)
    assert judged.verdict.reasons[0].startswith("with its replayed days it would PASS since ")
