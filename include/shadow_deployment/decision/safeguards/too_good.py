"""Too good to be true: what a person must look into before a challenger may pass.

A nearly perfect challenger often holds the label in a feature; one that repeats another model often is that model; and
one whose replayed days differ from its live ones may have seen their labels. None of them is wrong for certain, so each
blocks PASS until a person acknowledges it.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.base.numbers import quantity, significant
from shadow_deployment.config.policy import Policy, TooGood
from shadow_deployment.decision.safeguards.usable import MISSING_PREDICTIONS
from shadow_deployment.decision.series import Evidence
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.confidence_sequence import confidence_sequence

Kind = Literal["loss", "auc", "same_as_champion", "same_as_challenger", "replayed", "regression"]
LOSSES: Final = ("brier_score", "log_loss", "squared_error", "absolute_error")  # evidence of any task has two of them
EVIDENCE: Final = frozenset({*LOSSES, "roc_auc", MISSING_PREDICTIONS})
FEWEST_DAYS: Final = 14  # replayed, and live, before their means are compared
_LEAKED: Final = "look for a feature that is known only with the label"
_SEEN: Final = "look for labels of the replayed days in its training data, and for features that were filled in later"
_COPIED: Final = "look whether it is the same model"


@dataclass(frozen=True)
class Alarm:
    """Something about a challenger that is too good to be true, in words."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Acknowledgement:
    """That a person has looked into a kind of alarm of one model, and why it is right."""

    kind: Kind
    by: str
    reason: str
    at: dt.datetime


def alarms(
    policy: Policy,
    evidence: Evidence,
    *,
    auc: Mapping[str, float],
    shared: Mapping[str, float],
    live_from: dt.date,
) -> Iterator[Alarm]:
    """Yield the alarms of one challenger.

    Args:
        policy: Its thresholds, and the number of days that sequences are tuned for.
        evidence: Its series of the metrics of EVIDENCE on all requests, as far as its task has them.
        auc: Area under the ROC curve of `champion` and `challenger`, where evidence has no `roc_auc`; else empty.
        shared: Share of its predictions that each other challenger repeats, by name.
        live_from: The first live day.
    """
    limits = policy.too_good
    yield from _nearly_perfect(limits, evidence)
    yield from _ranks_nearly_perfectly(limits, evidence, auc)
    yield from _same(limits, evidence, shared)
    yield from _differs_when_live(policy, evidence, live_from)


def settle(
    raised: Sequence[Alarm], acknowledged: Mapping[Kind, Acknowledgement], *, command: str
) -> tuple[list[str], list[str]]:
    """Return what blocks PASS, and what is a warning because a person has acknowledged it.

    `command` is how to acknowledge.
    """
    blocked = [f"{each.text}; then {command}" for each in raised if each.kind not in acknowledged]
    warnings = []
    for each in raised:
        known = acknowledged.get(each.kind)
        if known is not None:
            warnings.append(f"{each.text}; acknowledged by {known.by} on {known.at:%Y-%m-%d}: {known.reason}")
    return blocked, warnings


def area_under_curve(bins: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve of binned predictions, ties counted half; NaN with labels of one class.

    `bins` has shape (bins, 2), in order of the prediction: the weight of the labelled requests, and of the positive.
    """
    positive, negative = bins[:, 1], bins[:, 0] - bins[:, 1]
    pairs = float(positive.sum() * negative.sum())
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum()) / pairs if pairs > 0 else float("nan")


def _nearly_perfect(limits: TooGood, evidence: Evidence) -> Iterator[Alarm]:
    for metric in LOSSES:
        series = evidence.get((metric, ALL))
        if series is None or not series.days:
            continue
        champion, challenger = series.means
        if challenger < limits.loss_ratio * champion:
            yield Alarm(
                "loss",
                f"too good to be true: its {METRICS[metric].title} is {significant(challenger)}, "
                f"{challenger / champion:.2%} of the champion's {significant(champion)}, less than "
                f"policy.too_good.loss_ratio == {limits.loss_ratio}: {_LEAKED}",
            )
            return


def _ranks_nearly_perfectly(limits: TooGood, evidence: Evidence, auc: Mapping[str, float]) -> Iterator[Alarm]:
    series = evidence.get(("roc_auc", ALL))
    if series is not None and series.days:
        champion, challenger = series.means
    elif auc:
        champion, challenger = auc["champion"], auc["challenger"]
    else:
        return
    if challenger > limits.auc and champion < limits.champion_auc:
        yield Alarm(
            "auc",
            f"too good to be true: its area under the ROC curve is {challenger:.4f}, the champion's {champion:.4f}, "
            f"above policy.too_good.auc == {limits.auc}: {_LEAKED}",
        )


def _same(limits: TooGood, evidence: Evidence, shared: Mapping[str, float]) -> Iterator[Alarm]:
    limit = f"more than policy.too_good.identical == {limits.identical}: {_COPIED}"
    series = evidence.get((MISSING_PREDICTIONS, ALL))
    if series is not None and series.identical is not None:
        both = series.total_requests - series.total_unanswered - series.total_champion_missing
        share = float(series.identical.sum() / max(both, 1))
        if share > limits.identical:
            what = f"identical to the champion's on {share:.2%} of {quantity(both, 'request')}"
            yield Alarm("same_as_champion", f"its predictions are {what}, {limit}")
    for name, share in shared.items():
        if share > limits.identical:
            what = f"identical to those of challenger {name} on {share:.2%} of the newest requests"
            yield Alarm("same_as_challenger", f"its predictions are {what}, {limit}")


def _differs_when_live(policy: Policy, evidence: Evidence, live_from: dt.date) -> Iterator[Alarm]:
    """Compare the mean differences of replayed and live days: their confidence sequences must not lie apart.

    The error rate holds on all days at once, divided among the losses, the two groups of days and the two sides.
    """
    limit, period = policy.too_good.replayed_alpha, policy.period
    compared = [series for metric in LOSSES if (series := evidence.get((metric, ALL))) is not None]
    for series in compared:
        is_live = np.array([day >= live_from for day in series.days], bool)
        replayed, live = series.difference[~is_live], series.difference[is_live]
        if min(len(replayed), len(live)) < FEWEST_DAYS:
            continue
        (low, high, mean), (live_low, live_high, live_mean) = (
            _interval(days, limit / len(compared) / 2, policy.tuned_for) for days in (replayed, live)
        )
        if live_low > high or low > live_high:
            yield Alarm(
                "replayed",
                f"its {METRICS[series.metric].title} is smaller than the champion's by {significant(mean)} on "
                f"{len(replayed)} replayed {period}s and by {significant(live_mean)} on {len(live)} live {period}s, "
                f"which differ at policy.too_good.replayed_alpha == {limit}: {_SEEN}",
            )
            return


def _interval(days: NDArray[np.float64], alpha: float, tuned_for: float) -> tuple[float, float, float]:
    """Return the bounds of the mean of some days, and the mean."""
    sequence = confidence_sequence(days, alpha=alpha, burn_in=FEWEST_DAYS, tuned_for=tuned_for)
    return float(sequence.lower[-1]), float(sequence.upper[-1]), float(sequence.estimate[-1])
