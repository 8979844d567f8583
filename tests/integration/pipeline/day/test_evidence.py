"""Evidence of a day is what numpy, pandas and scikit-learn work out."""

import datetime as dt
import hashlib
import json
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error, mean_squared_error

from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.pipeline import steps
from tests.conftest import Invoke
from tests.integration.pipeline.day.worked_out import (
    COUNTS,
    OTHER,
    RUN,
    SUMS,
    WEIGHTS,
    drawn,
    frame,
    known_labels,
    largest_log_loss,
    log_of,
    paired,
    run,
    scored,
    slices,
    summed,
)
from tests.production import World, day, moment


def expected_evidence(world: World, challenger: str) -> pd.DataFrame:
    rows = []
    for number in range(RUN):
        sample = paired(world, number, challenger)
        largest = largest_log_loss(sample)
        for column, value, part in slices(sample):
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
    evidence = whole.evidence()
    evidence = evidence[evidence.challenger == challenger].reset_index(drop=True)
    expected = expected_evidence(whole, challenger)
    keys = ["day", "slice_column", "slice_value", "metric"]
    assert evidence[keys].to_dict("list") == expected[keys].to_dict("list")
    assert evidence[COUNTS].to_dict("list") == expected[COUNTS].to_dict("list")
    assert_allclose(evidence[SUMS].astype(float), expected[SUMS], rtol=1e-12, atol=tolerance)
    assert (expected.labelled < expected.requests).any()
    assert expected.weight_squares.gt(expected.weight).any(), "no weight above one: the sample was not thinned"


def test_weighted_means_are_those_of_scikit_learn(whole: World) -> None:
    evidence = (
        whole.evidence().query("challenger == 'other'").set_index(["day", "slice_column", "slice_value", "metric"])
    )
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
                row = evidence.loc[(day(number), column, value, metric)]
                champion, challenger = (
                    function(known.label, known[side], sample_weight=known.weight, labels=[0, 1])
                    for side in ("champion", "challenger")
                )
                got = [row.champion_sum / row.weight, row.challenger_sum / row.weight, row.difference_sum / row.weight]
                assert_allclose(got, [champion, challenger, champion - challenger], atol=1e-9, rtol=0)
                compared += 1
            row = evidence.loc[(day(number), column, value, "agreement")]
            served = part[part.champion.notna()]
            positive = served.champion >= 0.5
            same = (served.challenger >= 0.5).where(served.challenger.notna(), ~positive)
            agreement = accuracy_score(positive, same, sample_weight=served.weight)
            assert row.challenger_sum / row.weight == pytest.approx(agreement, abs=1e-9)
            row = evidence.loc[(day(number), column, value, "error_rate")]
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
        sample = whole.query(
            "SELECT request_id, inclusion_probability FROM shadow.request WHERE day = %s ORDER BY ordinal",
            [day(number)],
        )
        expected = drawn(log, number)
        assert [key for key, _ in sample] == expected.request_id.tolist()
        assert_allclose([share for _, share in sample], 1 / expected.weight, rtol=1e-15)
    population = whole.query("SELECT population, rows FROM shadow.snapshot ORDER BY day")
    assert {rows < number for number, rows in population} == {True}


def test_labels_are_those_known_by_the_last_day_and_within_maturity(whole: World) -> None:
    late = 0
    for number in range(RUN):
        known = known_labels(whole, number, RUN)
        expected = {key: known[key] for key in drawn(log_of(whole), number).request_id if key in known}
        labels = whole.query(
            "SELECT request_id, value, known_at, labelled FROM shadow.label "
            "JOIN shadow.request USING (day, snapshot_id, ordinal) "
            "JOIN shadow.labelled_snapshot AS s ON s.id = snapshot_id WHERE shadow.request.day = %s",
            [day(number)],
        )
        assert {key: value for key, value, *_ in labels} == expected
        assert {labelled for *_, labelled in labels} == {len(expected)}
        late += sum(known_at >= moment(number + 1) for _, _, known_at, _ in labels)
    assert late, "no label came after its day: the test does not test late labels"


def test_a_cancelled_request_counts_as_a_request_without_a_label(whole: World) -> None:
    evidence = (
        whole.evidence().query("challenger == 'other' and slice_column == 'all' and metric == 'error_rate'").iloc[0]
    )
    rows = paired(whole, 0, "other")
    outcome = frame(whole, "SELECT * FROM flights.outcome")
    cancelled = set(rows.request_id) - set(outcome.request_id)
    assert cancelled
    assert (evidence.requests, evidence.pairs) == (len(rows), len(rows))
    assert evidence.labelled <= len(rows) - len(cancelled)


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
    evidence = world.evidence().query("slice_column == 'all'").set_index("metric")
    log = log_of(world).query("predicted_at < @moment(1)").set_index("request_id")
    outcome = frame(world, "SELECT request_id, is_late::float8, known_at FROM flights.outcome").set_index("request_id")
    known = outcome[outcome.known_at <= moment(1)].is_late
    rows = log.assign(label=known).astype({"champion_probability": float, "other_probability": float})
    served = rows.dropna(subset=["champion_probability"])
    full = rows.dropna(subset=["label"])
    errors = full[["champion_probability", "other_probability"]].sub(full.label, axis=0).abs()
    full = full.assign(other_probability=full.other_probability.fillna(full.label + errors.max(axis=None)))
    full = full.assign(champion_probability=full.champion_probability.fillna(full.other_probability))
    assert sorted(evidence.index) == ["absolute_error", "agreement", "error_rate", "squared_error"]
    for metric, function in (("squared_error", mean_squared_error), ("absolute_error", mean_absolute_error)):
        row = evidence.loc[metric]
        expected = [function(full.label, full[name]) for name in ("champion_probability", "other_probability")]
        got = [row.champion_sum / row.weight, row.challenger_sum / row.weight]
        assert_allclose(got, expected, rtol=1e-12)
        assert row.difference_sum / row.weight == pytest.approx(expected[0] - expected[1], abs=1e-9)
    agree = (served.champion_probability - served.other_probability).abs() <= 60
    assert evidence.loc["agreement"].challenger_sum == agree.sum() > 0
    assert evidence.loc["agreement"].pairs == len(served)


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
