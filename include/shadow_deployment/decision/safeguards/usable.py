"""Whether enough requests have usable predictions: implicit blocking rules over all days that count.

Losses charge what is missing, metrics that are no sums leave it out. Beyond a small share neither says much of a model
that would have to answer every request.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from shadow_deployment.base.numbers import quantity, significant
from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.estimand import ROUNDING
from shadow_deployment.decision.series import Evidence
from shadow_deployment.metrics.slices import ALL

MISSING_PREDICTIONS: Final = "error_rate"  # of every sampled request, labelled or not: kept of every deployment


def too_many_missing(policy: Policy, evidence: Evidence) -> Iterator[str]:
    """Yield why a challenger cannot pass: for each model, a larger share of missing predictions than the policy allows.

    Requests are weighted by the inverse of their inclusion probability, so that the shares are those of production.
    """
    series = evidence.get((MISSING_PREDICTIONS, ALL))
    if series is None or not series.days:
        return
    limits = (
        ("challenger", series.challenger, "max_unanswered", policy.max_unanswered),
        ("champion", series.champion, "max_champion_missing", policy.max_champion_missing),
    )
    for model, shares, key, most in limits:
        share = float(np.average(shares, weights=series.weight))
        if share > most + ROUNDING:
            worst, days = int(np.argmax(shares)), quantity(len(series.days), policy.period)
            yield (
                f"{_percent(share)} of the requests on {days} have no usable prediction of the "
                f"{model}, at most {_percent(most)} may (policy.{key} == {most}); most on {series.days[worst]}: "
                f"{_percent(float(shares[worst]))}"
            )


def _percent(share: float) -> str:
    return f"{significant(100 * share, 3)} %"
