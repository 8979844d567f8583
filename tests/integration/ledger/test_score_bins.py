"""Answers in bins, quadrants, the requests that differ most: beside pandas, with late labels, in any order of days."""

import io
from collections.abc import Callable, Sequence
from dataclasses import astuple
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from numpy.testing import assert_allclose
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger import evidence, predictions, snapshots
from shadow_deployment.ledger import page as ledger_page
from shadow_deployment.ledger.batches.histograms import largest_disagreements
from shadow_deployment.ledger.page import ComparedPredictions
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day, run_days
from tests.integration.pipeline.test_multiclass import football, matches  # noqa: F401 (fixtures)
from tests.integration.pipeline.test_multiclass import shadow as multiclass
from tests.production import SHADOW, World, day, unguarded

TABLES = ("score_bin", "quadrant", "disagreement", "evidence")
REGRESSION: dict[str, Any] = {
    "task": "regression",
    "metrics": ["absolute_error"],
    "policy": {"burn_in": 2, "rules": [{"metric": "squared_error", "is": "superior"}]},
    "slices": [],
}
SAMPLE = {"rate": 0.5, "rates": {"JFK": 0.8}, "strata": ["origin"], "shard_rows": 25}
ANSWERS = """
SELECT m.name AS challenger_name, r.*, p.value AS challenger, p.probabilities, l.value AS label
FROM shadow.request AS r
JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal)
JOIN shadow.model_version AS m ON m.id = p.challenger_id
LEFT JOIN shadow.label AS l
    ON (l.day, l.snapshot_id, l.ordinal) = (r.day, r.snapshot_id, r.ordinal) AND l.conflict IS NULL
WHERE r.champion IS NOT NULL AND p.value IS NOT NULL
"""


@pytest.fixture(scope="module")
def whole(worlds: Callable[..., World]) -> World:
    """Four days of a binary task with a sample by strata. Tests only read it, or copy it."""
    world = worlds()
    assert run(world, range(4)) == []
    return world


@pytest.fixture
def continued(worlds: Callable[..., World], whole: World) -> World:
    return worlds(whole)


def run(world: World, numbers: Sequence[int], **changes: Any) -> list[Exception]:
    shadow = world.shadow(**{"sample": SAMPLE} | changes)
    return list(run_days(shadow, [day(number) for number in numbers], Console(file=io.StringIO())))


def frame(world: World, statement: str, values: Sequence[Any] = ()) -> pd.DataFrame:
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        cursor = session.execute(statement, values)
        return pd.DataFrame(cursor.fetchall(), columns=[one.name for one in cursor.description or ()])


def answers(world: World, challenger: str = "other") -> pd.DataFrame:
    """Return the requests that both answered, with their weight."""
    found = frame(world, ANSWERS)
    found = found[found.challenger_name == challenger]
    return found.assign(weight=1 / found.inclusion_probability)


def kept(world: World, table: str) -> list[tuple[Any, ...]]:
    """Return a table by names instead of keys."""
    return world.query(
        f"SELECT m.name, s.day, to_jsonb(t) - '{{challenger_id,snapshot_id}}'::text[] FROM shadow.{table} AS t "
        "JOIN shadow.model_version AS m ON m.id = t.challenger_id JOIN shadow.snapshot AS s ON s.id = t.snapshot_id "
        "ORDER BY 1, 2, 3"
    )


def of(world: World, **changes: Any) -> tuple[DeploymentContext, list[snapshots.Snapshot], int]:
    """Return the deployment, its days, and the key of the challenger `other`."""
    shadow = world.shadow(**{"sample": SAMPLE} | changes)
    with shadow.ledger() as session:
        taken = snapshots.snapshots(session, shadow.deployment, None, None)
        one = shadow.deployment.challenger("other")
        key = predictions.find_challenger(session, shadow.deployment, one, model_digest(one))
    assert key is not None
    return shadow, taken, key


