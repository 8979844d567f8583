"""A step of the engine as a task: a permanent error fails at once, on every Airflow, and stays the error it is."""

import datetime as dt
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shadow_deployment.errors import ModelError, TransientError
from shadow_deployment.orchestration import engine
from shadow_deployment.orchestration.dags.step import step
from shadow_deployment.orchestration.tasks import daily as tasks
from tests.production import World, day
from tests.unit.report import examples


def raising(error: Exception) -> Callable[[], None]:
    def task() -> None:
        raise error

    return task


@pytest.mark.parametrize("error", [TransientError("the connection is lost"), KeyError("a bug")])
def test_what_may_succeed_later_is_left_to_airflows_retries(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        step(raising(error)).function()
    assert caught.value is error


def test_a_permanent_error_is_raised_as_one_that_airflow_does_not_retry() -> None:
    error = ModelError("challenger gone: there is no file; put it there")
    with pytest.raises(AirflowFailException, match=r"there is no file; put it there$") as caught:
        step(raising(error)).function()
    assert caught.value.__cause__ is error


def test_a_permanent_error_fails_its_task_at_the_first_of_its_tries(
    dag_bag: Callable[[], Any], reading: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy()
    dag = dag_bag().dags["shadow_late"]
    monkeypatch.delenv("AIRFLOW_CONN_PRODUCTION_DB")
    result = dag.test(run_conf={"day": str(day(0))}, mark_success_pattern="(?!sample$).*")
    [sample] = [one for one in result.get_task_instances() if one.task_id == "sample"]
    assert (sample.state, sample.try_number, sample.max_tries) == ("failed", 1, 3)


def test_without_the_extra_report_the_page_is_skipped_and_its_extra_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("shadow_deployment.report.charts.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    store = SimpleNamespace(sweep=lambda folder: None)
    context = SimpleNamespace(deployment=SimpleNamespace(name="late"), store=store)
    monkeypatch.setattr(tasks, "get_current_context", dict)
    monkeypatch.setattr(engine.run_context, "day_of_run", lambda run, name: day(0))
    monkeypatch.setattr(engine.run_context, "context_of", lambda name, day: context)
    monkeypatch.setattr(engine.publishing.pages, "deployment_page", lambda *of: examples.a_small_page())
    said = r'the page needs the package altair, which is not installed: pip install "shadow-deployment\[report\]"'
    with pytest.raises(AirflowSkipException, match=said):
        step(tasks.publish_report).function("late", ["one"])


def test_every_task_of_every_dag_is_a_step_but_airflows_own_approval(
    dag_bag: Callable[[], Any], reading: World
) -> None:
    reading.deploy()
    tasks = [task for dag in dag_bag().dags.values() for task in dag.tasks]
    others = {task.task_id for task in tasks if not hasattr(getattr(task, "python_callable", None), "__wrapped__")}
    assert others == {"approve"}
    assert {task.retry_delay for task in tasks} == {dt.timedelta(minutes=1)}
