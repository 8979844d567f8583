"""The pages inside Airflow: nothing without login, nothing of a DAG that one may not read, and what breaks is said."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Semaphore
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

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: Any, method: str, team_name: str | None
    ) -> set[str]:
        assert (method, team_name) == ("GET", None)
        return dag_ids & self.readable


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
            assert answer.status_code == 404, path
        if path != "/static/page.css":
            assert "late" not in answer.text, path


def test_what_one_may_not_read_is_answered_as_what_there_is_not(client: Any, manager: Manager, run: str) -> None:
    """Whoever may read one deployment learns of no other, whichever name is tried."""
    manager.readable = {"shadow_broken", "etl"}
    nothing = client.get("/deployments/unheard_of")
    assert nothing.status_code == 404
    assert 'href="/shadow/deployments/broken"' in nothing.text
    for path in ("/deployments/late", "/deployments/late?challenger=nobody", "/deployments/late?day=2024-01-01"):
        assert (client.get(path).status_code, client.get(path).text) == (404, nothing.text), path
    for path in (
        "/dags/shadow_late", "/dags/shadow_late_promotion", f"/dags/shadow_late/runs/{run}", "/dags/shadow_unheard_of",
        "/dags/unheard_of",
    ):  # fmt: skip
        assert (client.get(path).status_code, client.get(path).text) == (404, nothing.text), path
    assert "late" not in client.get("/").text


def test_the_promotions_dag_is_not_enough_to_read_the_deployment(client: Any, manager: Manager) -> None:
    manager.readable = {"shadow_late_promotion"}
    answer = client.get("/dags/shadow_late_promotion")
    assert (answer.status_code, "late" in answer.text) == (404, False)


def test_teams_are_asked_for_at_once(client: Any, monkeypatch: pytest.MonkeyPatch, manager: Manager) -> None:
    from airflow.models.dag import DagModel

    asked: list[tuple[set[str], str | None]] = []

    def filtered(*, dag_ids: set[str], team_name: str | None, **_: Any) -> set[str]:
        asked.append((dag_ids, team_name))
        return dag_ids

    monkeypatch.setattr(DagModel, "get_dag_id_to_team_name_mapping", lambda dag_ids: {"shadow_late": "pricing"})
    monkeypatch.setattr(manager, "filter_authorized_dag_ids", filtered)
    assert client.get("/").status_code == 200
    assert sorted(asked, key=str) == [({"shadow_broken"}, None), ({"shadow_late"}, "pricing")]


def test_list_shows_each_deployment_and_what_broke(client: Any) -> None:
    page = client.get("/").text
    assert 'href="/shadow/deployments/late"' in page
    assert "schedul is unknown, did you mean schedule?" in page


def test_deployment_page_is_the_newest_day_and_any_other(client: Any) -> None:
    assert str(day(1)) in client.get("/deployments/late").text
    older = client.get("/deployments/late", params={"day": str(day(0)), "challenger": "a_a_check"})
    assert older.status_code == 200
    assert "against itself" in older.text


def test_tab_of_a_dag_is_its_deployment_and_of_its_promotion_too(client: Any, manager: Manager) -> None:
    for dag in ("shadow_late", "shadow_late_promotion", "shadow_late_replay", "shadow_late_rollback"):
        manager.readable.add(dag)
        assert client.get(f"/dags/{dag}").text == client.get("/deployments/late").text


def test_tab_of_another_dag_says_so(client: Any, manager: Manager) -> None:
    manager.readable |= {"etl<script>", "shadow_doctor"}
    for dag in ("etl<script>", "shadow_doctor"):
        answer = client.get(f"/dags/{dag}")
        assert answer.status_code == 200
        assert "This DAG is no shadow deployment." in answer.text
        assert 'href="/shadow/"' in answer.text
        assert "alert" not in answer.text
        assert client.get(f"/dags/{dag}/runs/one").text == answer.text


def test_tab_of_a_run_is_its_day(client: Any, run: str) -> None:
    page = client.get(f"/dags/shadow_late/runs/{run}").text
    assert f"The run of {day(1)}" in page
    unknown = client.get("/dags/shadow_late/runs/unheard_of")
    assert (unknown.status_code, "no run of that name" in unknown.text) == (404, True)


def test_page_is_made_again_when_something_is_judged(
    client: Any, judged: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(judged), monkeypatch)
    before = client.get("/deployments/late").text
    assert client.get("/deployments/late").text == before
    run_day(world.shadow(), day(2))
    assert str(day(2)) in client.get("/deployments/late").text


def test_an_unknown_challenger_or_day_is_not_found_and_says_what_there_is(client: Any) -> None:
    answer = client.get("/deployments/late?challenger=ohter")
    assert (answer.status_code, "must be one of other, a_a_check" in answer.text) == (404, True)
    for number in (-3, 5):
        answer = client.get(f"/deployments/late?day={day(number)}")
        assert answer.status_code == 404
        assert f"must be one of the 2 sampled days from {day(0)} to {day(1)}" in answer.text
        assert f"nearest: {day(0)} and {day(1)}" in answer.text
        assert 'href="/shadow/"' in answer.text
    assert client.get("/deployments/late?day=yesterday").status_code == 422


def test_what_is_not_there_now_is_there_once_it_was_run(
    client: Any, judged: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(judged), monkeypatch)
    assert client.get(f"/deployments/late?day={day(2)}").status_code == 404
    run_day(world.shadow(), day(2))
    assert client.get(f"/deployments/late?day={day(2)}").status_code == 200


def test_ledger_that_is_not_there_is_said_once_with_what_to_do(
    client: Any, judged: World, manager: Manager, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", "postgresql://nobody:secret-word@127.0.0.1:1/none")
    good = (judged.deployments / "late.yaml").read_text()
    second = judged.deployments / "second.yaml"
    second.write_text(good.replace("name: late", "name: second"))
    request.addfinalizer(second.unlink)
    manager.readable.add("shadow_second")
    for path in ("/", "/deployments/late"):
        answer = client.get(path)
        assert answer.text.count("connection shadow_db") == 1
        assert "secret-word" not in answer.text
        assert "Traceback" not in answer.text
    assert "2 deployments cannot be shown. Let the database of" in client.get("/").text


def test_pages_may_be_framed_by_airflow_alone_and_load_only_from_it(client: Any) -> None:
    for path in ("/", "/deployments/late", "/static/page.css"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy


def test_what_draws_charts_is_loaded_once_while_the_list_is_looked_at(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shadow_deployment.orchestration.ui import app

    begun = Semaphore(0)
    monkeypatch.setattr(app, "WARM_UP_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(app.rendering, "warm_up", begun.release)
    app._warm_up_soon.cache_clear()
    for _ in range(2):
        assert client.get("/").status_code == 200
    assert begun.acquire(timeout=120)
    assert not begun.acquire(timeout=0.2)


def test_nothing_can_be_changed_here(client: Any) -> None:
    for path in routes():
        for method in ("post", "put", "patch", "delete"):
            assert getattr(client, method)(path).status_code == 405, (method, path)


@pytest.mark.parametrize(
    ("base", "path"),
    [("http://127.0.0.1:8080", ""), ("https://example.org:8443/airflow/", "/airflow"), ("", "")],
)
def test_the_button_of_a_gate_leads_to_the_same_place_from_another_host_or_port(
    base: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leads to is kept when the task ends; the next start may take another port, or be a copy elsewhere."""
    from types import SimpleNamespace

    from shadow_deployment.orchestration.ui import links

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    gate = SimpleNamespace(dag_id="shadow_late", run_id="scheduled__2024-03-01T00:00:00+00:00", task_id="gate")
    found = links.VerdictLink().get_link(None, ti_key=gate)  # type: ignore[arg-type]
    run = "/dags/shadow_late/runs/scheduled__2024-03-01T00%3A00%3A00%2B00%3A00"
    assert found == f"{path}{run}/tasks/gate/plugin/shadow-day"


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
        "destinations": ["dag", "dag_run", "nav"],
        "prefixes": ["/shadow"],
        "pages are imported": False,
        "errors": {},
    }
