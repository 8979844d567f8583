"""The tasks of the DAG shadow_doctor. This file is imported where DAGs are parsed, so the rest is imported inside."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from shadow_deployment.config.discovery import files_by_name
from shadow_deployment.orchestration import engine

if TYPE_CHECKING:
    from shadow_deployment.doctor.checks import Check

logger = logging.getLogger(__name__)


def installation() -> list[dict[str, Any]]:
    """Examine the worker's interpreter and Airflow; return the checks."""
    return _require(engine.examination.installation())


def scoring_pool() -> str:
    """Say that a task runs in the pool that challengers are scored in: that it runs is the proof."""
    return "a task in the pool shadow_scoring has run"


def deployments() -> list[str]:
    """Return the deployments there are."""
    return list(files_by_name())


def deployment(name: str) -> list[dict[str, Any]]:
    """Examine one deployment; return the checks."""
    cast(dict[str, Any], get_current_context()).update(deployment=name)
    return _require(engine.examination.of_deployment(name, engine.airflow_context.deployment_context))


def _require(checks: "Sequence[Check]") -> list[dict[str, Any]]:
    """Return the checks as plain data; fail, after all of them were logged, where one failed."""
    for check in checks:
        log = {"failed": logger.error, "warning": logger.warning}.get(check.state, logger.info)
        log(
            "%s: %s %s: %s%s",
            check.about,
            check.what,
            check.state,
            check.result,
            f"; {check.remedy}" if check.remedy else "",
        )
    failed = [check for check in checks if check.state == "failed"]
    if failed:
        raise AirflowFailException("\n".join(f"{check.what}: {check.result}; {check.remedy}" for check in failed))
    return [check.content() for check in checks]
