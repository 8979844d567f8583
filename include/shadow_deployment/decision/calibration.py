"""Calibration: how often a policy would err on a deployment's own history, and in how many days it would decide.

The days that were seen are resampled into many histories of which the truth is known, and this policy and two naive
ones look at each of them every day. Pure arithmetic on arrays: no database, no clock. Sources:

- Politis-Romano: Politis and Romano, "The stationary bootstrap", JASA 89(428), 1994.
- Politis-White: Politis and White, Econometric Reviews 23(1), 2004, with the correction of Patton, Politis and White,
  Econometric Reviews 28(4), 2009: the mean length of blocks.
- Owen: Monte Carlo Theory, Methods and Examples, 2013, section 9.2: the linearised variance of a weighted mean.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shadow_deployment.config.policy import BOUNDING, Policy, Rule
from shadow_deployment.decision.estimand import Estimand, NoEstimandError, estimand_of, only_rounding, size_of
from shadow_deployment.decision.sequential import JudgingTerms
from shadow_deployment.decision.series import WEEK, Evidence, Series
from shadow_deployment.decision.verdict import slices_of, terms_of
from shadow_deployment.errors import LedgerError
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.confidence import confidence_sequence

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

POLICIES: Final = ("this policy", "running mean", "daily t-test")
FEWEST_DAYS: Final = 28
_YEAR: Final = 365
_CELLS: Final = 100_000  # resampled days of one gate in memory at once
_SOME_WEEKS: Final = 100_000
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class PolicyRow:
    """One way of deciding. Shares are of the runs, with their standard errors; days are days of evidence.

    `false_promotion`: promoted by the last day although every gate's truth is at its bound; `by_day` up to each day.
    `missed`: not promoted by the last day although every gate's truth lies beyond its bound by the effect; half, and
    nine tenths, of these runs were promoted by `median_day` and `day_90`, None where they never were.
    """

    policy: str
    false_promotion: float
    false_promotion_se: float
    missed: float
    missed_se: float
    median_day: int | None
    day_90: int | None
    by_day: tuple[float, ...]


@dataclass(frozen=True)
class GateRow:
    """One gate of this policy; `days` of evidence were resampled, and `effect` is in the rule's unit.

    `false_promotion`: promoted although this gate's truth is at its bound, the others being as they were observed;
    those of them that would block, observed at their bound or below it, are ignored. None for guardrail, which passes
    at its bound by design. `missed`: with the effect, this gate alone passes on no day.
    """

    rule: str
    days: int
    effect: float
    false_promotion: float | None
    false_promotion_se: float | None
    missed: float


@dataclass(frozen=True)
class Calibration:
    """How a policy errs in `runs` resampled histories of `days` days, drawn from `history` days in blocks.

    `alpha` is what this challenger is judged at: the policy's, divided among the promotable. `block_length` is a mean,
    in days. `effect` is in standard deviations of a day, None for the one that was seen. What is in `left_out`, with
    its reason, was not resampled: it could only block, so with it promotions are rarer, false and right ones.
    """

    alpha: float
    history: int
    block_length: float
    days: int
    runs: int
    seed: int
    effect: float | None
    rows: tuple[PolicyRow, ...]
    gates: tuple[GateRow, ...]
    left_out: tuple[str, ...]
    warning: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, without a value that is not finite."""
        return asdict(self)


class _Asked(NamedTuple):
    rule: Rule
    name: str
    series: Series
    question: Estimand


@dataclass(frozen=True, eq=False)
class _Gate:
    """A gate on the days of the history: arrays of shape (history,), 0 on days without a pair of its own.

    `gains` have mean 0, `seen` was taken away; `drift` is their mean as weeks weight them. `shift` is the effect.
    """

    asked: _Asked
    present: Flags
    gains: Array
    weight: Array
    pairs: Array
    drift: float
    seen: float
    shift: float

    def passes(self, statistic: Array, truth: float) -> Flags:
        """Say where the gate holds when its mean gain is `truth`; at_most and at_least include their bound."""
        inclusive = self.asked.rule.is_ in (*BOUNDING, "guardrail")
        return np.asarray(statistic >= -truth if inclusive else statistic > -truth)


