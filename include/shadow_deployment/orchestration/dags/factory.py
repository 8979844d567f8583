"""All DAGs of the deployments, for a file in Airflow's dags folder."""

import contextlib

from airflow.sdk import DAG, get_parsing_context

from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.discovery import deployment_files
from shadow_deployment.errors import DeploymentError
from shadow_deployment.orchestration.dags.daily import daily_dag
from shadow_deployment.orchestration.dags.doctor import DOCTOR, doctor_dag
from shadow_deployment.orchestration.dags.promotion import promotion_dag, rollback_dag
from shadow_deployment.orchestration.dags.replay import replay_dag

_BUILDERS = {"": daily_dag, "_promotion": promotion_dag, "_replay": replay_dag, "_rollback": rollback_dag}


def shadow_dags() -> dict[str, DAG]:
    """Return the DAGs of all deployment files by their ids, the doctor's among them.

    A file that cannot be used has no DAG; `require_valid_deployments` says why. Where Airflow parses for one task,
    only that task's DAG is built.
    """
    wanted = get_parsing_context().dag_id
    dags: dict[str, DAG] = {}
    for path in deployment_files():
        with contextlib.suppress(DeploymentError):
            dags |= _dags_of(load_deployment(path), wanted)
    if wanted in (None, DOCTOR):
        dags[DOCTOR] = doctor_dag()
    return dags


def require_valid_deployments() -> None:
    """Raise DeploymentError with every mistake in the deployment files.

    Airflow keeps one import error a file and stops every DAG of that file, so this is called from a file without DAGs.
    It shows a traceback: a cause without one of its own comes before it, so that the mistakes are read first.
    """
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
    if problems:
        text = "\n".join(problems)
        raise DeploymentError(text) from DeploymentError(text)


def _dags_of(deployment: Deployment, wanted: str | None) -> dict[str, DAG]:
    ids = {f"shadow_{deployment.name}{suffix}": build for suffix, build in _BUILDERS.items()}
    return {dag_id: build(deployment) for dag_id, build in ids.items() if wanted in (None, dag_id)}
