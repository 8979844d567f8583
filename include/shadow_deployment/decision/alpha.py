"""How a policy's alpha is spent.

PASS needs every blocking finding to pass, so alpha toward passing needs no correction across rules. It is spent on
trials, for good: challengers that are registered together are a batch, the batches of a year get 6·alpha/(π²·place²),
which adds up to alpha over any number of them, and the trials of a batch share theirs equally.

FAIL is an alarm on any blocking finding, so alpha toward failing is divided among the sequences of the blocking rules,
slice by slice. Slices that are there by the end of the burn-in are the first batch, before anything was concluded, and
those that appear on one later day are another, so that no sequence's alpha ever moves.
"""

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.decision.series import Evidence
from shadow_deployment.metrics.slices import ALL


@dataclass(frozen=True)
class AlphaSplit:
    """Error probability of the bound toward passing and of the bound toward failing, of one sequence.

    `late` has the second one for slices that appeared after the burn-in.
    """

    to_pass: float
    to_fail: float
    late: Mapping[str, float] = field(default_factory=dict)

    def to_fail_in(self, slice_name: str) -> float:
        """Return the error probability of the bound toward failing in one slice."""
        return self.late.get(slice_name, self.to_fail)

    @property
    def with_halved_fail(self) -> "AlphaSplit":
        """The same with half the error probability toward failing, for a rule that may fail on two sides."""
        return AlphaSplit(self.to_pass, self.to_fail / 2, {name: late / 2 for name, late in self.late.items()})


def alpha_of_batch(alpha: float, place: int) -> float:
    """Return the part of alpha that the batch at a place, from 1 on, may spend; all places add up to alpha."""
    return 6 * alpha / (math.pi * place) ** 2


def alpha_of_trial(alpha: float, *, place: int, size: int) -> float:
    """Return alpha toward PASS of a trial in a batch of `size` trials."""
    return alpha_of_batch(alpha, place) / size


def spends_alpha(policy: Policy) -> bool:
    """Return whether a trial may end in a PASS: advisory rules decide nothing."""
    return any(rule.role == "blocking" for rule in policy.rules)


def alpha_of_evidence(policy: Policy, evidence: Evidence, *, to_pass: float) -> AlphaSplit:
    """Return a trial's alpha toward PASS, and alpha toward FAIL divided among the slices that the evidence has."""
    blocking = [rule for rule in policy.rules if rule.role == "blocking" and not rule.is_daily]
    columns = [set(rule.slices) - {ALL} for rule in blocking]
    if not any(columns):
        return AlphaSplit(to_pass, alpha_of_alarm(policy, len(blocking)))
    places = _places(_first_days(blocking, evidence), _end_of_burn_in(policy, blocking, evidence))
    sizes = Counter({1: len(blocking)})  # all requests, by every rule
    for name, place in places.items():
        sizes[place] += sum(name.split("=", 1)[0] in each for each in columns)
    alphas = {place: alpha_of_alarm(policy, size, place) for place, size in sizes.items()}
    return AlphaSplit(to_pass, alphas[1], {name: alphas[place] for name, place in places.items() if place > 1})


def alpha_of_alarm(policy: Policy, alarms: int, place: int = 1) -> float:
    """Return alpha toward FAIL of each of the `alarms` sequences of the slices of one batch.

    Where no blocking rule has slices no further batch can follow, and the first has all of alpha.
    """
    may_grow = any(rule.role == "blocking" and not rule.is_daily and set(rule.slices) - {ALL} for rule in policy.rules)
    return (alpha_of_batch(policy.alpha, place) if may_grow else policy.alpha) / max(alarms, 1)


def _places(first: Mapping[str, dt.date], end_of_burn_in: dt.date) -> dict[str, int]:
    """Return the place of each slice's batch: 1 by the end of the burn-in, the next for each later first day."""
    later = sorted({day for day in first.values() if day > end_of_burn_in})
    return {name: later.index(day) + 2 if day > end_of_burn_in else 1 for name, day in first.items()}


def _first_days(blocking: list[Rule], evidence: Evidence) -> dict[str, dt.date]:
    """Return the first day of each slice that blocking rules are judged in, but for that of all requests."""
    judged = {(rule.metric, column) for rule in blocking for column in rule.slices if column != ALL}
    days: dict[str, list[dt.date]] = defaultdict(list)
    for (metric, name), series in evidence.items():
        if (metric, name.split("=", 1)[0]) in judged and series.days:
            days[name].append(series.days[0])
    return {name: min(each) for name, each in days.items()}


def _end_of_burn_in(policy: Policy, blocking: list[Rule], evidence: Evidence) -> dt.date:
    """Return the day of the first bound of any blocking rule, a day that never comes while there is none."""
    burn_in = policy.observations_before_bound * policy.periods_per_observation
    days = [series.days for rule in blocking if (series := evidence.get((rule.metric, ALL)))]
    return min((each[burn_in - 1] for each in days if len(each) >= burn_in), default=dt.date.max)


def alpha_used(findings: Iterable[tuple[str, float | None, float | None]]) -> AlphaSplit | None:
    """Return the alphas that stored findings were judged at; None where none had a sequence.

    Each has its slice, and alpha toward PASS and toward FAIL.
    """
    known = [(name, to_pass, to_fail) for name, to_pass, to_fail in findings if to_pass and to_fail]
    if not known:
        return None
    _, to_pass, first = known[0]
    return AlphaSplit(to_pass, first, {name: to_fail for name, _, to_fail in known if to_fail != first})
