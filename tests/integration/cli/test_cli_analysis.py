"""The commands that look ahead, `plan` and `calibrate`, on the days of a ledger: what they print, write and refuse."""

import datetime as dt
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from shadow_deployment.cli.commands import analysis
from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.alpha import alpha_of_trial
from shadow_deployment.decision.calibration import calibrate
from shadow_deployment.decision.power import power_analysis
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.ledger.checks import calibrations
from shadow_deployment.pipeline.history import planning
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.statistics.long_run_variance import long_run_ratio
from tests.conftest import Invoke, declare
from tests.production import FIRST, MATURITY, World, day

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
CHALLENGERS = [OTHER, {**OTHER, "name": "again"}, {"name": "a_a_check", "model": "champion"}]
BRIER = {"metric": "brier_score", "is": "superior"}
LOG_LOSS = {"metric": "log_loss", "is": "non_inferior", "margin": 0.05}
RULES = [
    BRIER,
    LOG_LOSS,
    {"metric": "brier_score", "is": "guardrail"},
    {"metric": "accuracy", "is": "at_least", "value": 0.5},
    {"metric": "error_rate", "is": "at_most", "value": 0.5},
]
POLICY = {"burn_in": 2, "rules": RULES}
DAYS = 6


@pytest.fixture(scope="module")
def whole(worlds: Callable[..., World]) -> World:
    world = worlds()
    shadow = world.shadow(challengers=CHALLENGERS, policy=POLICY)
    found = list(run_days(shadow, [day(number) for number in range(DAYS)], Console(file=io.StringIO())))
    assert not any(isinstance(one, Exception) for one in found)
    return world