def calibrate(
    policy: Policy,
    evidence: Evidence,
    *,
    promotable: int,
    effect: float | None = None,
    runs: int = 2000,
    days: int | None = None,
    seed: int = 0,
) -> Calibration:
    """Return how often `policy` would promote one wrongly, and miss one, on days like those of `evidence`.

    Days are resampled in blocks (Politis-Romano), the same days for all rules and slices, so that what depends on each
    other still does. Each gate's gains are moved so that their mean is at its bound, the least favourable truth, or
    beyond it by `effect`: in standard deviations of a day over all requests, for a slice the same in the rule's unit;
    by default where it was seen. Each run has `days` days, by default a year, or the history where that is longer. A
    day is one on which a gate has evidence, and with unit `week` a week is seven of them.

    Beside it, from the same day on, one naive policy promotes when the running means of all gates are beyond their
    bounds, another when a one-sided t-test of each is significant at the same alpha.

    A trend, weekdays and a memory longer than blocks are not reproduced; what the history lacks never happens, and what
    it shows by chance is taken for real. Raises LedgerError for too little history or no gate to resample and for unit
    `request`, ValueError for arguments out of range.
    """
    check(policy, effect, runs=runs, days=days)
    asked, left_out = _asked(policy, evidence)
    terms = terms_of(policy, evidence, promotable=promotable)
    calendar = sorted({day for one in asked for day in one.series.days})
    history, total = len(calendar), days or max(_YEAR, len(calendar))
    length = max(block_length(one.question.gains) for one in asked if one.name == ALL or one is asked[0])
    some_weeks = _SOME_WEEKS if policy.unit == "week" else 0
    weeks = resampled(np.random.default_rng((seed, WEEK)), some_weeks, WEEK, history, length)
    gates = [_gate(one, asked, calendar, effect, weeks) for one in asked]
    first, wrong, missed = _simulated(gates, terms, runs, seed, (total, history, length))
    rows = tuple(_row(name, one, total) for name, one in zip(POLICIES, first, strict=True))
    gate_rows = tuple(_gate_row(*one) for one in zip(gates, wrong, missed, strict=True))
    design = (terms.alpha_pass, history, length, total, runs, seed, effect)
    return Calibration(*design, rows, gate_rows, tuple(left_out), _warning(rows[0], gate_rows, design[0], total))


def block_length(values: ArrayLike) -> float:
    """Return the mean block length of the stationary bootstrap of `values`, in their steps, by Politis-White.

    As in its authors' code, the flat-top window reaches to twice the first lag from which five autocorrelations in a
    row are negligible, and the length is at most min(3 sqrt(n), n / 3); here it is at least 1.
    """
    x = np.asarray(values, np.float64)
    x, n = x - x.mean(), len(x)
    most = min(math.ceil(math.sqrt(n)) + 5, n - 1)
    covariance = np.array([x[lag:] @ x[: n - lag] for lag in range(most + 1)]) / n
    if covariance[0] <= 0:
        return 1.0
    small = np.abs(covariance) < 2 * math.sqrt(math.log10(n) / n) * covariance[0]
    quiet = (lag for lag in range(1, most - 3) if small[lag : lag + 5].all())
    lags = np.arange(1, min(2 * next(quiet, most), most) + 1)
    window = np.minimum(1, 2 * (1 - lags / lags[-1])) * covariance[lags]
    ratio = 2 * (lags @ window) / (covariance[0] + 2 * window.sum())
    return float(np.clip(np.cbrt(ratio**2 * n), 1, math.ceil(min(3 * math.sqrt(n), n / 3))))


