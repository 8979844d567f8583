"""Gates on days that are drawn from a history: in blocks, or from an autoregression."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import BOUNDING, WEEK, Rule
from shadow_deployment.decision.estimand import Estimand
from shadow_deployment.decision.series import Series
from shadow_deployment.statistics.autoregression import SETTLING, Autoregression, shock_index
from shadow_deployment.statistics.resampling import resampled_days

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


class ResampledRule(NamedTuple):
    """A rule on a slice that can be resampled."""

    rule: Rule
    name: str
    series: Series
    estimand: Estimand


@dataclass(frozen=True, eq=False)
class ResampledGate:
    """A gate on the days of the history: arrays of shape (history,), 0 on days without a pair of its own.

    `gains` have the weighted mean 0 after `seen` was subtracted; `shift` is the effect.
    """

    judged: ResampledRule
    present: Flags
    gains: Array
    weight: Array
    pairs: Array
    seen: float
    shift: float

    @property
    def mean_weight(self) -> float:
        """The mean weight of its days."""
        return float(self.weight[self.present].mean())

    @property
    def linearised(self) -> Array:
        """Gains of days that count the same, 0 on days without a pair: as `Estimand.linearised`."""
        return self.weight * self.gains / self.mean_weight

    def passes(self, statistic: Array, truth: float) -> Flags:
        """Return where the gate holds when its mean gain is `truth`; at_most and at_least include their bound."""
        inclusive = self.judged.rule.is_ in (*BOUNDING, "guardrail")
        return np.asarray(statistic >= -truth if inclusive else statistic > -truth)


class DrawnDays(NamedTuple):
    """A gate on resampled days: arrays of shape (runs, days), weight 0 on days without a pair."""

    present: Flags
    gains: Array
    weight: Array
    pairs: Array


class Blocks(NamedTuple):
    """Draws days of the history in blocks; a pattern repeats after a `season` of them."""

    gates: Sequence[ResampledGate]
    days: int
    history: int
    length: float
    season: int

    def draw(self, rng: np.random.Generator, runs: int) -> list[DrawnDays]:
        """Return the gates on the same resampled days."""
        index = resampled_days(rng, runs, self.days, self.history, self.length, self.season)
        return [
            DrawnDays(gate.present[index], gate.gains[index], gate.weight[index], gate.pairs[index])
            for gate in self.gates
        ]


class Autoregressive(NamedTuple):
    """Draws linearised gains, of days that count the same, from an autoregression of each gate."""

    gates: Sequence[ResampledGate]
    days: int
    history: int
    models: Sequence[Autoregression]

    def draw(self, rng: np.random.Generator, runs: int) -> list[DrawnDays]:
        """Return the gates on days with the shocks of the same days."""
        index = shock_index(rng, runs, self.days, self.history)
        now, drawn = index[:, SETTLING:], []
        for gate, model in zip(self.gates, self.models, strict=True):
            weight = np.where(gate.present[now], gate.mean_weight, 0.0)
            gains = np.where(gate.present[now], model.drawn(index), 0.0)
            drawn.append(DrawnDays(gate.present[now], gains, weight, gate.pairs[now]))
        return drawn


def whole_weeks(days: Collection[dt.date], period: int) -> list[dt.date]:
    """Return the days of the newest whole weeks, with those without evidence, so many days apart as a period has."""
    newest = max(days)
    span = ((newest - min(days)).days + period) // WEEK * WEEK
    return [newest - dt.timedelta(days=before) for before in reversed(range(0, span, period))]


def resampled_gate(
    judged: ResampledRule,
    everything: Sequence[ResampledRule],
    days: Sequence[dt.date],
    effect: float | None,
    period: int,
) -> ResampledGate:
    """Put a gate on the days of the history, which are a period of days apart."""
    estimand, series = judged.estimand, judged.series
    kept = _ordinals(series.days) >= days[0].toordinal()
    gains, weight = estimand.gains[kept], estimand.weight[kept]
    mean = float(np.average(gains, weights=weight))
    arrays = np.zeros((4, len(days)))
    arrays[:, (_ordinals(series.days)[kept] - days[0].toordinal()) // period] = (
        np.ones(len(gains)), gains - mean, weight, series.pairs[kept]
    )  # fmt: skip
    overall = next(other.estimand for other in everything if other.rule is judged.rule)  # all requests come first
    shift = mean if effect is None else effect * float(overall.linearised.std(ddof=1))
    return ResampledGate(judged, arrays[0] > 0, arrays[1], arrays[2], arrays[3], mean, shift)


def _ordinals(days: Sequence[dt.date]) -> Indices:
    return np.array([day.toordinal() for day in days], np.int64)


def weekly_means(gains: Array, weight: Array) -> tuple[Array, Array]:
    """Return means and weights of blocks of seven resampled days as Series.by_week makes them, weight 0 for none."""
    whole = gains.shape[1] // WEEK * WEEK
    total, weighted = (each[:, :whole].reshape(len(gains), -1, WEEK).sum(axis=2) for each in (weight, weight * gains))
    return weighted / np.where(total > 0, total, 1.0), total
