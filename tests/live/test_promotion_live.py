"""Promotion under a real scheduler: a question waits in Airflow, and its answer, silence and a changed case decide."""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from shadow_demo.airflow import AirflowError, LocalAirflow
from shadow_demo.home import METADATA, OWNERS
from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.config import discovery
from shadow_deployment.context import DeploymentContext
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from shadow_deployment.promotion import approval, registry
from tests.integration.promotion.promoting import CALM, POLICY, judge
from tests.integration.report.test_browser import CHROMIUM, QUIET
from tests.live.live import home_in
from tests.production import SHADOW, World, day, unguarded
from tests.receivers import Posts, web_server

SECONDS = 420  # far more than it takes on an idle machine
PARKING = 8  # an answer while the worker that asked is still ending can fail its task
NAMES = ("late", "rejected", "silent", "changed")
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}


@dataclass(frozen=True)
class Live:
    airflow: LocalAirflow
    world: World
    posts: Posts

    def told(self, name: str) -> list[tuple[str, str]]:
        """Return what a deployment's alerts were about."""
        return [(one["kind"], one["title"]) for one in self.posts.bodies if one["deployment"] == name]

    def logged(self, task: str) -> list[dict[str, Any]]:
        """Return the lines that a task of the daily DAG has logged."""
        files = (self.airflow.folder / "logs").glob(f"dag_id=shadow_late/*/task_id={task}/**/*.log")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def standing(self, name: str) -> str:
        """Return what the status file says of the challenger."""
        [entry] = [
            one for one in json.loads(self.status.read_text())["recommendations"] if one["id"] == f"{name}/other"
        ]
        return str(entry["shadow"]["status"])

    @property
    def status(self) -> Path:
        return self.world.folder / "recommendations.json"

    def shadow(self, name: str) -> DeploymentContext:
        return DeploymentContext(
            discovery.load_deployment(self.world.deployments / f"{name}.yaml"), self.world.connection
        )

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return list(self.airflow.call("GET", f"/dags/{dag}/dagRuns")["dag_runs"])

    def states(self, dag: str, run: str) -> dict[str, str]:
        found = self.airflow.call("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {one["task_id"]: one["state"] for one in found}

    def until(self, what: str, wanted: Callable[[], Any]) -> Any:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found = wanted()
            if found:
                return found
            time.sleep(0.5)
        raise AssertionError(f"{what} did not come within {SECONDS} s")

    def ended(self, dag: str, run: str) -> str:
        def state() -> str | None:
            found = str(self.airflow.call("GET", f"/dags/{dag}/dagRuns/{run}")["state"])
            return found if found in ("success", "failed") else None

        return str(self.until(f"the end of {dag} {run}", state))

    def question(self, name: str) -> str:
        """Wait until a run of the promotion DAG waits for its answer; return the run."""
        dag = f"shadow_{name}_promotion"

        def waiting() -> str | None:
            for run in self.runs(dag):
                if self.states(dag, run["dag_run_id"]).get("approve") == "awaiting_input":
                    return str(run["dag_run_id"])
            return None

        found = str(self.until(f"the question of {name}", waiting))
        time.sleep(PARKING)
        return found

    def passes(self, name: str) -> None:
        """Add the event of a PASS, as the daily DAG does."""
        proposal = approval.proposal_of_day(self.shadow(name), day(0))
        assert proposal is not None
        [asset] = self.airflow.call("GET", "/assets", params={"name_pattern": f"shadow_{name}_case"})["assets"]
        extra = {"challenger": "other", "day": str(day(0)), "case": proposal.request.digest}
        self.airflow.call("POST", "/assets/events", json={"asset_id": asset["id"], "extra": extra})

    def details(self, name: str, run: str) -> str:
        return f"/dags/shadow_{name}_promotion/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"

    def answer(self, name: str, run: str, option: str, *, user: str = "operator", reason: str = "as I think") -> Any:
        body = {"chosen_options": [option], "params_input": {"reason": reason}}
        return self.airflow.call("PATCH", self.details(name, run), user=user, json=body)


@pytest.fixture(scope="module")
def live(
    postgres: EmbeddedPostgres, worlds: Callable[..., World], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    with web_server() as posts:
        yield from started(postgres, worlds(), tmp_path_factory.mktemp("airflow"), posts)


def started(postgres: EmbeddedPostgres, world: World, folder: Path, posts: Posts) -> Iterator[Live]:
    rules = {"policy": POLICY | {"rules": [*POLICY["rules"], CALM]}}
    challengers = [OTHER, {"name": "a_a_check", "model": "champion"}]
    told = {
        "alerts": {"channels": [{"kind": "webhook", "conn_id": "hook"}]},
        "status": {"file": str(world.folder / "recommendations.json")},
    }
    labels = {"maturity_days": 0}  # so that one day has final evidence of every metric
    # Unpausing must not run a day of today.
    world.deploy(end=day(9), challengers=challengers, labels=labels, **rules, **told)
    text = (world.deployments / "late.yaml").read_text()
    for name in NAMES[1:]:
        (world.deployments / f"{name}.yaml").write_text(text.replace("name: late\n", f"name: {name}\n", 1))
    home = home_in(folder, postgres, world, {"AIRFLOW_CONN_HOOK": posts.connection()})
    airflow = LocalAirflow(home, users={"viewer": "viewer", "operator": "op"}, port=0)
    try:
        airflow.start()
        for name in NAMES:
            for dag in (f"shadow_{name}", f"shadow_{name}_promotion", f"shadow_{name}_rollback"):
                airflow.wait_for_dag(dag)
                airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": False})
        yield Live(airflow, world, posts)
    finally:
        airflow.stop()


def a_pass(live: Live, name: str) -> str:
    """Run a day that passes, of a trial that was there before the model was seen in another deployment."""
    shadow = live.shadow(name)
    steps.sample(shadow, day(0))
    with psycopg.connect(live.world.postgres.uri(live.world.ledger, SHADOW)) as session, unguarded(session, "trial"):
        session.execute("UPDATE shadow.trial SET opened_at = '2000-01-01'")
    assert run_day(shadow, day(0)) == []
    live.passes(name)
    return live.question(name)


def test_a_pass_of_the_daily_run_asks_and_only_who_may_can_answer(live: Live) -> None:
    body = {"dag_run_id": "first", "logical_date": None, "conf": {"day": str(day(0))}}
    live.airflow.call("POST", "/dags/shadow_late/dagRuns", json=body)
    assert live.ended("shadow_late", "first") == "success"
    [verdict] = [one for one in live.logged("judge") if one["event"] == "verdict" and one["challenger"] == "other"]
    assert (verdict["deployment"], verdict["day"], verdict["outcome"]) == ("late", str(day(0)), "PASS")
    assert {one["errors"] for one in live.logged("score") if one["event"] == "scored"} >= {0}
    run = live.question("late")
    asked = live.airflow.call("GET", live.details("late", run))
    case = registry.promotion_request(live.shadow("late"), "other")
    assert case.digest[:12] in asked["body"]
    assert asked["subject"] == "Promote other 1 to champion of late, in place of champion 7?"
    with pytest.raises(AirflowError, match=" 403"):
        live.answer("late", run, "Approve", user="viewer")
    for dag in ("shadow_late_promotion", "shadow_late_rollback"):
        with pytest.raises(AirflowError, match=" 403"):
            live.airflow.call("POST", f"/dags/{dag}/dagRuns", user="viewer", json={"logical_date": None})
    assert registry.history(live.shadow("late")) == []
    assert live.standing("late") == "asked"
    live.answer("late", run, "Approve", reason="forty good days")
    assert live.ended("shadow_late_promotion", run) == "success"
    [made] = registry.history(live.shadow("late"))
    assert (made.name, made.approved_by, made.reason, made.case_digest) == (
        "other",
        "operator",
        "forty good days",
        case.digest,
    )
    assert live.told("late") == [("asked", "late: promote other 1?"), ("promoted", "late: the champion is other 1")]
    assert live.standing("late") == "promoted"


def test_a_run_by_hand_as_the_form_sends_it_takes_the_next_day_and_is_not_empty(live: Live) -> None:
    body = {"dag_run_id": "by_hand", "logical_date": dt.datetime.now(dt.UTC).isoformat(), "conf": {"day": None}}
    live.airflow.call("POST", "/dags/shadow_late/dagRuns", json=body)
    assert live.ended("shadow_late", "by_hand") in ("success", "failed")
    assert live.states("shadow_late", "by_hand")["sample"] == "success"
    path = "/dags/shadow_late/dagRuns/by_hand/taskInstances/sample/xcomEntries/return_value"
    assert f"'day': '{day(1)}'" in str(live.airflow.call("GET", path)["value"])


def test_an_operator_puts_the_former_champion_back_with_a_form(live: Live) -> None:
    conf = {"reason": "complaints"}
    body = {"logical_date": None, "dag_run_id": "back", "conf": conf}
    live.airflow.call("POST", "/dags/shadow_late_rollback/dagRuns", user="operator", json=body)
    assert live.ended("shadow_late_rollback", "back") == "success"
    made = registry.history(live.shadow("late"))[-1]
    assert (made.kind, made.undoes, made.approved_by, made.reason) == ("rollback", 1, "operator", "complaints")
    assert live.told("late")[2:] == [
        ("not_served", "late: other 1 is champion and not served"),  # production's log goes on with version 7
        ("rolled_back", "late: rolled back, the champion is champion 7 again"),
    ]
    assert live.standing("late") == "rolled_back"


def test_a_rejection_changes_nothing_and_is_kept(live: Live) -> None:
    run = a_pass(live, "rejected")
    live.answer("rejected", run, "Reject", reason="wait for summer")
    assert live.ended("shadow_rejected_promotion", run) == "success"
    assert live.states("shadow_rejected_promotion", run)["promote"] == "skipped"
    assert registry.history(live.shadow("rejected")) == []
    assert live.world.query(
        "SELECT decision, decided_by, reason FROM shadow.approval_decision "
        "JOIN shadow.approval_request AS r ON r.id = approval_request_id WHERE run_id = %s",
        [run],
    ) == [("rejected", "operator", "wait for summer")]
    assert approval.proposal_of_day(live.shadow("rejected"), day(0)) is None
    assert live.standing("rejected") == "rejected"


def test_silence_times_out_and_changes_nothing(live: Live) -> None:
    run = a_pass(live, "silent")
    with psycopg.connect(live.airflow.home.postgres.uri(METADATA, OWNERS[METADATA])) as session:
        changed = session.execute(
            "UPDATE task_instance SET trigger_timeout = now() WHERE run_id = %s AND task_id = 'approve' "
            "AND dag_id = 'shadow_silent_promotion' AND trigger_timeout > now() + interval '19 hours'",
            [run],
        )
        assert changed.rowcount == 1, "the question must wait for most of a day, and not for ever"
    assert live.ended("shadow_silent_promotion", run) == "success"
    assert registry.history(live.shadow("silent")) == []
    assert live.world.query(
        "SELECT decision, decided_by FROM shadow.approval_decision "
        "JOIN shadow.approval_request AS r ON r.id = approval_request_id WHERE run_id = %s",
        [run],
    ) == [("silence", None)]


def test_evidence_that_changes_between_question_and_answer_stops_the_promotion(live: Live) -> None:
    run = a_pass(live, "changed")
    judge(live.shadow("changed"), 0, "PASS", "other")
    live.answer("changed", run, "Approve")
    assert live.ended("shadow_changed_promotion", run) == "failed"
    assert live.states("shadow_changed_promotion", run)["promote"] == "failed"
    assert registry.history(live.shadow("changed")) == []
    assert live.world.query(
        "SELECT decision FROM shadow.approval_decision "
        "JOIN shadow.approval_request AS r ON r.id = approval_request_id WHERE run_id = %s",
        [run],
    ) == [("changed",)]
    assert approval.proposal_of_day(live.shadow("changed"), day(0)) is not None


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_pages_inside_airflow_are_found_read_and_left_again(live: Live) -> None:
    """From the login to the navigation, a deployment, its worst slice, a gate's verdict, and to Airflow's own page."""
    from playwright.sync_api import sync_playwright

    assert httpx.get(f"{live.airflow.url}/shadow/deployments/late", timeout=120).status_code == 401
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(1000 * SECONDS)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/shadow/" in request.frame.url else None)
        page.goto(f"{live.airflow.url}/")
        page.fill('input[name="username"]', "viewer")
        page.fill('input[name="password"]', live.airflow.password_of("viewer"))
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "login" not in url)
        page.goto(f"{live.airflow.url}/plugin/shadow")
        frame = page.frame_locator("iframe")
        frame.get_by_role("link", name="late", exact=True).click()
        frame.get_by_role("heading", name="late", exact=True).wait_for()
        page.goto(f"{live.airflow.url}/dags/shadow_late/runs/first/tasks/gate/plugin/shadow-day")
        frame.get_by_role("heading", name=f"The run of {day(0)}").wait_for()
        assert frame.locator("section.verdict .sentence").inner_text().startswith("other 1")
        worst = frame.locator("#section-slices table tbody tr").nth(1).text_content()  # after all requests
        assert worst is not None
        assert worst.startswith(("origin=", "carrier="))
        assert frame.locator("svg[role=img]").count() >= 3
        frame.get_by_role("link", name="the daily runs").click()
        page.wait_for_url("**/dags/shadow_late")
        browser.close()
    assert asked
    assert [url for url in asked if not url.startswith((live.airflow.url, "data:"))] == []