def resampled(rng: np.random.Generator, runs: int, days: int, history: int, length: float) -> Indices:
    """Return numbers of days of the history, shape (runs, days): blocks of random length, at random, in a circle."""
    day = np.arange(days)
    begins = rng.random((runs, days)) < 1 / length
    block = np.maximum.accumulate(np.where(begins, day, 0), axis=1)
    start = rng.integers(history, size=(runs, days))
    return np.asarray((np.take_along_axis(start, block, axis=1) + day - block) % history)


def check(policy: Policy, effect: float | None, *, runs: int = 1, days: int | None = None) -> None:
    """Raise ValueError for arguments out of range, LedgerError for a policy whose days cannot be resampled."""
    if runs < 1 or (days is not None and days < FEWEST_DAYS):
        raise ValueError(f"runs == {runs} and days == {days}, must be >= 1 and >= {FEWEST_DAYS}")
    if policy.unit == "request":
        raise LedgerError("policy.unit == 'request', must be day or week here: try the same policy with unit day")
    if effect is not None and not 0 < effect < math.inf:
        raise ValueError(f"effect == {effect}, must be > 0 and finite: how far beyond the bound the truth lies")


def _asked(policy: Policy, evidence: Evidence) -> tuple[list[_Asked], list[str]]:
    """Return the gates that can be resampled, and the other rules with the reason."""
    asked, left_out = [], []
    for rule in policy.rules:
        for name in slices_of(rule, evidence):
            series = evidence.get((rule.metric, name))
            found = (
                question_of(rule, series, FEWEST_DAYS) if rule.role == "blocking" else "advisory, it decides nothing"
            )
            if isinstance(found, Estimand) and series is not None:
                asked.append(_Asked(rule, name, series, found))
            else:
                left_out.append(f"{named(rule, name)}: {found}")
    if not asked:
        raise LedgerError(f"there is no gate to calibrate: {'; '.join(left_out[:3])}")
    return asked, left_out


def question_of(rule: Rule, series: Series | None, needed: int) -> Estimand | str:
    """Return what a rule asks of a series, or why nothing can be said."""
    if rule.is_daily:
        return "judged day by day, without a sequence"
    days = 0 if series is None else len(series.days)
    if series is None or days < needed:
        return f"{days} days of evidence are too few, {needed} are needed"
    if not np.isfinite([series.champion, series.challenger, series.difference]).all():
        return "a value is not a number"
    try:
        question = estimand_of(rule, series)
    except NoEstimandError as error:
        return str(error)
    alike = only_rounding(question.gains, size_of(series))[-1]
    return "its days do not differ from each other" if alike else question


def named(rule: Rule, name: str) -> str:
    """Return a rule on a slice as results name it."""
    limit = f" {rule.bound:g}" if rule.bound else ""
    return f"{rule.metric} {rule.is_}{limit}{'' if name == ALL else f' in {name}'}"


def _gate(
    asked: _Asked, everything: Sequence[_Asked], days: Sequence[dt.date], effect: float | None, weeks: Indices
) -> _Gate:
    """Put a gate on the days of the history. `weeks` are resampled, shape (many, 7), none where days are judged."""
    gains, series = asked.question.gains, asked.series
    mean, weight = float(gains.mean()), np.ones(len(gains)) if series.weight is None else series.weight
    at = np.searchsorted(_ordinals(days), _ordinals(series.days))
    arrays = np.zeros((4, len(days)))
    arrays[:, at] = np.ones(len(gains)), gains - mean, weight, series.pairs
    drift = 0.0
    if len(weeks):  # a mean of ratios has no formula
        drawn, present = _weeks(arrays[1], arrays[2], weeks)
        drift = float(drawn[present].mean())
    overall = next(one.question.gains for one in everything if one.rule is asked.rule)  # all requests come first
    shift = mean + drift if effect is None else effect * float(overall.std(ddof=1))
    return _Gate(asked, arrays[0] > 0, arrays[1], arrays[2], arrays[3], drift, mean + drift, shift)


