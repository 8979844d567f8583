"""The promotion and rollback DAGs: what is parsed of them, and who may answer."""

import copy
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.production import World

pytestmark = pytest.mark.usefixtures("airflow_database")
DagBag = Callable[[], Any]


def test_every_deployment_has_a_promotion_and_a_rollback(dag_bag: DagBag, reading: World) -> None:
    reading.deploy()
    found = dag_bag()
    assert found.import_errors == {}
    promotion, rollback = found.dags["shadow_late_promotion"], found.dags["shadow_late_rollback"]
    assert [one.task_id for one in promotion.topological_sort()] == [
        "prepare_request",
        "approve",
        "promote",
        "record_answer",
    ]
    assert [one.task_id for one in rollback.tasks] == ["rollback"]
    assert [asset.uri for asset in promotion.timetable.asset_condition.objects] == ["shadow://late/case"]
    assert not rollback.timetable.can_be_scheduled


def test_an_approval_request_times_out_and_never_holds_up_a_day(dag_bag: DagBag, reading: World) -> None:
    reading.deploy(promotion={"response_hours": 23})
    approve = dag_bag().dags["shadow_late_promotion"].get_task("approve")
    assert approve.defaults == ["Reject"]
    assert approve.response_timeout == dt.timedelta(hours=23)
    assert approve.fail_on_reject is False


def test_only_the_named_approvers_may_answer(dag_bag: DagBag, reading: World) -> None:
    reading.deploy(promotion={"approvers": ["ada", "bob"]})
    approve = dag_bag().dags["shadow_late_promotion"].get_task("approve")
    assert approve.assigned_users == [{"id": "ada", "name": "ada"}, {"id": "bob", "name": "bob"}]


def test_approval_by_policy_requests_none(dag_bag: DagBag, reading: World) -> None:
    reading.deploy(promotion={"approval": "automatic"})
    assert [one.task_id for one in dag_bag().dags["shadow_late_promotion"].tasks] == ["prepare_request", "promote"]


def test_automatic_rollback_waits_for_the_former_champion(dag_bag: DagBag, reading: World) -> None:
    reading.deploy(promotion={"rollback": "automatic"})
    rollback = dag_bag().dags["shadow_late_rollback"]
    assert [asset.uri for asset in rollback.timetable.asset_condition.objects] == ["shadow://late/regression"]


def test_form_offers_the_challengers_that_may_be_promoted(dag_bag: DagBag, reading: World) -> None:
    reading.deploy()
    params = dag_bag().dags["shadow_late_promotion"].params
    assert params.get_param("challenger").schema["enum"] == ["the one that passes", "other"]
    assert params.dump() == {"challenger": "the one that passes", "reason": ""}


def test_a_rollback_is_refused_by_its_form_without_a_reason(dag_bag: DagBag, reading: World) -> None:
    reading.deploy()
    dag = dag_bag().dags["shadow_late_rollback"]
    for given in ({}, {"reason": ""}):
        with pytest.raises(Exception, match=r"(?i)param"):
            validated(dag, given)
    assert validated(dag, {"reason": "complaints"})["reason"] == "complaints"
    reading.deploy(promotion={"rollback": "automatic"})
    assert validated(dag_bag().dags["shadow_late_rollback"], {})["reason"] == "rolled back by hand"


def validated(dag: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return what a run's form becomes, as Airflow's API checks it."""
    params = copy.deepcopy(dag.params)
    params.update(given)
    return dict(params.validate())


def test_a_dag_page_says_how_a_champion_comes_and_goes(dag_bag: DagBag, reading: World) -> None:
    reading.deploy(promotion={"consecutive": 3, "approvers": ["ada"], "rollback": "automatic", "watch_days": 9})
    dags = dag_bag().dags
    assert "3 judged days of PASS in a row" in dags["shadow_late_promotion"].doc_md
    assert "`ada`, within 20 hours" in dags["shadow_late_promotion"].doc_md
    assert "judged against the new one for 9 days" in dags["shadow_late_promotion"].doc_md
    assert "by itself when it turns out better" in dags["shadow_late_rollback"].doc_md


def test_parsing_makes_no_new_dag_version() -> None:
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    result = check_dag_file_stability(
        str(PROJECT / "include" / "shadow_deployment" / "orchestration" / "dags" / "promotion.py")
    )
    assert not getattr(result, "warnings", None), result
