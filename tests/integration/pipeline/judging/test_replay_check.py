"""A champion's own model that does not repeat the log blocks the pass."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shadow_deployment.config.deployment import Challenger, ChampionSettings
from shadow_deployment.data.db import connect
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.checks import replay_checks
from shadow_deployment.ledger.checks.replay_checks import ReplayCheck
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.replay_check import MOST_WORST, check
from tests import production
from tests.integration.pipeline.judging.days import OTHER, PASSING, RUN, Produce, judged, run
from tests.production import World, day, linear_model
from tests.rows import TableRows

WEIGHTS = {"dep_hour": 0.1, "distance": -0.0005}


class Model:
    """Answers with what it was given for each request, NaN for what it cannot answer; remembers what it was shown."""

    def __init__(self, values: Mapping[str, float], errors: Mapping[str, str] | None = None) -> None:
        self._values, self._errors, self.shown = values, errors or {}, []

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        names = batch["request_id"].to_pylist()
        self.shown += names
        values = np.array([self._values.get(name, np.nan) for name in names])
        return Predictions(values, {row: self._errors[name] for row, name in enumerate(names) if name in self._errors})


def logged(answers: Mapping[str, float | None], versions: Mapping[str, str] | None = None) -> pa.Table:
    versions = versions or {}
    return pa.table(
        {
            "request_id": list(answers),
            "champion": pa.array(answers.values(), pa.float64()),
            "champion_version": [versions.get(name, "7") for name in answers],
        }
    )


def checked(log: pa.Table, model: Model, **champion: Any) -> ReplayCheck:
    return check(ChampionSettings(model="onnx:m.onnx", **champion), model, TableRows(log))


def test_parity_holds_where_the_model_says_what_was_logged_but_for_the_tolerance() -> None:
    log = {"a": 0.5, "b": 0.25, "c": 0.75}
    assert checked(logged(log), Model(log)) == ReplayCheck(3, 0, 0.0, [])
    result = checked(logged(log), Model(log | {"b": 0.25 + 0.0078125}), tolerance=0.0078125)
    assert (result.mismatched, result.largest) == (0, 0.0078125)


def test_what_the_model_says_otherwise_or_not_at_all_is_named_furthest_first() -> None:
    log = dict.fromkeys("abcde", 0.5)
    model = Model(log | {"b": 0.6, "c": np.nan, "d": 0.1, "e": 0.5}, {"e": "cannot"})
    result = checked(logged(log), model)
    assert (result.checked, result.mismatched) == (5, 4)
    assert result.largest == pytest.approx(0.4)
    assert json.loads(result.worst_json()) == [
        {"request_id": "c", "logged": 0.5, "again": None},
        {"request_id": "e", "logged": 0.5, "again": None},
        {"request_id": "d", "logged": 0.5, "again": 0.1},
        {"request_id": "b", "logged": 0.5, "again": 0.6},
    ]


def test_no_more_than_twenty_requests_are_named_and_all_are_counted() -> None:
    log = {f"r{number:03d}": 0.0 for number in range(50)}
    result = checked(logged(log), Model({name: number / 100 for number, name in enumerate(log)}))
    assert (result.checked, result.mismatched, len(result.worst)) == (50, 49, MOST_WORST)
    assert result.worst[0]["request_id"] == "r049"


@pytest.mark.parametrize(("rows", "sample", "shown"), [(10, 20, 10), (10, 10, 10), (100, 10, 10), (101, 10, 10)])
def test_a_sample_is_spread_over_the_day(rows: int, sample: int, shown: int) -> None:
    log = {f"r{number:03d}": 0.5 for number in range(rows)}
    model = Model(log)
    assert checked(logged(log), model, sample=sample).checked == shown
    assert len(model.shown) == len(set(model.shown)) == shown
    assert int(model.shown[-1][1:]) >= 0.9 * (rows - 1)


def test_what_the_champion_did_not_answer_or_another_version_did_is_passed_over() -> None:
    log: dict[str, float | None] = {"a": 0.5, "b": None, "c": np.nan, "d": 0.5}
    model = Model({})
    assert checked(logged(log, {"d": "8"}), model, version="7").checked == 1
    assert model.shown == ["a"]
    assert checked(logged(log), Model({}), version="9") == ReplayCheck(0, 0, 0.0, [])


def keep_parity(world: World, number: int, result: ReplayCheck) -> dict[str, Any]:
    """Keep what a check of the champion's own model has found; return the deployment that it is the model of."""
    model = f"onnx:{linear_model(world.folder / 'champion.onnx', {'dep_hour': 1.0})}"
    changes = {"champion": {"model": model}, "policy": PASSING}
    deployment = world.deploy(challengers=[OTHER], **changes)
    with connect(world.connection("shadow_db")) as session:
        snapshot = snapshots.find(session, deployment, day(number))
        assert snapshot is not None
        digest = model_digest(Challenger(name="champion", model=model))
        replay_checks.record(session, snapshot, ChampionSettings(model=model), digest, result)
    return changes


