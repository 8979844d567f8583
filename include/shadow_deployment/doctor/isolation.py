"""Whether models are kept from what other processes hold in their environments."""

import sys
from collections.abc import Iterator

from shadow_deployment.doctor.checks import ConcernError, Probe
from shadow_deployment.models.sandbox.isolation import NAMESPACE, NONE, isolation_of


def probes() -> Iterator[Probe]:
    """Yield what to look at on this machine."""
    yield Probe(
        "isolation",
        _isolation,
        "let workers make user namespaces (user.max_user_namespaces, a seccomp profile that allows unshare), or "
        "run models where no other process holds credentials in its environment",
    )


def _isolation() -> str:
    how = isolation_of(sys.executable)
    if how == NONE:
        raise ConcernError("not isolated: a model can read the environment of other processes of this user")
    return f"models cannot read other processes: {'a user namespace' if how == NAMESPACE else how} of their own"
