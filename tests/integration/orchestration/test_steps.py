"""A step of the engine as a task: a permanent error fails at once, on every Airflow, and stays the error it is."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from shadow_deployment.errors import ModelError, TransientError
from shadow_deployment.orchestration.dags.step import step
from tests.production import World, day


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


def test_every_task_of_every_dag_is_a_step_but_airflows_own_approval(
    dag_bag: Callable[[], Any], reading: World
) -> None:
    reading.deploy()
    tasks = [task for dag in dag_bag().dags.values() for task in dag.tasks]
    others = {task.task_id for task in tasks if not hasattr(getattr(task, "python_callable", None), "__wrapped__")}
    assert others == {"approve"}
    assert {task.retry_delay for task in tasks} == {dt.timedelta(minutes=1)}
