"""Requests that depend on each other: where they are judged one by one, nothing may be concluded from them."""

from typing import Final

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Series
from shadow_deployment.statistics.design_effect import DesignEffect, design_effect

_LEVEL: Final = 0.99  # of the days of independent requests, which share is not refused


def dependence_of_requests(policy: Policy, series: Series) -> DesignEffect | None:
    """Return by how much days differ more than their requests explain, where requests are judged and they do."""
    if policy.unit != "request" or series.squares is None:
        return None
    effect = design_effect(series.weights, series.difference, series.squares, level=_LEVEL)
    return effect if effect is not None and effect.is_significant else None
