"""Analyses to draw, by a fixed seed: a year of days, five challengers and fifty slices."""

import datetime as dt
from dataclasses import fields, replace
from statistics import median
from typing import Any

import numpy as np

from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.words.finding import Finding, Outcome
from shadow_deployment.ledger.page import QuadrantRow
from shadow_deployment.report.analyses.drift import DriftSeries, DriftView
from shadow_deployment.report.views import (
    DailySeries,
    LabelDay,
    NoiseSeries,
    NoiseView,
    PredictionBin,
    QuadrantsView,
    Role,
    RuleView,
    ScoresView,
    SequenceView,
    SlicesView,
    SliceView,
)
from shadow_deployment.statistics.confidence_sequence import confidence_sequence

FIRST = dt.date(2013, 1, 1)
UNITS = "Brier score, champion minus challenger: above 0 the challenger is better"


def moment(day: dt.date, hour: int = 3) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour), dt.UTC)


def days_from(number: int, first: dt.date = FIRST) -> tuple[dt.date, ...]:
    return tuple(first + dt.timedelta(days=one) for one in range(number))


def finite(values: Any) -> tuple[float | None, ...]:
    return tuple(float(one) if np.isfinite(one) else None for one in values)


def a_sequence(
    number: int = 365, *, effect: float = 0.012, seed: int = 1, burn_in: int = 28, **changes: Any
) -> SequenceView:
    gains = np.random.default_rng(seed).normal(effect, 0.05, number)
    found = confidence_sequence(gains, alpha=0.0125, burn_in=burn_in, tuned_for=60, side="lower", method="robust")
    above = confidence_sequence(gains, alpha=0.0125, burn_in=burn_in, tuned_for=60, side="upper", method="robust")
    days = days_from(number)
    passed = found.lower > 0
    outcome: Outcome = "PASS" if passed[-1] else "FAIL" if above.upper[-1] < 0 else "INCONCLUSIVE"
    usual = SequenceView(
        rule=a_rule(outcome, decided_on=days[int(np.argmax(passed))] if outcome == "PASS" else None),
        per="day",
        days=days,
        observed=tuple(map(float, gains)),
        mean=tuple(map(float, found.estimate)),
        lower=finite(found.lower),
        upper=finite(above.upper),
        burn_in=burn_in,
        replayed=0,
        agrees=True,
    )
    return changed(usual, **changes)


def changed(view: Any, **changes: Any) -> Any:
    """Return a view with changes, each made where the field is: in the view, in its rule, or in its finding."""
    of_view = {field.name for field in fields(view)}
    inner = next((name for name in ("rule", "finding") if name in of_view), None)
    deeper = {name: value for name, value in changes.items() if name not in of_view}
    own = {name: value for name, value in changes.items() if name in of_view}
    return replace(view, **own, **({inner: changed(getattr(view, inner), **deeper)} if inner and deeper else deeper))


def a_rule(outcome: Outcome = "PASS", **changes: Any) -> RuleView:
    finding = Finding(
        metric="brier_score",
        slice="all",
        is_="superior",
        role="blocking",
        outcome=outcome,
        bound=0.0,
        reason="after 365 days the interval 0.001 to 0.02 clears 0",
        estimate=0.01234,
        lower=0.00123,
        upper=0.0234,
        observations=365,
        requests=182_500,
        alpha_pass=0.0125,
        alpha_fail=0.0125,
        decided_on=dt.date(2013, 4, 2) if outcome != "INCONCLUSIVE" else None,
        more_days=12 if outcome == "INCONCLUSIVE" else None,
    )
    usual = RuleView(
        finding, "Brier score is better", "difference", UNITS, False, "{metric: brier_score, is: superior}"
    )
    view: RuleView = changed(usual, **changes)
    return view


