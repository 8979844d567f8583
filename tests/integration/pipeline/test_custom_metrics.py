"""Metrics of one's own, through the command line: evidence, verdicts, slices, pages, calibration, plans, and trials."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest
from rich.console import Console

from shadow_deployment.doctor.checks import examine
from shadow_deployment.doctor.deployment import probes
from shadow_deployment.models.sandbox.metric import SandboxedMetric
from shadow_deployment.pipeline.history import planning
from shadow_deployment.pipeline.run import run_days
from tests.conftest import Invoke, declare
from tests.integration.cli.test_cli_analysis import a_series
from tests.integration.models import custom_functions
from tests.production import OWNER, TRAINED_UNTIL, World, day

DAYS = 6
FUNCTIONS = "python:tests.integration.models.custom_functions:"
PROFIT = {"name": "profit", "function": f"{FUNCTIONS}profit", "better": "higher", "bounds": [-5, 5], "unit": "EUR"}
UNBOUNDED = {"name": "gain", "function": f"{FUNCTIONS}profit", "better": "higher"}
PRICE = {"name": "price", "function": f"{FUNCTIONS}price", "better": "lower", "needs_label": False, "title": "price"}
CHALLENGER = {
    "name": "other",
    "trained_until": TRAINED_UNTIL,
    "model": "logged:flights.prediction_log.other_probability",
}
RULES = [
    {"metric": "profit", "is": "superior", "slices": ["origin"]},
    {"metric": "gain", "is": "at_least", "value": -9},
    {"metric": "price", "is": "non_inferior", "margin": 0.5, "role": "advisory"},
]
DECLARED = {
    "metrics": [PROFIT, UNBOUNDED, PRICE, "accuracy"],
    "challengers": [CHALLENGER, {"name": "a_a_check", "model": "champion"}],
    "policy": {"burn_in": 2, "max_unanswered": 1.0, "max_champion_missing": 1.0, "replay": "count", "rules": RULES},
}


@pytest.fixture(scope="module")
def whole(worlds: Callable[..., World]) -> World:
    """All days of a production whose labels come late or never, and whose models leave requests unanswered."""
    world = worlds()
    with pytest.MonkeyPatch.context() as patch:
        declare(world, patch)
        world.deploy(**DECLARED)
        run_all(world)
    return world


@pytest.fixture
def world(whole: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    world = declare(worlds(whole), monkeypatch)
    world.deploy(**DECLARED)
    return world


def run_all(world: World) -> None:
    days = [day(number) for number in range(DAYS)]
    assert run_days(world.shadow(**DECLARED), days, Console(file=io.StringIO())) == []


def requests(world: World) -> pd.DataFrame:
    """Return what the ledger and production say of each request of the challenger, with its charges by hand."""
    asked = pd.DataFrame(
        world.query(
            "SELECT r.day, r.request_id, r.champion, p.value, l.value, c.slices->>'origin' FROM shadow.request AS r "
            "JOIN shadow.cell AS c USING (snapshot_id, cell) JOIN shadow.prediction AS p USING (snapshot_id, ordinal) "
            "JOIN shadow.model_version AS m ON m.id = p.challenger_id AND m.name = 'other' "
            "LEFT JOIN shadow.label AS l USING (snapshot_id, ordinal)"
        ),
        columns=["day", "request_id", "champion", "challenger", "label", "origin"],
    )
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        rows = session.execute("SELECT request_id, distance FROM flights.prediction_log").fetchall()
    whole = asked.merge(pd.DataFrame(rows, columns=["request_id", "distance"]))
    return whole.astype({"champion": float, "challenger": float, "label": float})


def charged(values: pd.DataFrame, worst: float) -> pd.DataFrame:
    """Return both models' values: equal where the champion has none, the worst where the challenger alone has none."""
    champion = values.champion.fillna(values.challenger).fillna(worst)
    return values.assign(champion=champion, challenger=values.challenger.fillna(worst))


