"""A model in a process of its own: whatever it does there, its rows pay for and nobody else."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shadow_deployment.errors import ModelError
from shadow_deployment.models.sandbox import predictor as contained
from shadow_deployment.models.sandbox import process as child
from shadow_deployment.pipeline.challengers.scoring import LONGEST_ERROR
from tests.integration.models import misbehaving as functions
from tests.integration.models.beside import batch, loaded, misbehaving, project, scored

HOURS = [1.0, 2.0, 3.0]
POISON = functions.POISON
PIPES = Path("/proc/self/fd")


@pytest.fixture(scope="module", autouse=True)
def collected_once() -> Iterator[None]:
    """Set aside what is there before these tests: it is no part of them, and each would look through it twice."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[int]]]:
    """Say which processes live in the sessions of this test's children; none may after it, and no pipe may be open."""
    gc.collect()
    sessions, pipes = set(), len(list(PIPES.iterdir()))

    class Remembered(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            sessions.add(self.pid)

    def alive() -> list[int]:
        return [one.pid for one in psutil.process_iter() if is_alive(one) and session_of(one.pid) in sessions]

    monkeypatch.setattr(child.subprocess, "Popen", Remembered)
    yield alive
    gc.collect()
    wait_until(lambda: not alive())
    assert len(list(PIPES.iterdir())) <= pipes


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def wait_until(wanted: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "hang": ({"seconds": 0.2}, "did not reply within 0.2 seconds (limits.seconds) and was killed"),
    "crash": ({}, "was ended by SIGSEGV"),
    "leave": ({}, "ended itself with exit code 7; it had printed: leaving now"),
    "take_memory": ({"memory_mb": 250}, "MiB, more than the 250 it is allowed (limits.memory_mb), and was killed"),
    "take_memory_in_a_fork": ({"memory_mb": 250}, "more than the 250 it is allowed (limits.memory_mb), and was killed"),
    "fork_and_leave": ({}, "ended itself with exit code 1"),
    "start_and_leave": ({}, "ended itself with exit code 1"),
    "close_everything": ({}, "closed its pipe and was killed"),
    "write_into_pipes": ({}, "sent "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_that_ends_its_process_is_an_error_that_says_how(fault: str) -> None:
    limits, reason = FAULTS[fault]
    [value], [error] = scored(misbehaving(fault, **limits), HOURS[:1])
    assert value is None
    assert str(error).startswith("ModelDiedError: the model's process ")
    assert reason in str(error)


@pytest.mark.parametrize("fault", ["hang", "leave"])
def test_a_model_that_answers_nothing_is_not_called_for_ever(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started = counted(monkeypatch)
    predictor = misbehaving(fault, **FAULTS[fault][0])
    values, errors = scored(predictor, [1.0] * 100)
    assert values == [None] * 100
    assert len(set(errors)) == 1
    assert FAULTS[fault][1] in str(errors[0])
    assert str(errors[0]).endswith("; no more calls are made: it fails on each single request too")
    assert len(started) == 4  # for all, the first, the middle and the last request
    assert scored(predictor, HOURS)[1] == [errors[0]] * 3
    assert len(started) == 4


def test_one_number_for_any_batch_is_no_prediction_of_any_row() -> None:
    predictor = loaded({"model": "python:tests.integration.corpus.answers:one_for_all"})
    values, errors = scored(predictor, [1.0] * 50)
    assert values == [None] * 50
    assert set(errors) == {"ModelCallError: the model returned predictions of shape () for 50 requests, must be (50,)"}


def test_columns_that_are_no_features_are_named() -> None:
    _, errors = scored(loaded({"model": "python:tests.integration.corpus.answers:asks_for_wind_and_rain"}), HOURS)
    needed = "the model needs the columns wind, rain, which requests.features (dep_hour, distance) does not list"
    assert set(errors) == {f"ModelCallError: KeyError: {needed}"}


def test_what_is_no_answer_is_an_error_of_its_row_and_the_process_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    started = counted(monkeypatch)
    predictor = misbehaving("choose")
    expected = {
        "good": None,
        "too_few": "ModelCallError: the model returned predictions of shape (0,) for 1 requests, must be (1,)",
        "shape": "ModelCallError: the model returned predictions of shape (1, 3) for 1 requests, must be (1,)",
        "text": "ModelCallError: the model returned text, must be numbers",
        "text_of_objects": "ModelCallError: the model returned text, must be numbers",
        "nan": "the model predicted nan",
        "refuse": "ModelCallError: RuntimeError: not today",
        "exit_politely": "ModelCallError: SystemExit: 3",
        "hang_in_text": "ModelCallError: UnreadableError: its text cannot be read",
        "chatter": None,
        "fork": None,
        "predict": None,
    }
    found = {}
    for number, function in enumerate(functions.CHOICES):
        [value], [error] = scored(predictor, [float(number)])
        found[function.__name__] = error
        assert value == (pytest.approx(number / 24) if error is None else None)
    assert found == expected
    assert len(started) == 1


@pytest.mark.parametrize(
    ("fault", "limits", "reason"),
    [
        ("poisoned", {}, "ModelDiedError: the model's process was ended by SIGSEGV"),
        ("poisoned_slowly", {"seconds": 1.5}, "ModelDiedError: the model's process did not reply within 1.5 seconds"),
        ("poisoned_politely", {}, "ModelCallError: ValueError: thirteen"),
        ("missing_some", {}, "the model predicted nan"),
    ],
)
def test_one_request_that_a_model_cannot_bear_is_the_only_error(
    fault: str, limits: dict[str, Any], reason: str
) -> None:
    predictor = misbehaving(fault, **limits)
    assert scored(predictor, HOURS)[1] == [None] * 3
    values, errors = scored(predictor, [1.0, POISON])
    assert (values, errors[0]) == ([pytest.approx(1 / 24), None], None)
    assert str(errors[1]).startswith(reason)


def test_a_request_that_ends_the_first_call_is_found_too() -> None:
    values, errors = scored(misbehaving("poisoned"), [POISON, 1.0, 2.0, 3.0])
    assert values == [None, *(pytest.approx(hour / 24) for hour in HOURS)]
    assert [error is None for error in errors] == [False, True, True, True]


def test_a_slow_leak_costs_no_row_and_the_process_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    started = counted(monkeypatch)
    predictor = misbehaving("leak_slowly", memory_mb=300)
    for _ in range(6):
        answers = predictor.predict(batch(HOURS))
        assert answers.values.tolist() == pytest.approx([hour / 24 for hour in HOURS])
        assert not answers.errors
        time.sleep(0.3)
    assert 2 <= len(started) <= 4


def test_calls_have_so_many_rows_as_the_limit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    values, errors = scored(misbehaving("rows_of_the_call", rows=2), [1.0] * 5)
    assert (values, errors) == ([2.0, 2.0, 2.0, 2.0, 1.0], [None] * 5)
    values, errors = scored(misbehaving("missing_some", rows=2), [1.0, POISON, 2.0, 3.0, POISON])
    assert [row for row, error in enumerate(errors) if error] == [1, 4]


@pytest.mark.parametrize(
    ("budget", "value", "message"),
    [
        ("MOST_DEATHS", 3, "no more calls are made: its process has ended 4 times"),
        ("SPARE_SECONDS", -20.0, "no more calls are made: calls without a result have taken 0 seconds"),
    ],
)
def test_a_model_that_costs_too_much_is_given_up(
    budget: str, value: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contained, budget, value)
    monkeypatch.setattr(contained, "MOST_TIMEOUTS", 1)
    predictor = misbehaving("poisoned")
    assert scored(predictor, HOURS)[1] == [None] * 3
    values, errors = scored(predictor, [POISON] * 8)
    assert values == [None] * 8
    assert message in str(errors[0])
    assert scored(predictor, HOURS)[1] == [errors[0]] * 3


def test_a_process_that_cannot_be_started_again_costs_rows_and_not_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = misbehaving("leave_at_the_second")
    assert scored(predictor, HOURS)[1] == [None] * 3
    monkeypatch.setattr(contained, "LOAD_SECONDS", 0.001)
    values, errors = scored(predictor, HOURS)
    assert values == [None] * 3
    assert all("could not be restarted: challenger one: the model cannot be loaded" in str(one) for one in errors)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("tests.integration.models.unloadable:raises", "RuntimeError: this module cannot be imported"),
        (
            "tests.integration.models.misbehaving:nothing",
            "AttributeError: module 'tests.integration.models.misbehaving' has no attribute",
        ),
        (
            "tests.integration.models.misbehaving:NUMBER",
            "NUMBER of tests.integration.models.misbehaving is not a function that takes a DataFrame",
        ),
        (
            "tests.integration.models.misbehaving:Model",
            "Model of tests.integration.models.misbehaving is not a function that takes a DataFrame",
        ),
        ("tests.integration.models.unloadable_too:exits", "SystemExit: 4; it had printed: goodbye"),
        ("tests.integration.models.unloadable_three:dies", "the model's process ended itself with exit code 6"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(model: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        loaded({"model": f"python:{model}"})
    assert str(caught.value).startswith("challenger one: the model cannot be loaded: ")
    assert message in str(caught.value)


def test_a_load_has_limits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"cannot be loaded: the model's process held \d+ MiB, more than the 64"):
        misbehaving("good", memory_mb=64)
    monkeypatch.setattr(contained, "LOAD_SECONDS", 0.3)
    with pytest.raises(ModelError, match=r"within 0\.3 seconds and was killed"):
        loaded({"model": "python:tests.integration.models.unloadable_four:hangs"})


def test_nothing_secret_and_nothing_of_airflow_is_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION_DB", "postgresql://somebody:secret@127.0.0.1/production")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    assert scored(misbehaving("surroundings"), HOURS) == ([0.0] * 3, [None] * 3)


def test_errors_are_bounded_and_hold_no_feature_that_we_print(monkeypatch: pytest.MonkeyPatch) -> None:
    _, errors = scored(misbehaving("leave_loudly"), [POISON, POISON])
    assert all(error is not None and len(error) <= LONGEST_ERROR for error in errors)
    assert all("the last words" in str(error) and str(POISON) not in str(error) for error in errors)


def test_a_process_ends_with_its_predictor(running: Callable[[], list[int]]) -> None:
    predictor = misbehaving("good")
    assert scored(predictor, HOURS)[1] == [None] * 3
    assert len(running()) == 1
    del predictor
    gc.collect()
    assert running() == []


@pytest.mark.parametrize(("how", "function"), [(signal.SIGKILL, "fork_and_hang"), (signal.SIGTERM, "hang")])
def test_no_orphan_is_left_by_a_parent_that_is_killed(how: signal.Signals, function: str) -> None:
    program = (
        "from tests.integration.models.beside import batch, misbehaving\n"
        f"predictor = misbehaving({function!r}, seconds=100)\n"
        "print('loaded', flush=True)\n"
        "predictor.predict(batch([1.0, 2.0]))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=project(), text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "loaded\n"
    wait_until(lambda: len(psutil.Process(parent.pid).children(True)) >= (2 if function == "fork_and_hang" else 1))
    started = psutil.Process(parent.pid).children(True)
    parent.send_signal(how)
    parent.communicate()
    wait_until(lambda: not [one for one in started if one.is_running() and is_alive(one)])


def test_an_interrupted_call_ends_the_process(running: Callable[[], list[int]]) -> None:
    """As Airflow interrupts a task that takes longer than it may."""
    predictor = misbehaving("hang", seconds=100)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            predictor.predict(batch(HOURS))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert running() == []


def test_a_fork_of_this_process_leaves_the_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    started = counted(monkeypatch)
    predictor = misbehaving("good")
    pid = os.fork()
    if pid == 0:
        del predictor
        gc.collect()
        os._exit(0)
    os.waitpid(pid, 0)
    assert scored(predictor, HOURS)[1] == [None] * 3
    assert len(started) == 1


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    started: list[Any] = []
    real = contained.SandboxProcess

    def start(*arguments: Any, **keywords: Any) -> Any:
        started.append(arguments)
        return real(*arguments, **keywords)

    monkeypatch.setattr(contained, "SandboxProcess", start)
    return started
