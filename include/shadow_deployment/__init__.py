"""Shadow deployment of machine-learning models on Apache Airflow. The public API, each name imported when first used.

from shadow_deployment import shadow_dags              # the DAGs of a folder of deployment files
from shadow_deployment import require_valid_deployments   # their mistakes, as Airflow's import error
from shadow_deployment import load_deployment, judge   # a verdict without Airflow or a database
from shadow_deployment import confidence_sequence      # an interval that holds on all days at once
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shadow_deployment.config.deployment import Deployment as Deployment
    from shadow_deployment.config.deployment import load_deployment as load_deployment
    from shadow_deployment.decision.verdict import judge as judge
    from shadow_deployment.orchestration.dags.factory import require_valid_deployments as require_valid_deployments
    from shadow_deployment.orchestration.dags.factory import shadow_dags as shadow_dags
    from shadow_deployment.statistics.confidence_sequence import confidence_sequence as confidence_sequence

__all__ = ["Deployment", "confidence_sequence", "judge", "load_deployment", "require_valid_deployments", "shadow_dags"]

_PLACES = {
    "Deployment": ("config.deployment", "Deployment"),
    "confidence_sequence": ("statistics.confidence_sequence", "confidence_sequence"),
    "judge": ("decision.verdict", "judge"),
    "load_deployment": ("config.deployment", "load_deployment"),
    "require_valid_deployments": ("orchestration.dags.factory", "require_valid_deployments"),
    "shadow_dags": ("orchestration.dags.factory", "shadow_dags"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, must be one of {', '.join(__all__)}")
    from importlib import import_module

    module, symbol = _PLACES[name]
    return getattr(import_module(f"{__name__}.{module}"), symbol)


def __dir__() -> list[str]:
    return __all__
