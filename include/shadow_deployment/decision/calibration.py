"""Calibration: how often a policy would err on a deployment's own history, and in how many days it would decide.

The days of the history are resampled into many histories whose truth is known; this policy and two naive ones look at
each of them every day. Days are drawn in blocks of whole weeks from the same weekday (stationary bootstrap), the same
ones for all rules and slices, so that rules that depend on each other still do; a day is one of the calendar, with or
without evidence, and with unit `week` a week is seven of them. By a weekly schedule weeks are drawn in place of days,
and numbers of days are seven times as many. Blocks of a short history break its memory, so this policy also looks at
histories drawn from an autoregression, and from one at the upper limit of the dependence that the history leaves open.
Pure arithmetic on arrays: no database, no clock.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.base.numbers import plain_percent
from shadow_deployment.config.policy import WEEK, Policy
from shadow_deployment.decision.alpha import alpha_of_evidence
from shadow_deployment.decision.estimand import Estimand, estimand_or_reason
from shadow_deployment.decision.power import require_planned
from shadow_deployment.decision.resampled import (
    Autoregressive,
    Blocks,
    DrawnDays,
    ResampledGate,
    ResampledRule,
    resampled_gate,
    weekly_means,
    whole_weeks,
)
from shadow_deployment.decision.safeguards.memory import long_memory_advised
from shadow_deployment.decision.sequential import JudgingTerms
from shadow_deployment.decision.series import Evidence, slices_of
from shadow_deployment.decision.words.wording import rule_in_slice
from shadow_deployment.errors import LedgerError
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.autoregression import autoregressions
from shadow_deployment.statistics.resampling import block_length
from shadow_deployment.statistics.weighted_mean import weighted_mean_sequence

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

POLICIES: Final = ("this policy", "running mean", "daily t-test")
FEWEST_DAYS: Final = 28
_SHORT: Final = 120  # days of a history whose blocks hold too little of its memory
_YEAR: Final = 365
_CELLS: Final = 100_000  # resampled days of one gate in memory at once


@dataclass(frozen=True)
class PolicyRow:
    """The error rates of one policy. Shares are of the runs, with standard errors; days are days of evidence.

    `false_promotion`: promoted by the last day although every gate's truth is at its bound; `by_day`: up to each day.
    `missed`: not promoted by the last day although every gate's truth is beyond its bound by the effect. Half, and
    nine tenths, of the latter runs were promoted by `median_day` and `day_90`; None where they never were. `missed` is
    None where the effect seen is on the wrong side of a bound: there is then nothing to miss.
    """

    policy: str
    false_promotion: float
    false_promotion_se: float
    missed: float | None
    missed_se: float | None
    median_day: int | None
    day_90: int | None
    by_day: tuple[float, ...]


@dataclass(frozen=True)
class GateRow:
    """The error rates of one gate; `days` of evidence were resampled, and `effect` is in the rule's unit.

    `false_promotion`: promoted although this gate's truth is at its bound, the others being as observed; gates that
    were observed at their bound or below it would block, and are ignored. None for guardrail, which passes at its bound
    by design. `missed`: with the effect, this gate alone passes on no day; None where the effect seen lies on the
    wrong side of its bound.
    """

    rule: str
    days: int
    effect: float
    false_promotion: float | None
    false_promotion_se: float | None
    missed: float | None


@dataclass(frozen=True)
class Calibration:
    """How a policy errs in `runs` resampled histories of `days` days, drawn from `history` days in blocks.

    `alpha` is the challenger's share of the policy's. `block_length` is a mean, in days. `effect` is in standard
    deviations of a day, None for the one that was seen. `autoregressive` is the false promotion of this policy on
    histories drawn from an autoregression, where the history is short, and `upper_limit` the one with dependence at its
    upper 90 % limit. `advice` says which method the days ask for. The rules in `left_out`, with their reasons, were not
    resampled: they could only block, so with them both false and right promotions are rarer.
    """

    alpha: float
    history: int
    block_length: float
    days: int
    runs: int
    seed: int
    effect: float | None
    rows: tuple[PolicyRow, ...]
    autoregressive: float | None
    upper_limit: float
    gates: tuple[GateRow, ...]
    left_out: tuple[str, ...]
    advice: tuple[str, ...]
    warning: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data; all values are finite."""
        return asdict(self)


