"""Real requests of production, and what they show: whether labels join, versions are known, and nothing filters them.

A challenger that would decide otherwise than the champion cannot be judged on what the champion let through, such as a
loan granted or a bet placed. Only the log can be looked at here: what never reached it leaves no sign where predictions
lie on both sides of the threshold.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window, day_after, day_of, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.ports import UNVERSIONED, all_labels
from shadow_deployment.data.sources.identity import label_column
from shadow_deployment.doctor.checks import ConcernError, SkippedError
from shadow_deployment.errors import SourceError

MOST = 1000  # requests of a day to look at
LOOK_BACK = 7  # days that may have no requests
FEWEST = 50  # predictions on one side that are a sign
FEWEST_LABELLED = 20  # requests of a decision, to compare how many have a label
RATIO = 0.1  # of the shares of labelled requests
_UNSEEN = "what never reached the log cannot be seen from here"

Masks = Mapping[str, NDArray[np.bool_]]


class KnownRequests:
    """Requests of a deployment's log; there are none until `look` has found some.

    `newest` are of the day of the newest request, `mature` of the newest day whose labels are all expected by then.
    """

    def __init__(self, context: DeploymentContext) -> None:
        self.context = context
        self.newest: pa.Table | None = None
        self.mature: pa.Table | None = None
        self.newest_window: Window | None = None
        self.mature_window: Window | None = None

    def look(self) -> str:
        """Read both; return how many there are. Raises SkippedError where the log is empty."""
        deployment, source = self.context.deployment, self.context.request_source
        newest = source.newest_time()
        if newest is None:
            raise SkippedError(f"there is no request in {deployment.requests.table} yet")
        self.newest_window = window_of(deployment, day_of(deployment, newest))
        self.newest = self._read(self.newest_window)
        before = day_of(deployment, newest - dt.timedelta(days=deployment.labels.maturity_days))
        for back in range(1, LOOK_BACK + 1):
            self.mature_window = window_of(deployment, day_after(deployment, before, -back))
            self.mature = self._read(self.mature_window)
            if self.mature.num_rows:
                break
        return f"the newest is of {newest:%Y-%m-%d %H:%M} UTC"

    @cached_property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Return which of the mature requests find a label."""
        deployment, mature, window = self.context.deployment, self.mature, self.mature_window
        if mature is None or window is None or not mature.num_rows:
            return np.zeros(0, bool)
        name = label_column(deployment)
        ids = pc.unique(mature[name]).drop_null()
        asked = pa.table({"ordinal": pa.array(range(len(ids)), pa.int32()), "request_id": ids})
        until = window.end + dt.timedelta(days=deployment.labels.maturity_days)
        labelled = all_labels(self.context.label_source, asked, None, until)["ordinal"]
        is_in = pc.is_in(mature[name], value_set=ids.take(pc.unique(labelled)))
        return np.asarray(is_in.to_numpy(zero_copy_only=False), np.bool_)

    def _read(self, window: Window) -> pa.Table:
        with self.context.request_source.reading(window) as reading:
            return reading.newest(MOST)


def joined(known: KnownRequests) -> str:
    """Return the share of a past day's requests that find a label.

    Raises SourceError where none does, and ConcernError where fewer do than `policy.minimum_coverage` asks for.
    """
    mature, deployment = known.mature, known.context.deployment
    if mature is None or known.mature_window is None or not mature.num_rows:
        return f"no request is older than labels.maturity_days == {deployment.labels.maturity_days} by a few days yet"
    is_labelled = known.is_labelled
    share, least = float(np.mean(is_labelled)), deployment.policy.minimum_coverage
    joining = (
        f"{is_labelled.sum()} of {len(is_labelled)} requests of {known.mature_window.day} find a label ({share:.1%})"
    )
    if not is_labelled.any():
        name = label_column(deployment)
        examples = ", ".join(map(repr, mature[name].drop_null()[:3].to_pylist()))
        raise SourceError(f"{joining}; ids such as {examples} are not in labels.id of {deployment.labels.table}")
    if share < least:
        raise ConcernError(f"{joining}, fewer than policy.minimum_coverage == {least:g} asks for")
    return joining


def served(known: KnownRequests) -> str:
    """Return the champion's versions in the newest requests; raise ConcernError where a change could not be seen."""
    deployment = known.context.deployment
    if deployment.requests.champion_identity == "service":
        return "challengers are compared with whatever is served (requests.champion_identity)"
    if deployment.requests.version is None:
        raise ConcernError(
            "requests.version is not given: a new model in production could not be told from the one before it, and "
            "evidence against both would be one trial's"
        )
    versions = Counter(known.newest["champion_version"].to_pylist() if known.newest else ())
    seen = ", ".join(map(str, versions))
    if unknown := versions[UNVERSIONED]:
        raise ConcernError(f"{unknown} of {versions.total()} newest requests have no {deployment.requests.version}")
    declared = deployment.champion and deployment.champion.version
    if declared is not None and declared not in versions:
        raise ConcernError(f"champion.version == {declared!r}, but the newest requests are of {seen}: none is replayed")
    return f"the newest {versions.total()} requests are of {seen}"


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
