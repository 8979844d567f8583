"""Labels that never arrive, at their worst: whether a PASS holds whatever they are, and if not, up to which loss.

Evidence is about labelled requests only, and labels may be missing where the challenger is wrong. Of a request without
a label both predictions are known, so its gain has a least and a most value (`metrics/possible_gains.py`). A PASS that
holds with each day's at their least, or on some days at their most, holds whatever the labels are (Manski,
"Nonparametric bounds on treatment effects", American Economic Review 80(2), 1990): exactly for the plain margin; the
others look at the order of days too, which labels would have to conspire with. Of any other PASS the tipping point is
given: the loss on average from which it would not hold (Yan, Lee and Li, "Missing data handling methods in medical
device clinical trials", Journal of Biopharmaceutical Statistics 19(6), 2009).

It is a warning and no reason against a PASS: that every missing label speaks against the challenger is what nobody has
seen, and with many missing no challenger would ever pass. How many may be missing is `policy.minimum_coverage`.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.base.numbers import plain_percent, quantity
from shadow_deployment.config.policy import COMPARING
from shadow_deployment.decision.series import Series, Unlabelled
from shadow_deployment.decision.words import wording
from shadow_deployment.decision.words.finding import Finding, MissingLabels
from shadow_deployment.metrics.catalog import Metric, Task
from shadow_deployment.metrics.possible_gains import has_range
from shadow_deployment.metrics.slices import ALL

_STEPS: Final = 14  # of the bisection: 1/16384 of the range
_AT_MOST: Final = (1, 2, 5, 15, 50)  # days

Days = tuple[dt.date, ...]
Floats = NDArray[np.float64]
Passes = Callable[[Sequence[Series]], Sequence[bool]]


def effects_of(passing: Sequence[Series], passes: Passes) -> list[MissingLabels]:
    """Return what missing labels can do to rules that pass on series of days, each with requests without a label.

    `passes` says of such series, each with other gains, whether the same rules pass. Tipping points are those of all
    requests: in slices they would take longer than everything else that a verdict needs.
    """
    effects = []
    filled = [_Filled(series, series.unlabelled) for series in passing if series.unlabelled is not None]
    corners = [each.corners for each in filled]
    held = iter(passes([corner for each in corners for corner in each]) if filled else [])
    for each, of_each in zip(filled, corners, strict=True):
        at_least, *others = islice(held, len(of_each))
        tips = not at_least and each.series.slice == ALL
        point = _tipping_point(each, passes) if tips else None
        effects.append(MissingLabels(each.share, -each.least, holds=at_least and all(others), tipping_point=point))
    return effects


def missing_label_warnings(
    findings: Sequence[Finding], catalog: Mapping[str, Metric], task: Task, never: int, requests: int
) -> Iterator[str]:
    """Yield what missing labels can do to blocking findings that pass: the one that tips first, and what has no bounds.

    `catalog` has the definitions of their metrics. `never` of the `requests` on the days that count never got a label.
    """
    passing = [each for each in findings if each.is_blocking and each.outcome == "PASS" and each.is_ in COMPARING]
    tipping = [each for each in passing if each.missing_labels and not each.missing_labels.holds]
    if tipping:
        first = min(tipping, key=_tips_at)
        assert first.missing_labels is not None  # noqa: S101 (it is among those that tip)
        others = f", and {quantity(len(tipping) - 1, 'more finding')} likewise" if tipping[1:] else ""
        yield f"{wording.name_of(first)} passes and {wording.missing_labels_note(first.missing_labels)}{others}"
    unknown = sorted(
        {each.metric for each in passing if each.has_interval and _has_no_range(catalog[each.metric], task)}
    )
    if never and unknown:
        names = ", ".join(unknown)
        yield (
            f"{quantity(never, 'request')} ({plain_percent(never / requests)}) never got a label, and nothing bounds "
            f"what they would change of {names}: the verdict is about labelled requests"
        )


def _has_no_range(metric: Metric, task: Task) -> bool:
    return metric.needs_label and not has_range(metric, task)


def _tips_at(finding: Finding) -> float:
    point = finding.missing_labels.tipping_point if finding.missing_labels else None
    return math.inf if point is None else point


def _tipping_point(filled: "_Filled", passes: Passes) -> float | None:
    """Return by bisection the largest loss of every request without a label at which a rule passes; None for none."""
    low, high = filled.losses
    if not passes([filled.losing(low)])[0]:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if passes([filled.losing(middle)])[0] else (low, middle)
    return low


@lru_cache(maxsize=64)
def _together(left: Days, right: Days) -> tuple[Days, NDArray[np.int64], NDArray[np.int64]]:
    """Return the days of both in order, and the places of each in them; most series have the same days."""
    days = tuple(sorted({*left, *right}))
    place = {day: number for number, day in enumerate(days)}
    at_left, at_right = (np.array([place[day] for day in each], np.int64) for each in (left, right))
    return days, at_left, at_right


class _Filled:
    """A series with its requests without a label among the pairs, on days without a pair too."""

    def __init__(self, series: Series, unlabelled: Unlabelled) -> None:
        self.series, self.unlabelled = series, unlabelled
        self._days, self._labelled_at, self._unlabelled_at = _together(series.days, unlabelled.days)
        self._total = self._of_labelled(np.ones(len(series.days)))
        self._total += self._spread(unlabelled.weight, self._unlabelled_at)
        self._champion, self._challenger = (
            self._of_labelled(values) / self._total for values in (series.champion, series.challenger)
        )
        self._difference = self._of_labelled(series.difference)
        self._pairs = np.zeros(len(self._days), np.int64)
        self._pairs[self._labelled_at] = series.pairs

    @property
    def share(self) -> float:
        """The share of the requests that have no label."""
        return float(self.unlabelled.weight.sum() / self._total.sum())

    @property
    def least(self) -> float:
        """The least mean gain of the requests without a label."""
        return float(np.average(self.unlabelled.least, weights=self.unlabelled.weight))

    @property
    def losses(self) -> tuple[float, float]:
        """From a gain as large as that of labelled requests to the most that each can lose on any day."""
        labelled = self.series.mean_difference
        return -labelled, max(-labelled, -float(self.unlabelled.least.min()))

    @property
    def corners(self) -> list[Series]:
        """The series with each request without a label at its least gain, and with those of some or all days at most.

        A bound mean - c * deviation is lowest where each day is at its least or its most, and at its most only where
        the middle of the two lies so far above the mean that the deviation grows by more: on the days with the highest
        middles. How many those are depends on c, so some numbers of them are tried.
        """
        least, most = self.unlabelled.least, self.unlabelled.most
        (middle,) = self._differences((least + most)[np.newaxis] / 2)
        place = np.argsort(np.argsort(-middle[self._unlabelled_at], kind="stable"))
        numbers = [0, *(number for number in _AT_MOST if number < len(place)), len(place)]
        return self._with(np.where(place < np.array(numbers)[:, np.newaxis], most, least))

    def losing(self, loss: float) -> Series:
        """Return the series where each request without a label loses so much, as far as it can."""
        (lost,) = self._with(np.clip(-loss, self.unlabelled.least, self.unlabelled.most)[np.newaxis])
        return lost

    def _with(self, gains: Floats) -> list[Series]:
        """Return the series with each of some mean gains, shape (cases, days), of the requests without a label.

        What the champion's loss would be is unknown too. It counts as 0, so that a margin that is a share of it is no
        larger than it would be.
        """
        return [
            replace(
                self.series,
                days=self._days,
                pairs=self._pairs,
                identical=None,
                champion=self._champion,
                challenger=self._challenger,
                difference=difference,
                weight=self._total,
                squares=None,
                unanswered=None,
                champion_missing=None,
                unlabelled=None,
            )
            for difference in self._differences(gains)
        ]

    def _differences(self, gains: Floats) -> Floats:
        """Return the mean difference of all requests, shape (cases, days), with these of those without a label."""
        sums = np.repeat(self._difference[np.newaxis], len(gains), axis=0)
        sums[:, self._unlabelled_at] += self.unlabelled.weight * gains
        return sums / self._total

    def _of_labelled(self, values: Floats) -> Floats:
        """Return the weighted sum of each day's labelled requests, whose mean has these values."""
        return self._spread(self.series.weights * values, self._labelled_at)

    def _spread(self, values: Floats, at: NDArray[np.int64]) -> Floats:
        return np.bincount(at, values, len(self._days)).astype(np.float64)
