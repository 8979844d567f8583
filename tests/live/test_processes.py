"""Whether a process is one of ours: not while it becomes another program, not once it has ended or is another's."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shadow_demo import airflow


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("name", ["python -m airflow scheduler", "[celeryd: worker-1]"])
def test_a_process_that_is_becoming_ours_is_ours(
    name: str, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = iter(["", "", name])
    monkeypatch.setattr(airflow, "command_line", lambda pid: next(shown))
    assert airflow._is_ours(sleeper.pid)


def test_another_program_is_not_ours(sleeper: subprocess.Popen[bytes]) -> None:
    assert not airflow._is_ours(sleeper.pid)


def test_a_process_that_has_ended_is_not_ours_whether_it_was_waited_for_or_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not airflow._is_ours(process.pid)
    process.wait()
    assert not airflow._is_ours(process.pid)