def test_a_champion_that_does_not_repeat_itself_blocks_the_pass_and_says_how_many_requests_differ(
    continued: World,
) -> None:
    assert judged(continued, RUN - 1, policy=PASSING).verdict.outcome == "PASS"
    for number in range(RUN):
        changes = keep_parity(continued, number, ReplayCheck(60, 0, 0.0, []))
    assert judged(continued, RUN - 1, **changes).verdict.outcome == "PASS"
    worst = [{"request_id": f"f{number:04d}", "logged": 0.5, "again": 0.1} for number in range(7)]
    keep_parity(continued, 2, ReplayCheck(50, 1, 0.5, worst[:1]))
    keep_parity(continued, 4, ReplayCheck(59, 7, 0.4, worst))
    blocked = judged(continued, RUN - 1, **changes).verdict
    assert [finding.outcome for finding in blocked.findings] == ["PASS"]
    assert blocked.outcome == "INCONCLUSIVE"
    (reason,) = blocked.reasons
    assert reason == (
        "features differ between serving and shadow: on 2 days the champion's own model predicts otherwise than the "
        "log, most recently for 7 of 59 requests, by up to 0.4; shadow.newest_replay_check has the worst of them"
    )
    assert judged(continued, 1, **changes).verdict.outcome == "PASS", "the days before are not touched"
    keep_parity(continued, 2, ReplayCheck(51, 0, 0.0, []))
    keep_parity(continued, 4, ReplayCheck(58, 0, 0.0, []))
    assert judged(continued, RUN - 1, **changes).verdict.outcome == "PASS"


@pytest.fixture(scope="module")
def repeatable(produce: Produce, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Any], list[str]]:
    """Two days: on the first the log holds what the champion's file says, on the second not for three requests."""
    log, outcome = production.synthetic(days=2, per_day=60, seed=13)
    model = linear_model(tmp_path_factory.mktemp("champion") / "champion.onnx", WEIGHTS)
    score = sum(weight * log[name] for name, weight in WEIGHTS.items())
    log["champion_probability"] = 1 / (1 + np.exp(-score))
    changed = log.request_id[60:63].tolist()
    log.loc[60:62, "champion_probability"] += [0.01, -0.03, 0.02]
    world = produce(log, outcome)
    changes = {"champion": {"model": f"onnx:{model}", "version": "7"}, "policy": PASSING}
    run(world, range(2), **changes)
    return world, changes, [changed[1], changed[2], changed[0]]


def test_a_log_that_the_champions_own_model_repeats_gives_no_reason(
    repeatable: tuple[World, dict[str, Any], list[str]],
) -> None:
    world, changes, _ = repeatable
    assert world.query(
        "SELECT checked, mismatched, worst FROM shadow.replay_check JOIN shadow.snapshot ON id = snapshot_id "
        "WHERE day = %s",
        [day(0)],
    ) == [(60, 0, [])]
    verdict = judged(world, 0, **changes).verdict
    assert (verdict.outcome, list(verdict.reasons)) == ("PASS", [])


def test_a_log_that_it_does_not_repeat_blocks_the_pass_and_says_how_many_requests_differ(
    repeatable: tuple[World, dict[str, Any], list[str]],
) -> None:
    world, changes, worst = repeatable
    verdict = judged(world, 1, **changes).verdict
    assert [finding.outcome for finding in verdict.findings] == ["PASS"]
    assert verdict.outcome == "INCONCLUSIVE"
    (reason,) = verdict.reasons
    assert reason == (
        "features differ between serving and shadow: on 1 day the champion's own model predicts otherwise than the "
        "log, most recently for 3 of 60 requests, by up to 0.03; shadow.newest_replay_check has the worst of them"
    )
    kept = world.query(
        "SELECT worst FROM shadow.newest_replay_check JOIN shadow.snapshot ON id = snapshot_id WHERE day = %s", [day(1)]
    )
    assert [each["request_id"] for each in kept[0][0]] == worst


def test_parity_of_a_champion_file_that_is_no_longer_named_does_not_block(continued: World) -> None:
    keep_parity(continued, 4, ReplayCheck(59, 1, 0.4, [{"request_id": "f0001", "logged": 0.5, "again": 0.1}]))
    assert judged(continued, RUN - 1, policy=PASSING).verdict.outcome == "PASS"