def by_hand(frame: pd.DataFrame, worst: float | None) -> pd.DataFrame:
    known = frame[frame.label.notna()].reset_index(drop=True)
    models = ("champion", "challenger")
    found = {
        model: custom_functions.profit(known[model].to_numpy(), known.label.to_numpy(), known).where(
            known[model].notna()
        )
        for model in models
    }
    values = known.assign(**found)
    parts = [
        charged(part, part[list(models)].min().min() if worst is None else worst) for _, part in values.groupby("day")
    ]
    return pd.concat(parts)


@pytest.mark.parametrize(("metric", "worst"), [("profit", -5.0), ("gain", None)])
def test_evidence_is_the_function_of_each_request_and_its_charges(
    world: World, metric: str, worst: float | None
) -> None:
    expected = by_hand(requests(world), worst)
    assert requests(world).challenger.isna().any()
    evidence = world.evidence().query(f"challenger == 'other' and metric == {metric!r}")
    assert set(evidence.slice_column) == {"all", "origin", "carrier"}
    for origin in ("", *expected.origin.unique()):
        in_slice = (evidence.slice_column == ("origin" if origin else "all")) & (evidence.slice_value == origin)
        rows = evidence[in_slice].set_index("day")
        part = expected[expected.origin == origin] if origin else expected
        sums = part.groupby("day")[["champion", "challenger"]].agg(["sum", "size"])
        np.testing.assert_allclose(rows.champion_sum, sums["champion", "sum"].reindex(rows.index))
        np.testing.assert_allclose(rows.challenger_sum, sums["challenger", "sum"].reindex(rows.index))
        np.testing.assert_allclose(rows.difference_sum, rows.challenger_sum - rows.champion_sum, atol=1e-9)
        assert rows.pairs.tolist() == sums["champion", "size"].reindex(rows.index).tolist()


def test_a_metric_without_labels_counts_requests_whose_label_never_came(world: World) -> None:
    asked = requests(world)
    evidence = world.evidence().query("challenger == 'other' and slice_column == 'all'").set_index("metric")
    assert evidence.loc["price"].pairs.sum() > evidence.loc["profit"].pairs.sum()
    both = asked.dropna(subset=["champion", "challenger"])
    expected = np.where(both.challenger >= 0.5, 0.5, 0) - np.where(both.champion >= 0.5, 0.5, 0)
    unanswered = asked.challenger.isna() & asked.champion.notna()
    lost = 0.5 * unanswered.sum() - np.where(asked.champion[unanswered] >= 0.5, 0.5, 0).sum()
    assert evidence.loc["price"].difference_sum.sum() == pytest.approx(-(expected.sum() + lost))


def test_verdict_and_page_know_it(world: World, invoke: Invoke, tmp_path: Path) -> None:
    code, out, err = invoke("verdict", "late", "--json")
    assert code == 0, err
    found = next(each for each in json.loads(out)["challengers"] if each["name"] == "other")
    metrics = [(each["metric"], each["slice"]) for each in found["findings"]]
    assert [each for each in metrics if each[1] == "all"] == [("profit", "all"), ("gain", "all"), ("price", "all")]
    assert ("profit", "origin=EWR") in metrics
    gain = (
        by_hand(requests(world), -5.0).groupby("day").pipe(lambda days: days.challenger.mean() - days.champion.mean())
    )
    counted = found["findings"][0]["observations"]
    assert found["findings"][0]["estimate"] == pytest.approx(gain.iloc[:counted].mean(), rel=0.2)
    assert "unanswered, counted" in found["findings"][0]["reason"]
    page = tmp_path / "page.html"
    assert invoke("report", "late", "--challenger", "other", "--out", page)[0] == 0
    text = page.read_text()
    assert "Slices by what their interval shows: profit, EUR" in text
    assert "A/A noise: profit, EUR by day" in text
    assert "Profit, EUR is better" in text


