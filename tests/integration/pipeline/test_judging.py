"""From the ledger to a verdict: daily values, late and missing labels, parity, warnings, explanation, and what blocks.

The lines of the architecture's paragraph "Closed" that are tests elsewhere: immature labels
(`test_day.test_a_day_counts_when_its_labels_are_mature`), a challenger identical to the
champion (`test_day.test_a_challenger_identical_to_the_champion_never_passes`), a champion that changed mid-way
(`test_day.test_a_champion_that_changes_midway_blocks_the_pass_and_evidence_starts_anew`), a rule naming an unknown
metric or slice (`test_deployment.test_what_contradicts_itself_is_refused`); each is one on series alone in
`test_policy` and `test_rules`.
"""

import datetime as dt
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from rich.console import Console
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    mean_absolute_error,
    mean_pinball_loss,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.config.deployment import Challenger, ChampionSettings
from shadow_deployment.config.policy import COMPARING
from shadow_deployment.data.db import connect
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.decision.words.wording import claim_of, metric_in_slice
from shadow_deployment.errors import SnapshotError
from shadow_deployment.ledger import predictions, snapshots
from shadow_deployment.ledger.checks import calibrations, replay_checks
from shadow_deployment.ledger.checks.replay_checks import ReplayCheck
from shadow_deployment.ledger.verdicts import NewVerdict
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.challengers.judging import judge_challenger
from shadow_deployment.pipeline.challengers.replay_check import MOST_WORST, check
from shadow_deployment.pipeline.run import run_days
from tests import production
from tests.conftest import Invoke, database, declare
from tests.production import MATURITY, OWNER, World, day, linear_model, moment
from tests.rows import TableRows

RUN = 6
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
LENIENT = {"metric": "error_rate", "is": "at_most", "value": 0.5}
PASSING = {"burn_in": 2, "rules": [LENIENT]}
EMPTY = "SFO"  # an origin whose requests never get a label
EXACT = {"rtol": 1e-9, "atol": 1e-9}
BINARY = ["roc_auc", "f1", "precision", "recall", "average_precision", "accuracy"]
OF_THE_DAY = ["population_stability_index", "latency_ratio_p95", "label_coverage", "pairing_loss", "disagreement"]
NUMBERS = ["r2", "bias", "pinball_loss"]
WEIGHTS = {"dep_hour": 0.1, "distance": -0.0005}

Produce = Callable[..., World]


@pytest.fixture(scope="module")
def produce(postgres: EmbeddedPostgres, empty_production: str, worlds: Callable[..., World]) -> Produce:
    """Make a world whose production holds these requests and labels, in tables changed by these statements."""

    def make(log: pd.DataFrame, outcome: pd.DataFrame, *statements: str) -> World:
        name = database(postgres, OWNER, empty_production)
        with psycopg.connect(postgres.uri(name, OWNER)) as session:
            for statement in statements:
                session.execute(statement)
            production.write(session, log, outcome)
        return replace(worlds(production=name), owns_production=True)

    return make


def run(world: World, numbers: range, *, unanswered: int = 0, **changes: Any) -> None:
    """Run days, on so many of which the challenger answers no request."""
    shadow = world.shadow(**{"challengers": [OTHER], **changes})
    problems = run_days(shadow, [day(number) for number in numbers], Console(file=io.StringIO()))
    assert ["none of 60 requests has an answer" in str(problem) for problem in problems] == [True] * unanswered


def judged(world: World, number: int, **changes: Any) -> NewVerdict:
    """Judge on what is there, without writing it down."""
    deployment = world.deploy(**{"challengers": [OTHER], **changes})
    world.register_before_the_first_day(deployment)
    with connect(world.connection("shadow_db")) as session:
        (challenger,) = deployment.challengers
        key = predictions.challenger_id(session, deployment, challenger, model_digest(challenger))
        return judge_challenger(session, deployment, challenger, key, day(number))


def known(log: pd.DataFrame, outcome: pd.DataFrame, number: int, cutoff: int) -> pd.DataFrame:
    """A day's requests with the label that was known at the cutoff, NaN where none was."""
    one = log[(log.predicted_at >= moment(number)) & (log.predicted_at < moment(number + 1))]
    until = min(moment(cutoff), moment(number + 1 + MATURITY))
    there = outcome[outcome.known_at <= until].set_index("request_id").is_late
    return one.assign(label=one.request_id.map(there))


