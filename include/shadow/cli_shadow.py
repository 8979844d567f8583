"""A deployment as the command line works on it: connections from the environment, S3 as Airflow opens it."""

from include.shadow.aliases import resolved
from include.shadow.connection import environment
from include.shadow.deployment import Deployment
from include.shadow.deployments import find
from include.shadow.edge.outside import Terminal
from include.shadow.surroundings import Shadow


def shadow_of(deployment: Deployment | str) -> Shadow:
    """Return a deployment, or that of a name, with its surroundings; raise DeploymentError for an unknown name."""
    found = find(deployment) if isinstance(deployment, str) else deployment
    return resolved(Shadow(found, environment, Terminal()))