def rules() -> tuple[RuleView, ...]:
    return (
        a_rule(),
        a_rule(
            "INCONCLUSIVE",
            text="log loss is not worse by 0.005 or more",
            metric="log_loss",
            is_="non_inferior",
            bound=-0.005,
            lower=-0.0061,
            reason="after 365 days the interval -0.0061 to 0.0234 holds -0.005; about 12 more days would decide an "
            "effect like the one seen so far",
        ),
        a_rule(
            text="error rate is at most 0.001",
            metric="error_rate",
            is_="at_most",
            bound=0.001,
            estimate=0.0,
            lower=None,
            upper=None,
            unit="value",
            unit_words="share of requests",
            is_daily=True,
            observations=1,
            alpha_pass=None,
            alpha_fail=None,
            reason="0 is at most 0.001",
        ),
        a_rule(
            "FAIL",
            text="agreement with the champion is at least 0.8",
            metric="agreement",
            is_="at_least",
            role="advisory",
            bound=0.8,
            estimate=0.7312,
            lower=None,
            upper=None,
            unit="value",
            unit_words="share of requests",
            is_daily=True,
            reason="0.7312 is below 0.8",
        ),
        *(
            a_rule(
                "INCONCLUSIVE" if index % 7 else "FAIL",
                text="Brier score is not worse by 0.01 or more, overall and in every airport",
                is_="non_inferior",
                slice=name,
                role="advisory",
                bound=-0.01,
                estimate=-0.009 - index / 10_000,
                lower=-0.013 - index / 10_000,
                upper=0.005,
            )
            for index, name in enumerate(["all", *(f"airport={one}" for one in slice_names(50))])
        ),
    )