def test_calibration_and_plan_know_it(world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    sixty_days = {(metric, "all"): a_series(metric) for metric in ("profit", "gain", "price")}
    monkeypatch.setattr(planning, "evidence_of", lambda *_, **__: sixty_days)
    world.deploy(**DECLARED | {"policy": {**DECLARED["policy"], "rules": [{"metric": "profit", "is": "superior"}]}})
    for command in (("calibrate", "--runs", "100"), ("plan", "--effect", "0.1")):
        code, out, err = invoke(command[0], "late", *command[1:], "--challenger", "other", "--json")
        assert code == 0, err
        assert "profit superior" in out


def test_what_was_judged_is_verified_and_a_function_that_gives_other_values_is_found(
    world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = invoke("verify", "late")
    assert code == 0, (out, err)
    monkeypatch.setattr(SandboxedMetric, "values", lambda _, inputs: np.zeros(inputs.num_rows))
    code, out, err = invoke("verify", "late")
    assert code == 1
    assert "which is not what its predictions and labels give" in " ".join((out + err).split())


def test_another_function_opens_a_new_trial_and_another_title_does_not(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch, invoke: Invoke, tmp_path: Path
) -> None:
    world, module = declare(worlds(), monkeypatch), tmp_path / "money.py"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    metric = {**PROFIT, "function": "python:money:profit"}
    declared = {"policy": {**DECLARED["policy"], "rules": RULES[:1]}, "challengers": [CHALLENGER]}
    trials, sums = [], []
    for source, changes in (
        ("label", {}),
        ("label", {"title": "money", "limits": {"seconds": 30}}),
        ("2 * label", {}),
        ("2 * label", {"bounds": [-6, 6]}),
    ):
        module.write_text(f"def profit(prediction, label, request):\n    return (prediction >= 0.5) * {source}\n")
        world.deploy(**declared, metrics=[{**metric, **changes}])
        code, _, err = invoke("run", "late", "--from", day(0), "--to", day(0))
        assert code == 0, err
        trials += world.query("SELECT number, opened_because FROM shadow.trial ORDER BY id DESC LIMIT 1")
        evidence = world.evidence().query("metric == 'profit' and slice_column == 'all'")
        sums.append((float(evidence.challenger_sum.iloc[0]), int(evidence.unanswered.iloc[0])))
    assert [number for number, _ in trials] == [1, 1, 2, 3]
    assert trials[2][1] == "a custom metric changed since trial 1"
    ((late,),) = world.query(
        "SELECT sum(l.value) FROM shadow.prediction AS p JOIN shadow.label AS l USING (snapshot_id, ordinal) "
        "WHERE p.value >= 0.5"
    )
    unanswered = sums[0][1]
    assert [total for total, _ in sums] == pytest.approx(
        [late - 5 * unanswered] * 2 + [2 * late - 5 * unanswered, 2 * late - 6 * unanswered]
    )


@pytest.mark.parametrize("fault", ["too_much", "nothing"])
def test_a_faulty_function_is_an_error_that_loses_nothing(
    fault: str, reading: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {**DECLARED, "metrics": [{**PROFIT, "function": f"{FUNCTIONS}{fault}"}, UNBOUNDED, PRICE]}
    reading.deploy(**changed)
    code, _, err = invoke("run", "late", "--from", day(0), "--to", day(0))
    assert code == 1
    assert f"deployment late: metric profit: {FUNCTIONS}{fault}: " in " ".join(err.split())
    assert "Traceback" not in err
    assert reading.query("SELECT count(*) FROM shadow.evidence") == [(0,)]
    scored = reading.query("SELECT count(*) FROM shadow.prediction")
    assert (scored == [(0,)]) == (fault == "nothing")
    reading.deploy(**DECLARED)
    assert invoke("run", "late", "--from", day(0), "--to", day(0))[0] == 0
    ((names,),) = reading.query("SELECT array_agg(DISTINCT metric) FROM shadow.evidence")
    assert {"profit", "gain", "price"} <= set(names)


def test_the_doctor_loads_its_function(world: World) -> None:
    right, wrong = ({**PROFIT, "function": f"{FUNCTIONS}{name}"} for name in ("profit", "nothing"))
    found = []
    for metric in (right, wrong):
        shadow = world.shadow(**DECLARED | {"metrics": [metric, UNBOUNDED, PRICE]})
        found += examine("late", [probe for probe in probes(shadow, day(0)) if probe.what == "metrics"])
    assert [check.state for check in found] == ["ok", "failed"]
    assert "metric profit" in found[1].result
