"""How a policy's alpha is divided.

PASS needs every blocking finding to pass, so alpha toward passing needs no correction across rules; it is divided among
the challengers that may be promoted. FAIL is an alarm on any blocking finding, so alpha toward failing is divided among
the sequences of the blocking rules, slice by slice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Evidence, slices_of


@dataclass(frozen=True)
class AlphaSplit:
    """Error probability of the bound toward passing and of the bound toward failing, of one sequence."""

    to_pass: float
    to_fail: float


def split_alpha(policy: Policy, *, promotable: int, alarms: int = 1) -> AlphaSplit:
    """Divide alpha among `promotable` challengers to pass and among `alarms` blocking sequences to fail."""
    return AlphaSplit(policy.alpha / max(promotable, 1), policy.alpha / max(alarms, 1))


def alpha_of_evidence(policy: Policy, evidence: Evidence, *, to_pass: float) -> AlphaSplit:
    """Return a trial's alpha toward PASS, and alpha toward FAIL divided among the slices that the evidence has."""
    blocking = (rule for rule in policy.rules if rule.role == "blocking" and not rule.is_daily)
    alarms = sum(len(slices_of(rule, evidence)) for rule in blocking)
    return AlphaSplit(to_pass, split_alpha(policy, promotable=1, alarms=alarms).to_fail)


def alpha_used(splits: Iterable[tuple[float | None, float | None]]) -> AlphaSplit | None:
    """Return the first complete pair of alphas that stored findings were judged at; None where none had a sequence."""
    return next((AlphaSplit(a, b) for a, b in splits if a is not None and b is not None), None)
