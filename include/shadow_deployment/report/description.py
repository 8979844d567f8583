"""A deployment in words, as Markdown: what is shadowed, when it passes, and what its DAGs do."""

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shadow_deployment.config.deployment import Deployment

_FOLDER: Final = Path(__file__).parent / "descriptions"


def describe(deployment: Deployment) -> str:
    """Return what the deployment does and what its policy asks, for the DAG's page."""
    return _rendered("daily", deployment)


def describe_promotion(deployment: Deployment) -> str:
    """Return how a challenger becomes champion here, for the promotion DAG's page."""
    return _rendered("promotion", deployment)


def describe_rollback(deployment: Deployment) -> str:
    """Return how the former champion comes back, for the rollback DAG's page."""
    return _rendered("rollback", deployment)


def describe_replay(deployment: Deployment) -> str:
    """Return how a new challenger answers past days, for the replay DAG's page."""
    return _rendered("replay", deployment)


def _rendered(name: str, deployment: Deployment) -> str:
    return _environment().get_template(f"{name}.md").render(deployment=deployment, policy=deployment.policy).strip()


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(_FOLDER)
    return Environment(  # noqa: S701 (it is Markdown, which is escaped where it becomes HTML)  # nosec B701
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
