"""The pages inside Airflow: an application that its api-server mounts, each route for who may read the DAG.

Airflow mounts a plugin's application without asking who comes, so every route here asks by itself, and there is no
page about the routes. Nothing is changed here: actions stay on Airflow's own pages.
"""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from threading import Timer
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.config.discovery import files_by_name, find_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import DeploymentError, NotFoundError, ShadowError
from shadow_deployment.integrations.airflow_context import deployment_context
from shadow_deployment.models.aliases import last_versions
from shadow_deployment.orchestration.run_context import run_windows
from shadow_deployment.orchestration.ui.links import PREFIX, base_path
from shadow_deployment.report.html import rendering
from shadow_deployment.report.html.serving import ASSETS, CONTENT_SECURITY_POLICY, Cache, Links, asset
from shadow_deployment.report.overview import ListedDeployment
from shadow_deployment.report.queries import overview as listing
from shadow_deployment.report.queries import pages

LINKS = Links(f"{base_path()}{PREFIX}", base_path())
DAG_PREFIX = "shadow_"
WARM_UP_AFTER_SECONDS = 1.0
_SUFFIXES = ("_promotion", "_replay", "_rollback")
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}

logger = logging.getLogger(__name__)
app = FastAPI(title="Shadow deployments", docs_url=None, redoc_url=None, openapi_url=None)
_pages = Cache[str](64)
_rows = Cache[ListedDeployment](4096)

Challenger = Annotated[str | None, Query(max_length=63)]
Day = Annotated[dt.date | None, Query()]


class _ElsewhereError(Exception):
    """A DAG, whose tab this is, has nothing to do with shadow deployments."""


class _UnknownError(Exception):
    """There is no deployment of a name, or none that the user may read."""

    def __init__(self, user: Any) -> None:
        super().__init__()
        self.user = user


def _readable(names: Iterable[str], user: Any) -> set[str]:
    """Return the deployments that somebody may read: whoever may read its DAG, in the DAG's own team."""
    dags = {f"{DAG_PREFIX}{name}": name for name in names}
    return {dags[dag_id] for dag_id in _readable_dags(dags, user)}


def _readable_dags(dag_ids: Iterable[str], user: Any) -> set[str]:
    by_team = defaultdict(set)
    teams = DagModel.get_dag_id_to_team_name_mapping(list(dag_ids))
    for dag_id in dag_ids:
        by_team[teams.get(dag_id)].add(dag_id)
    manager = get_auth_manager()
    readable: set[str] = set()
    for team, those in by_team.items():
        readable |= manager.filter_authorized_dag_ids(dag_ids=those, user=user, method="GET", team_name=team)
    return readable


def _named(name: str, user: GetUserDep) -> str:
    """Return the name of a deployment that is there and that the user may read.

    Of any other this says nothing: 404, with those that the user may read.
    """
    if name not in files_by_name() or not _readable([name], user):
        raise _UnknownError(user)
    return name


def _of_dag(dag_id: str, user: GetUserDep) -> str:
    """Return the deployment of a DAG that the user may read; 404 where the user may not, or the DAG is of none."""
    if not _readable_dags([dag_id], user):
        raise _UnknownError(user)
    if not dag_id.startswith(DAG_PREFIX):
        raise _ElsewhereError
    name = dag_id.removeprefix(DAG_PREFIX)
    known = files_by_name()
    for suffix in _SUFFIXES:
        if name not in known and name.endswith(suffix):
            name = name.removesuffix(suffix)
    if name not in known:
        raise _ElsewhereError
    return _named(name, user)


Name = Annotated[str, Depends(_named)]
NameOfDag = Annotated[str, Depends(_of_dag)]


@app.get("/")
def overview(user: GetUserDep) -> HTMLResponse:
    """Return the page of all deployments that the user may read."""
    files = files_by_name()
    contexts, broken = [], {}
    for name in _readable(files, user):
        try:
            contexts.append(deployment_context(load_deployment(files[name])))
        except DeploymentError as error:
            broken[name] = str(error)
    _warm_up_soon()
    return _html(rendering.overview_page(listing.overview(contexts, broken, _rows.get), LINKS))


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
        raise NotFoundError(f"{dag_id} has no run of that name")

    def page(context: DeploymentContext) -> str:
        if dag_id != f"{DAG_PREFIX}{name}":
            return rendering.deployment_page(pages.deployment_page(context, challenger), LINKS)
        windows = run_windows(
            context,
            kind=dag_run.run_type,
            named=(dag_run.conf or {}).get("day"),
            interval_start=dag_run.data_interval_start,
            started_at=dag_run.run_after,
        )
        return rendering.deployment_page(pages.run_page(context, windows[0].day, challenger), LINKS)

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
    return _html(rendering.notice_page("This DAG is no shadow deployment.", LINKS))


@app.exception_handler(_UnknownError)
def unknown(request: Request, error: _UnknownError) -> HTMLResponse:  # noqa: ARG001
    """Return a page of the deployments that the user may read, instead of one that is not among them."""
    names = sorted(_readable(files_by_name(), error.user))
    notice = "You may read these:" if names else "There is none that you may read."
    return _html(rendering.notice_page("There is no such deployment", LINKS, notice=notice, names=names), status=404)


@app.exception_handler(NotFoundError)
def not_there(request: Request, error: NotFoundError) -> HTMLResponse:  # noqa: ARG001
    """Return a page that says which challengers or days there are."""
    return _html(rendering.notice_page("There is no such page", LINKS, notice=f"{error}."), status=404)


@app.exception_handler(ShadowError)
def broken(request: Request, error: ShadowError) -> HTMLResponse:  # noqa: ARG001
    """Return a page that says what broke."""
    return _html(rendering.error_page(str(error), LINKS), status=500)


def _deployment(name: str, challenger: str | None, day: dt.date | None) -> HTMLResponse:
    def page(context: DeploymentContext) -> str:
        view = pages.deployment_page(context, challenger, day)
        if day is not None and view.state != "broken" and view.last_day != day:
            pages.require_day(context, day)
        return rendering.deployment_page(view, LINKS)

    return _page(name, ("deployment", challenger, day), page)


def _page(name: str, key: tuple[Any, ...], make: Callable[[DeploymentContext], str]) -> HTMLResponse:
    """Return a page, made anew only where the deployment or what is known of it has changed."""
    context = last_versions(deployment_context(find_deployment(name)))
    try:
        known = pages.fingerprint(context)
    except ShadowError:
        return _html(make(context))
    return _html(_pages.get((name, context.deployment.model_dump_json(), known, *key), lambda: make(context)))


@cache
def _warm_up_soon() -> None:
    """Load what draws charts while the reader still looks at the list, once a process."""
    timer = Timer(WARM_UP_AFTER_SECONDS, rendering.warm_up)
    timer.daemon = True
    timer.start()


def _html(page: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page, status_code=status, headers=_HEADERS)