def _ordinals(days: Sequence[dt.date]) -> Indices:
    return np.array([day.toordinal() for day in days], np.int64)


def _simulated(
    gates: Sequence[_Gate], terms: JudgingTerms, runs: int, seed: int, design: tuple[int, int, float]
) -> list[NDArray[Any]]:
    """Put the results of _decided together, chunk by chunk: memory does not grow with runs times days."""
    rng, chunk = np.random.default_rng(seed), max(1, _CELLS // design[0])
    sizes = (min(chunk, runs - start) for start in range(0, runs, chunk))
    parts = [_decided(gates, terms, resampled(rng, size, *design)) for size in sizes]
    return [np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)]


def _decided(gates: Sequence[_Gate], terms: JudgingTerms, index: Indices) -> tuple[Array, Flags, Flags]:
    """Look at resampled days, shape (runs, days).

    Returns the day of promotion, inf for never, by policy, truth (at the bound, with the effect) and run; and by gate
    and run, whether it is promoted with this gate at its bound, and whether this gate misses the effect.
    """
    promoted = np.ones((len(POLICIES), 2, *index.shape), bool)
    at_bound, as_seen, missed = [], [], []
    for gate in gates:
        statistics = (_sequence(gate, terms, index), *_naive(gate, terms, index))
        for number, statistic in enumerate(statistics):
            promoted[number] &= np.stack([gate.passes(statistic, 0), gate.passes(statistic, gate.shift)])
        at_bound.append(gate.passes(statistics[0], 0))
        as_seen.append(gate.passes(statistics[0], gate.seen) if gate.seen > 0 else np.ones(index.shape, bool))
        missed.append(~gate.passes(statistics[0], gate.shift).any(axis=1))
    wrong = np.any(
        np.array(at_bound) & np.all(as_seen, axis=0), axis=2
    )  # a gate that passes at its bound does above it
    first = np.where(promoted.any(axis=-1), promoted.argmax(axis=-1) + 1.0, np.inf)
    return first, wrong, np.array(missed)


