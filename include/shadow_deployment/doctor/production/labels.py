"""Whether labels join: how many requests of a past day find one."""

import numpy as np

from shadow_deployment.doctor.checks import ConcernError
from shadow_deployment.doctor.production.requests import KnownRequests
from shadow_deployment.errors import SourceError


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
        name = "request_id" if deployment.labels.key is None else "label_key"
        examples = ", ".join(map(repr, mature[name].drop_null()[:3].to_pylist()))
        raise SourceError(f"{joining}; ids such as {examples} are not in labels.id of {deployment.labels.table}")
    if share < least:
        raise ConcernError(f"{joining}, fewer than policy.minimum_coverage == {least:g} asks for")
    return joining
