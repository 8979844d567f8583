"""The engine's modules as tasks and callbacks use them, each imported when it is first asked for.

Airflow parses DAGs in every process, and forks one for each task. What it parses imports this module and nothing
below it, so that numpy, psycopg and their like are loaded where a task needs them. import-linter holds that.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shadow_deployment.alerting import deduplication as deduplication
    from shadow_deployment.alerting import gate_alert as gate_alert
    from shadow_deployment.alerting import messages as messages
    from shadow_deployment.alerting import outbox as outbox
    from shadow_deployment.doctor import examination as examination
    from shadow_deployment.integrations import airflow_context as airflow_context
    from shadow_deployment.integrations import channels as channels
    from shadow_deployment.integrations import cloudwatch as cloudwatch
    from shadow_deployment.integrations import metrics as metrics
    from shadow_deployment.ledger import verdicts as verdicts
    from shadow_deployment.orchestration import run_context as run_context
    from shadow_deployment.pipeline import steps as steps
    from shadow_deployment.pipeline.history import replay as replay
    from shadow_deployment.promotion import approval as approval
    from shadow_deployment.promotion import approval_text as approval_text
    from shadow_deployment.promotion import registry as registry
    from shadow_deployment.promotion import status as status
    from shadow_deployment.promotion import watch as watch
    from shadow_deployment.report import publishing as publishing

_MODULES = {
    "alerting": ("deduplication", "gate_alert", "messages", "outbox"),
    "doctor": ("examination",),
    "integrations": ("airflow_context", "channels", "cloudwatch", "metrics"),
    "ledger": ("verdicts",),
    "orchestration": ("run_context",),
    "pipeline": ("steps",),
    "pipeline.history": ("prune", "replay"),
    "promotion": ("approval", "approval_text", "registry", "status", "watch"),
    "report": ("publishing",),
}
_ROOMS = {module: room for room, modules in _MODULES.items() for module in modules}


def __getattr__(name: str) -> ModuleType:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"shadow_deployment.{_ROOMS[name]}.{name}")
