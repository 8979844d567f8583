"""A finished demo whose folder was copied: nothing of it leads back to where it was."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_demo.airflow import LocalAirflow
from shadow_demo.home import OWNERS, READER, WRITER, Home

CONFIGURED = """
import json
from airflow.configuration import conf
values = [value for section in conf.as_dict(raw=True).values() for value in section.values()]
print(json.dumps({"configuration": values, "logs": conf.get("logging", "base_log_folder")}))
"""


@pytest.fixture
def original(tmp_path: Path) -> Home:
    home = Home(tmp_path / "original" / ".shadow")
    home.postgres.folder.mkdir(parents=True)
    passwords = dict.fromkeys((*OWNERS.values(), READER, WRITER), "secret")
    (home.postgres.folder / "state.json").write_text(json.dumps({"port": 1, "passwords": passwords}))
    return home


def configured(home: Home) -> dict[str, str]:
    """Start a program as Airflow's processes are; return all of its configuration."""
    settings = LocalAirflow(home).configure(8080)
    command = [sys.executable, "-c", CONFIGURED]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def copied(home: Home) -> Home:
    folder = home.folder.parent.with_name("copy") / ".shadow"
    shutil.copytree(home.folder, folder)
    return Home(folder)


def test_airflow_in_a_copy_reads_and_writes_in_the_copy_alone(original: Home) -> None:
    configured(original)
    copy = copied(original)
    assert all(str(original.folder) not in path.read_text() for path in copy.airflow.iterdir() if path.is_file())
    found = configured(copy)
    assert found["logs"] == str(copy.airflow / "logs")
    assert [value for value in found["configuration"] if str(original.folder) in str(value)] == []


def test_what_an_older_demo_has_configured_is_replaced(original: Home) -> None:
    original.airflow.mkdir()
    (original.airflow / "airflow.cfg").write_text("[logging]\nbase_log_folder = /elsewhere/.shadow/airflow/logs\n")
    assert configured(original)["logs"] == str(original.airflow / "logs")


@pytest.fixture
def running(original: Home) -> Iterator["subprocess.Popen[bytes]"]:
    """Airflow of the original, as far as its process is known by it."""
    program = [sys.executable, "-c", "import time; time.sleep(600)", "airflow"]
    process = subprocess.Popen(program, start_new_session=True)
    original.airflow.mkdir(exist_ok=True)
    remembered = {"folder": str(original.airflow), "port": 8080, "processes": {"scheduler": process.pid}}
    (original.airflow / "processes.json").write_text(json.dumps(remembered))
    yield process
    process.kill()
    process.wait()


def test_a_copy_does_not_end_the_processes_of_the_original(original: Home, running: "subprocess.Popen[bytes]") -> None:
    assert LocalAirflow(copied(original)).stop() is False
    assert running.poll() is None
    assert LocalAirflow(original).stop() is True
