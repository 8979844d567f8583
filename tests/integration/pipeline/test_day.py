"""The whole day on synthetic production, against the same numbers worked out by numpy, pandas and scikit-learn."""

import datetime as dt
import hashlib
import io
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose
from rich.console import Console
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error, mean_squared_error

from shadow_deployment.data.db import connect
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.errors import GateFailed, LedgerError
from shadow_deployment.ledger import predictions
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.judging import judge_challenger
from shadow_deployment.pipeline.run import run_day, run_days
from tests import production
from tests.conftest import Invoke
from tests.production import MATURITY, World, day, linear_model, moment

RUN = 5  # the days that the shared world has run; production has more
RATE, RATES, MINIMUM = 0.5, {"JFK": 0.8}, 8
SALT = "synthetic"
WEIGHTS = {"dep_hour": 0.1, "distance": -0.0005}
LENIENT = {"burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]}
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
SUMS = [
    "weight",
    "weight_squares",
    "champion_sum",
    "champion_squares",
    "challenger_sum",
    "challenger_squares",
    "difference_sum",
    "difference_squares",
    "difference_sum_weighted",
    "difference_squares_weighted",
]
COUNTS = ["requests", "labelled", "unanswered", "champion_missing", "pairs", "identical"]


@pytest.fixture(scope="module")
def whole(worlds: Callable[..., World]) -> World:
    """Five days run in order, with a sample by strata and four challengers. Tests only read it, or copy it."""
    world = worlds()
    run(world, range(RUN))
    return world


@pytest.fixture
def continued(worlds: Callable[..., World], whole: World) -> World:
    """A copy of the ledger and the snapshots of the five days, which a test may continue."""
    return worlds(whole)


@pytest.fixture
def changed(worlds: Callable[..., World], whole: World) -> World:
    """The same with a copy of production, which a test may change."""
    return worlds(whole, own=True)


def settings(world: World, **changes: Any) -> dict[str, Any]:
    """The deployment of the shared world."""
    model = world.folder / "linear.onnx"
    if not model.exists():
        linear_model(model, WEIGHTS)
    return {
        "sample": {
            "rate": RATE,
            "rates": RATES,
            "strata": ["origin"],
            "minimum_per_stratum": MINIMUM,
            "salt": SALT,
            "shard_rows": 25,
        },
        "challengers": [
            OTHER,
            {"name": "linear", "model": f"onnx:{model}"},
            {"name": "same", "model": "logged:flights.prediction_log.champion_probability"},
            {"name": "a_a_check", "model": "champion"},
        ],
        **changes,
    }


def run(world: World, numbers: Sequence[int], **changes: Any) -> list[Exception]:
    """Run days by number, with the shared deployment unless some of it is changed."""
    shadow = world.shadow(**settings(world, **changes))
    return list(run_days(shadow, [day(number) for number in numbers], Console(file=io.StringIO())))


def verdict_of(world: World, challenger: str, number: int, **changes: Any) -> Verdict:
    """Judge on what is there, without writing it down."""
    deployment = world.deploy(**settings(world, **changes))
    world.register_before_the_first_day(deployment)
    with connect(world.connection("shadow_db")) as session:
        one = deployment.challenger(challenger)
        key = predictions.challenger_id(session, deployment, one, model_digest(one))
        return judge_challenger(session, deployment, one, key, day(number)).verdict


def log_of(world: World) -> pd.DataFrame:
    return frame(world, "SELECT * FROM flights.prediction_log ORDER BY request_id")


def frame(world: World, statement: str) -> pd.DataFrame:
    with psycopg.connect(world.postgres.uri(world.production, production.OWNER)) as session:
        cursor = session.execute(statement)
        return pd.DataFrame(cursor.fetchall(), columns=[one.name for one in cursor.description or ()])


def drawn(log: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return a day's sample, drawn anew: in each stratum the requests with the smallest SHA-256 of salt:id."""
    one = log[(log.predicted_at >= moment(number)) & (log.predicted_at < moment(number + 1))].copy()
    one["hash"] = [hashlib.sha256(f"{SALT}:{key}".encode()).hexdigest()[:13] for key in one.request_id]
    parts = []
    for origin, stratum in one.groupby("origin"):
        size = min(len(stratum), max(math.ceil(RATES.get(str(origin), RATE) * len(stratum)), MINIMUM))
        parts.append(stratum.sort_values("hash").head(size).assign(weight=len(stratum) / size))
    return pd.concat(parts)


def known_labels(world: World, number: int, cutoff: float) -> dict[str, float]:
    """Return the labels of a day's requests that were known at the cutoff and within maturity, worked out anew."""
    outcome = frame(world, "SELECT * FROM flights.outcome")
    until = min(moment(cutoff), moment(number + 1 + MATURITY))
    return dict(outcome[outcome.known_at <= until][["request_id", "is_late"]].itertuples(index=False, name=None))


def paired(world: World, number: int, challenger: str) -> pd.DataFrame:
    """Return the day's sample with weight, champion, challenger and label; what is missing is NaN."""
    rows = drawn(log_of(world), number)
    rows["champion"] = rows.champion_probability.astype(float)
    if challenger == "other":
        rows["challenger"] = rows.other_probability.astype(float)
    elif challenger == "linear":
        score = sum(weight * rows[name] for name, weight in WEIGHTS.items())
        rows["challenger"] = (1 / (1 + np.exp(-score))).astype(float)
    else:
        rows["challenger"] = rows.champion
    rows["label"] = rows.request_id.map(known_labels(world, number, RUN)).astype(float)
    return rows


def scored(rows: pd.DataFrame, metric: str, largest: float) -> pd.DataFrame:
    """Add the values of a metric, missing ones charged, and the difference of losses, positive where it is better.

    `largest` is the largest log loss of either model on the day.
    """
    p, q, y = rows.champion, rows.challenger, rows.label
    tiny, worst = np.finfo(float).eps, {"brier_score": 1.0, "log_loss": largest}
    if metric == "brier_score":
        champion, challenger = (p - y) ** 2, (q - y) ** 2
    elif metric == "log_loss":
        champion, challenger = (
            -np.log(np.where(y.isna(), np.nan, np.where(y == 1, x.clip(tiny, 1 - tiny), 1 - x.clip(tiny, 1 - tiny))))
            for x in (p, q)
        )
    elif metric == "error_rate":
        champion, challenger = p.isna().astype(float), q.isna().astype(float)
    else:
        agree = ((p >= 0.5) == (q >= 0.5)).astype(float)
        champion, challenger = pd.Series(1.0, rows.index), agree.where(p.notna()).where(q.notna() | p.isna(), 0.0)
    sign = -1 if metric == "agreement" else 1
    known = y.notna() if metric in ("brier_score", "log_loss") else pd.Series(True, rows.index)
    if metric in ("brier_score", "log_loss"):
        champion, challenger = (pd.Series(values, rows.index) for values in (champion, challenger))
        challenger = challenger.where(q.notna() | ~known, worst[metric])
        champion = champion.where(p.notna() | ~known, challenger)
    rows = rows.assign(a=champion, b=challenger)
    rows = rows.assign(unanswered=q.isna() & p.notna() & known, champion_missing=p.isna() & known)
    return rows.assign(d=sign * (rows.a - rows.b), pair=rows.a.notna() & rows.b.notna())


def summed(rows: pd.DataFrame) -> dict[str, float]:
    """Return what a row of evidence holds."""
    pairs = rows[rows.pair]
    w, a, b, d = pairs.weight, pairs.a, pairs.b, pairs.d
    values = [w, w**2, w * a, w * a**2, w * b, w * b**2, w * d, w * d**2, w**2 * d, w**2 * d**2]
    return {
        "requests": len(rows),
        "labelled": int(rows.label.notna().sum()),
        "unanswered": int(rows.unanswered.sum()),
        "champion_missing": int(rows.champion_missing.sum()),
        "pairs": len(pairs),
        "identical": int(pairs.champion.eq(pairs.challenger).sum()),
        **dict(zip(SUMS, (float(value.sum()) for value in values), strict=True)),
    }


def slices(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    yield "all", "", rows
    for column in ("origin", "carrier"):
        values = rows[column].fillna("(null)")
        for value in sorted(values.unique()):
            yield column, value, rows[values == value]


def largest_log_loss(rows: pd.DataFrame) -> float:
    known = scored(rows, "log_loss", np.nan)
    return float(np.nanmax([known.a, known.b]))


def expected_evidence(world: World, challenger: str) -> pd.DataFrame:
    rows = []
    for number in range(RUN):
        one = paired(world, number, challenger)
        largest = largest_log_loss(one)
        for column, value, part in slices(one):
            rows += [
                {"day": day(number), "slice_column": column, "slice_value": value, "metric": metric}
                | summed(scored(part, metric, largest))
                for metric in ("agreement", "brier_score", "error_rate", "log_loss")
            ]
    frame = pd.DataFrame(rows).sort_values(["day", "slice_column", "slice_value", "metric"], ignore_index=True)
    frame.loc[[not METRICS[name].needs_label for name in frame.metric], "labelled"] = 0
    return frame


@pytest.mark.parametrize(("challenger", "tolerance"), [("other", 1e-9), ("same", 1e-9), ("linear", 1e-3)])
def test_evidence_is_what_pandas_works_out(whole: World, challenger: str, tolerance: float) -> None:
    # The ONNX model calculates in single precision, so that its sums agree with numpy's to fewer digits.
    found = whole.evidence()
    found = found[found.challenger == challenger].reset_index(drop=True)
    expected = expected_evidence(whole, challenger)
    keys = ["day", "slice_column", "slice_value", "metric"]
    assert found[keys].to_dict("list") == expected[keys].to_dict("list")
    assert found[COUNTS].to_dict("list") == expected[COUNTS].to_dict("list")
    assert_allclose(found[SUMS].astype(float), expected[SUMS], rtol=1e-12, atol=tolerance)
    assert (expected.labelled < expected.requests).any()
    assert expected.weight_squares.gt(expected.weight).any(), "no weight above one: the sample was not thinned"


def test_weighted_means_are_those_of_scikit_learn(whole: World) -> None:
    found = whole.evidence().query("challenger == 'other'").set_index(["day", "slice_column", "slice_value", "metric"])
    compared = 0
    for number in range(RUN):
        day_rows = paired(whole, number, "other")
        least = math.exp(-largest_log_loss(day_rows))  # the probability of the label with the day's largest loss
        for column, value, part in slices(day_rows):
            if part.label.isna().all():
                continue
            for metric, function, worst in (("brier_score", brier_score_loss, 0.0), ("log_loss", log_loss, least)):
                known = part[part.label.notna()]
                charged = known.label * worst + (1 - known.label) * (1 - worst)
                known = known.assign(challenger=known.challenger.fillna(charged))
                known = known.assign(champion=known.champion.fillna(known.challenger))
                row = found.loc[(day(number), column, value, metric)]
                champion, challenger = (
                    function(known.label, known[side], sample_weight=known.weight, labels=[0, 1])
                    for side in ("champion", "challenger")
                )
                got = [row.champion_sum / row.weight, row.challenger_sum / row.weight, row.difference_sum / row.weight]
                assert_allclose(got, [champion, challenger, champion - challenger], atol=1e-9, rtol=0)
                compared += 1
            row = found.loc[(day(number), column, value, "agreement")]
            served = part[part.champion.notna()]
            positive = served.champion >= 0.5
            same = (served.challenger >= 0.5).where(served.challenger.notna(), ~positive)
            agreement = accuracy_score(positive, same, sample_weight=served.weight)
            assert row.challenger_sum / row.weight == pytest.approx(agreement, abs=1e-9)
            row = found.loc[(day(number), column, value, "error_rate")]
            rate = np.average(part.challenger.isna(), weights=part.weight)
            assert row.challenger_sum / row.weight == pytest.approx(rate, abs=1e-9)
    assert compared > RUN * 8


def test_the_linear_model_answered_what_numpy_answers(whole: World) -> None:
    rows = whole.query(
        "SELECT request_id, value FROM shadow.prediction JOIN shadow.request USING (day, snapshot_id, ordinal) "
        "JOIN shadow.model_version AS m ON m.id = challenger_id WHERE m.name = 'linear'"
    )
    log = log_of(whole).set_index("request_id").loc[[key for key, _ in rows]]
    score = sum(weight * log[name] for name, weight in WEIGHTS.items())
    assert_allclose([value for _, value in rows], 1 / (1 + np.exp(-score)), rtol=1e-6)


def test_the_sample_is_the_smallest_keyed_hashes_of_each_stratum(whole: World) -> None:
    log = log_of(whole)
    for number in range(RUN):
        found = whole.query(
            "SELECT request_id, inclusion_probability FROM shadow.request WHERE day = %s ORDER BY ordinal",
            [day(number)],
        )
        expected = drawn(log, number)
        assert [key for key, _ in found] == expected.request_id.tolist()
        assert_allclose([share for _, share in found], 1 / expected.weight, rtol=1e-15)
    population = whole.query("SELECT population, rows FROM shadow.snapshot ORDER BY day")
    assert {rows < number for number, rows in population} == {True}


def test_labels_are_those_known_by_the_last_day_and_within_maturity(whole: World) -> None:
    late = 0
    for number in range(RUN):
        known = known_labels(whole, number, RUN)
        expected = {key: known[key] for key in drawn(log_of(whole), number).request_id if key in known}
        found = whole.query(
            "SELECT request_id, value, known_at, labelled FROM shadow.label "
            "JOIN shadow.request USING (day, snapshot_id, ordinal) "
            "JOIN shadow.labelled_snapshot AS s ON s.id = snapshot_id WHERE shadow.request.day = %s",
            [day(number)],
        )
        assert {key: value for key, value, *_ in found} == expected
        assert {labelled for *_, labelled in found} == {len(expected)}
        late += sum(known_at >= moment(number + 1) for _, _, known_at, _ in found)
    assert late, "no label came after its day: the test does not test late labels"


def test_a_cancelled_request_counts_as_a_request_without_a_label(whole: World) -> None:
    one = whole.evidence().query("challenger == 'other' and slice_column == 'all' and metric == 'error_rate'").iloc[0]
    rows = paired(whole, 0, "other")
    outcome = frame(whole, "SELECT * FROM flights.outcome")
    cancelled = set(rows.request_id) - set(outcome.request_id)
    assert cancelled
    assert (one.requests, one.pairs) == (len(rows), len(rows))
    assert one.labelled <= len(rows) - len(cancelled)


def test_a_request_that_is_not_answered_is_an_error_and_no_gap(whole: World) -> None:
    rows = whole.query(
        "SELECT value, error FROM shadow.prediction JOIN shadow.model_version AS m ON m.id = challenger_id "
        "WHERE m.name = 'other'"
    )
    expected = pd.concat([paired(whole, number, "other") for number in range(RUN)])
    errors = {error for value, error in rows if value is None}
    assert len(rows) == len(expected)
    assert sum(value is None for value, _ in rows) == expected.challenger.isna().sum() > 0
    assert errors == {"flights.prediction_log.other_probability holds no prediction"}
    control = whole.evidence().query("challenger == 'a_a_check' and metric == 'error_rate' and slice_column == 'all'")
    assert control.champion_sum.tolist() == control.challenger_sum.tolist()
    assert control.challenger_sum.sum() > 0


def test_running_all_days_again_changes_no_row_and_no_file(whole: World) -> None:
    """Not even a time of writing."""
    written = {path: path.stat().st_mtime_ns for path in whole.snapshots.rglob("*")}
    before = whole.dump()
    run(whole, range(RUN))
    assert whole.dump() == before
    assert {path: path.stat().st_mtime_ns for path in whole.snapshots.rglob("*")} == written


def test_drawing_twice_gives_the_same_snapshot_whatever_the_order_of_the_rows(
    worlds: Callable[..., World], whole: World
) -> None:
    other = worlds(whole, own=True)
    shutil.rmtree(other.snapshots)
    other.change_production(
        "CREATE TABLE flights.again AS TABLE flights.prediction_log; TRUNCATE flights.prediction_log;"
        "INSERT INTO flights.prediction_log SELECT * FROM flights.again ORDER BY distance DESC"
    )
    shadow = other.shadow(**settings(other))
    with pytest.raises(Exception, match="is missing: it was registered"):
        steps.sample(shadow, day(0))
    fresh = worlds(production=other.production)
    shadow = fresh.shadow(**settings(fresh))
    first = steps.sample(shadow, day(0))
    before = fresh.dump()
    assert steps.sample(shadow, day(0)) == first
    assert fresh.dump() == before
    select = "SELECT digest, rows, population FROM shadow.snapshot WHERE day = %s"
    assert fresh.query(select, [day(0)]) == whole.query(select, [day(0)])


def test_a_smaller_rate_draws_a_part_of_what_a_larger_one_draws(worlds: Callable[..., World], whole: World) -> None:
    drawn_ids = []
    for rate in (0.3, 0.6):
        world = worlds()
        steps.sample(world.shadow(sample={"rate": rate, "salt": SALT}), day(0))
        drawn_ids.append({key for (key,) in world.query("SELECT request_id FROM shadow.request")})
    assert drawn_ids[0] < drawn_ids[1]


def test_a_late_label_changes_the_day_that_it_belongs_to_and_no_other(changed: World) -> None:
    run(changed, [RUN])
    target = changed.query(
        "SELECT request_id FROM shadow.request LEFT JOIN shadow.label USING (day, snapshot_id, ordinal) "
        "WHERE day = %s AND value IS NULL ORDER BY 1 LIMIT 2",
        [day(3)],
    )
    changed.change_production("DELETE FROM flights.outcome WHERE known_at > %s", [moment(RUN + 1)])
    for (key,) in target:
        changed.change_production(
            "INSERT INTO flights.outcome VALUES (%s, 1, %s)", [key, moment(RUN + 1) + dt.timedelta(hours=1)]
        )
    select = "SELECT day, e::text FROM shadow.evidence AS e ORDER BY 1, 2"
    before, labels = changed.query(select), changed.content()["label"]
    changed.change_production("DELETE FROM flights.prediction_log WHERE predicted_at >= %s", [moment(RUN + 1)])
    shadow = changed.shadow(**settings(changed))
    steps.sample(shadow, day(RUN + 1))
    assert steps.collect_labels(shadow, day(RUN + 1)) == [day(3)]
    assert changed.query(select) == before, "evidence changes in compare, not before"
    steps.compare(shadow, day(3))
    after = changed.query(select)
    assert [row for row in after if row[0] != day(3)] == [row for row in before if row[0] != day(3)]
    assert not {row for row in after if row[0] == day(3)} & {
        row for row in before if row[0] == day(3) and ",all,," in row[1]
    }
    assert len(changed.content()["label"]) == len(labels) + len(target)
    assert set(labels) < set(changed.content()["label"])
    assert steps.collect_labels(shadow, day(RUN + 1)) == []


def test_a_label_after_maturity_never_counts(changed: World) -> None:
    before = changed.query("SELECT * FROM shadow.label WHERE day = %s", [day(0)])
    changed.change_production(
        "INSERT INTO flights.outcome SELECT request_id, 1, %s FROM flights.prediction_log AS l "
        "WHERE NOT EXISTS (SELECT FROM flights.outcome AS o WHERE o.request_id = l.request_id)",
        [moment(1 + MATURITY) + dt.timedelta(seconds=1)],
    )
    run(changed, [RUN])
    assert changed.query("SELECT * FROM shadow.label WHERE day = %s", [day(0)]) == before


def test_a_contradicting_label_is_marked_and_shown_and_never_overwrites(changed: World) -> None:
    ((key, ordinal, value, known_at),) = changed.query(
        "SELECT request_id, ordinal, value, known_at FROM shadow.label "
        "JOIN shadow.request USING (day, snapshot_id, ordinal) WHERE day = %s ORDER BY ordinal LIMIT 1",
        [day(3)],
    )
    select = "SELECT value, known_at, conflict, conflict_at FROM shadow.label WHERE day = %s AND ordinal = %s"
    changed.change_production("DELETE FROM flights.outcome WHERE known_at > %s", [moment(RUN)])
    labelled = "SELECT labelled, contradicted FROM shadow.labelled_snapshot WHERE day = %s"
    ((before, none),) = changed.query(labelled, [day(3)])
    for hours, label in ((1, 1 - value), (2, value)):
        changed.change_production(
            "INSERT INTO flights.outcome VALUES (%s, %s, %s)", [key, label, moment(RUN) + dt.timedelta(hours=hours)]
        )
    run(changed, [RUN])
    assert changed.query(select, [day(3), ordinal]) == [
        (value, known_at, 1 - value, moment(RUN) + dt.timedelta(hours=1))
    ]
    assert none == 0
    assert changed.query(labelled, [day(3)]) == [(before - 1, 1)]
    row = changed.evidence().query("challenger == 'same' and slice_column == 'all' and metric == 'brier_score'")
    assert int(row[row.day == day(3)].labelled.iloc[0]) == before - 1
    lenient = verdict_of(changed, "other", RUN, policy=LENIENT)
    assert lenient.outcome == "INCONCLUSIVE"
    assert any("1 requests have contradictory labels in flights.outcome" in one for one in lenient.reasons)
    assert verdict_of(changed, "other", RUN - 1, policy=LENIENT).outcome == "PASS", "nobody knew of it then"


def test_two_labels_at_once_that_contradict_each_other_count_for_nothing(world: World) -> None:
    rows = log_of(world).query("predicted_at < @moment(1)").request_id.head(2).tolist()
    world.change_production("DELETE FROM flights.outcome")
    for key, label in ((rows[0], 0), (rows[0], 1), (rows[1], 1), (rows[1], 1)):
        world.change_production("INSERT INTO flights.outcome VALUES (%s, %s, %s)", [key, label, moment(0.9)])
    run(world, [0], challengers=[OTHER], sample={"rate": 1.0})
    labels = world.query(
        "SELECT request_id, value, conflict FROM shadow.label JOIN shadow.request USING (day, snapshot_id, ordinal) "
        "ORDER BY 1"
    )
    assert labels == [(rows[0], 0.0, 1.0), (rows[1], 1.0, None)]
    assert world.query("SELECT labelled, contradicted FROM shadow.labelled_snapshot") == [(1, 1)]
    assert set(world.evidence().query("slice_column == 'all' and metric == 'brier_score'").labelled) == {1}


def test_days_in_any_order_end_with_the_same_evidence_labels_and_verdict(
    worlds: Callable[..., World], whole: World
) -> None:
    other = worlds()
    shutil.copy(whole.folder / "linear.onnx", other.folder)
    run(other, [3, 0, 4, 2, 1, 4])
    assert other.content() == whole.content()
    last = [row[3:] for row in other.verdicts() if row[0] == day(4)]
    newest = {tuple(row[:2]): row[3:] for row in other.verdicts()}
    assert last
    assert {key: newest[key] for key in newest if key[0] == day(4)} == {
        tuple(row[:2]): row[3:] for row in whole.verdicts() if row[0] == day(4)
    }


def test_a_champion_that_changes_midway_blocks_the_pass_and_evidence_starts_anew(changed: World) -> None:
    assert verdict_of(changed, "other", RUN - 1, policy=LENIENT).outcome == "PASS"
    changed.change_production(
        "UPDATE flights.prediction_log SET model_version = '8' WHERE predicted_at >= %s", [moment(RUN + 0.5)]
    )
    run(changed, [RUN, RUN + 1])
    mixed = verdict_of(changed, "other", RUN, policy=LENIENT)
    assert mixed.outcome == "INCONCLUSIVE"
    assert mixed.reasons[0] == f"the champion changed during {day(RUN)} (versions 7, 8); evidence starts over"
    after = verdict_of(changed, "other", RUN + 1, policy=LENIENT)
    assert after.outcome == "PASS"
    assert [finding.observations for finding in after.findings] == [1]
    versions = changed.evidence().query("challenger == 'other' and day >= @day(@RUN)")
    assert versions.groupby("day").champion_version.unique().map(sorted).tolist() == [["7", "8"], ["8"]]


def test_another_model_file_starts_evidence_anew(continued: World) -> None:
    before = continued.evidence()
    linear_model(continued.folder / "linear.onnx", {"dep_hour": -0.2, "distance": 0.001})
    run(continued, [RUN - 1])
    after = continued.evidence()
    fresh = after[~after.digest.isin(before.digest)]
    assert set(fresh.challenger) == {"linear"}
    assert set(fresh.day) == {day(RUN - 1)}
    pd.testing.assert_frame_equal(after[after.digest.isin(before.digest)].reset_index(drop=True), before)
    verdict = verdict_of(continued, "linear", RUN - 1, policy=LENIENT)
    assert [finding.observations for finding in verdict.findings] == [1]


def test_a_challenger_identical_to_the_champion_never_passes(whole: World) -> None:
    verdict = verdict_of(whole, "same", RUN - 1, policy=LENIENT)
    assert [finding.outcome for finding in verdict.findings] == ["PASS"]
    assert verdict.outcome == "INCONCLUSIVE"
    assert "identical to the champion's on 100.00% of" in verdict.reasons[0]


def test_the_control_never_passes(whole: World) -> None:
    verdict = verdict_of(whole, "a_a_check", RUN - 1, policy=LENIENT)
    assert [finding.outcome for finding in verdict.findings] == ["PASS"]
    assert verdict.outcome == "INCONCLUSIVE"
    assert verdict.reasons == [
        "this is the A/A check, the champion against itself: it measures noise and is never promoted"
    ]
    assert {outcome for _, name, _, outcome, *_ in whole.verdicts() if name == "a_a_check"} == {"INCONCLUSIVE"}
    differences = whole.evidence().query("challenger == 'a_a_check'")
    assert set(differences.difference_sum) == {0.0}


def test_a_day_counts_when_its_labels_are_mature(whole: World) -> None:
    rules = [{"metric": "brier_score", "is": "superior"}, {"metric": "error_rate", "is": "at_most", "value": 0.5}]

    def counted(number: int, **policy: Any) -> list[int]:
        verdict = verdict_of(whole, "other", number, policy={"burn_in": 2, "rules": rules, **policy})
        return [finding.observations for finding in verdict.findings]

    assert counted(4) == [2, 5]
    assert counted(3) == [1, 4]
    assert counted(2) == [0, 3]
    assert counted(4, minimum_coverage=0.3) == [2, 5]


def test_a_day_without_requests_gives_no_evidence_and_says_so(
    continued: World, caplog: pytest.LogCaptureFixture
) -> None:
    before = continued.evidence()
    with caplog.at_level(logging.WARNING):
        assert run(continued, [20]) == []
    assert f"no requests in flights.prediction_log from {day(20)} 00:00 to {day(21)} 00:00 UTC" in caplog.text
    assert continued.query("SELECT rows, population, shards FROM shadow.snapshot WHERE day = %s", [day(20)]) == [
        (0, 0, 0)
    ]
    assert set(continued.evidence().day) == set(before.day)
    judged = [row for row in continued.verdicts() if row[0] == day(20)]
    assert {row[3] for row in judged} == {"INCONCLUSIVE"}
    assert len(judged) == 4
    again = continued.dump()
    run(continued, [20])
    assert continued.dump() == again


def test_the_very_first_day_may_be_without_requests(reading: World, invoke: Invoke) -> None:
    reading.deploy()
    code, out, _ = invoke("run", "late", "--from", day(20))
    assert code == 0
    assert "INCONCLUSIVE" in out
    assert reading.evidence().empty


def test_a_day_without_labels_is_inconclusive_and_its_means_are_null(world: World, invoke: Invoke) -> None:
    world.change_production("TRUNCATE flights.outcome")
    world.deploy(challengers=[OTHER])
    code, out, err = invoke("run", "late", "--from", day(0), "--to", day(0))
    assert code == 0, err
    assert "INCONCLUSIVE" in out
    _, out, _ = invoke("verdict", "late", "--json")
    (challenger,) = json.loads(out)["challengers"]
    assert challenger["outcome"] == "INCONCLUSIVE"
    assert (
        "Brier score is not shown to be better: there is no evidence: no mature day has a labelled pair"
        in challenger["reasons"]
    )
    _, out, _ = invoke("evidence", "late", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    brier = [row for row in rows if row["metric"] == "brier_score"]
    assert {(row["labelled"], row["weight"], row["champion"], row["difference"]) for row in brier} == {
        (0, 0.0, None, None)
    }
    assert {row["champion"] for row in rows if row["metric"] == "agreement"} == {1.0}


def test_a_regression_is_scored_by_squared_and_absolute_error(world: World) -> None:
    world.change_production(
        "ALTER TABLE flights.outcome ALTER is_late TYPE numeric(8, 3);"
        "UPDATE flights.outcome SET is_late = 100 * (hashtext(request_id) / 2147483648.0);"
        "UPDATE flights.prediction_log SET champion_probability = 90 * champion_probability,"
        " other_probability = -80 * other_probability"
    )
    rules = [{"metric": "squared_error", "is": "superior"}, {"metric": "agreement", "is": "at_least", "value": 0.1}]
    run(
        world,
        [0],
        task="regression",
        tolerance=60.0,
        sample={"rate": 1.0},
        challengers=[OTHER],
        policy={"rules": rules},
    )
    found = world.evidence().query("slice_column == 'all'").set_index("metric")
    log = log_of(world).query("predicted_at < @moment(1)").set_index("request_id")
    outcome = frame(world, "SELECT request_id, is_late::float8, known_at FROM flights.outcome").set_index("request_id")
    known = outcome[outcome.known_at <= moment(1)].is_late
    rows = log.assign(label=known).astype({"champion_probability": float, "other_probability": float})
    served = rows.dropna(subset=["champion_probability"])
    full = rows.dropna(subset=["label"])
    errors = full[["champion_probability", "other_probability"]].sub(full.label, axis=0).abs()
    full = full.assign(other_probability=full.other_probability.fillna(full.label + errors.max(axis=None)))
    full = full.assign(champion_probability=full.champion_probability.fillna(full.other_probability))
    assert sorted(found.index) == ["absolute_error", "agreement", "error_rate", "squared_error"]
    for metric, function in (("squared_error", mean_squared_error), ("absolute_error", mean_absolute_error)):
        row = found.loc[metric]
        expected = [function(full.label, full[name]) for name in ("champion_probability", "other_probability")]
        got = [row.champion_sum / row.weight, row.challenger_sum / row.weight]
        assert_allclose(got, expected, rtol=1e-12)
        assert row.difference_sum / row.weight == pytest.approx(expected[0] - expected[1], abs=1e-9)
    agree = (served.champion_probability - served.other_probability).abs() <= 60
    assert found.loc["agreement"].challenger_sum == agree.sum() > 0
    assert found.loc["agreement"].pairs == len(served)


def test_two_deployments_in_one_ledger_do_not_mix(continued: World) -> None:
    rows = (
        "SELECT d.name, e::text FROM shadow.evidence AS e JOIN shadow.deployment AS d ON d.id = deployment_id "
        "ORDER BY 1, 2"
    )
    before = continued.query(rows)
    shadow = continued.shadow(**settings(continued, name="second", challengers=[OTHER]))
    run_days(shadow, [day(0)], Console(file=io.StringIO()))
    after = continued.query(rows)
    assert [row for row in after if row[0] == "late"] == before
    assert len(after) > len(before)
    assert verdict_of(continued, "other", RUN - 1, policy=LENIENT).findings[0].observations == RUN


def test_another_sampling_design_starts_evidence_anew(continued: World) -> None:
    sample = {**settings(continued)["sample"], "rate": 0.7}
    run(continued, [RUN - 1], sample=sample)
    verdict = verdict_of(continued, "other", RUN - 1, sample=sample, policy=LENIENT)
    assert [finding.observations for finding in verdict.findings] == [1]
    assert continued.query("SELECT count(*), count(DISTINCT design) FROM shadow.snapshot WHERE day = %s", [day(4)]) == [
        (2, 2)
    ]


def test_a_verdict_is_history_and_judged_again_only_on_something_else(continued: World) -> None:
    before = continued.verdicts()
    shadow = continued.shadow(**settings(continued))
    steps.judge(shadow, day(RUN - 1), "other")
    assert continued.verdicts() == before
    lenient = continued.shadow(**settings(continued, policy=LENIENT))
    continued.register_before_the_first_day(lenient.deployment)
    steps.judge(lenient, day(RUN - 1), "other")
    new = [row for row in continued.verdicts() if row not in before]
    assert [(row[0], row[1], row[2], row[3]) for row in new] == [(day(RUN - 1), "other", 2, "PASS")]
    assert set(map(str, before)) < set(map(str, continued.verdicts()))


def test_the_gate_lets_inconclusive_through_and_stops_a_fail(continued: World) -> None:
    names = ("other", "linear", "same", "a_a_check")
    assert steps.gate(continued.shadow(**settings(continued)), day(RUN - 1)) == dict.fromkeys(names, "INCONCLUSIVE")
    strict = {"burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.0}]}
    shadow = continued.shadow(**settings(continued, policy=strict))
    continued.register_before_the_first_day(shadow.deployment)
    for name in names:
        steps.judge(shadow, day(2), name)
    with pytest.raises(GateFailed, match=r"other FAILS: error rate is not at most 0: 0\.\d+ on 2024-03-03"):
        steps.gate(shadow, day(2))


def test_the_gate_is_closed_on_the_first_day_of_a_fail_alone_however_often_and_in_which_order_days_are_run(
    continued: World,
) -> None:
    strict = {"burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.0}]}
    shadow = continued.shadow(**settings(continued, policy=strict))
    continued.register_before_the_first_day(shadow.deployment)
    colours = {}
    for number in (2, 1, 0, 1, 2, 0):
        for name in ("other", "linear", "same", "a_a_check"):
            steps.judge(shadow, day(number), name)
        try:
            steps.gate(shadow, day(number), ["other"])
            colours[number] = "green"
        except GateFailed:
            colours[number] = "red"
    assert colours == {0: "green", 1: "red", 2: "green"}  # nothing is unanswered on the first day


def test_the_gate_is_closed_on_the_first_of_the_days_whose_predictions_fail_their_expectations(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    suite = tmp_path / "impossible.json"
    above_all = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "probability", "min_value": 2}}
    suite.write_text(json.dumps({"name": "predictions", "expectations": [above_all]}))
    world = worlds()
    shadow = world.shadow(expectations={"predictions": str(suite)})
    for number in (0, 1):
        assert run_day(shadow, day(number))
    with pytest.raises(GateFailed, match="predictions of other do not meet their expectations"):
        steps.gate(shadow, day(0))
    assert set(steps.gate(shadow, day(1)).values()) == {"INCONCLUSIVE"}


def test_the_gate_is_closed_for_a_day_that_was_not_sampled_or_not_judged(continued: World) -> None:
    shadow = continued.shadow(**settings(continued))
    with pytest.raises(GateFailed, match="was not sampled: see the task sample"):
        steps.gate(shadow, day(RUN))
    steps.sample(shadow, day(RUN))
    with pytest.raises(GateFailed) as closed:
        steps.gate(shadow, day(RUN))
    assert "inputs were not validated" in str(closed.value)
    assert f"other was not judged on {day(RUN)}" in str(closed.value)


def test_a_step_out_of_turn_says_which_one_is_missing(continued: World) -> None:
    shadow = continued.shadow(**settings(continued))
    for step in (steps.validate_inputs, steps.compare):
        with pytest.raises(LedgerError, match="was not sampled; run its sample step first"):
            step(shadow, day(RUN))
    steps.sample(shadow, day(RUN))
    steps.score(shadow, day(RUN), "linear", 0)
    with pytest.raises(
        LedgerError, match=r"linear has predictions for 25 of the \d+ requests .* scoring is incomplete"
    ):
        steps.validate_predictions(shadow, day(RUN), "linear")


def test_evidence_waits_for_whole_predictions(continued: World) -> None:
    shadow = continued.shadow(**settings(continued))
    steps.sample(shadow, day(RUN))
    steps.validate_inputs(shadow, day(RUN))
    steps.score(shadow, day(RUN), "linear", 0)
    assert day(RUN) not in steps.collect_labels(shadow, day(RUN))
    assert steps.compare(shadow, day(RUN)) == 0
    assert day(RUN) not in set(continued.evidence().day)
    verdict = steps.judge(shadow, day(RUN), "linear").verdict
    assert f"the predictions of linear for {day(RUN)} are incomplete" in verdict.reasons


def test_a_snapshot_is_parquet_with_a_manifest_that_names_its_bytes(whole: World) -> None:
    ((location, rows),) = whole.query("SELECT location, rows FROM shadow.snapshot WHERE day = %s", [day(0)])
    (folder,) = (whole.snapshots / location).iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [part["rows"] for part in manifest["parts"]] == [25, rows - 25]
    for part in manifest["parts"]:
        assert hashlib.sha256((folder / part["name"]).read_bytes()).hexdigest() == part["sha256"]
        assert {"dep_hour", "distance", "origin", "carrier"} < set(pq.read_schema(folder / part["name"]).names)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_window_follows_the_deployments_own_clock(reading: World) -> None:
    shadow = reading.shadow(schedule="30 6 * * *", timezone="America/New_York")
    steps.sample(shadow, day(0))
    ((start, end, rows),) = reading.query("SELECT window_start, window_end, rows FROM shadow.snapshot")
    assert (start, end) == (moment(0) + dt.timedelta(hours=11.5), moment(1) + dt.timedelta(hours=11.5))
    log = log_of(reading)
    assert rows == ((log.predicted_at >= start) & (log.predicted_at < end)).sum()