@pytest.mark.parametrize("model", ["champion", "challenger"])
def test_bins_are_those_of_numpy(whole: World, model: str) -> None:
    found = frame(
        whole,
        "SELECT b.*, s.day FROM shadow.score_bin AS b JOIN shadow.snapshot AS s ON s.id = b.snapshot_id "
        "JOIN shadow.model_version AS m ON m.id = b.challenger_id WHERE m.name = 'other' AND model = %s",
        [model],
    )
    rows = answers(whole)
    rows = rows.assign(bin=np.minimum(np.floor(rows[model] * 20), 19).astype(int), labelled=rows.label.notna())
    assert set(found.width) == {0.05}
    assert len(found) == rows.groupby(["day", "bin"]).ngroups > 40
    for (on, number), inside in rows.groupby(["day", "bin"]):
        (got,) = found[(found.day == on) & (found.bin == number)].itertuples()
        known = inside[inside.labelled]
        assert (got.requests, got.labelled) == (len(inside), len(known))
        expected = [
            inside.weight.sum(),
            (inside.weight * inside[model]).sum(),
            known.weight.sum(),
            (known.weight**2).sum(),
            (known.weight * known[model]).sum(),
            (known.weight * known.label).sum(),
            (known.weight * known.label**2).sum(),
        ]
        sums = [got.weight, got.prediction_sum, got.labelled_weight, got.labelled_weight_squares]
        assert_allclose([*sums, got.labelled_prediction_sum, got.label_sum, got.label_squares], expected, rtol=1e-12)


def test_quadrants_are_those_of_pandas_and_empty_ones_are_there(whole: World) -> None:
    rows = answers(whole)
    found = frame(
        whole,
        "SELECT q.*, s.day FROM shadow.quadrant AS q JOIN shadow.snapshot AS s ON s.id = q.snapshot_id "
        "JOIN shadow.model_version AS m ON m.id = q.challenger_id WHERE m.name = 'other'",
    )
    assert len(found) == 4 * 4
    for got in found.itertuples():
        inside = rows[
            (rows.day == got.day)
            & ((rows.champion >= 0.5) == got.champion_yes)
            & ((rows.challenger >= 0.5) == got.challenger_yes)
        ]
        assert (got.requests, got.labelled) == (len(inside), int(inside.label.notna().sum()))
        assert got.positive == int((inside.label == 1).sum())
        assert got.weight == pytest.approx(inside.weight.sum())
    control = frame(
        whole,
        "SELECT q.* FROM shadow.quadrant AS q JOIN shadow.model_version AS m ON m.id = q.challenger_id "
        "WHERE m.name = 'a_a_check' AND champion_yes <> challenger_yes",
    )
    assert len(control) == 2 * 4
    assert not control.requests.any()


def test_the_requests_that_differ_most_are_those_of_pandas(whole: World) -> None:
    shadow, taken, key = of(whole)
    with shadow.ledger() as session:
        found = largest_disagreements(session, key, taken, taken[-1].window_end)
    expected = frame(
        whole,
        "SELECT r.day, request_id, champion, value, (SELECT l.value FROM shadow.label AS l WHERE l.day = r.day AND "
        "l.snapshot_id = r.snapshot_id AND l.ordinal = r.ordinal AND conflict IS NULL) AS label, c.slices "
        "FROM shadow.request AS r JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal) "
        f"JOIN shadow.cell AS c USING (snapshot_id, cell) WHERE challenger_id = {key} AND champion <> value "
        "ORDER BY abs(champion - value) DESC, r.day, r.ordinal LIMIT 20",
    )
    assert [astuple(one) for one in found] == [
        (*row[:4], None if isnan(row[4]) else row[4], row[5]) for row in expected.itertuples(index=False)
    ]
    assert len(found) == 20


def test_a_late_label_changes_the_bins_and_comparing_again_changes_nothing(continued: World) -> None:
    before = {table: kept(continued, table) for table in TABLES}
    assert run(continued, [4]) == []
    after = {table: [row for row in kept(continued, table) if row[1] < day(4)] for table in TABLES}
    assert after["disagreement"] == before["disagreement"]
    for table in ("score_bin", "quadrant"):
        assert after[table] != before[table]

    def requests(rows: list[tuple[Any, ...]]) -> list[int]:
        return [row[2]["requests"] for row in rows]

    assert requests(after["score_bin"]) == requests(before["score_bin"])
    dump = continued.dump()
    shadow, taken, key = of(continued)
    with shadow.ledger() as session:
        assert evidence.compare(session, shadow.deployment, taken[0], [key]) == 0
    assert continued.dump("comparison") == {name: rows for name, rows in dump.items() if name != "comparison"}