def _sequence(gate: _Gate, terms: JudgingTerms, index: Indices) -> Array:
    """Return what this policy holds against 0 on each day, for gains whose mean is 0; -inf where it may not pass.

    Moving all gains moves their bounds with them (where they are bet on, nearly so), so this serves for every truth.
    """
    policy, weekly = terms.policy, terms.policy.unit == "week"
    low, high = gate.asked.question.range
    present, gains = gate.present[index], gate.gains[index]
    if weekly:
        gains, present = _weeks(gate.gains, gate.weight, index)
    order = np.argsort(~present, axis=1, kind="stable")  # what is missing goes to the end: no bound depends on it
    low, high = min(low, gate.gains.min() - gate.drift), max(high, gate.gains.max() - gate.drift)
    gains = np.clip(np.take_along_axis(gains - gate.drift, order, axis=1), low, high)  # rounding may leave the range
    harm = gate.asked.rule.is_ == "guardrail"
    bounds = confidence_sequence(
        gains,
        alpha=terms.alpha_fail if harm else terms.alpha_pass,
        burn_in=policy.observations_before_bound,
        tuned_for=terms.tuned_for,
        side="upper" if harm else "lower",
        method=policy.method,
        bounds=(low, high),
    )
    count = np.pad(np.cumsum(present, axis=1), ((0, 0), (1, 0)))
    count = count[:, np.arange(1, index.shape[1] + 1) // (WEEK if weekly else 1)]
    bound = np.take_along_axis(bounds.upper if harm else bounds.lower, np.maximum(count - 1, 0), axis=1)
    needed = gate.asked.rule.requests_needed(gate.asked.name)
    enough = np.cumsum(gate.pairs[index], axis=1) >= needed
    return np.where((count > 0) & enough, bound, -np.inf)


def _weeks(gains: Array, weight: Array, index: Indices) -> tuple[Array, Flags]:
    """Return the means of blocks of seven resampled days as Series.by_week weights them, and which have any day."""
    weeks = index[:, : index.shape[1] // WEEK * WEEK].reshape(len(index), -1, WEEK)
    total = weight[weeks].sum(axis=2)
    return (weight * gains)[weeks].sum(axis=2) / np.where(total > 0, total, 1.0), total > 0


def _naive(gate: _Gate, terms: JudgingTerms, index: Indices) -> tuple[Array, Array]:
    """Return the running mean and the bound of a t-test of all days so far, held against 0 as in _sequence."""
    from scipy.special import stdtrit

    first = terms.policy.observations_before_bound
    harm, days = gate.asked.rule.is_ == "guardrail", np.arange(1, index.shape[1] + 1)
    gains, count = gate.gains[index], np.cumsum(gate.present[index], axis=1)
    n = np.maximum(count, 2)
    mean = np.cumsum(gains, axis=1) / n
    error = np.sqrt(np.maximum(np.cumsum(gains**2, axis=1) / n - mean**2, 0) / (n - 1))
    quantile = stdtrit(days, terms.alpha_fail if harm else 1 - terms.alpha_pass)[n - 2]
    looked = (count >= first) & (days >= first * (WEEK if terms.unit == "week" else 1))
    return np.where(looked, mean, -np.inf), np.where(looked, mean - quantile * error, -np.inf)


def _row(policy: str, first: Array, days: int) -> PolicyRow:
    """Count the days of promotion, inf for never, at the bound and with the effect: shape (2, runs)."""
    runs, never = first.shape[1], np.isinf(first)
    false, missed = float((~never[0]).mean()), float(never[1].mean())
    quantiles = [float(np.sort(first[1])[math.ceil(share * runs) - 1]) for share in (0.5, 0.9)]
    half, most = (int(day) if math.isfinite(day) else None for day in quantiles)
    by_day = np.cumsum(np.bincount(first[0][~never[0]].astype(np.int64), minlength=days + 1))[1:] / runs
    return PolicyRow(
        policy, false, _error(false, runs), missed, _error(missed, runs), half, most, tuple(by_day.tolist())
    )


def _gate_row(gate: _Gate, wrong: Flags, missed: Flags) -> GateRow:
    asked, share = gate.asked, float(wrong.mean())
    return GateRow(
        rule=named(asked.rule, asked.name),
        days=len(asked.series.days),
        effect=abs(asked.question.scale) * gate.shift,
        false_promotion=None if asked.rule.is_ == "guardrail" else share,
        false_promotion_se=None if asked.rule.is_ == "guardrail" else _error(share, len(wrong)),
        missed=float(missed.mean()),
    )


def _error(share: float, runs: int) -> float:
    return math.sqrt(share * (1 - share) / runs)


def _warning(row: PolicyRow, gates: Sequence[GateRow], alpha: float, days: int) -> str | None:
    """Say what is above alpha by more than two standard errors, the worst of it."""
    every = "every gate" if len(gates) > 1 else gates[0].rule
    found = [(row.false_promotion, row.false_promotion_se, every)]
    found += [(one.false_promotion or 0.0, one.false_promotion_se or 0.0, one.rule) for one in gates]
    share, error, what = max(found, key=lambda one: one[0] - 2 * one[1])
    if share - 2 * error <= alpha:
        return None
    asks = any(one.false_promotion is not None for one in gates)
    advice = "try unit week or a longer burn_in" if asks else "guardrail alone asks for no proof, add another gate"
    return (
        f"calibration: with {what} at its bound, {share:.1%} (standard error {error:.1%}) of histories of {days} days "
        f"like this one end in a false promotion, alpha is {alpha:.2%}: {advice}"
    )
