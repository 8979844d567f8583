"""Labels that never arrive, and whether that depends on what the models predicted.

Evidence is about labelled requests only. Where the predictions for requests whose label never arrived differ, day after
day, from those for labelled ones, the labels are not missing at random, and the verdict warns of it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.base.numbers import significant
from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.alpha import alpha_of_models
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.metrics.catalog import PREDICTION_LABELLED, PREDICTION_UNLABELLED
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.confidence_sequence import confidence_sequence


def dependence(policy: Policy, evidence: Evidence) -> Iterator[str]:
    """Yield a warning for each model whose predictions differ between labelled and unlabelled requests.

    One observation a day, the weighted mean prediction for unlabelled requests minus that for labelled ones; a
    two-sided confidence sequence at the policy's alpha, halved between the two models.
    """
    labelled, missing = (evidence.get((metric, ALL)) for metric in (PREDICTION_LABELLED, PREDICTION_UNLABELLED))
    if labelled is None or missing is None:
        return
    days = sorted({*labelled.days} & {*missing.days})
    if len(days) < policy.burn_in:
        return
    at_labelled, at_missing = (
        np.isin(np.array(series.days, "datetime64[D]"), np.array(days, "datetime64[D]"))
        for series in (labelled, missing)
    )
    total = int(missing.pairs[at_missing].sum())
    for model in ("champion", "challenger"):
        gap = _predictions(missing, model)[at_missing] - _predictions(labelled, model)[at_labelled]
        sequence = confidence_sequence(
            gap, alpha=alpha_of_models(policy), burn_in=policy.burn_in, tuned_for=policy.tuned_for
        )
        lower, upper = float(sequence.lower[-1]), float(sequence.upper[-1])
        if lower > 0 or upper < 0:
            yield (
                f"labels are not missing at random: {total} requests never got one, and the {model}'s predictions for "
                f"them are {significant(abs(float(gap.mean())), 3)} {'higher' if lower > 0 else 'lower'} than for "
                f"labelled ones (interval {significant(lower, 3)} to {significant(upper, 3)} over {len(days)} days); "
                "the verdict is about labelled requests"
            )


def _predictions(series: Series, model: str) -> NDArray[np.float64]:
    return series.champion if model == "champion" else series.challenger
