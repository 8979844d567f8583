"""Models that stay loaded from day to day: one process each, and every day as if it were the first."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shadow_deployment.config.window import window_of
from shadow_deployment.models.loading import load
from shadow_deployment.models.sandbox.kept import KeptProcesses
from tests.integration.models.beside import MISBEHAVING, misbehaving, scored, surrounded
from tests.integration.models.misbehaving import POISON
from tests.production import day

HOURS = [6.0, 12.0, 18.0]


@pytest.fixture
def kept() -> Iterator[KeptProcesses]:
    with KeptProcesses() as processes:
        yield processes


def of_day(kept: KeptProcesses, function: str, hours: list[float]) -> tuple[list[Any], list[Any], Any]:
    """Load a model for a day; return its values, its errors, and the process that it is in."""
    shadow, challenger = surrounded({"model": MISBEHAVING + function, "limits": {"seconds": 20.0}})
    shadow = replace(shadow, processes=kept)
    predictor: Any = load(shadow, challenger, window_of(shadow.deployment, day(0)))
    return *scored(predictor, hours), predictor._process


def test_a_model_is_loaded_once_for_all_days_and_its_process_ends_with_the_last() -> None:
    with KeptProcesses() as kept:
        days = [of_day(kept, "linear", HOURS) for _ in range(3)]
        assert len({id(process) for *_, process in days}) == 1
        assert days[0][2].is_alive
    assert not days[0][2].is_alive
    assert [(values, errors) for values, errors, _ in days] == [scored(misbehaving("linear"), HOURS)] * 3


def test_a_process_that_ended_between_two_days_is_replaced_and_so_is_that_of_another_program(
    kept: KeptProcesses,
) -> None:
    values, _, first = of_day(kept, "good", HOURS)
    os.kill(first._process.pid, signal.SIGKILL)
    first._process.wait()
    again, errors, second = of_day(kept, "good", HOURS)
    assert (again, errors) == (values, [None] * 3)
    other, _, third = of_day(kept, "linear", HOURS)
    assert other != values
    assert not second.is_alive
    assert third.is_alive


def test_a_model_that_keeps_state_is_found_and_gets_a_process_for_each_day(
    kept: KeptProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    of_day(kept, "remember", HOURS)
    assert not caplog.records
    days = [of_day(kept, "remember", HOURS) for _ in range(3)]
    assert [values for values, *_ in days] == [scored(misbehaving("remember"), HOURS)[0]] * 3
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "challenger one does not repeat its predictions of the same requests"
    ]


def test_an_error_shows_nothing_that_a_model_printed_on_another_day(kept: KeptProcesses) -> None:
    of_day(kept, "speak_and_leave", HOURS)
    [value], [error], _ = of_day(kept, "speak_and_leave", [POISON])
    assert value is None
    assert error.endswith("ended itself with exit code 3; it had printed: the last words")
