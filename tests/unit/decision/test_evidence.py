"""Evidence in memory: which rows of the ledger count, and what a day's value is."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.decision.series import SQUARES, Evidence, LedgerSeries, Series, Unlabelled, digest_of
from shadow_deployment.decision.series import gather as gather_columns
from shadow_deployment.metrics.slices import slice_name

FIRST = dt.date(2013, 3, 1)
SUMS = ("weight", "champion_sum", "challenger_sum", "difference_sum")


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def row(
    number: int, metric: str = "brier_score", column: str = "all", value: str = "all", **changes: Any
) -> dict[str, Any]:
    return {
        "metric": metric,
        "slice_column": column,
        "slice_value": value,
        "day": day(number),
        "pairs": 80,
        "identical": 3,
        "weight": 160.0,
        "champion_sum": 32.0,
        "challenger_sum": 24.0,
        "difference_sum": 8.0,
        "weight_squares": 400.0,
        "difference_sum_weighted": 20.0,
        "difference_squares_weighted": 3.0,
    } | changes


def gather(rows: list[dict[str, Any]]) -> Evidence:
    """Gather rows of the ledger, put together by metric and slice as it does."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in rows:
        groups.setdefault((one["metric"], one["slice_column"], one["slice_value"]), []).append(one)
    found = []
    for key, days in groups.items():
        counts = {name: np.array([one[name] for one in days], np.int64) for name in ("pairs", "identical")}
        counts["days"] = np.array([(one["day"] - dt.date(2000, 1, 1)).days for one in days], np.int64)
        sums = {name: np.array([one[name] for one in days], np.float64) for name in (*SUMS, *SQUARES)}
        found.append(LedgerSeries(*key, counts, sums))
    return gather_columns(found)


def test_a_days_value_is_the_weighted_mean_of_its_requests() -> None:
    weight, champion = np.array([1.0, 4.0, 2.5]), np.array([0.2, 0.6, 0.1])
    challenger = np.array([0.3, 0.1, 0.1])
    sums = {
        "pairs": 3,
        "weight": weight.sum(),
        "champion_sum": weight @ champion,
        "challenger_sum": weight @ challenger,
        "difference_sum": weight @ (champion - challenger),
    }
    series = gather([row(0, **sums)])["brier_score", "all"]
    assert_allclose(series.champion, [np.average(champion, weights=weight)], rtol=1e-15)
    assert_allclose(series.challenger, [np.average(challenger, weights=weight)], rtol=1e-15)
    assert_allclose(series.difference, [np.average(champion - challenger, weights=weight)], rtol=1e-15)


def test_rows_are_gathered_by_metric_and_slice_in_order_of_days() -> None:
    rows = [
        row(0),
        row(1),
        row(0, column="origin", value="JFK"),
        row(2, column="origin", value="JFK"),
        row(0, "log_loss"),
    ]
    found = gather(rows)
    assert {key: [str(one)[8:] for one in series.days] for key, series in found.items()} == {
        ("brier_score", "all"): ["01", "02"],
        ("brier_score", "origin=JFK"): ["01", "03"],
        ("log_loss", "all"): ["01"],
    }
    series = found["brier_score", "all"]
    assert (series.metric, series.slice, series.total_requests) == ("brier_score", "all", 160)
    assert_array_equal(series.identical, [3, 3])


def test_a_slice_without_a_pair_is_there_and_empty() -> None:
    empty = {"pairs": 0, "weight": 0.0, "champion_sum": 0.0, "challenger_sum": 0.0, "difference_sum": 0.0}
    series = gather([row(0, column="origin", value="LGA", **empty)])["brier_score", "origin=LGA"]
    assert (series.days, len(series.difference), series.total_requests) == ((), 0, 0)


def test_a_day_without_a_pair_is_left_out_of_the_series() -> None:
    series = gather([row(0), row(1, pairs=0, weight=0.0), row(2)])["brier_score", "all"]
    assert series.days == (day(0), day(2))
    assert np.isfinite(series.difference).all()


def test_a_sum_that_is_no_number_stays_none_and_is_never_zero() -> None:
    series = gather([row(0), row(1, difference_sum=float("nan"))])["brier_score", "all"]
    assert_array_equal(np.isnan(series.difference), [False, True])


def test_days_come_in_their_order_whatever_order_they_are_kept_in() -> None:
    rows = [row(number, pairs=number + 1, difference_sum=float(number)) for number in (2, 0, 3, 1)]
    series = gather(rows)["brier_score", "all"]
    assert series.days == tuple(day(number) for number in range(4))
    assert_array_equal(series.pairs, [1, 2, 3, 4])
    assert_array_equal(series.difference * 160, [0, 1, 2, 3])


