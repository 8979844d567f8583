"""Whether the version that production serves is known."""

from collections import Counter

from shadow_deployment.data.ports import UNVERSIONED
from shadow_deployment.doctor.checks import ConcernError
from shadow_deployment.doctor.production.requests import KnownRequests


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