def calibrate(
    policy: Policy,
    evidence: Evidence,
    *,
    alpha: float | None = None,
    effect: float | None = None,
    runs: int = 2000,
    days: int | None = None,
    seed: int = 0,
) -> Calibration:
    """Return how often `policy` would promote wrongly, and miss a better challenger, on days like those of `evidence`.

    Each gate's gains are moved so that their mean is at its bound, the least favourable truth, or beyond it by the
    effect. Two naive policies start on the same day: one promotes when the running means of all gates are beyond their
    bounds, the other when a one-sided t-test of each is significant at the same alpha. Trends and a memory longer than
    blocks are not reproduced; what the history lacks never happens, and what it shows by chance is taken as real.
    What policies ask of the newest days (`recent_days`) is left out: it only ever refuses a PASS.

    Args:
        policy, evidence: The policy, in units of days or weeks, and the challenger's series by metric and slice.
        alpha: The trial's alpha toward PASS; None is all of the policy's.
        effect: Distance of the truth from the bound, in standard deviations of a day over all requests; None is where
            the truth was seen. A slice has the same in the rule's unit.
        runs, seed: Number of histories, and seed of the random numbers.
        days: Length of each; None is a year, or the history where that is longer.

    Raises:
        LedgerError: There is too little history or no gate to resample, or the unit is `request`.
        ValueError: An argument is out of range.
    """
    if runs < 1 or (days is not None and days < FEWEST_DAYS):
        raise ValueError(f"runs == {runs} and days == {days}, must be >= 1 and >= {FEWEST_DAYS}")
    require_planned(policy, effect)
    judged, left_out = _resampleable(policy, evidence)
    terms = JudgingTerms(policy, alpha_of_evidence(policy, evidence, to_pass=alpha or policy.alpha))
    gates, blocks = _redrawn(judged, effect, days, policy.days_per_period)
    first, wrong, missed = _simulated(gates, terms, runs, seed, blocks)
    is_good, period = all(map(_is_good, gates)), policy.days_per_period
    length = blocks.days * period
    rows = tuple(_row(name, each, length, is_good=is_good) for name, each in zip(POLICIES, first * period, strict=True))
    gate_rows = tuple(_gate_row(*results, period) for results in zip(gates, wrong, missed, strict=True))
    autoregressive, upper_limit = _of_autoregressions(gates, terms, runs, seed, (blocks.days, blocks.history))
    largest = max(rows[0].false_promotion, autoregressive or 0.0)
    warning = _warning(largest, runs, gate_rows, terms.alpha.to_pass, length)
    upper_limit, advice = max(upper_limit, largest), tuple(long_memory_advised(policy, evidence))
    design = (terms.alpha.to_pass, blocks.history * period, blocks.length * period, length, runs, seed, effect)
    return Calibration(*design, rows, autoregressive, upper_limit, gate_rows, tuple(left_out), advice, warning)