def test_days_that_were_compared_by_other_statements_are_compared_again(continued: World) -> None:
    expected = {table: kept(continued, table) for table in TABLES}
    with psycopg.connect(continued.postgres.uri(continued.ledger, SHADOW)) as session:
        session.execute("TRUNCATE shadow.score_bin, shadow.quadrant, shadow.disagreement")
        with unguarded(session, "comparison"):
            session.execute("UPDATE shadow.comparison SET method_digest = 'that of an older version'")
    shadow = continued.shadow(sample=SAMPLE)
    assert steps.collect_labels(shadow, day(3)) == [day(number) for number in range(4)]
    for number in range(4):
        steps.compare(shadow, day(number))
    assert {table: kept(continued, table) for table in TABLES} == expected


def test_a_new_evidence_version_makes_every_comparison_stale(whole: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = whole.deploy(sample=SAMPLE)
    before = evidence.statement_digest(deployment)
    monkeypatch.setattr(evidence, "EVIDENCE_VERSION", evidence.EVIDENCE_VERSION + 1)
    assert evidence.statement_digest(deployment) != before


def test_another_threshold_moves_the_quadrants_and_not_the_bins(continued: World) -> None:
    before = kept(continued, "score_bin")
    shadow, taken, key = of(continued, threshold=0.2)
    with shadow.ledger() as session:
        for one in taken:
            evidence.compare(session, shadow.deployment, one, [key])
        at_old, at_new = (
            ledger_page.quadrants(session, ComparedPredictions(key, taken, "7", {}), threshold)
            for threshold in (0.5, 0.2)
        )
    assert kept(continued, "score_bin") == before
    assert at_old == []
    rows = answers(continued)
    both = next(one for one in at_new if one.champion_yes and one.challenger_yes)
    assert both.requests == int(((rows.champion >= 0.2) & (rows.challenger >= 0.2)).sum())


def test_a_day_whose_requests_are_gone_keeps_its_bins(continued: World) -> None:
    shadow, taken, key = of(continued)
    before = {table: kept(continued, table) for table in ("score_bin", "quadrant", "disagreement")}
    with psycopg.connect(continued.postgres.uri(continued.ledger, SHADOW)) as session:
        for parent in ("prediction_batch", "label_arrival", "request_batch"):
            session.execute(f"DROP TABLE shadow.{parent}_{taken[0].day:%Y%m%d}")
    with shadow.ledger() as session:
        evidence.compare(session, shadow.deployment, taken[0], [key])
        assert largest_disagreements(session, key, taken[:1], taken[0].window_end) == []
    assert {table: kept(continued, table) for table in before} == before


@pytest.fixture
def numbers(worlds: Callable[..., World]) -> Callable[..., World]:
    """Make a regression whose answers are these functions of a request's distance."""

    def make(champion: str, challenger: str = "distance") -> World:
        world = worlds(own=True)
        world.change_production(
            f"UPDATE flights.prediction_log SET champion_probability = {champion}, other_probability = {challenger}"
        )
        return world

    return make


def test_bins_of_numbers_do_not_depend_on_the_order_of_the_days(
    numbers: Callable[..., World], worlds: Callable[..., World]
) -> None:
    world = numbers("distance * (1 + extract(day FROM predicted_at))", "distance * 3")
    other = worlds(world, production=world.production)
    assert run(world, [0, 1, 2], **REGRESSION) == []
    for number in (2, 0, 1):
        assert run(other, [number], **REGRESSION) == []
    assert run(other, [2], **REGRESSION) == []
    assert kept(world, "score_bin") == kept(other, "score_bin") != []


def test_days_with_bins_of_other_widths_are_added_up_in_the_widest(numbers: Callable[..., World]) -> None:
    world = numbers("distance * 10 ^ extract(day FROM predicted_at)::int", "distance")
    assert run(world, [0, 1, 2], **REGRESSION) == []
    shadow, taken, key = of(world, **REGRESSION)
    widths = {width for (width,) in world.query("SELECT DISTINCT width FROM shadow.score_bin")}
    assert len(widths) == 3
    assert all(np.log2(width).is_integer() for width in widths)
    with shadow.ledger() as session:
        found = ledger_page.bins(session, ComparedPredictions(key, taken, "7", {one.day: True for one in taken}))
    assert len({one.width for one in found}) == 1
    assert found[0].width >= max(widths)
    assert max(one.bin for one in found) - min(one.bin for one in found) <= 61
    rows = answers(world)
    for model in ("champion", "challenger"):
        mine = [one for one in found if one.model == model]
        assert sum(one.requests for one in mine) == len(rows)
        assert sum(one.weight for one in mine) == pytest.approx(rows.weight.sum())
        assert sum(one.label_sum for one in mine) == pytest.approx((rows.weight * rows.label).sum())
        inner = [one for one in mine if one.requests > 1][1:-1]
        for one in inner:
            inside = (rows[model] >= one.bin * one.width) & (rows[model] < (one.bin + 1) * one.width)
            assert one.requests == pytest.approx(inside.sum(), abs=4)  # the outermost bins hold what lies beyond them
    assert (found[0].days, found[0].first, found[0].last) == (3, day(0), day(2))


def test_days_that_drift_far_apart_are_added_up_in_no_more_than_sixty_bins(numbers: Callable[..., World]) -> None:
    world = numbers(*["distance + 1e6 * extract(day FROM predicted_at)"] * 2)
    assert run(world, [0, 1], **REGRESSION) == []
    assert max(width for (width,) in world.query("SELECT width FROM shadow.score_bin")) < 200
    shadow, taken, key = of(world, **REGRESSION)
    with shadow.ledger() as session:
        found = ledger_page.bins(session, ComparedPredictions(key, taken, "7", {}))
    assert max(one.bin for one in found) - min(one.bin for one in found) <= 61
    assert sum(one.requests for one in found) == 2 * len(answers(world))
    assert {one.labelled for one in found} == {0}  # no day is ripe


@pytest.mark.parametrize(
    ("champion", "bins"),
    [
        ("0", 1),
        ("-42.5", 1),
        ("1e30", 1),
        ("CASE request_id WHEN 'f0001' THEN 1e9 WHEN 'f0002' THEN -1e9 ELSE dep_hour END", 40),
    ],
    ids=["all zero", "all alike", "large", "outliers"],
)
def test_few_bins_hold_whatever_is_answered(numbers: Callable[..., World], champion: str, bins: int) -> None:
    world = numbers(champion, champion if bins == 1 else "dep_hour")
    run(world, [0], **REGRESSION, sample={"rate": 1.0})
    found = world.query(
        "SELECT bin * width, (bin + 1) * width, prediction_sum / weight, requests FROM shadow.score_bin "
        "WHERE model = 'champion' AND challenger_id = (SELECT min(id) FROM shadow.model_version) ORDER BY 1"
    )
    assert 1 <= len(found) <= bins
    assert sum(row[3] for row in found) == len(answers(world))
    assert bins == 1 or found[-1][0] - found[0][0] < 60  # beyond the outermost bins there is nothing
    for lower, upper, mean, _ in found[1:-1] or found:
        assert lower - 1e-9 * abs(mean) <= mean <= upper


def test_answers_of_exactly_0_and_1_lie_in_the_first_and_the_last_bin(numbers: Callable[..., World]) -> None:
    world = numbers("CASE WHEN request_id < 'f0030' THEN 1 ELSE 0 END", "CASE WHEN dep_hour < 12 THEN 1 ELSE 0.05 END")
    run(world, [0])
    bins = (
        "SELECT bin, sum(requests) FROM shadow.score_bin WHERE model = %s AND challenger_id = %s GROUP BY 1 ORDER BY 1"
    )
    _, _, key = of(world)
    rows = answers(world)
    assert world.query(bins, ["champion", key]) == [(0, sum(rows.champion == 0)), (19, sum(rows.champion == 1))]
    assert world.query(bins, ["challenger", key]) == [(1, sum(rows.challenger < 1)), (19, sum(rows.challenger == 1))]


def test_several_classes_have_no_bins_but_the_requests_that_differ_most(football: World) -> None:  # noqa: F811
    assert run_day(multiclass(football), day(0)) == []
    assert (kept(football, "score_bin"), kept(football, "quadrant")) == ([], [])
    rows = frame(football, ANSWERS).query("challenger_name == 'other'")
    pairs = zip(rows.champion_probabilities, rows.probabilities, strict=True)
    expected = sorted((float(np.abs(np.subtract(*pair)).sum()) for pair in pairs), reverse=True)[:20]
    found = [row[2]["distance"] for row in kept(football, "disagreement") if row[0] == "other"]
    assert sorted(found, reverse=True) == pytest.approx(expected)
