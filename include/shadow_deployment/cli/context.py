"""A deployment as the command line works on it: connections from the environment, S3 as Airflow opens it."""

from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.discovery import files_by_name, find_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.errors import ShadowError
from shadow_deployment.integrations.cloud import TerminalCloud
from shadow_deployment.models.aliases import resolve_aliases


def context_of(deployment: Deployment | str) -> DeploymentContext:
    """Return a deployment, or that of a name, with its connections; raise DeploymentError for an unknown name."""
    declared = find_deployment(deployment) if isinstance(deployment, str) else deployment
    return resolve_aliases(DeploymentContext(declared, environment, TerminalCloud()))


def every_context() -> tuple[list[DeploymentContext], dict[str, str]]:
    """Return all deployments with their connections, and name and error of each whose file cannot be read."""
    contexts: list[DeploymentContext] = []
    broken: dict[str, str] = {}
    for name, path in files_by_name().items():
        try:
            contexts.append(context_of(load_deployment(path)))
        except ShadowError as error:
            broken[name] = str(error)
    return contexts, broken
