"""Implicit blocking rules: too many requests without a usable prediction, over all days and weighted as sampled."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.usable import MISSING_PREDICTIONS, too_many_missing
from shadow_deployment.metrics.catalog import BASIC, METRICS

RULE = {"metric": "brier_score", "is": "superior"}
DAYS = tuple(dt.date(2024, 3, number) for number in (1, 2, 3))


def reasons(
    challenger: list[float], champion: list[float], weight: list[float] | None = None, **keys: Any
) -> list[str]:
    rates = np.array(champion), np.array(challenger)
    pairs = np.full(len(challenger), 100)
    weights = np.array(weight or [100.0] * len(challenger))
    series = Series(MISSING_PREDICTIONS, "all", DAYS, pairs, pairs, *rates, rates[0] - rates[1], weights)
    policy = Policy.model_validate({"rules": [RULE], **keys})
    return list(too_many_missing(policy, {(MISSING_PREDICTIONS, "all"): series}))


def test_what_the_rules_read_is_kept_of_every_deployment_and_every_request() -> None:
    assert MISSING_PREDICTIONS in BASIC
    assert METRICS[MISSING_PREDICTIONS].counts_every_request
    assert not METRICS[MISSING_PREDICTIONS].needs_label


def test_a_share_over_all_days_blocks_and_names_the_worst_of_them() -> None:
    (unanswered,) = reasons([0.002, 0.003, 0.0], [0, 0, 0])
    assert unanswered == (
        "0.167 % of the requests on 3 days have no usable prediction of the challenger, at most 0.1 % may "
        "(policy.max_unanswered == 0.001); most on 2024-03-02: 0.3 %"
    )
    (missing,) = reasons([0, 0, 0], [0, 0, 0.5])
    assert missing == (
        "16.7 % of the requests on 3 days have no usable prediction of the champion, at most 0.1 % may "
        "(policy.max_champion_missing == 0.001); most on 2024-03-03: 50 %"
    )


def test_days_weigh_as_many_requests_as_they_stand_for() -> None:
    assert reasons([0.01, 0, 0], [0, 0, 0], [1, 1000, 1000]) == []
    assert len(reasons([0.01, 0, 0], [0, 0, 0], [1000, 1, 1])) == 1


@pytest.mark.parametrize(("most", "blocks"), [(0.0, True), (0.0019, True), (0.002, False), (1.0, False)])
def test_a_share_at_its_limit_is_allowed(most: float, blocks: bool) -> None:
    assert bool(reasons([0.002] * 3, [0] * 3, max_unanswered=most)) == blocks
    assert bool(reasons([0] * 3, [0.002] * 3, max_champion_missing=most)) == blocks


def test_without_a_day_nothing_blocks() -> None:
    assert (
        list(too_many_missing(Policy.model_validate({"rules": [{"metric": "brier_score", "is": "superior"}]}), {}))
        == []
    )
