"""The pages inside Airflow: nothing without login, nothing of a DAG that one may not read, and what breaks is said."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shadow_deployment.pipeline.run import run_day
from tests.conftest import PROJECT, declare
from tests.production import World, day

pytestmark = [
    pytest.mark.usefixtures("airflow_database"),
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`"),
]
RUN = "manual_one"


@pytest.fixture(scope="session")
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World]) -> World:
    """Two days were run; beside the deployment lies one whose file is broken."""
    world = worlds()
    shadow = world.shadow()
    for number in range(2):
        run_day(shadow, day(number))
    good = (world.deployments / "late.yaml").read_text()
    (world.deployments / "broken.yaml").write_text(good.replace("name: late", "name: broken\nschedul: x"))
    return world


class Manager:
    """Stands for Airflow's auth manager: it lets read the DAGs of these names."""

    def __init__(self) -> None:
        self.readable = {"shadow_late", "shadow_broken"}

    def is_authorized_dag(self, *, method: str, details: Any, user: Any, **_: Any) -> bool:
        assert method == "GET"
        return details.id in self.readable


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    from shadow_deployment.orchestration.ui import app

    found = Manager()
    monkeypatch.setattr(app, "get_auth_manager", lambda: found)
    return found


@pytest.fixture
def anonymous(judged: World, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> Any:
    from fastapi.testclient import TestClient

    from shadow_deployment.orchestration.ui import app

    declare(judged, monkeypatch)
    return TestClient(app.app, raise_server_exceptions=False)


@pytest.fixture
def client(anonymous: Any) -> Iterator[Any]:
    from airflow.api_fastapi.core_api.security import get_user

    from shadow_deployment.orchestration.ui import app

    app.app.dependency_overrides[get_user] = lambda: "ada"
    yield anonymous
    app.app.dependency_overrides.clear()


@pytest.fixture
def run() -> Iterator[str]:
    """A run of the daily DAG that Airflow remembers, of the second day."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import delete

    start = dt.datetime.combine(day(1), dt.time(), dt.UTC)
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.run_id == RUN))
        found = DagRun(
            dag_id="shadow_late",
            run_id=RUN,
            logical_date=start + dt.timedelta(seconds=7),  # another test's run may have the window's start
            data_interval=(start, start + dt.timedelta(days=1)),
            run_after=start,
            run_type=DagRunType.SCHEDULED,
            triggered_by=DagRunTriggeredByType.TEST,
        )
        session.add(found)
    yield RUN
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.run_id == RUN))


def routes() -> list[str]:
    from shadow_deployment.orchestration.ui import app

    return [
        route.path.replace("{name}", "late")
        .replace("{dag_id}", "shadow_late")
        .replace("{run_id}", RUN)
        .replace("{file}", "page.css")
        for route in app.app.routes
    ]


def test_there_are_the_pages_and_no_others(client: Any) -> None:
    assert sorted(routes()) == [
        "/",
        "/dags/shadow_late",
        f"/dags/shadow_late/runs/{RUN}",
        "/deployments/late",
        "/static/page.css",
    ]


def test_without_login_there_is_nothing(anonymous: Any) -> None:
    for path in [*routes(), "/deployments/unheard_of", "/static/unheard_of"]:
        assert anonymous.get(path).status_code == 401, path


def test_who_may_not_read_the_dag_sees_nothing_of_it(client: Any, manager: Manager, run: str) -> None:
    manager.readable.clear()
    for path in routes():
        answer = client.get(path)
        if path not in ("/", "/static/page.css"):
            assert answer.status_code == 403, path
        if path != "/static/page.css":
            assert "late" not in answer.text, path
    assert client.get("/deployments/unheard_of").status_code == 403


def test_list_shows_each_deployment_and_what_broke(client: Any) -> None:
    page = client.get("/").text
    assert 'href="/shadow/deployments/late"' in page
    assert "schedul is unknown, did you mean schedule?" in page


def test_deployment_page_is_the_newest_day_and_any_other(client: Any) -> None:
    assert str(day(1)) in client.get("/deployments/late").text
    older = client.get("/deployments/late", params={"day": str(day(0)), "challenger": "a_a_check"})
    assert older.status_code == 200
    assert "against itself" in older.text


def test_tab_of_a_dag_is_its_deployment_and_of_its_promotion_too(client: Any) -> None:
    for dag in ("shadow_late", "shadow_late_promotion", "shadow_late_replay", "shadow_late_rollback"):
        assert client.get(f"/dags/{dag}").text == client.get("/deployments/late").text


def test_tab_of_another_dag_says_so(client: Any) -> None:
    answer = client.get("/dags/etl<script>")
    assert answer.status_code == 404
    assert "etl&lt;script&gt; is no DAG of a shadow deployment" in answer.text
    assert 'href="/shadow/"' in answer.text


def test_tab_of_a_run_is_its_day(client: Any, run: str) -> None:
    page = client.get(f"/dags/shadow_late/runs/{run}").text
    assert f"The run of {day(1)}" in page
    assert client.get("/dags/shadow_late/runs/unheard_of").status_code == 404


def test_page_is_made_again_when_something_is_judged(
    client: Any, judged: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(judged), monkeypatch)
    before = client.get("/deployments/late").text
    assert client.get("/deployments/late").text == before
    run_day(world.shadow(), day(2))
    assert str(day(2)) in client.get("/deployments/late").text


def test_an_unknown_challenger_or_day_is_reported(client: Any) -> None:
    assert "must be one of other, a_a_check" in client.get("/deployments/late?challenger=ohter").text
    assert client.get("/deployments/late?day=yesterday").status_code == 422


def test_ledger_that_is_not_there_is_a_page_that_says_so(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", "postgresql://nobody:secret-word@127.0.0.1:1/none")
    for path in ("/", "/deployments/late"):
        answer = client.get(path)
        assert "connection shadow_db" in answer.text
        assert "secret-word" not in answer.text
        assert "Traceback" not in answer.text


def test_pages_may_be_framed_by_airflow_alone_and_load_only_from_it(client: Any) -> None:
    for path in ("/", "/deployments/late", "/static/page.css"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy


def test_nothing_can_be_changed_here(client: Any) -> None:
    for path in routes():
        for method in ("post", "put", "patch", "delete"):
            assert getattr(client, method)(path).status_code == 405, (method, path)


UNINSTALLED = """
import importlib.metadata, importlib_metadata
def hide(module):
    every = module.distributions
    module.distributions = lambda **context: (d for d in every(**context) if d.name != "shadow-deployment")
hide(importlib.metadata), hide(importlib_metadata)
"""
REGISTERED = """
import json, sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
[plugin] = [plugin for plugin in plugins_manager.get_plugin_info() if plugin["name"] == "shadow"]
print(json.dumps({
    "destinations": sorted(view["destination"] for view in plugin["external_views"]),
    "prefixes": [app["url_prefix"] for app in plugin["fastapi_apps"]],
    "source": str(plugin["source"]),
    "pages are imported": "shadow_deployment.orchestration.ui.app" in sys.modules,
    "errors": plugins_manager.get_import_errors(),
}))
"""


@pytest.mark.parametrize(
    ("layout", "source"),
    [("", "shadow-deployment==0.1.0: EntryPoint"), (UNINSTALLED, "$PLUGINS_FOLDER/shadow_plugin.py")],
)
def test_the_plugin_is_registered_once_without_import_errors_and_imports_no_page(layout: str, source: str) -> None:
    """Installed, by its entry point; mounted and not installed, from the plugins folder."""
    command = [sys.executable, "-c", layout + REGISTERED]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert source in found.pop("source")
    assert found == {
        "destinations": ["dag", "dag_run", "nav", "task_instance"],
        "prefixes": ["/shadow"],
        "pages are imported": False,
        "errors": {},
    }
