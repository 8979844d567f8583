"""In how many days each rule would be decided, from how much losses varied on the previewed days."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import PROVING, WITH_MARGIN, Rule
from shadow_deployment.data.sampling import allocate
from shadow_deployment.decision.alpha import alpha_of_trial
from shadow_deployment.decision.power import power_analysis
from shadow_deployment.decision.series import Series
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger.evidence import metric_settings
from shadow_deployment.metrics.losses import Batch, losses_of, values_of
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.onboarding.preview.answers import ModelAnswers, numbers
from shadow_deployment.onboarding.preview.days import PreviewedDay

_Array = NDArray[np.float64]
DEFAULT_GAIN: Final = 0.05  # of the champion's loss


class _Losses(NamedTuple):
    """The losses of one day's requests that have both, and their weights."""

    day: dt.date
    champion: _Array
    challenger: _Array
    weight: _Array


@dataclass(frozen=True)
class RuleHorizon:
    """By which day of evidence half of all histories decide a rule; None: never, or `reason` says why not known.

    `effect` is what is supposed of the challenger in words, `basis` whose losses' variance it rests on.
    """

    challenger: str
    rule: str
    days: int | None
    effect: str
    basis: str
    reason: str | None = None


def horizons(
    deployment: Deployment, days: Sequence[PreviewedDay], answers: Sequence[ModelAnswers], gain: float
) -> Iterator[RuleHorizon]:
    """Yield the horizon of each rule that compares, for each challenger that may be promoted.

    Args:
        deployment: The deployment, whose rules are planned with.
        days: Days with labels.
        answers: The challengers' predictions.
        gain: By which share of the champion's loss the challenger is supposed to be better, for rules without margin.
    """
    alpha = alpha_of_trial(deployment.policy.alpha, place=1, size=max(len(deployment.promotable), 1))
    names = {each.name for each in deployment.promotable}
    for model in answers:
        for rule in deployment.policy.rules if model.name in names else ():
            if rule.is_ in PROVING:
                yield _horizon(deployment, days, model, rule, alpha, gain)


def _horizon(
    deployment: Deployment,
    days: Sequence[PreviewedDay],
    model: ModelAnswers,
    rule: Rule,
    alpha: float,
    gain: float,
) -> RuleHorizon:
    title = f"{rule.metric} {rule.is_}"
    has_own = len(model.tables) == len(days) and not model.is_remote
    basis = "the two models' differences" if has_own else "the champion's own losses"
    if rule.metric not in losses_of(deployment.task):
        return RuleHorizon(model.name, title, None, "", basis, "planned once there is evidence: shadow plan")
    series = _series(deployment, days, model if has_own else None, rule)
    loss = abs(series.means[0]) if len(series.days) else 0.0
    margin = rule.margin or (rule.relative_margin or 0.0) * loss
    if rule.is_ in WITH_MARGIN:
        rule = rule.model_copy(update={"margin": margin, "relative_margin": None})
        effect, words = margin, "as good as the champion"
    else:
        effect, words = gain * loss, f"better by {gain:.3g} of the champion's loss"
    if len(series.days) < 2 or not effect > 0:
        return RuleHorizon(
            model.name, title, None, words, basis, f"fewer than two {deployment.policy.period}s have labels and a loss"
        )
    try:
        needed = _days(deployment, days, series, rule, alpha, effect)
    except LedgerError as error:
        return RuleHorizon(model.name, title, None, words, basis, str(error))
    return RuleHorizon(model.name, title, needed, words, basis)


def _days(
    deployment: Deployment, days: Sequence[PreviewedDay], series: Series, rule: Rule, alpha: float, effect: float
) -> int | None:
    """Return the days with the real sample, which is larger than the previewed one."""
    drawn = np.mean([day.requests.num_rows for day in days])
    full = np.mean([sum(draw.size for draw in allocate(deployment.sample, day.population)) for day in days])
    present = min(drawn / float(np.mean([day.total for day in days])), 1.0)
    plan = power_analysis(
        series, rule, deployment.policy, effect=effect, alpha=alpha, present=float(present), rates=[float(full / drawn)]
    )
    return plan.rates[0].days if plan.rates else plan.days


def _series(deployment: Deployment, days: Sequence[PreviewedDay], model: ModelAnswers | None, rule: Rule) -> Series:
    """Return a metric's days; without a model, as if the challenger lost the champion's mean on every request."""
    read = [_losses(deployment, day, model.tables[place] if model else None, rule) for place, day in enumerate(days)]
    read = [each for each in reversed(read) if len(each.champion)]
    if model is None and read:
        champion, weight = (np.concatenate([getattr(each, name) for each in read]) for name in ("champion", "weight"))
        mean = float(np.average(champion, weights=weight))
        read = [each._replace(challenger=np.full_like(each.champion, mean)) for each in read]
    sums = np.array([_sums(each, rule.definition.sign) for each in read]).reshape(-1, 6)
    return Series(
        metric=rule.metric,
        slice=ALL,
        days=tuple(each.day for each in read),
        pairs=np.array([len(each.champion) for each in read], np.int64),
        identical=None,
        champion=sums[:, 0],
        challenger=sums[:, 1],
        difference=rule.definition.sign * (sums[:, 0] - sums[:, 1]),
        weight=sums[:, 2],
        squares=sums[:, 3:],
    )


def _losses(deployment: Deployment, day: PreviewedDay, scored: pa.Table | None, rule: Rule) -> _Losses:
    """Return champion's and challenger's values and the weights of the requests that have both."""
    champion, champion_probabilities = _predictions(day.requests, "champion", "champion_probabilities")
    challenger, probabilities = champion, champion_probabilities
    if scored is not None:
        challenger, probabilities = _predictions(scored, "value", "probabilities")
    nothing = np.zeros(len(champion), np.int64)
    unknown = np.full(len(champion), np.nan)
    batch = Batch(
        ordinal=nothing,
        cell=nothing,
        version=nothing,
        weight=day.weights,
        champion=champion,
        challenger=challenger,
        label=day.labels,
        champion_latency_ms=unknown,
        latency_ms=unknown,
        champion_probabilities=champion_probabilities,
        challenger_probabilities=probabilities,
    )
    left, right = values_of(rule.definition, batch, metric_settings(deployment))
    known = np.isfinite(left) & np.isfinite(right)
    return _Losses(day.window.day, left[known], right[known], day.weights[known])


def _predictions(rows: pa.Table, value: str, probabilities: str) -> tuple[_Array, _Array | None]:
    values = numbers(rows[value])
    if probabilities not in rows.column_names:
        return values, None
    lists = rows[probabilities].to_pylist()
    classes = max((len(each) for each in lists if each is not None), default=0)
    return values, np.array([each or [np.nan] * classes for each in lists], np.float64).reshape(len(lists), classes)


def _sums(losses: _Losses, sign: int) -> list[float]:
    """Return both weighted means, the sum of weights, and the sums of squares that `Series.squares` has."""
    difference, squares = sign * (losses.champion - losses.challenger), losses.weight**2
    means = [float(np.average(each, weights=losses.weight)) for each in (losses.champion, losses.challenger)]
    moments = [float(squares @ difference**power) for power in (0, 1, 2)]
    return [*means, float(losses.weight.sum()), *moments]
