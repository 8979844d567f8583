"""Days that remember more than the default allows for: when another method is recommended.

The default allows for days that resemble the day before. Where a series depends on days further back, its error rate is
above alpha and `long_memory` holds it: see `statistics/README.md`.
"""

from collections.abc import Iterator
from statistics import NormalDist
from typing import Final

from shadow_deployment.base.numbers import significant
from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.estimand import Estimand, estimand_or_reason
from shadow_deployment.decision.series import Evidence
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.memory import LAGS, memory_beyond_the_day_before

FEWEST_DAYS: Final = 28
FALSE_ALARM: Final = 0.01  # in histories without such a memory, on one day, over all rules together


def long_memory_advised(policy: Policy, evidence: Evidence) -> Iterator[str]:
    """Yield a warning for each blocking rule whose days, over all requests, remember more than `robust` allows for."""
    if policy.method != "robust" or policy.unit != "day":
        return
    tested = []
    for rule in policy.rules:
        if rule.role == "blocking":
            estimand = estimand_or_reason(rule, evidence.get((rule.metric, ALL)), FEWEST_DAYS)
            if isinstance(estimand, Estimand):
                tested.append((rule, estimand))
    for rule, estimand in tested:
        errors = memory_beyond_the_day_before(estimand.linearised)
        if errors > NormalDist().inv_cdf(1 - FALSE_ALARM / len(tested)):
            yield (
                f"{rule.metric} {rule.is_}: {len(estimand.gains)} days depend on more than the day before (lags 2 to "
                f"{LAGS}: {significant(errors, 3)} standard errors; such a warning is wrong on {FALSE_ALARM:.0%} of "
                "days): policy.method: long_memory holds alpha there, robust may not"
            )
