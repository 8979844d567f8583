"""Signs that the champion's own decisions choose what is logged or labelled, such as a loan granted or a bet placed.

A challenger that would decide otherwise cannot be judged on what the champion let through. Only the log can be looked
at here: what never reached it leaves no sign where predictions lie on both sides of the threshold.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.doctor.checks import ConcernError
from shadow_deployment.doctor.production.requests import KnownRequests

FEWEST = 50  # predictions on one side that are a sign
FEWEST_LABELLED = 20  # requests of a decision, to compare how many have a label
RATIO = 0.1  # of the shares of labelled requests
_UNSEEN = "what never reached the log cannot be seen from here"

Masks = Mapping[str, NDArray[np.bool_]]


def unfiltered(known: KnownRequests) -> str:
    """Return that there is no sign, and what cannot be seen; raise ConcernError with the signs that there are."""
    deployment = known.context.deployment
    if deployment.task == "regression":
        return f"an amount has no decision to compare by; {_UNSEEN}"
    is_labelled = known.is_labelled
    requests = known.mature if len(is_labelled) else known.newest
    values = np.asarray(requests["champion"].to_numpy(), float) if requests else np.zeros(0)
    decisions = _decisions(deployment, values)
    signs = [*_one_sided(deployment, decisions), *(_unlabelled(decisions, is_labelled) if len(is_labelled) else ())]
    if signs:
        raise ConcernError(f"{'; '.join(signs)}; {_UNSEEN}")
    return f"no sign in {len(values)} requests; {_UNSEEN}"


def _decisions(deployment: Deployment, values: NDArray[np.float64]) -> Masks:
    """Return which requests the champion decided in which way, by the words for it."""
    if deployment.classes:
        return {f"predicted {name}": values == number for number, name in enumerate(deployment.classes)}
    threshold = deployment.threshold
    return {f"below threshold {threshold:g}": values < threshold, f"from {threshold:g} on": values >= threshold}


def _one_sided(deployment: Deployment, decisions: Masks) -> list[str]:
    counts = {words: int(mask.sum()) for words, mask in decisions.items()}
    total, (words, most) = sum(counts.values()), max(counts.items(), key=lambda item: item[1])
    if most < total or total < FEWEST:
        return []
    rare = " (rare events look the same)" if deployment.task == "binary" else ""
    return [f"all {total} predictions of the champion are {words}{rare}"]


def _unlabelled(decisions: Masks, is_labelled: NDArray[np.bool_]) -> list[str]:
    """Return the decision that has next to no labels where another one has."""
    shares = {words: is_labelled[mask].mean() for words, mask in decisions.items() if mask.sum() >= FEWEST_LABELLED}
    if len(shares) < 2 or min(shares.values()) >= RATIO * max(shares.values()):
        return []
    least, most = (pick(shares, key=lambda words: shares[words]) for pick in (min, max))
    return [f"{shares[least]:.1%} of requests {least} have a label, {shares[most]:.1%} of those {most}"]
