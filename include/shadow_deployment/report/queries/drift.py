"""The drift of inputs, as it was kept when days were sampled, and of predictions, from their histograms."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import Policy
from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.drift import BINS, MOST_REFERENCE_DAYS, first_days
from shadow_deployment.ledger import page
from shadow_deployment.ledger.checks import drift as ledger_drift
from shadow_deployment.ledger.checks.drift import DriftRow
from shadow_deployment.ledger.page import ComparedPredictions, HistogramRow
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.histograms import MODELS
from shadow_deployment.metrics.scores import Distribution, stability_index
from shadow_deployment.report.analyses.drift import NEWEST, DriftSeries, DriftView


def drift(
    session: Session[Any], policy: Policy, sampled: Sequence[Snapshot], compared: ComparedPredictions | None = None
) -> DriftView | None:
    """Return the drift up to the newest of the sampled days, or weeks; None where none has an index.

    Predictions are those of the requests that both models answered, on days that are compared.
    """
    days = [each for each in sampled if each.rows]
    rows = ledger_drift.read(session, days)
    period = policy.days_per_period
    predictions = _predictions(session, compared, days, period) if compared else ()
    every = [*_features(rows, days, period), *predictions]
    known = [index for index in range(len(days)) if any(each.values[index] is not None for each in every)]
    if not known:
        return None
    reference = first_days(days[:-1], period)
    ordered = sorted(every, key=lambda each: each.lately or 0.0, reverse=True)
    return DriftView(
        days=tuple(days[index].day for index in known),
        series=tuple(_on(each, known) for each in ordered),
        reference_days=len(reference),
        first=reference[0].day,
        last=reference[-1].day,
        is_settled=len(reference) == MOST_REFERENCE_DAYS // period,
        period=policy.period,
        unknown=len({each.day for each in days} - {row.day for row in rows}),
    )


def _on(series: DriftSeries, known: Sequence[int]) -> DriftSeries:
    """Return a series on some of its days."""
    missing = tuple(series.missing[index] for index in known) if series.missing else ()
    return replace(series, values=tuple(series.values[index] for index in known), missing=missing)


def _features(rows: Sequence[DriftRow], days: Sequence[Snapshot], period: int) -> Iterator[DriftSeries]:
    for name, group in groupby(sorted(rows, key=lambda row: row.feature), key=lambda row: row.feature):
        by_day = {row.day: row for row in group}
        newest = by_day[max(by_day)]
        yield DriftSeries(
            name,
            "feature",
            tuple(by_day[day].psi if (day := each.day) in by_day else None for each in days),
            tuple(by_day[day].missing if (day := each.day) in by_day else None for each in days),
            newest.reference_missing,
            *lately(list(by_day.values()), NEWEST // period),
        )


def lately(rows: Sequence[DriftRow], most: int = NEWEST) -> tuple[float | None, float]:
    """Return the index of the newest days of a feature taken together, and about what it would be by chance.

    None where fewer than `most` days, in order, were compared with the newest one's reference.
    """
    newest = rows[-most:]
    week = [row for row in newest if row.actual and row.reference == newest[-1].reference]
    if len(week) < most or not week[0].expected:
        return None, 0.0
    requests = sum(row.requests for row in week)
    shares: NDArray[np.float64] = np.sum([np.array(row.actual) * row.requests for row in week], axis=0) / requests
    expected = np.array(week[0].expected)
    return stability_index(expected, shares), _chance(len(expected), requests, week[0].reference_requests or 0)


def _predictions(
    session: Session[Any], compared: ComparedPredictions, days: Sequence[Snapshot], period: int
) -> Iterator[DriftSeries]:
    bins = page.bins(session, compared, by_day=True)
    for model in MODELS:
        mine = [each for each in bins if each.model == model]
        by_day = {day: list(group) for day, group in groupby(mine, key=lambda each: each.day) if day}
        values, index, chance = of_model(by_day, period)
        if values:
            yield DriftSeries(
                f"{model}'s predictions",
                "predictions",
                tuple(values.get(each.day) for each in days),
                lately=index,
                chance=chance,
            )


def of_model(
    by_day: dict[dt.date, list[HistogramRow]], period: int = 1
) -> tuple[dict[dt.date, float], float | None, float]:
    """Return the index of each day that has a reference, and, as `lately` does, of the newest days taken together."""
    days, values, length = list(by_day), dict[dt.date, float](), 0
    ends, expected = np.zeros(0), np.zeros(0)
    for number, day in enumerate(days):
        first = first_days(days[:number], period)
        if first and len(first) != length:
            reference, length = _summed([each for day_ in first for each in by_day[day_]]), len(first)
            ends = reference.bin_ends(BINS)
            expected = reference.shares(ends)
        if first:
            values[day] = stability_index(expected, _summed(by_day[day]).shares(ends))
    most = NEWEST // period
    if len(days) < most or len(first_days(days[:-most], period)) != length:
        return values, None, 0.0
    week, before = ([each for day_ in some for each in by_day[day_]] for some in (days[-most:], days[:length]))
    requests, known = (sum(each.requests for each in some) for some in (week, before))
    return values, stability_index(expected, _summed(week).shares(ends)), _chance(len(expected), requests, known)


def _summed(bins: Sequence[HistogramRow]) -> Distribution:
    places: NDArray[np.float64] = np.array([each.bin for each in bins], np.float64)
    return Distribution(places, np.array([each.weight for each in bins], np.float64))


def _chance(bins: int, requests: int, reference: int) -> float:
    """Return the mean of the index between two samples of one distribution: that of a chi-square, to first order.

    Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation 14,
    2020.
    """
    return (bins - 1) * (1 / requests + 1 / reference) if bins and requests and reference else 0.0