def slice_names(number: int) -> list[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [f"{letters[one % 26]}{letters[one * 7 % 26]}{letters[one // 26]}" for one in range(number)]


def slices(number: int = 50, names: list[str] | None = None) -> SlicesView:
    generator = np.random.default_rng(3)
    found = []
    for index, value in enumerate(names or slice_names(number)):
        estimate = float(generator.normal(0.008, 0.012))
        width = float(generator.uniform(0.005, 0.03))
        open_side = index % 17 == 5
        lower = None if open_side else estimate - width
        found.append(
            SliceView(
                name=f"airport={value}",
                estimate=estimate,
                lower=lower,
                upper=estimate + width,
                days=365 - 3 * index,
                requests=int(generator.integers(300, 60_000)),
            )
        )
    ordered = tuple(sorted(found, key=lambda one: one.order))
    alpha = AlphaSplit(0.05 / 106, 0.05 / 106)
    return SlicesView("brier_score", "Brier score", UNITS, 0.0121, ordered, 3, 0.95, alpha)


def binned(seed: int, shift: float) -> tuple[PredictionBin, ...]:
    generator = np.random.default_rng(seed)
    middle = (np.arange(20) + 0.5) / 20
    share = np.exp(-(((middle - 0.25 - shift) / 0.22) ** 2))
    share /= share.sum()
    requests = (share * 180_000).astype(int)
    rate = np.clip(middle + shift * generator.normal(0, 0.6, 20), 0, 1)
    width = 1.96 * np.sqrt(rate * (1 - rate) / np.maximum(requests, 1) + 1e-5)
    return tuple(
        PredictionBin(
            float(share[at]),
            int(requests[at]),
            int(requests[at] * 0.97),
            float(middle[at]),
            float(rate[at]),
            float(max(rate[at] - width[at], 0)),
            float(min(rate[at] + width[at], 1)),
            float(share[at]),
        )
        if requests[at]
        else PredictionBin(float(share[at]))
        for at in range(20)
    )


def scores() -> ScoresView:
    edges = tuple(float(one) / 20 for one in range(21))
    last = FIRST + dt.timedelta(days=364)
    return ScoresView("probability", edges, binned(1, 0.15), binned(2, 0.02), 365, FIRST, last)


def quadrants() -> QuadrantsView:
    span = (365, FIRST, FIRST + dt.timedelta(days=364))
    return QuadrantsView(
        0.5,
        (
            QuadrantRow(True, True, 21_000, 0.115, 20_500, 14_000, 0.112, 0.077, *span),
            QuadrantRow(True, False, 9_100, 0.051, 8_900, 3_300, 0.05, 0.019, *span),
            QuadrantRow(False, True, 5_300, 0.029, 5_100, 3_100, 0.028, 0.017, *span),
            QuadrantRow(False, False, 147_100, 0.805, 143_000, 18_000, 0.783, 0.099, *span),
        ),
    )


def drift(number: int = 365) -> DriftView:
    """Return the drift of twelve features, two of which move, and of the predictions of both models."""
    generator, days = np.random.default_rng(11), days_from(number)
    moves = {"distance": 0.6, "carrier": 0.15}

    def a_series(name: str, kind: Any = "feature") -> DriftSeries:
        trend = moves.get(name, 0.0) * np.linspace(0, 1, number)
        values = tuple(float(value) for value in trend + generator.exponential(0.02, number))
        shares = tuple(float(value) for value in generator.uniform(0.01, 0.03, number)) if kind == "feature" else ()
        return DriftSeries(name, kind, (None, *values[1:]), shares, 0.02 if shares else None, median(values[-7:]), 0.02)

    features = ["distance", "carrier", *(f"feature_{one}" for one in range(10))]
    models = [a_series(f"{model}'s predictions", "predictions") for model in ("champion", "challenger")]
    return DriftView(days, (*map(a_series, features), *models), 14, days[0], days[min(13, number - 1)], number >= 28)


def labels(number: int = 365) -> tuple[LabelDay, ...]:
    generator = np.random.default_rng(5)
    found = []
    for index, day in enumerate(days_from(number)):
        sampled = int(generator.integers(430, 560))
        age = number - index
        labelled = int(sampled * (0.97 if age > 3 else 0.3 * age))
        waiting = 0 if age > 3 else int(sampled * 0.97) - labelled
        found.append(
            LabelDay(
                day,
                sampled,
                labelled,
                labelled + waiting,
                contradicted=index % 90 // 89 * 3,
                invalid=0,
                early=0,
                collected_until=moment(day, 23),
                mature=age > 3,
            )
        )
    return tuple(found)


def latency(number: int = 365) -> DailySeries:
    generator = np.random.default_rng(6)

    def series(base: float) -> tuple[float | None, ...]:
        values = base * np.exp(generator.normal(0, 0.12, number))
        return tuple(None if index == 100 else float(one) for index, one in enumerate(values))

    keys = {"p50": 1.0, "p95": 3.1, "p99": 7.9}
    models = {"champion": 4.2, "challenger": 0.6}
    return DailySeries(
        days_from(number),
        {f"{model} {key}": series(base * times) for model, base in models.items() for key, times in keys.items()},
    )


def distances(number: int = 365) -> DailySeries:
    generator = np.random.default_rng(7)
    return DailySeries(
        days_from(number),
        {
            "population_stability_index": finite(0.08 + 0.03 * generator.standard_normal(number) ** 2),
            "kolmogorov_smirnov": finite(0.05 + 0.02 * np.abs(generator.standard_normal(number))),
        },
        {"population_stability_index": 0.2},
    )


def a_noise_series(name: str, role: Role, mean: float, spread: float, seed: int, number: int = 365) -> NoiseSeries:
    values = np.random.default_rng(seed).normal(mean, spread, number)
    return NoiseSeries(name, role, days_from(number), tuple(map(float, values)))


def noise() -> NoiseView:
    others = tuple(a_noise_series(f"challenger_{one}", "promotable", 0.004 * one, 0.05, 10 + one) for one in range(4))
    return NoiseView("brier_score", "Brier score", a_noise_series("a_a_check", "a_a_check", 0.0, 0.001, 9), others)
