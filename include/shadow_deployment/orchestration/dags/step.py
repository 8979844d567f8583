"""How a function of the engine becomes a task: where the same answer would come, Airflow does not try again."""

import datetime as dt
import functools
from collections.abc import Callable
from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException

from shadow_deployment.config.discovery import deployments_folder, looking_in
from shadow_deployment.errors import PermanentError

SCORING_POOL = "shadow_scoring"


def step(function: Callable[..., Any], **options: Any) -> Any:
    """Return the task of a function, which looks for deployments where this DAG file does.

    Args:
        function: What the task does.
        **options: What Airflow's decorator `task` takes.
    """
    return task(**options)(_failing_at_once(function))


def defaults(minutes: int, *, retries: int = 3) -> dict[str, Any]:
    """Return the `default_args` of a DAG whose tasks may take so many minutes each."""
    return {
        "owner": "shadow",
        "retries": retries,
        "retry_delay": dt.timedelta(minutes=1),
        "execution_timeout": dt.timedelta(minutes=minutes),
    }


def on_demand(minutes: int) -> dict[str, Any]:
    """Return what a DAG takes that an asset or somebody starts, whose tasks may take so many minutes each."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": dt.timedelta(hours=24),
        "default_args": defaults(minutes),
    }


def _failing_at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Raise a permanent error as the one that no Airflow retries; its cause is the error itself."""
    folder = deployments_folder()

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with looking_in(folder):
            try:
                return function(*arguments, **named)
            except PermanentError as error:
                raise AirflowFailException(str(error)) from error

    return call