@pytest.fixture
def world(whole: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A ledger of some days of its own, declared in the environment."""
    found = declare(worlds(whole), monkeypatch)
    found.deploy(challengers=CHALLENGERS, policy=POLICY)
    return found


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """Sixty days of evidence instead of the few that there are."""
    made = {(metric, "all"): a_series(metric) for metric in ("brier_score", "log_loss", "error_rate", "accuracy")}
    monkeypatch.setattr(planning, "evidence_of", lambda *_, **__: made)
    return made


def a_series(metric: str, days: int = 60, memory: float = 0.0) -> Series:
    random = np.random.default_rng(len(metric))
    noise = random.standard_normal(days)
    for number in range(1, days):
        noise[number] += memory * noise[number - 1]
    difference, counts = 0.01 + 0.02 * noise, np.full(days, 50)
    return Series(
        metric=metric,
        slice="all",
        days=tuple(FIRST + dt.timedelta(days=number) for number in range(days)),
        pairs=counts,
        identical=np.zeros_like(counts),
        champion=np.full(days, 0.3),
        challenger=0.3 - difference,
        difference=difference,
    )


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_plan_is_that_of_the_evidence_for_each_rule_that_compares(world: World, invoke: Invoke) -> None:
    code, out, err = invoke("plan", "late", "--effect", "0.05", "--challenger", "other", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)["other"]
    rows = world.evidence()
    rows = rows[(rows.challenger == "other") & (rows.slice_column == "all") & (rows.day < day(DAYS - MATURITY))]
    assert [one["rule"].split()[:2] for one in found] == [["brier_score", "superior"], ["log_loss", "non_inferior"]]
    for one, metric in zip(found, ("brier_score", "log_loss"), strict=True):
        of_metric = rows[rows.metric == metric]
        mean = of_metric.difference_sum.sum() / of_metric.weight.sum()
        scaled = (of_metric.difference_sum - mean * of_metric.weight) / of_metric.weight.mean()
        assert one["seen"] == len(of_metric) >= 2
        assert one["between"] + one["within"] == pytest.approx(scaled.var(ddof=1) * long_run_ratio(scaled.to_numpy()))
        assert max(rate["rate"] for rate in one["rates"]) == 1
        assert (one["effect"], one["alpha"]) == (0.05, alpha_of_trial(0.05, place=1, size=2))
        assert one["next_alpha"] == alpha_of_trial(0.05, place=2, size=1)


def test_a_plan_is_shown_as_a_table_for_everybody_who_can_be_promoted(world: World, invoke: Invoke) -> None:
    code, out, err = invoke("plan", "late", "--effect", "0.05")
    assert (code, err) == (0, "")
    for who in ("other", "again"):
        assert f"{who}: days until an effect of 0.05 beyond the bound passes, at alpha " in words(out)
    assert "a_a_check" not in out
    assert out.count("brier_score superior") == 2
    assert "by unit week: " not in out
    assert "smallest rate: of sampling" in words(out)


@pytest.mark.parametrize(
    ("effect", "proposed", "shown"), [(0.02, 0.5, "0.5"), (0.02, 4.0, "1"), (0.02, None, "-"), (1e-9, None, "never")]
)
def test_a_rate_that_is_proposed_is_no_more_than_everything(effect: float, proposed: Any, shown: str) -> None:
    policy = Policy.model_validate({"rules": [BRIER]})
    found = power_analysis(a_series("brier_score"), policy.rules[0], policy, effect=effect)
    table = analysis._plan_table([replace(found, proposed=proposed)], 1.0 if proposed != 4.0 else 0.5)
    file = io.StringIO()
    Console(file=file, width=140).print(table)
    cells = file.getvalue().splitlines()[3].split()
    assert len(cells) == 8, "rule of two words, days there, three days, deviation, rate"
    assert shown in cells
    assert "60" in cells


def test_a_calibration_is_printed_stored_and_warned_of_from_then_on(
    world: World, invoke: Invoke, long: Evidence
) -> None:
    shadow = world.shadow(challengers=CHALLENGERS, policy=POLICY)
    code, out, err = invoke("calibrate", "late", "--challenger", "other", "--runs", "100", "--effect", "0.3", "--json")
    assert (code, err) == (0, "")
    expected = calibrate(
        shadow.deployment.policy, long, alpha=alpha_of_trial(0.05, place=1, size=2), effect=0.3, runs=100
    )
    found = json.loads(out)
    assert found == {"other": json.loads(json.dumps(expected.to_json()))}
    kept = world.query(
        "SELECT m.name, c.warning, c.result FROM shadow.calibration AS c "
        "JOIN shadow.model_version AS m ON m.id = c.challenger_id"
    )
    assert kept == [("other", expected.warning, found["other"])]
    ((key,),) = world.query("SELECT id FROM shadow.model_version WHERE name = 'other'")
    with shadow.ledger() as session:
        assert calibrations.warnings(session, shadow.deployment, key) == [one for one in [expected.warning] if one]


def test_a_calibration_is_shown_with_its_naive_rivals_its_gates_and_what_was_left_out(
    world: World, invoke: Invoke, long: Evidence
) -> None:
    code, out, err = invoke("calibrate", "late", "--runs", "100")
    assert (code, err) == (0, "")
    text = words(out)
    for who in ("other", "again"):
        assert f"{who}: 100 histories of 365 days, from 56 days seen" in text
    assert text.count("promotes wrongly") >= 2
    assert "brier_score superior at its bound, the others as seen: promotes wrongly in " in text
    assert "days drawn from an autoregression, since this history is short for blocks: promotes wrongly in " in text
    assert "dependence that 56 days do not exclude (90 %): promotes wrongly in up to " in text
    assert "left out: error_rate at_most 0.5: judged day by day, without a sequence" in text
    assert len(world.query("SELECT FROM shadow.calibration")) == 2


def test_what_a_worse_challenger_cannot_miss_is_not_applicable(
    world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = a_series("brier_score")
    worse = {("brier_score", "all"): replace(usual, difference=usual.difference - usual.difference.mean() - 1.0)}
    monkeypatch.setattr(planning, "evidence_of", lambda *_, **__: worse)
    world.deploy(challengers=CHALLENGERS, policy={"rules": [BRIER]})
    seen, assumed = ("calibrate", "late", "--challenger", "other", "--runs", "100"), ("--effect", "0.3")
    code, out, err = invoke(*seen)
    assert (code, err) == (0, "")
    assert words(out).count("not applicable") == 11, "three of three policies, the rule, and the legend"
    assert "never" not in words(out).replace("never passes", "")
    _, out, _ = invoke(*seen, *assumed)
    assert words(out).count("not applicable") == 1, "the legend"


def test_a_policy_that_errs_too_often_is_warned_of(
    world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    swinging = {("brier_score", "all"): a_series("brier_score", memory=0.95)}
    monkeypatch.setattr(planning, "evidence_of", lambda *_, **__: swinging)
    world.deploy(challengers=CHALLENGERS, policy={"burn_in": 2, "method": "plain", "rules": [BRIER]})
    code, out, _ = invoke("calibrate", "late", "--challenger", "other", "--runs", "300")
    assert code == 0
    assert "warning: calibration: with brier_score superior at its bound, " in words(out)
    ((warning,),) = world.query("SELECT warning FROM shadow.calibration")
    assert warning.startswith("calibration: with brier_score superior at its bound, ")


@pytest.mark.parametrize(
    ("challenger", "files"),
    [(["--challenger", "other"], ["shown.svg"]), ([], ["shown-again.svg", "shown-other.svg"])],
)
def test_a_chart_is_drawn_for_each_challenger(
    challenger: list[str], files: list[str], world: World, invoke: Invoke, long: Evidence
) -> None:
    folder = world.folder / "charts"
    folder.mkdir()
    code, _, err = invoke("calibrate", "late", "--runs", "100", "--plot", folder / "shown.svg", *challenger)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == files
    for name in files:
        assert ET.fromstring((folder / name).read_text()).tag.endswith("svg")


@pytest.mark.parametrize("command", ["plan", "calibrate"])
@pytest.mark.parametrize("effect", ["0", "-0.1", "nan", "inf"])
def test_an_effect_that_is_none_is_refused(command: str, effect: str, world: World, invoke: Invoke) -> None:
    code, out, err = invoke(command, "late", "--effect", effect)
    assert (code, out) == (2, "")
    assert "must be a number above 0" in words(err)
    assert world.query("SELECT FROM shadow.calibration") == []


@pytest.mark.parametrize("command", [["plan", "late", "--effect", "0.1"], ["calibrate", "late"]])
def test_without_a_day_there_is_nothing_to_look_ahead_from(command: list[str], reading: World, invoke: Invoke) -> None:
    reading.deploy(challengers=CHALLENGERS, policy=POLICY)
    code, out, err = invoke(*command)
    assert code == 1
    assert out == ""
    assert "deployment late has no day yet: run some first" in words(err)


def test_too_little_history_is_reported_and_nothing_is_stored(world: World, invoke: Invoke) -> None:
    code, _, err = invoke("calibrate", "late", "--challenger", "other")
    assert code == 1
    assert "there is no gate to calibrate" in words(err)
    assert world.query("SELECT FROM shadow.calibration") == []
