"""The whole examination: the installation, and each deployment with all that it needs."""

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.discovery import files_by_name, find_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.doctor import airflow, deployment, isolation, packages
from shadow_deployment.doctor.checks import INSTALLATION, Check, ConcernError, Probe, examine
from shadow_deployment.doctor.policy import policy_warnings
from shadow_deployment.errors import DeploymentError
from shadow_deployment.models.aliases import resolve_aliases


def installation() -> list[Check]:
    """Examine the interpreter, its packages, and Airflow."""
    return examine(INSTALLATION, [*packages.probes(), *isolation.probes(), *airflow.installation_probes()])


def of_deployment(
    name: str, connect: Callable[[Deployment], DeploymentContext], *, send_test: bool = False
) -> list[Check]:
    """Examine a deployment; a file that cannot be used is its only check.

    `connect` adds its connections, as the command line or a task does.
    """
    try:
        declared = find_deployment(name)
    except DeploymentError as error:
        return [
            Check(name, "deployment file", "failed", str(error), f"correct {files_by_name().get(name, 'its name')}")
        ]
    context = resolve_aliases(connect(declared))
    today = dt.datetime.now(declared.zone).date()
    policy = Probe("policy", partial(_policy, declared), "change the file, or leave it where it is meant so")
    probes = [policy, *_all(context, today, send_test=send_test)]
    return [Check(name, "deployment file", "ok", "valid"), *examine(name, probes)]


def _policy(declared: Deployment) -> str:
    doubts = policy_warnings(declared, files_by_name()[declared.name])
    if doubts:
        raise ConcernError("\n".join(doubts))
    return "nothing in it is doubtful"


def _all(context: DeploymentContext, day: dt.date, *, send_test: bool) -> Iterator[Probe]:
    yield from deployment.probes(context, day)
    yield from airflow.probes(context.deployment, send_test=send_test)
