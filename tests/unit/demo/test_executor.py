"""The executor of the containers follows the Redis of profile celery."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shadow_demo import executor
from shadow_demo.executor import CELERY, LOCAL
from tests.live.redis_server import NEEDED, PASSWORD, free_port, redis

pytestmark = NEEDED


@pytest.fixture
def chosen(tmp_path: Path) -> Path:
    return tmp_path / "executor"


@pytest.fixture
def nobody() -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"


def test_redis_chooses_celery_and_its_absence_the_local_executor(tmp_path: Path, chosen: Path, nobody: str) -> None:
    assert executor.choose(nobody, chosen) == LOCAL
    assert executor.check(nobody, chosen) is None
    with redis(tmp_path) as address:
        assert executor.choose(address, chosen) == CELERY
        assert executor.check(address, chosen) is None


def test_a_redis_that_is_not_the_projects_own_counts_for_nothing(tmp_path: Path, chosen: Path) -> None:
    with redis(tmp_path) as address:
        for other in (address.replace(PASSWORD, "other"), address.replace(f":{PASSWORD}@", "")):
            assert executor.choose(other, chosen) == LOCAL
            assert executor.check(other, chosen) is None


def test_an_address_without_a_host_is_no_error(chosen: Path) -> None:
    began = time.monotonic()
    assert executor.choose(f"redis://:{PASSWORD}@redis.invalid:6379/0", chosen) == LOCAL
    assert time.monotonic() - began < 5


def test_redis_that_comes_later_ends_the_local_executor_once(tmp_path: Path, chosen: Path, nobody: str) -> None:
    ended: list[tuple[int, int]] = []
    assert executor.choose(nobody, chosen) == LOCAL
    with redis(tmp_path) as address:
        said = executor.check(address, chosen, lambda *call: ended.append(call))
        assert said == "LocalExecutor, and Redis is there: starting again with CeleryExecutor"
        assert ended == [(1, signal.SIGTERM)]
        assert executor.choose(address, chosen) == CELERY
        assert executor.check(address, chosen, lambda *call: ended.append(call)) is None
    assert len(ended) == 1


def test_celery_without_redis_is_unhealthy_and_is_not_ended(chosen: Path, nobody: str) -> None:
    chosen.touch()
    ended: list[tuple[int, int]] = []
    said = executor.check(nobody, chosen, lambda *call: ended.append(call))
    assert said == "CeleryExecutor, and Redis does not answer"
    assert not ended
    assert chosen.exists()


def test_started_again_it_waits_for_the_redis_it_had(tmp_path: Path, chosen: Path) -> None:
    chosen.touch()
    port = free_port()
    found: list[str] = []
    address = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    waiting = threading.Thread(target=lambda: found.append(executor.choose(address, chosen, patience=30)))
    waiting.start()
    time.sleep(0.7)
    assert not found
    with redis(tmp_path, port):
        waiting.join(timeout=20)
    assert found == [CELERY]


def test_a_redis_that_stays_away_is_a_profile_that_is_gone(chosen: Path, nobody: str) -> None:
    chosen.touch()
    assert executor.choose(nobody, chosen, patience=0.6) == LOCAL
    assert not chosen.exists()
    assert executor.check(nobody, chosen) is None


def test_the_commands_of_the_compose_file(tmp_path: Path) -> None:
    source = Path(executor.__file__).read_text().replace('Path("/tmp/executor")', f"Path({str(tmp_path / 'e')!r})")
    (tmp_path / "module.py").write_text(source)
    with redis(tmp_path) as address:

        def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [sys.executable, str(tmp_path / "module.py"), *arguments],
                env=os.environ | {"AIRFLOW__CELERY__BROKER_URL": address},
                capture_output=True,
                text=True,
                check=False,
            )

        assert run("choose").stdout == "CeleryExecutor\n"
        assert (run("check").returncode, run("check").stderr) == (0, "")
        assert run("other").returncode == 1
        assert PASSWORD not in run("other").stderr
    gone = run("check")
    assert (gone.returncode, gone.stderr) == (1, "CeleryExecutor, and Redis does not answer\n")