def _redrawn(
    judged: Sequence[ResampledRule], effect: float | None, days: int | None, period: int
) -> tuple[list[ResampledGate], Blocks]:
    """Put the gates on the whole weeks of the history, and say how its days, or periods of so many days, are drawn."""
    calendar, season = whole_weeks({day for gate in judged for day in gate.series.days}, period), WEEK // period
    history = len(calendar)
    length = max(
        season, *(block_length(gate.estimand.linearised) for gate in judged if gate.name == ALL or gate is judged[0])
    )
    gates = [resampled_gate(gate, judged, calendar, effect, period) for gate in judged]
    return gates, Blocks(gates, days // period if days else max(_YEAR // period, history), history, length, season)


def _resampleable(policy: Policy, evidence: Evidence) -> tuple[list[ResampledRule], list[str]]:
    """Return the gates that can be resampled, and the other rules with the reason."""
    judged, left_out = [], []
    for rule in policy.rules:
        for name in slices_of(rule, evidence):
            series = evidence.get((rule.metric, name))
            series = series and series.weighed(policy)
            estimand: Estimand | str = "advisory, it decides nothing"
            if rule.role == "blocking":
                estimand = estimand_or_reason(rule, series, FEWEST_DAYS, policy.period)
            if isinstance(estimand, Estimand) and series is not None:
                judged.append(ResampledRule(rule, name, series, estimand))
                if rule.is_ == "equivalent":
                    left_out.append(f"{rule_in_slice(rule, name)}: that it is not better by more than its margin")
            else:
                left_out.append(f"{rule_in_slice(rule, name)}: {estimand}")
    if not judged:
        raise LedgerError(f"there is no gate to calibrate: {'; '.join(left_out[:3])}")
    return judged, left_out


def _of_autoregressions(
    gates: Sequence[ResampledGate], terms: JudgingTerms, runs: int, seed: int, design: tuple[int, int]
) -> tuple[float | None, float]:
    """Return how often this policy promotes wrongly where gains are autoregressive, and where they may be at most."""
    rng = np.random.default_rng((seed, 1))
    likeliest, upper = zip(*(autoregressions(gate.linearised, rng) for gate in gates), strict=True)
    drawn_by = [Autoregressive(gates, *design, models) for models in (likeliest, upper)]
    if design[1] >= _SHORT:
        return None, _false_promotion(drawn_by[1], terms, runs, seed)
    return _false_promotion(drawn_by[0], terms, runs, seed), _false_promotion(drawn_by[1], terms, runs, seed)


def _false_promotion(drawn_by: Autoregressive, terms: JudgingTerms, runs: int, seed: int) -> float:
    first, _, _ = _simulated(drawn_by.gates, terms, runs, seed, drawn_by)
    return float(np.isfinite(first[0, 0]).mean())


def _simulated(
    gates: Sequence[ResampledGate], terms: JudgingTerms, runs: int, seed: int, drawn_by: Blocks | Autoregressive
) -> list[NDArray[Any]]:
    """Put the results of _decided together, chunk by chunk: memory does not grow with runs times days."""
    rng, chunk = np.random.default_rng(seed), max(1, _CELLS // drawn_by.days)
    sizes = (min(chunk, runs - start) for start in range(0, runs, chunk))
    parts = [_decided(gates, terms, drawn_by.draw(rng, size)) for size in sizes]
    return [np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)]


def _decided(
    gates: Sequence[ResampledGate], terms: JudgingTerms, drawn: Sequence[DrawnDays]
) -> tuple[Array, Flags, Flags]:
    """Look at resampled days, shape (runs, days).

    Returns the day of promotion, inf for never, by policy, truth (at the bound, with the effect) and run; and by gate
    and run, whether it is promoted with this gate at its bound, and whether this gate misses the effect.
    """
    promoted = np.ones((len(POLICIES), 2, *drawn[0].gains.shape), bool)
    at_bound, as_seen, missed = [], [], []
    for gate, days in zip(gates, drawn, strict=True):
        statistics = (_sequence(gate, terms, days), *_naive(gate, terms, days))
        for number, statistic in enumerate(statistics):
            promoted[number] &= np.stack([gate.passes(statistic, 0), gate.passes(statistic, gate.shift)])
        at_bound.append(gate.passes(statistics[0], 0))
        as_seen.append(gate.passes(statistics[0], gate.seen) if gate.seen > 0 else np.ones(days.gains.shape, bool))
        missed.append(~gate.passes(statistics[0], gate.shift).any(axis=1))
    wrong = np.any(
        np.array(at_bound) & np.all(as_seen, axis=0), axis=2
    )  # a gate that passes at its bound does above it
    first = np.where(promoted.any(axis=-1), promoted.argmax(axis=-1) + 1.0, np.inf)
    return first, wrong, np.array(missed)


def _sequence(gate: ResampledGate, terms: JudgingTerms, drawn: DrawnDays) -> Array:
    """Return what this policy holds against 0 on each day, for gains whose mean is 0; -inf where it may not pass.

    Moving all gains moves their bounds with them (where they are bet on, nearly so), so this serves for every truth.
    """
    policy, weekly = terms.policy, terms.policy.periods_per_observation == WEEK
    low, high = gate.judged.estimand.range
    gains, weight = weekly_means(drawn.gains, drawn.weight) if weekly else (drawn.gains, drawn.weight)
    present = weight > 0 if weekly else drawn.present
    order = np.argsort(~present, axis=1, kind="stable")  # what is missing goes to the end: no bound depends on it
    gains, weight = (np.take_along_axis(each, order, axis=1) for each in (gains, np.where(present, weight, 1.0)))
    low, high = min(low, gate.gains.min()), max(high, gate.gains.max())
    if policy.method == "betting":  # rounding, or an autoregression, may leave the range
        gains = np.clip(gains, low, high)
    harm = gate.judged.rule.is_ == "guardrail"
    bounds = weighted_mean_sequence(
        gains,
        weight,
        alpha=terms.alpha.to_fail if harm else terms.alpha.to_pass,
        burn_in=policy.observations_before_bound,
        tuned_for=terms.tuned_for,
        side="upper" if harm else "lower",
        method=policy.method,
        bounds=(low, high),
    )
    count = np.pad(np.cumsum(present, axis=1), ((0, 0), (1, 0)))
    count = count[:, np.arange(1, drawn.gains.shape[1] + 1) // (WEEK if weekly else 1)]
    bound = bounds.lower
    if harm:  # harm that was shown once stays shown while the estimate is on its side
        bound = np.maximum(np.minimum.accumulate(bounds.upper, axis=1), bounds.estimate)
    bound = np.take_along_axis(bound, np.maximum(count - 1, 0), axis=1)
    needed = gate.judged.rule.requests_needed(gate.judged.name)
    enough = np.cumsum(drawn.pairs, axis=1) >= needed
    return np.where((count > 0) & enough, bound, -np.inf)


def _naive(gate: ResampledGate, terms: JudgingTerms, drawn: DrawnDays) -> tuple[Array, Array]:
    """Return the running mean and the bound of a t-test of all days so far, held against 0 as in _sequence."""
    from scipy.special import stdtrit

    first = terms.policy.observations_before_bound
    harm, days = gate.judged.rule.is_ == "guardrail", np.arange(1, drawn.gains.shape[1] + 1)
    count = np.cumsum(drawn.present, axis=1)
    gains = drawn.weight * drawn.gains / gate.mean_weight  # linearised
    n = np.maximum(count, 2)
    mean = np.cumsum(gains, axis=1) / n
    error = np.sqrt(np.maximum(np.cumsum(gains**2, axis=1) / n - mean**2, 0) / (n - 1))
    quantile = stdtrit(days, terms.alpha.to_fail if harm else 1 - terms.alpha.to_pass)[n - 2]
    looked = (count >= first) & (days >= first * terms.policy.periods_per_observation)
    return np.where(looked, mean, -np.inf), np.where(looked, mean - quantile * error, -np.inf)


def _row(policy: str, first: Array, days: int, *, is_good: bool) -> PolicyRow:
    """Count the days of promotion, inf for never, at the bound and with the effect: shape (2, runs).

    `is_good`: with the effect every gate's truth is on the side where it passes.
    """
    runs, never = first.shape[1], np.isinf(first)
    false, missed = float((~never[0]).mean()), float(never[1].mean())
    quantiles = [float(np.sort(first[1])[math.ceil(share * runs) - 1]) for share in (0.5, 0.9)]
    half, most = (int(day) if math.isfinite(day) else None for day in quantiles)
    by_day = np.cumsum(np.bincount(first[0][~never[0]].astype(np.int64), minlength=days + 1))[1:] / runs
    row = PolicyRow(
        policy, false, _error(false, runs), missed, _error(missed, runs), half, most, tuple(by_day.tolist())
    )
    return row if is_good else replace(row, missed=None, missed_se=None, median_day=None, day_90=None)


def _is_good(gate: ResampledGate) -> bool:
    """Return whether a gate's truth with the effect is on the side where it passes; guardrail passes at its bound."""
    return gate.shift > 0 or (gate.shift == 0 and gate.judged.rule.is_ == "guardrail")


def _gate_row(gate: ResampledGate, wrong: Flags, missed: Flags, period: int) -> GateRow:
    judged, share = gate.judged, float(wrong.mean())
    return GateRow(
        rule=rule_in_slice(judged.rule, judged.name),
        days=len(judged.series.days) * period,
        effect=abs(judged.estimand.scale) * gate.shift,
        false_promotion=None if judged.rule.is_ == "guardrail" else share,
        false_promotion_se=None if judged.rule.is_ == "guardrail" else _error(share, len(wrong)),
        missed=float(missed.mean()) if _is_good(gate) else None,
    )


def _error(share: float, runs: int) -> float:
    return math.sqrt(share * (1 - share) / runs)


def _warning(largest: float, runs: int, gates: Sequence[GateRow], alpha: float, days: int) -> str | None:
    """Return a warning of the share that is furthest above alpha, None where none is by two standard errors.

    `largest` is the share with every gate at its bound.
    """
    every = "every gate" if len(gates) > 1 else gates[0].rule
    shares = [(largest, _error(largest, runs), every)]
    shares += [(gate.false_promotion or 0.0, gate.false_promotion_se or 0.0, gate.rule) for gate in gates]
    share, error, name = max(shares, key=lambda entry: entry[0] - 2 * entry[1])
    if share - 2 * error <= alpha:
        return None
    has_proof = any(gate.false_promotion is not None for gate in gates)
    better = "try method long_memory, unit week or a longer burn_in"
    advice = better if has_proof else "guardrail alone proves nothing, add another gate"
    return (
        f"calibration: with {name} at its bound, {plain_percent(share)} (standard error {plain_percent(error)}) of "
        f"histories of {days} days like this one end in a false promotion, alpha is {alpha:.2%}: {advice}"
    )
