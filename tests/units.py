"""What an observation weighs, and what one is: errors of units and weights, and of what a PASS asks of the newest days.

Run it with `python -m tests.units [runs]`; the last table trains the demo's models. Challengers are equal to the
champion, unless it says how much better they are; a method says in which share of years it would have promoted them.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.statistics.confidence_sequence import confidence_sequence, weighted_confidence_sequence
from shadow_deployment.statistics.design_effect import design_effect
from shadow_deployment.statistics.e_detector import fallen
from shadow_deployment.statistics.resampling import resampled_days
from shadow_deployment.statistics.weighted_mean import weighted_mean_sequence
from tests.simulation import ALPHA, BURN_IN, DAYS, EXPECTED

Array = NDArray[np.float64]
Weights = Callable[[np.random.Generator, int], Array]

CHUNK = 2_000
WEEK, RECENT = 7, 56
TURN = 200  # the day on which a better challenger turns worse
LEVEL = 0.99


def _weekends(rng: np.random.Generator, runs: int) -> Array:
    weekday = (np.arange(DAYS) + rng.integers(0, WEEK, (runs, 1))) % WEEK
    return np.where(weekday < 5, 1.0, 0.1)


def _one_week(rng: np.random.Generator, runs: int) -> Array:
    week = np.arange(DAYS) // WEEK
    return np.where(week == rng.integers(0, DAYS // WEEK, (runs, 1)), 10.0, 1.0)


WEIGHTS: dict[str, Weights] = {
    "equal days": lambda _, runs: np.ones((runs, DAYS)),
    "weekends of a tenth": _weekends,
    "traffic that grows fivefold": lambda _, runs: np.tile(1 + 4 * np.arange(DAYS) / DAYS, (runs, 1)),
    "lognormal days": lambda rng, runs: np.exp(rng.standard_normal((runs, DAYS))),
    "one week of ten times": _one_week,
}


def _lower(days: Array, weight: Array | None = None) -> Array:
    settings = {"alpha": ALPHA, "burn_in": BURN_IN, "tuned_for": EXPECTED, "side": "lower"}
    if weight is None:
        return confidence_sequence(days, **settings).lower
    return weighted_mean_sequence(days, weight, **settings).lower


def weighted(name: str, *, runs: int, effect: float = 0.0, seed: int = 1) -> float:
    """Return the share of years with a promotion where days weigh as their requests; with an effect the median day."""
    rng, first = np.random.default_rng(seed), []
    for start in range(0, runs, CHUNK):
        size = min(CHUNK, runs - start)
        weight = WEIGHTS[name](rng, size)
        passes = _lower(rng.standard_normal((size, DAYS)) + effect, weight) > 0
        first.append(np.where(passes.any(axis=1), passes.argmax(axis=1) + 1.0, np.inf))
    days = np.concatenate(first)
    return float(np.median(days)) if effect else float(np.isfinite(days).mean())


def turned(
    *, runs: int, before: float = 0.3, after: float = -0.3, day: int = 250, seed: int = 2
) -> tuple[float, float]:
    """Return in which share of years a challenger that turned worse on day 200 passes, by its sequence, and lately."""
    rng = np.random.default_rng(seed)
    days = rng.standard_normal((runs, day)) + np.where(np.arange(day) < TURN, before, after)
    passes = _lower(days)[:, -1] > 0
    return float(passes.mean()), float((passes & (days[:, -RECENT:].mean(axis=1) > 0)).mean())


def alarms(days: Array) -> NDArray[np.bool_]:
    """Return at the end of which weeks the alarm of each year of days is on: shape (runs, weeks)."""
    weeks = days[:, : days.shape[1] // WEEK * WEEK].reshape(len(days), -1, WEEK).mean(axis=2)
    return np.array([[fallen(run[:end]) is not None for end in range(1, len(run) + 1)] for run in weeks])


def one_more_day(*, runs: int, lost: float, effect: float = 0.0, seed: int = 3) -> float:
    """Return the share of promotions with 1 % of days 10 standard deviations bad, where one more day is charged."""
    rng, first = np.random.default_rng(seed), []
    for start in range(0, runs, CHUNK):
        shape = (min(CHUNK, runs - start), DAYS)
        disasters = 0.0 if effect else 10 * ((rng.random(shape) < 0.01) - 0.01)
        passes = _lower(rng.standard_normal(shape) - disasters + effect) > lost / np.arange(1, DAYS + 1)
        first.append(np.where(passes.any(axis=1), passes.argmax(axis=1) + 1.0, np.inf))
    days = np.concatenate(first)
    return float(np.median(days)) if effect else float(np.isfinite(days).mean())


def flights() -> tuple[Array, Array]:
    """Return the demo's two models on the flights of March to December 2013: local day number, and gain in Brier score.

    Both learned from January and February, and every flight with an outcome is scored. A gain is that of the boosted
    trees, less the mean over all flights: their equal.
    """
    from shadow_demo import flights as demo
    from shadow_demo.train import TRAINED_UNTIL, ensure_models

    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        ensure_models(models)
        table = demo.requests()
        table = table[table.is_late.notna() & (table.predicted_at >= TRAINED_UNTIL)]
        loss = [
            (demo.score(models / name, table) - table.is_late) ** 2
            for name in (demo.CHAMPION, "gradient_boosting.onnx")
        ]
    gain = (loss[0] - loss[1]).to_numpy()
    day = table.predicted_at.dt.tz_convert("America/New_York").dt.day_of_year.to_numpy()
    return day - day.min(), gain - gain.mean()


def requests_as_units(day: Array, gain: Array, *, runs: int, seed: int = 4) -> dict[str, float]:
    """Return the share of promotions in years of real days, drawn anew in blocks of a week on average, by unit."""
    count = np.bincount(day).astype(np.float64)
    total, square = np.bincount(day, gain), np.bincount(day, gain**2)
    kept = count > 0
    count, total, square = count[kept], total[kept], square[kept]
    index = resampled_days(np.random.default_rng(seed), runs, DAYS, len(count), 7.0)
    n, d, d2 = count[index], total[index], square[index]
    bounds = weighted_confidence_sequence(
        count=n, weight=n, weight_difference=d, weight2=n, weight2_difference=d, weight2_difference2=d2,
        alpha=ALPHA, burn_in=BURN_IN, tuned_for=EXPECTED * float(count.mean()), side="lower",
    )  # fmt: skip
    passes = bounds.lower > 0
    effects = (
        (
            run,
            look,
            design_effect(
                n[run, : look + 1], (d / n)[run, : look + 1], np.stack([n, d, d2], -1)[run, : look + 1], level=LEVEL
            ),
        )
        for run in np.flatnonzero(passes.any(axis=1))
        for look in np.flatnonzero(passes[run])[:1]
    )
    accepted = sum(effect is None or not effect.is_significant for _, _, effect in effects)
    whole = design_effect(count, total / count, np.stack([count, total, square], -1), level=LEVEL)
    return {
        "design effect": np.nan if whole is None else whole.ratio,
        "requests as independent": float(passes.any(axis=1).mean()),
        "unit request, refused where dependent": accepted / runs,
        "unit day": float((_lower(d / n, n) > 0).any(axis=1).mean()),
    }


def refused(
    *, runs: int, requests: int = 100, days: int = 120, own: float = 0.0, seed: int = 5
) -> Iterator[tuple[str, float]]:
    """Yield how often independent requests are refused at one look; `own` is the deviation of days themselves."""
    rng = np.random.default_rng(seed)
    draws: dict[str, Callable[[tuple[int, int]], Array]] = {
        "normal": rng.standard_normal,
        "heavy tails (t, 3 df)": lambda shape: rng.standard_t(3, shape),
        "exponential": lambda shape: rng.exponential(size=shape) - 1,
        "weekends of a tenth, five times as noisy": rng.standard_normal,
        "weights of 1, 5 and 20": rng.standard_normal,
    }
    for name, draw in draws.items():
        count = 0
        for _ in range(runs):
            d, w = draw((days, requests)), np.ones((days, requests))
            if name.startswith("weekends"):
                weekend = (np.arange(days) % WEEK >= 5)[:, None]
                w, d = np.where(weekend & (np.arange(requests) >= requests // 10), 0.0, w), np.where(weekend, 5 * d, d)
            if name.startswith("weights"):
                w = rng.choice([1.0, 5.0, 20.0], p=[0.6, 0.3, 0.1], size=d.shape)
            d = d + own * rng.standard_normal((days, 1))
            squares = np.stack([(w**2 * d**power).sum(axis=1) for power in range(3)], axis=-1)
            effect = design_effect(w.sum(axis=1), (w * d).sum(axis=1) / w.sum(axis=1), squares, level=LEVEL)
            count += effect is not None and effect.is_significant
        yield name, count / runs


def main(runs: int = 4_000) -> None:
    """Print the tables of statistics/README.md, section Weights, units and the newest days."""
    print(f"\nDays weigh as their requests: promoted in % of {runs} years, and the median day at 0.3 sd")
    for name in WEIGHTS:
        print(f"{name:<42}{100 * weighted(name, runs=runs):>8.1f}{weighted(name, runs=runs, effect=0.3):>8.0f}")
    always, lately = turned(runs=runs)
    shares = f"{always:.1%}, with the newest {RECENT} days {lately:.1%}"
    print(f"\nBetter by 0.3 sd, from day {TURN} on worse by 0.3: PASS on day 250 in {shares}")
    few = min(runs, 300)
    rng = np.random.default_rng(6)
    for mean in (0.0, 0.1):
        share = alarms(rng.standard_normal((few, 3_640)) + mean).any(axis=1).mean()
        print(f"Alarm in ten years at a mean of {mean} sd a day: {share:.1%}")
    for after in (-0.3, -0.5):
        late = alarms(rng.standard_normal((few, 910)) + np.where(np.arange(910) < 203, 0.3, after))[:, 29:]
        weeks = np.where(late.any(axis=1), late.argmax(axis=1) + 1.0, np.inf)
        half, most = np.quantile(weeks, [0.5, 0.9])
        print(f"From +0.3 to {after} sd a day: alarm after {half:.0f} weeks, 90 % {most:.0f}")
    print("\n1 % of days 10 sd bad, and one more day charged: promoted, and the median day at 0.3 sd without disasters")
    for lost in (0.0, 5.0, 10.0):
        share, day = one_more_day(runs=runs, lost=lost), one_more_day(runs=runs, lost=lost, effect=0.3)
        print(f"worst_day of {lost:>4} sd{100 * share:>26.1f}{day:>8.0f}")
    print("\nUnit request refused, of independent requests, in % of histories of 120 days")
    for name, share in refused(runs=min(runs, 2_000)):
        print(f"{name:<42}{100 * share:>8.2f}")
    day, gain = flights()
    print(f"\nReal flights ({len(gain):,} of March to December 2013), a challenger that is no better")
    for name, value in requests_as_units(day, gain, runs=min(runs, 2_000)).items():
        print(f"{name:<42}{value:>8.1f}" if name == "design effect" else f"{name:<42}{value:>8.2%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
