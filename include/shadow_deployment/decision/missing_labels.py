"""Labels that never come, and whether that depends on what the models answered.

Evidence speaks of labelled requests only. Where the requests whose label never came were answered otherwise than the
labelled ones, day after day, the labels are not missing at random, and the verdict says so.
"""

import datetime as dt
from collections.abc import Collection, Iterator

import numpy as np

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.metrics.catalog import PREDICTION_LABELLED, PREDICTION_UNLABELLED
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.confidence import confidence_sequence


def dependence(policy: Policy, evidence: Evidence, mature: Collection[dt.date] | None = None) -> Iterator[str]:
    """Yield a sentence for each model whose answers differ between labelled and unlabelled requests.

    One observation a day, the weighted mean answer to unlabelled requests minus that to labelled ones; a two-sided
    confidence sequence at the policy's alpha, halved between the two models. Only `mature` days count, all
    where it is None: on others a label may still come.
    """
    known, missing = (evidence.get((metric, ALL)) for metric in (PREDICTION_LABELLED, PREDICTION_UNLABELLED))
    if known is None or missing is None:
        return
    days, at_known, at_missing = np.intersect1d(
        np.array(known.days, "datetime64[D]"), np.array(missing.days, "datetime64[D]"), return_indices=True
    )
    if mature is not None:
        over = np.isin(days, np.array(sorted(mature), "datetime64[D]"))
        days, at_known, at_missing = days[over], at_known[over], at_missing[over]
    if len(days) < policy.burn_in:
        return
    for model in ("champion", "challenger"):
        gap = _answers(missing, model)[at_missing] - _answers(known, model)[at_known]
        sequence = confidence_sequence(gap, alpha=policy.alpha / 2, burn_in=policy.burn_in, tuned_for=policy.tuned_for)
        lower, upper = float(sequence.lower[-1]), float(sequence.upper[-1])
        if lower > 0 or upper < 0:
            total = int(missing.pairs[at_missing].sum())
            yield (
                f"labels are not missing at random: {total} requests never got one, and the {model} answered them "
                f"{abs(float(gap.mean())):.3g} {'higher' if lower > 0 else 'lower'} than labelled ones "
                f"(interval {lower:.3g} to {upper:.3g} over {len(days)} days); the verdict speaks of labelled requests"
            )


def _answers(series: Series, model: str) -> "np.typing.NDArray[np.float64]":
    return series.champion if model == "champion" else series.challenger
