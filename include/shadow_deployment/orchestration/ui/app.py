"""The pages inside Airflow: an application that its api-server mounts, each route for who may read the DAG.

Airflow mounts a plugin's application without asking who comes, so every route here asks by itself, and there is no
page about the routes. Nothing is changed here: actions stay on Airflow's own pages.
"""

import datetime as dt
import logging
from collections.abc import Callable
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.discovery import deployment_files, files_by_name, find_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import DeploymentError, ShadowError
from shadow_deployment.integrations.airflow_context import deployment_context
from shadow_deployment.models.aliases import last_versions
from shadow_deployment.orchestration.run_context import run_day
from shadow_deployment.orchestration.ui.links import PREFIX, base_path
from shadow_deployment.report.html import rendering
from shadow_deployment.report.html.serving import ASSETS, CONTENT_SECURITY_POLICY, Cache, Links, asset
from shadow_deployment.report.queries import pages

LINKS = Links(f"{base_path()}{PREFIX}", base_path())
DAG_PREFIX = "shadow_"
_SUFFIXES = ("_promotion", "_replay", "_rollback")
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}

logger = logging.getLogger(__name__)
app = FastAPI(title="DeploymentContext", docs_url=None, redoc_url=None, openapi_url=None)
_pages = Cache(64)

Challenger = Annotated[str | None, Query(max_length=63)]
Day = Annotated[dt.date | None, Query()]


class _ElsewhereError(Exception):
    """A DAG, whose tab this is, has nothing to do with shadow deployments."""


def _may_read(user: Any, name: str) -> bool:
    """Whether somebody may read a deployment: whoever may read its DAG, in the DAG's own team."""
    dag_id = f"{DAG_PREFIX}{name}"
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return bool(get_auth_manager().is_authorized_dag(method="GET", details=details, user=user))


def _readable(name: str, user: GetUserDep) -> str:
    """Return the name of a deployment that the user may read; 403 otherwise, whether it is there or not."""
    if not _may_read(user, name):
        raise HTTPException(403, "Forbidden")
    return name


def _of_dag(dag_id: str, user: GetUserDep) -> str:
    """Return the deployment of a DAG that the user may read; 404 where the DAG is of none."""
    name = dag_id.removeprefix(DAG_PREFIX)
    known = files_by_name()
    for suffix in _SUFFIXES:
        if name not in known and name.endswith(suffix):
            name = name.removesuffix(suffix)
    if not dag_id.startswith(DAG_PREFIX) or name not in known:
        raise _ElsewhereError(dag_id)
    return _readable(name, user)


Name = Annotated[str, Depends(_readable)]
NameOfDag = Annotated[str, Depends(_of_dag)]


@app.get("/")
def overview(user: GetUserDep) -> HTMLResponse:
    """Return the page of all deployments that the user may read."""
    shadows, broken = [], {}
    for path in deployment_files():
        try:
            deployment = load_deployment(path)
        except DeploymentError as error:
            if _may_read(user, path.stem):
                broken[path.stem] = str(error)
            continue
        if _may_read(user, deployment.name):
            shadows.append(_shadow(deployment))
    return _html(rendering.overview_page(pages.overview(shadows, broken), LINKS))


@app.get("/deployments/{name}")
def deployment(name: Name, challenger: Challenger = None, day: Day = None) -> HTMLResponse:
    """Return the page of one deployment: by default the challenger to look at, on the newest day."""
    return _deployment(name, challenger, day)


@app.get("/dags/{dag_id}")
def dag(name: NameOfDag, challenger: Challenger = None, day: Day = None) -> HTMLResponse:
    """Return the page of a DAG's deployment: a tab of the DAG."""
    return _deployment(name, challenger, day)


@app.get("/dags/{dag_id}/runs/{run_id}")
def run(name: NameOfDag, dag_id: str, run_id: str, session: SessionDep, challenger: Challenger = None) -> HTMLResponse:
    """Return the page of a run's day: a tab of the run and of its tasks."""
    dag_run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    if dag_run is None:
        raise HTTPException(404, "no such run")

    def page(context: DeploymentContext) -> str:
        if dag_id != f"{DAG_PREFIX}{name}":
            return rendering.deployment_page(pages.deployment_page(context, challenger), LINKS)
        day = run_day(
            context,
            kind=dag_run.run_type,
            named=(dag_run.conf or {}).get("day"),
            interval_start=dag_run.data_interval_start,
            started_at=dag_run.run_after,
        )
        return rendering.deployment_page(pages.run_page(context, day, challenger), LINKS)

    return _page(name, ("run", run_id, challenger), page)


@app.get("/static/{file}")
def static(file: str, user: GetUserDep) -> Response:  # noqa: ARG001 (to be asked for is what it is there for)
    """Return the style sheet or the script of the pages."""
    if file not in ASSETS:
        raise HTTPException(404, "no such file")
    headers = _HEADERS | {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(asset(file), media_type=ASSETS[file], headers=headers)


@app.exception_handler(_ElsewhereError)
def elsewhere(request: Request, error: _ElsewhereError) -> HTMLResponse:  # noqa: ARG001
    """Return a page that says that a DAG has no deployment: Airflow shows the tab on every DAG."""
    return _html(rendering.error_page(f"{error} is no DAG of a shadow deployment.", LINKS), status=404)


@app.exception_handler(ShadowError)
def broken(request: Request, error: ShadowError) -> HTMLResponse:  # noqa: ARG001
    """Return a page that says what broke."""
    return _html(rendering.error_page(str(error), LINKS), status=500)


def _deployment(name: str, challenger: str | None, day: dt.date | None) -> HTMLResponse:
    def page(context: DeploymentContext) -> str:
        return rendering.deployment_page(pages.deployment_page(context, challenger, day), LINKS)

    return _page(name, ("deployment", challenger, day), page)


def _page(name: str, key: tuple[Any, ...], make: Callable[[DeploymentContext], str]) -> HTMLResponse:
    """Return a page, made anew only where the deployment or what is known of it has changed."""
    context = _shadow(find_deployment(name))
    try:
        known = pages.fingerprint(context)
    except ShadowError:
        return _html(make(context))
    return _html(_pages.get((name, context.deployment.model_dump_json(), known, *key), lambda: make(context)))


def _shadow(deployment: Deployment) -> DeploymentContext:
    return last_versions(deployment_context(deployment))


def _html(page: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page, status_code=status, headers=_HEADERS)
