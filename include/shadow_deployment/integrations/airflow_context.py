"""A deployment as tasks and pages work on it: connections as Airflow declares them, places on S3."""

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.integrations.connections import airflow_connection


def deployment_context(deployment: Deployment) -> DeploymentContext:
    """Return a deployment with Airflow's connections around it, and places on S3 as Airflow opens them."""
    return DeploymentContext(deployment, airflow_connection, AwsCloud())
