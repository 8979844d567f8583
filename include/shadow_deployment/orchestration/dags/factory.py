"""All DAGs of the deployments, for a file in Airflow's dags folder."""

import logging
import sys
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.discovery import deployment_files, looking_in
from shadow_deployment.errors import DeploymentError
from shadow_deployment.orchestration.dags.daily import daily_dag
from shadow_deployment.orchestration.dags.doctor import DOCTOR, doctor_dag
from shadow_deployment.orchestration.dags.promotion import promotion_dag, rollback_dag
from shadow_deployment.orchestration.dags.replay import replay_dag

logger = logging.getLogger(__name__)
_BUILDERS = {"": daily_dag, "_promotion": promotion_dag, "_replay": replay_dag, "_rollback": rollback_dag}


def shadow_dags(folder: str | Path | None = None) -> dict[str, DAG]:
    """Return the DAGs of all deployment files by their ids, the doctor's among them.

    A file that cannot be used has no DAG; the log says why, and `require_valid_deployments` does as Airflow's import
    error. Where Airflow parses for one task, only that task's DAG is built.

    Args:
        folder: The folder of deployment files, beside the calling file where it is relative. By default the one that
            the command line finds: SHADOW_DEPLOYMENTS, `[shadow] deployments` of Airflow, or `include/deployments`.

    Raises:
        DeploymentError: There is no such folder.
    """
    with looking_in(_beside_caller(folder)):
        wanted = get_parsing_context().dag_id
        dags: dict[str, DAG] = {}
        for path in deployment_files():
            try:
                dags |= _dags_of(load_deployment(path), wanted)
            except DeploymentError as error:
                logger.error("%s", error)  # noqa: TRY400 (its text is the whole of it)
        if wanted in (None, DOCTOR):
            dags[DOCTOR] = doctor_dag()
    return dags


def require_valid_deployments(folder: str | Path | None = None) -> None:
    """Raise DeploymentError with every mistake in the deployment files of a folder, as `shadow_dags` finds it.

    Airflow keeps one import error a file and stops every DAG of that file, so this is called from a file without DAGs.
    It shows a traceback: a cause without one of its own comes before it, so that the mistakes are read first.
    """
    with looking_in(_beside_caller(folder)):
        problems = _problems()
    if problems:
        text = "\n".join(problems)
        raise DeploymentError(text) from DeploymentError(text)


def _beside_caller(folder: str | Path | None) -> Path | None:
    """Return a folder that is relative to the file whose call is being answered."""
    if folder is None:
        return None
    file = sys._getframe(2).f_globals.get("__file__")
    return (Path(file).absolute().parent if file else Path.cwd()) / folder


def _problems() -> list[str]:
    problems: list[str] = []
    names: dict[str, str] = {}
    for path in deployment_files():
        try:
            name = load_deployment(path).name
        except DeploymentError as error:
            problems.append(str(error))
            continue
        if name in names:
            problems.append(f"deployment {name}: name == {name!r}, must be unique ({names[name]} and {path})")
        names[name] = str(path)
    return problems


def _dags_of(deployment: Deployment, wanted: str | None) -> dict[str, DAG]:
    ids = {f"shadow_{deployment.name}{suffix}": build for suffix, build in _BUILDERS.items()}
    return {dag_id: build(deployment) for dag_id, build in ids.items() if wanted in (None, dag_id)}