def one_day(rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests of one day of which labels are known before it ends, but for some."""
    log, outcome = production.synthetic(days=1, per_day=rows, seed=seed)
    log.loc[:2, "origin"] = "TEB"  # three requests whose labels are all alike
    outcome["known_at"] = moment(0.999)
    outcome.loc[outcome.index < 3, "is_late"] = 0
    return log, outcome


def sampled(world: World, log: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    """The day's sample with weights worked out anew; only how long the challenger took is the ledger's word."""
    rows = pd.DataFrame(
        world.query(
            "SELECT request_id, latency_ms FROM shadow.request JOIN shadow.prediction USING (day, snapshot_id, ordinal)"
        ),
        columns=["request_id", "shadow_ms"],
    ).merge(log, on="request_id")
    population, drawn = log.origin.value_counts(), rows.origin.value_counts()
    rows["weight"] = rows.origin.map(population / drawn)
    rows["label"] = rows.request_id.map(outcome.set_index("request_id").is_late).astype(float)
    rows["p"], rows["q"] = rows.champion_probability.astype(float), rows.other_probability.astype(float)
    return rows


@pytest.fixture(scope="module")
def measured(produce: Produce) -> tuple[World, pd.DataFrame]:
    """One day with every metric of binary answers, sampled by strata so that weights differ; and its rows."""
    log, outcome = one_day(400, seed=11)
    world = produce(log, outcome)
    sample = {"rate": 0.5, "strata": ["origin"], "rates": {"JFK": 0.9, "TEB": 1.0}}
    run(world, range(1), sample=sample, slices=["origin"], metrics=[*BINARY, *OF_THE_DAY])
    return world, sampled(world, log, outcome)


@pytest.fixture(scope="module")
def numbers(produce: Produce) -> tuple[World, pd.DataFrame]:
    """The same with answers and labels that are amounts."""
    log, outcome = one_day(300, seed=12)
    outcome["is_late"] = np.random.default_rng(3).normal(5, 3, len(outcome))
    log["champion_probability"] = 10 * log.champion_probability
    log["other_probability"] = 9 * log.other_probability + 1
    world = produce(log, outcome, "ALTER TABLE flights.outcome ALTER is_late TYPE float8")
    sample = {"rate": 0.5, "strata": ["origin"], "rates": {"JFK": 0.9, "TEB": 1.0}}
    rules = [{"metric": "squared_error", "is": "superior"}]
    amounts = {"task": "regression", "tolerance": 1.0, "quantile": 0.8, "policy": {"rules": rules}, "metrics": NUMBERS}
    run(world, range(1), sample=sample, slices=["origin"], **amounts)
    return world, sampled(world, log, outcome)


def means_of(world: World) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Champion, challenger and difference of each slice and metric on the first day, as the ledger has them."""
    found = world.evidence()
    found = found[(found.day == day(0)) & (found.weight > 0)]
    names = found.slice_value.where(found.slice_column != "all", "all")
    sums = (found[f"{side}_sum"] / found.weight for side in ("champion", "challenger", "difference"))
    return dict(zip(zip(names, found.metric, strict=True), zip(*sums, strict=True), strict=True))


def slices(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"all": rows} | {str(name): part for name, part in rows.groupby("origin")}


def require(world: World, name: str, metric: str, expected: tuple[float, float] | None, sign: int) -> None:
    got = means_of(world).get((name, metric))
    if expected is None:
        assert got is None, (name, metric)
    else:
        assert got is not None, (name, metric)
        assert_allclose(got, [*expected, sign * (expected[0] - expected[1])], err_msg=f"{name} {metric}", **EXACT)


@pytest.mark.parametrize(
    ("metric", "score", "is_class"),
    [
        ("roc_auc", roc_auc_score, False),
        ("average_precision", average_precision_score, False),
        ("f1", f1_score, True),
        ("precision", precision_score, True),
        ("recall", recall_score, True),
        ("accuracy", accuracy_score, True),
    ],
)
def test_scores_of_a_day_are_those_of_scikit_learn_in_every_slice(
    metric: str, score: Callable[..., float], is_class: bool, measured: tuple[World, pd.DataFrame]
) -> None:
    world, rows = measured
    for name, part in slices(rows).items():
        pairs = part.dropna(subset=["p", "q", "label"])
        if metric == "accuracy":  # the only one that is a sum: what is missing is wrong, or makes no difference
            pairs = part.dropna(subset=["label"])
            pairs = pairs.assign(q=pairs.q.fillna(1 - pairs.label))
            pairs = pairs.assign(p=pairs.p.fillna(pairs.q))
        if name == "TEB" and metric in ("roc_auc", "average_precision", "recall"):
            require(world, name, metric, None, -1)
            continue
        champion, challenger = (
            score(pairs.label, side >= 0.5 if is_class else side, sample_weight=pairs.weight)
            for side in (pairs.p, pairs.q)
        )
        require(world, name, metric, (champion, challenger), -1)
    assert rows.weight.nunique() > 2, "all weights are alike: the test does not test them"


def stability(expected: pd.Series, got: pd.Series, weight: pd.Series) -> float:
    """The population stability index over the deciles of the expected values."""
    ends = np.quantile(expected, np.arange(1, 10) / 10, method="inverted_cdf", weights=weight)
    shares = [
        np.maximum(np.bincount(np.digitize(one, ends, right=True), weight, 10) / weight.sum(), 1e-4)
        for one in (expected, got)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def slow(latency: pd.Series, weight: pd.Series) -> float:
    return float(np.quantile(latency, 0.95, method="inverted_cdf", weights=weight))


def test_what_is_watched_of_a_day_is_what_numpy_works_out_in_every_slice(
    measured: tuple[World, pd.DataFrame],
) -> None:
    world, rows = measured
    assert rows.p.isna().any()
    assert rows.q.isna().any()
    for name, part in slices(rows).items():
        pairs = part.dropna(subset=["p", "q"])
        weight = part.weight
        ratio = slow(pairs.shadow_ms, pairs.weight) / slow(pairs.latency_ms, pairs.weight)
        coverage = float(np.average(part.label.notna(), weights=weight))
        lost = float(np.average(part.p.isna() | part.q.isna(), weights=weight))
        served = part.dropna(subset=["p"])
        apart = float(np.average((served.p - served.q).abs().fillna(1.0), weights=served.weight))
        if len(pairs) >= 10:  # with fewer there are not ten bins
            require(world, name, "population_stability_index", (0.0, stability(pairs.p, pairs.q, pairs.weight)), 1)
        require(world, name, "latency_ratio_p95", (1.0, ratio), 1)
        require(world, name, "label_coverage", (coverage, coverage), -1)
        require(world, name, "pairing_loss", (0.0, lost), 1)
        require(world, name, "disagreement", (0.0, apart), 1)


def test_scores_of_amounts_are_those_of_scikit_learn_in_every_slice(numbers: tuple[World, pd.DataFrame]) -> None:
    world, rows = numbers
    errors = pd.concat([rows.p - rows.label, rows.q - rows.label]).dropna()
    furthest = {
        "absolute_error": errors.abs().max(),
        "pinball_loss": np.maximum(0.2 * errors, -0.8 * errors).max() / 0.2,
    }
    for name, part in slices(rows).items():
        for metric in ("pinball_loss", "bias", "absolute_error", "r2"):
            pairs = part.dropna(subset=["p", "q", "label"])
            if metric in furthest:
                pairs = part.dropna(subset=["label"])
                pairs = pairs.assign(q=pairs.q.fillna(pairs.label + furthest[metric]))
                pairs = pairs.assign(p=pairs.p.fillna(pairs.q))
            label, weight = pairs.label, pairs.weight
            scores: dict[str, Callable[[pd.Series], float]] = {
                "pinball_loss": lambda side: mean_pinball_loss(label, side, alpha=0.8, sample_weight=weight),  # noqa: B023
                "bias": lambda side: float(np.average(side - label, weights=weight)),  # noqa: B023
                "absolute_error": lambda side: mean_absolute_error(label, side, sample_weight=weight),  # noqa: B023
                "r2": lambda side: r2_score(label, side, sample_weight=weight),  # noqa: B023
            }
            is_constant = metric == "r2" and label.nunique() == 1
            expected = None if is_constant else (scores[metric](pairs.p), scores[metric](pairs.q))
            require(world, name, metric, expected, -1 if metric == "r2" else 1)


def test_a_metric_that_becomes_undefined_loses_its_row(produce: Produce) -> None:
    log, outcome = production.synthetic(days=2, per_day=40, seed=5)
    log["origin"], log["carrier"] = np.where(np.arange(80) % 2, "EWR", "JFK"), "AA"
    log[["champion_probability", "other_probability"]] = log[["champion_probability", "other_probability"]].fillna(0.4)
    outcome = log[["request_id"]].assign(is_late=0, known_at=moment(0.99))[:40]
    outcome.loc[[3, 6, 8], "is_late"] = 1  # one late flight from EWR, two from JFK
    world = produce(log, outcome)
    run(world, range(1), metrics=["roc_auc", "recall"])

    def found() -> set[tuple[str, str]]:
        return {key for key in means_of(world) if key[1] in ("roc_auc", "recall", "accuracy")}

    names = {"all", "AA", "EWR", "JFK"}
    assert found() == {(name, metric) for name in names for metric in ("roc_auc", "recall")}
    before = means_of(world)
    world.change_production("INSERT INTO flights.outcome VALUES ('f0003', 0, %s)", [moment(1.5)])
    run(world, range(1, 2), metrics=["roc_auc", "recall"])
    assert found() == {(name, metric) for name in names - {"EWR"} for metric in ("roc_auc", "recall")}
    after = means_of(world)
    assert after["all", "roc_auc"] != before["all", "roc_auc"]
    assert after["JFK", "roc_auc"] == before["JFK", "roc_auc"]


@pytest.fixture(scope="module")
def flown() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six days and one more: labels late or never, answers of exactly 0 and 1, features that are easy to recognise."""
    log, outcome = production.synthetic(days=RUN + 1, per_day=60, seed=21)
    log["dep_hour"] = 700_000.0 + np.arange(len(log))
    log["distance"] = 800_000.5 + np.arange(len(log))
    log.loc[log.index % 20 == 4, "origin"] = EMPTY
    log.loc[log.index % 60 == 7, "champion_probability"] = 0.0
    log.loc[log.index % 60 == 8, "champion_probability"] = 1.0
    log.loc[log.index % 60 == 9, "other_probability"] = 1.0
    return log, outcome[~outcome.request_id.isin(log[log.origin == EMPTY].request_id)]


@pytest.fixture(scope="module")
def flying(
    flown: tuple[pd.DataFrame, pd.DataFrame], produce: Produce
) -> tuple[World, list[dict[dt.date, dt.datetime]]]:
    """The six days, run one after the other, and when each day had been compared after each of them."""
    world = produce(*flown)
    compared = []
    for number in range(RUN):
        run(world, range(number, number + 1))
        rows = world.query(
            "SELECT s.day, max(compared_at) FROM shadow.comparison JOIN shadow.snapshot AS s ON s.id = snapshot_id "
            "GROUP BY s.day"
        )
        compared.append(dict(rows))
    return world, compared


@pytest.fixture
def late(flying: tuple[World, Any], monkeypatch: pytest.MonkeyPatch) -> World:
    """The world of the six days, declared to the command line. Tests only read it."""
    return declare(flying[0], monkeypatch)


@pytest.fixture
def continued(flying: tuple[World, Any], worlds: Callable[..., World]) -> World:
    """A copy of it with a production of its own, which a test may change and continue."""
    return worlds(flying[0], own=True)


def labels_of(invoke: Invoke, world: World, **changes: Any) -> list[dict[str, Any]]:
    world.deploy(**{"challengers": [OTHER], **changes})
    code, out, err = invoke("labels", "late", "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_each_day_says_how_many_labels_it_has_and_how_many_are_expected(
    flown: tuple[pd.DataFrame, pd.DataFrame], late: World, invoke: Invoke
) -> None:
    days = [known(*flown, number, RUN) for number in range(RUN)]
    mature = [number + 1 + MATURITY <= RUN for number in range(RUN)]
    assert sum(mature) == 3
    final = sum(int(one.label.notna().sum()) for one in days[:3]) / sum(map(len, days[:3]))
    labelled = [int(one.label.notna().sum()) for one in days]
    assert labelled[-1] < final * len(days[-1]), "no label is late: the test does not test what is expected"
    assert labels_of(invoke, late) == [
        {
            "day": str(day(number)),
            "sampled": len(one),
            "labelled": labelled[number],
            "expected": labelled[number] if mature[number] else max(labelled[number], round(final * len(one))),
            "share": labelled[number] / len(one),
            "contradicted": 0,
            "invalid": 0,
            "early": 0,
            "collected_until": min(moment(RUN), moment(number + 1 + MATURITY)).isoformat(),
            "mature": mature[number],
        }
        for number, one in enumerate(days)
    ]


def test_how_many_labels_are_expected_is_open_before_any_day_is_complete(
    flying: tuple[World, Any], worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world = declare(worlds(production=flying[0].production), monkeypatch)
    run(world, range(2))
    rows = labels_of(invoke, world)
    assert [(row["expected"], row["mature"]) for row in rows] == [(None, False)] * 2
    code, out, _ = invoke("labels", "late")
    assert code == 0
    assert out.count("not yet") == 2


def test_a_day_without_a_run_has_no_labels_to_show(
    flying: tuple[World, Any], worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    assert labels_of(invoke, declare(worlds(production=flying[0].production), monkeypatch)) == []


@pytest.mark.parametrize("coverage", [0.3, 1.0])
def test_a_day_counts_once_all_labels_were_there_or_are_no_longer_expected_whatever_coverage_a_pass_needs(
    coverage: float, flown: tuple[pd.DataFrame, pd.DataFrame], late: World, invoke: Invoke
) -> None:
    rule = {"metric": "brier_score", "is": "superior"}
    policy = {"burn_in": 2, "minimum_coverage": coverage, "rules": [rule]}
    for number in range(RUN):
        days = [known(*flown, earlier, number + 1) for earlier in range(number + 1)]
        ripe = [one.label.count() == len(one) or earlier + MATURITY <= number for earlier, one in enumerate(days)]
        (finding,) = judged(late, number, policy=policy).verdict.findings
        assert finding.observations == [*ripe, False].index(False)
    assert [row["mature"] for row in labels_of(invoke, late, policy=policy)] == ripe


def test_each_run_compares_exactly_the_days_whose_labels_changed_or_that_are_mature_now(
    flown: tuple[pd.DataFrame, pd.DataFrame], flying: tuple[World, list[dict[dt.date, dt.datetime]]]
) -> None:
    _, compared = flying
    again = 0
    for number in range(1, RUN):
        changed = {
            day(earlier)
            for earlier in range(number)
            if known(*flown, earlier, number + 1).label.count() > known(*flown, earlier, number).label.count()
        }
        before, after = compared[number - 1], compared[number]
        expected = changed | {day(number)} | {day(earlier) for earlier in range(number) if earlier == number - MATURITY}
        assert {one for one in after if after[one] != before.get(one)} == expected
        again += len(changed)
    assert again < (RUN - 1) * RUN / 2, "every day changed every time: the test does not test what is left alone"


def test_a_past_day_is_judged_as_it_was_although_labels_came_since(late: World) -> None:
    stored = {row[0]: (row[3], row[5], row[6]) for row in late.verdicts()}
    assert len(stored) == RUN
    for number in range(RUN):
        again = judged(late, number).verdict
        outcome, reasons, findings = stored[day(number)]
        assert (again.outcome, list(again.reasons)) == (outcome, reasons)
        assert [one.estimate for one in again.findings] == [one["estimate"] for one in findings]


def test_answers_that_were_certain_and_wrong_are_counted_and_shown(
    flown: tuple[pd.DataFrame, pd.DataFrame], late: World, invoke: Invoke
) -> None:
    rows = pd.concat(known(*flown, number, RUN) for number in range(3))  # the days that are mature
    pairs = rows.dropna(subset=["label", "champion_probability", "other_probability"])
    wrong = {
        model: int((pairs[column].isin([0.0, 1.0]) & (pairs[column] != pairs.label)).sum())
        for model, column in (("champion", "champion_probability"), ("challenger", "other_probability"))
    }
    assert all(wrong.values())
    expected = [
        f"{count} predictions of the {model} were exactly 0 or 1 and wrong; log loss counts each as 36"
        for model, count in wrong.items()
    ]
    late.deploy(challengers=[OTHER])
    _, out, _ = invoke("verdict", "late", "--json")
    (challenger,) = json.loads(out)["challengers"]
    assert [one for one in challenger["warnings"] if "exactly 0 or 1" in one] == expected
    assert list(judged(late, RUN - 1).warnings) == challenger["warnings"]
    assert not any("exactly 0 or 1" in one for one in judged(late, 2).warnings), "no day is ripe yet"


@pytest.fixture
def explained(late: World, invoke: Invoke) -> str:
    late.deploy(challengers=[OTHER])
    code, out, err = invoke("explain", "late", "--challenger", "other")
    assert code == 0, err
    return out


def section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index(title) + 1
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return lines[start:end]


def test_an_explanation_is_stored_without_requests_and_printed_with_them(explained: str, late: World) -> None:
    ((stored,),) = late.query("SELECT explanation FROM shadow.verdict WHERE day = %s", [day(RUN - 1)])
    assert explained.startswith(f"{day(RUN - 1)}: {stored}\n\nRequests on which the two disagree most\n- ")
    ids = {name for (name,) in late.query("SELECT request_id FROM shadow.request")}
    assert not [name for name in ids if name in stored]
    assert [name for name in ids if name in explained]
    assert stored == judged(late, RUN - 1).explanation


@pytest.mark.parametrize("number", [0, 3])
def test_an_explanation_of_an_earlier_day_is_that_of_its_verdict(number: int, late: World, invoke: Invoke) -> None:
    late.deploy(challengers=[OTHER])
    _, out, _ = invoke("explain", "late", "--challenger", "other", "--as-of", day(number))
    ((stored,),) = late.query("SELECT explanation FROM shadow.verdict WHERE day = %s", [day(number)])
    assert out.startswith(f"{day(number)}: {stored}\n")


def test_an_explanation_needs_a_challenger_that_is_there_and_was_judged(
    flying: tuple[World, Any], worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world = declare(worlds(production=flying[0].production), monkeypatch)
    world.deploy(challengers=[OTHER])
    code, _, err = invoke("explain", "late", "--challenger", "others")
    assert (code, "did you mean other?" in err) == (1, True)
    code, _, err = invoke("explain", "late", "--challenger", "other")
    assert (code, "other was never judged: run a day of late first" in err) == (1, True)


def test_an_explanation_says_each_rule_as_it_was_found(explained: str, late: World) -> None:
    verdict = judged(late, RUN - 1).verdict
    lines = section(explained, "Rules")
    assert len(lines) == len(verdict.findings) > 4
    for line, finding in zip(lines, verdict.findings, strict=True):
        assert line.startswith(f"- {finding.outcome}")
        assert claim_of(finding) in line
        assert finding.reason in line
        assert ("advisory" in line) == (finding.role == "advisory")
        assert (f" in {finding.slice}" in line) == (finding.slice != "all")
        assert ("alpha" in line) == (finding.alpha_pass is not None)
    assert section(explained, "Why not PASS") == [f"- {reason}" for reason in verdict.reasons]
    for finding in verdict.findings:
        if finding.outcome == "INCONCLUSIVE":
            name = metric_in_slice(finding)
            assert any(line.startswith(f"- {name} ") for line in section(explained, "What would change the verdict"))


def test_an_explanation_lists_the_slices_and_says_worse_only_where_an_interval_does(
    explained: str, late: World
) -> None:
    found = late.evidence()
    ripe = found[(found.day <= day(2)) & (found.metric == "brier_score") & (found.slice_column != "all")]
    ripe = ripe[ripe.pairs > 0]
    expected = ripe.groupby(["slice_column", "slice_value"])[["difference_sum", "weight", "pairs"]].sum()
    expected["mean"] = expected.difference_sum / expected.weight
    ordered = expected.sort_values("mean")
    verdict = judged(late, RUN - 1).verdict
    compared = [each for each in verdict.findings if each.metric == "brier_score" and each.is_ in COMPARING]
    with_interval = {each.slice for each in compared if each.has_interval}
    lines = section(explained, "Slices, by mean difference")
    assert len(lines) == len(ordered) > 3
    for line, ((column, value), row) in zip(lines, ordered.iterrows(), strict=True):
        assert line.startswith(f"- {column}={value}: mean difference in Brier score {row['mean']:.4g} over ")
        assert f", {int(row.pairs)} requests" in line
        has_interval = f"{column}={value}" in with_interval
        assert line.endswith(", without an interval of its own") != has_interval
        assert "worse than the champion" not in line or has_interval


def test_an_explanation_lists_twenty_requests_on_which_the_two_disagree_most(
    explained: str, flown: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    rows = pd.concat(known(*flown, number, RUN).assign(day=day(number)) for number in range(RUN))
    rows["apart"] = (rows.champion_probability - rows.other_probability).abs().astype(float)
    most = rows.sort_values("apart", ascending=False).head(20)
    lines = section(explained, "Requests on which the two disagree most")
    assert len(lines) == 20
    assert [line.split(": ")[0] for line in lines] == [f"- {row.day} {row.request_id}" for row in most.itertuples()]
    for line, row in zip(lines, most.itertuples(), strict=True):
        label = "no label yet" if pd.isna(row.label) else f"label {row.label:g}"
        assert f"champion {row.champion_probability:.4g}, challenger {row.other_probability:.4g}, {label}" in line
        assert f"origin={row.origin}" in line
    assert {"no label yet", "label 0"} <= {line.split(", ")[2].split(" (")[0] for line in lines}


def test_an_explanation_shows_no_value_of_a_feature(explained: str) -> None:
    assert not re.findall(r"[78]000\d\d", explained)
    assert "dep_hour" not in explained


def keep_calibration(world: World, warning: str | None, **changes: Any) -> None:
    shadow = world.shadow(**{"challengers": [OTHER], **changes})
    with shadow.ledger() as session:
        (key,) = challenger_keys(shadow, session).values()
        calibrations.store(session, shadow.deployment, key, warning, {"runs": 100})


def test_a_calibration_warns_of_the_policy_that_it_was_made_for_and_of_no_other(
    continued: World, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world = declare(continued, monkeypatch)
    keep_calibration(world, "it promotes 12 % of equals", policy=PASSING)
    assert "it promotes 12 % of equals" in judged(world, RUN - 1, policy=PASSING).warnings
    for other in (PASSING | {"alpha": 0.01}, PASSING | {"rules": [LENIENT | {"value": 0.4}]}, {}):
        assert "it promotes 12 % of equals" not in judged(world, RUN - 1, policy=other).warnings
    shadow = world.shadow(challengers=[OTHER], policy=PASSING)
    steps.judge(shadow, day(RUN - 1), "other")
    _, out, _ = invoke("verdict", "late", "--json")
    (challenger,) = json.loads(out)["challengers"]
    assert challenger["outcome"] == "PASS"
    assert "it promotes 12 % of equals" in challenger["warnings"]
    _, out, _ = invoke("explain", "late", "--challenger", "other")
    assert "- it promotes 12 % of equals" in section(out, "Warnings")


def test_only_the_newest_calibration_warns(continued: World) -> None:
    for warning in ("first", "second"):
        keep_calibration(continued, warning, policy=PASSING)
    assert [one for one in judged(continued, RUN - 1, policy=PASSING).warnings if one in ("first", "second")] == [
        "second"
    ]
    keep_calibration(continued, None, policy=PASSING)
    assert "second" not in judged(continued, RUN - 1, policy=PASSING).warnings


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
    found = checked(logged(log), Model(log | {"b": 0.25 + 0.0078125}), tolerance=0.0078125)
    assert (found.mismatched, found.largest) == (0, 0.0078125)


def test_what_the_model_says_otherwise_or_not_at_all_is_named_furthest_first() -> None:
    log = dict.fromkeys("abcde", 0.5)
    model = Model(log | {"b": 0.6, "c": np.nan, "d": 0.1, "e": 0.5}, {"e": "cannot"})
    found = checked(logged(log), model)
    assert (found.checked, found.mismatched) == (5, 4)
    assert found.largest == pytest.approx(0.4)
    assert json.loads(found.worst_json()) == [
        {"request_id": "c", "logged": 0.5, "again": None},
        {"request_id": "e", "logged": 0.5, "again": None},
        {"request_id": "d", "logged": 0.5, "again": 0.1},
        {"request_id": "b", "logged": 0.5, "again": 0.6},
    ]


def test_no_more_than_twenty_requests_are_named_and_all_are_counted() -> None:
    log = {f"r{number:03d}": 0.0 for number in range(50)}
    found = checked(logged(log), Model({name: number / 100 for number, name in enumerate(log)}))
    assert (found.checked, found.mismatched, len(found.worst)) == (50, 49, MOST_WORST)
    assert found.worst[0]["request_id"] == "r049"


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


def keep_parity(world: World, number: int, found: ReplayCheck) -> dict[str, Any]:
    """Keep what a check of the champion's own model has found; return the deployment that it is the model of."""
    model = f"onnx:{linear_model(world.folder / 'champion.onnx', {'dep_hour': 1.0})}"
    changes = {"champion": {"model": model}, "policy": PASSING}
    deployment = world.deploy(challengers=[OTHER], **changes)
    with connect(world.connection("shadow_db")) as session:
        snapshot = snapshots.find(session, deployment, day(number))
        assert snapshot is not None
        digest = model_digest(Challenger(name="champion", model=model))
        replay_checks.record(session, snapshot, ChampionSettings(model=model), digest, found)
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


def closed(world: World, *rules: dict[str, Any], number: int = RUN - 1, **changes: Any) -> list[str]:
    """Return why rules do not pass that pass otherwise."""
    assert judged(world, RUN - 1, policy=PASSING).verdict.outcome == "PASS"
    verdict = judged(world, number, policy={"burn_in": 2, "rules": [LENIENT, *rules]}, **changes).verdict
    assert verdict.outcome == "INCONCLUSIVE"
    return list(verdict.reasons)


def test_a_metric_that_was_never_computed_never_passes(late: World) -> None:
    rule = {"metric": "latency_ratio_p95", "is": "at_most", "value": 1e9}
    assert closed(late, rule) == [
        "latency ratio p95 is not shown to be at most 1e+09: there is no evidence: no mature day has a labelled pair"
    ]


def test_a_slice_without_a_label_never_passes(late: World) -> None:
    rule = {"metric": "brier_score", "is": "at_most", "value": 1.0, "last": {"hold": 1, "of": 1}}
    assert judged(late, RUN - 1, policy={"rules": [rule]}).verdict.outcome == "PASS"
    (reason,) = closed(late, rule | {"slices": ["origin"]})
    assert reason.startswith(f"Brier score is not shown to be at most 1 in origin={EMPTY}: there is no evidence")


def test_too_few_requests_never_pass(late: World) -> None:
    rule = {"metric": "error_rate", "is": "at_most", "value": 0.5, "minimum_requests": 60 * RUN}
    assert judged(late, RUN - 1, policy={"rules": [rule]}).verdict.outcome == "PASS"
    reasons = closed(late, rule | {"minimum_requests": 60 * RUN + 1})
    few = f"{60 * RUN} requests are too few: {60 * RUN + 1} are required"
    assert reasons == [f"error rate is not shown to be at most 0.5: {few}"]


def test_answers_that_are_no_numbers_are_errors_and_never_evidence(continued: World) -> None:
    continued.change_production(
        "UPDATE flights.prediction_log SET other_probability = 'NaN' WHERE predicted_at >= %s", [moment(RUN)]
    )
    run(continued, range(RUN, RUN + 1), unanswered=1)
    row = continued.evidence().query("slice_column == 'all'").set_index(["day", "metric"]).loc[day(RUN)]
    assert (row.loc["error_rate"].challenger_sum, row.loc["agreement"].challenger_sum) == (60, 0)
    errors = continued.query("SELECT DISTINCT error FROM shadow.prediction WHERE day = %s", [day(RUN)])
    assert errors == [("the model predicted nan",)]
    verdict = judged(continued, RUN, policy=PASSING).verdict
    assert (verdict.outcome, verdict.findings[0].estimate) == ("FAIL", 1.0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("part-00001.parquet", lambda content: content + b" "),
        ("manifest.json", lambda content: content.replace(b'"population": 60', b'"population": 61')),
    ],
)
def test_inputs_that_were_changed_stop_every_step_and_never_pass(
    name: str, change: Callable[[bytes], bytes], continued: World
) -> None:
    shadow = continued.shadow(challengers=[OTHER], policy=PASSING)
    steps.sample(shadow, day(RUN))
    ((location,),) = continued.query("SELECT location FROM shadow.snapshot WHERE day = %s", [day(RUN)])
    (path,) = (continued.snapshots / location).glob(f"*/{name}")
    path.write_bytes(change(path.read_bytes()))
    for step in (lambda: steps.validate_inputs(shadow, day(RUN)), lambda: steps.score(shadow, day(RUN), "other", 1)):
        with pytest.raises(SnapshotError, match="must be"):
            step()
    verdict = steps.judge(shadow, day(RUN), "other").verdict
    assert verdict.outcome == "INCONCLUSIVE"
    assert verdict.reasons[0] == f"the predictions of other for {day(RUN)} are incomplete"


def test_a_day_that_was_not_sampled_never_passes(late: World) -> None:
    assert closed(late, number=RUN)[0] == f"{day(RUN)} was not sampled"


def test_an_operational_rule_does_not_pass_on_the_value_of_an_earlier_day(continued: World) -> None:
    continued.change_production(
        "UPDATE flights.prediction_log SET other_probability = NULL WHERE predicted_at >= %s", [moment(RUN)]
    )
    distance, agreement = "population_stability_index", {"metric": "agreement", "is": "at_least", "value": 0.1}
    run(continued, range(RUN - 1, RUN + 1), unanswered=1, metrics=[distance])
    for rule, outcome in (({"metric": distance, "is": "at_most", "value": 99}, "INCONCLUSIVE"), (agreement, "FAIL")):
        assert judged(continued, RUN - 1, policy={"burn_in": 2, "rules": [rule]}).verdict.outcome == "PASS"
        assert judged(continued, RUN, policy={"burn_in": 2, "rules": [rule]}).verdict.outcome == outcome


def test_parity_of_a_champion_file_that_is_no_longer_named_does_not_block(continued: World) -> None:
    keep_parity(continued, 4, ReplayCheck(59, 1, 0.4, [{"request_id": "f0001", "logged": 0.5, "again": 0.1}]))
    assert judged(continued, RUN - 1, policy=PASSING).verdict.outcome == "PASS"


@pytest.fixture(scope="module")
def slow_labels(produce: Produce) -> tuple[World, dict[str, Any]]:
    """Every request gets a label; that of a high answer three days later."""
    log, _ = production.synthetic(days=9, per_day=50, seed=8)
    probability = log.champion_probability.fillna(0.5)
    wait = np.where(probability > 0.6, 3, 0)
    known_at = [at + dt.timedelta(days=int(days)) for at, days in zip(log.predicted_at, wait, strict=True)]
    world = produce(log, log[["request_id"]].assign(is_late=(probability > 0.5).astype(int), known_at=known_at))
    changes = {"labels": {"maturity_days": 5}, "policy": PASSING | {"burn_in": 3}}
    run(world, range(9), **changes)
    return world, changes


def test_labels_that_are_late_are_no_missing_labels(slow_labels: tuple[World, dict[str, Any]]) -> None:
    world, changes = slow_labels
    assert not [warning for warning in judged(world, 8, **changes).warnings if "label" in warning]


def test_a_day_that_waits_still_expects_its_other_labels(
    slow_labels: tuple[World, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world, changes = slow_labels
    rows = labels_of(invoke, declare(world, monkeypatch), **changes)
    assert [row["expected"] for row in rows] == [50] * 9
