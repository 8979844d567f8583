"""The option that every command has: where the deployment files are."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from shadow_deployment.config.discovery import VARIABLE, looking_in

_OPTION = typer.Option(
    help=f"The folder of deployment files, instead of {VARIABLE}, \\[shadow] deployments of airflow.cfg, or "
    "include/deployments.",
    show_default=False,
)
_PARAMETER = inspect.Parameter(
    "deployments", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, _OPTION]
)


def with_deployments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that also takes --deployments, and looks for deployments there."""

    @functools.wraps(command)
    def call(*arguments: Any, deployments: Path | None = None, **options: Any) -> Any:
        with looking_in(deployments):
            return command(*arguments, **options)

    signature = inspect.signature(command, eval_str=True)
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), _PARAMETER]
    )
    call.__annotations__ = {**command.__annotations__, "deployments": _PARAMETER.annotation}
    return call