def test_series_with_days_of_their_own_keep_them() -> None:
    other = [row(0, column="origin", value="JFK"), row(2, column="origin", value="JFK")]
    found = gather([row(0), row(1), *other])
    assert found["brier_score", "all"].days == (day(0), day(1))
    assert found["brier_score", "origin=JFK"].days == (day(0), day(2))


def test_no_rows_are_no_evidence() -> None:
    assert gather([]) == {}


@pytest.mark.parametrize(
    ("column", "value", "name"), [("all", "all", "all"), ("origin", "JFK", "origin=JFK"), ("code", "a=b", "code=a=b")]
)
def test_a_slice_is_named_by_column_and_value(column: str, value: str, name: str) -> None:
    assert slice_name(column, value) == name


def test_requests_behind_a_series_are_its_pairs() -> None:
    found = gather([row(0, pairs=5), row(1, pairs=7)])["brier_score", "all"]
    assert isinstance(found, Series)
    assert found.total_requests == 12


def test_counts_of_missing_predictions_stay_with_their_model_and_day() -> None:
    sums = {name: np.array([2.0, 1.0]) for name in SUMS}
    counts = {"days": [8, 7], "pairs": [30, 40], "unanswered": [3, 0], "champion_missing": [0, 5]}
    columns = {name: np.array(values, np.int64) for name, values in counts.items()}
    (series,) = gather_columns([LedgerSeries("brier_score", "all", "", columns, sums)]).values()
    assert series.days == (dt.date(2000, 1, 8), dt.date(2000, 1, 9))
    assert series.unanswered is not None
    assert series.champion_missing is not None
    assert (series.pairs.tolist(), series.unanswered.tolist()) == ([40, 30], [0, 3])
    assert series.champion_missing.tolist() == [5, 0]
    assert (series.total_unanswered, series.total_champion_missing, series.total_requests) == (3, 5, 70)
    assert series.identical is None


def test_the_digest_of_evidence_is_the_same_whatever_the_order_a_sum_was_added_up_in() -> None:
    one, other = (gather([row(0), row(1, difference_sum=value)]) for value in (0.1 + 0.2, 0.3))
    assert one["brier_score", "all"].difference[1] != other["brier_score", "all"].difference[1]
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize(
    "changed",
    [
        [row(0), row(2)],
        [row(0)],
        [row(0), row(1, pairs=81)],
        [row(0), row(1, champion_sum=32.0000001)],
        [row(0), row(1, challenger_sum=24.0000001)],
        [row(0), row(1, difference_sum=8.0000001)],
        [row(0), row(1, difference_sum=-8.0)],
        [row(0), row(1, difference_sum=16.0)],
        [row(0), row(1, difference_sum=0.0)],
        [row(0), row(1, difference_sum=float("nan"))],
        [row(0, "log_loss"), row(1, "log_loss")],
        [row(0, column="origin", value="JFK"), row(1, column="origin", value="JFK")],
        [row(0), row(1), row(0, column="origin", value="JFK")],
    ],
)
def test_the_digest_of_evidence_tells_one_from_another(changed: list[dict[str, Any]]) -> None:
    assert digest_of(gather(changed)) != digest_of(gather([row(0), row(1)]))


def test_the_digest_of_evidence_is_the_one_that_ledgers_have() -> None:
    """A stored verdict has it: where it changes, no verdict of before can be verified."""
    rows = [row(0), row(1, difference_sum=1 / 3), row(1, "log_loss", pairs=70), row(2, "log_loss", champion_sum=1e-9)]
    evidence = dict(gather(rows))
    some = Unlabelled((day(1), day(3)), np.array([3.0, 1.0]), np.array([-0.1, 0.0]), np.array([0.2, 0.5]))
    evidence["brier_score", "all"] = replace(evidence["brier_score", "all"], unlabelled=some)
    assert digest_of(evidence) == "3bf2c5cb6bdcf34df8513f6851ed3c8c4be2b6e7c6a834c6dbcef303e15130d0"
    assert digest_of({}) == "a683096011db3975a1e401e33b0047d1f2677a11efe85ef12806f016ae039795"


def test_the_digest_of_evidence_tells_the_requests_without_a_label() -> None:
    (series,) = gather([row(0), row(1)]).values()
    some = Unlabelled((day(1),), np.array([3.0]), np.array([-0.1]), np.array([0.2]))
    changes = {
        "days": (day(0),),
        "weight": np.array([4.0]),
        "least": np.array([-0.2]),
        "most": np.array([0.3]),
    }
    others = [None, some, *(replace(some, **{name: value}) for name, value in changes.items())]
    digests = {digest_of({("brier_score", "all"): replace(series, unlabelled=each)}) for each in others}
    assert len(digests) == len(others)


def test_the_digest_of_evidence_tells_zero_from_what_is_no_number() -> None:
    zero, unknown = (gather([row(0, difference_sum=value)]) for value in (0.0, float("nan")))
    assert digest_of(zero) != digest_of(unknown)
