"""The wheel in somebody else's Airflow: laid out as Astronomer's template, and as the bucket of an MWAA environment.

Each project is looked at by a process of its own, which has nothing of ours on its path but the installed wheel.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.production import World, day

LOOK = Path(__file__).with_name("look.py")
KINDS = ("", "_promotion", "_replay", "_rollback")
DAGS = ["shadow_doctor", *(f"shadow_late{kind}" for kind in KINDS)]
PLUGIN = ["shadow-deployment==0.1.0: EntryPoint(name='shadow', value='shadow_deployment.orchestration.ui.plugin:"]
README = (PROJECT / "include" / "infrastructure" / "README.md").read_text(encoding="utf-8")
TWO_LINES, MISTAKES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
THEIRS = '''"""A DAG of the project's own."""
from airflow.sdk import DAG
from include.helpers import NAME

with DAG(NAME, schedule=None):
    pass
'''


def look(project: Path, python: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """Return what Airflow finds in a project; its home is the project, as in both images."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "SHADOW_"))}
    done = subprocess.run(
        [python, LOOK, project / "found.json", *arguments],
        cwd=project,
        env={
            **kept,
            "PYTHONPATH": str(project),
            "AIRFLOW_HOME": str(project),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads((project / "found.json").read_text())
    assert found["package"].startswith(str(python.parents[1]))
    assert [one[: len(PLUGIN[0])] for one in found["plugins"]] == PLUGIN
    assert found["plugin errors"] == {}
    return found


@pytest.fixture(scope="module")
def world(worlds: Callable[..., World]) -> World:
    found = worlds()
    found.deploy(challengers=[{"name": "other", "model": "logged:flights.prediction_log.other_probability"}])
    return found


@pytest.fixture(scope="module")
def astronomer(world: World, python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A project as `astro dev init` lays it out, with a DAG of its own, a deployment and a broken one; a day of it."""
    project = tmp_path_factory.mktemp("astronomer")
    for name, text in {
        "dags/.airflowignore": "",
        "dags/theirs.py": THEIRS,
        "dags/shadow.py": TWO_LINES,
        "dags/shadow_mistakes.py": MISTAKES,
        "dags/deployments/broken.yaml": "name: broken\nschedul: x\n",
        "include/__init__.py": "",
        "include/helpers.py": 'NAME = "theirs"\n',
        "plugins/theirs.py": "from include.helpers import NAME\n",
    }.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(world.deployments / "late.yaml", project / "dags" / "deployments")
    variables = {name: value for name, value in world.variables().items() if name.startswith("AIRFLOW_CONN")}
    return look(project, python, str(day(0)), **variables)


def test_two_lines_make_the_dags_beside_the_projects_own(astronomer: dict[str, Any]) -> None:
    assert astronomer["dags"] == [*DAGS, "theirs"]


def test_a_broken_deployment_stops_no_other_and_is_airflows_import_error(astronomer: dict[str, Any]) -> None:
    [(file, text)] = astronomer["import errors"].items()
    assert file == "shadow_mistakes.py"
    assert "deployment broken: schedul is unknown, did you mean schedule? (" in text
    assert "/dags/deployments/broken.yaml:2)" in text


def test_a_day_runs_in_a_foreign_project(astronomer: dict[str, Any], world: World) -> None:
    assert set(astronomer["states"].values()) == {"success"}
    assert world.query("SELECT outcome FROM shadow.verdict") == [("INCONCLUSIVE",)]


def test_what_make_package_writes_is_an_mwaa_environment(world: World, python: Path, tmp_path: Path) -> None:
    """As MWAA does it: dags/ and what is in plugins.zip are laid below AIRFLOW_HOME, startup.sh is sourced first."""
    copy = tmp_path / "checkout"
    for name in ("dags", "include", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy)(PROJECT / name, copy / name)
    shutil.copy(world.deployments / "late.yaml", copy / "include" / "deployments" / "flight_delay.yaml")
    command = [sys.executable, "include/infrastructure/package.py"]
    said = subprocess.run(
        command, cwd=copy, env={**os.environ, "ENV": "dev"}, check=True, capture_output=True, text=True
    )
    assert said.stdout.endswith("\naws s3 sync --delete .shadow/mwaa-dev s3://BUCKET/airflow\n")
    bucket, home = copy / ".shadow" / "mwaa-dev", tmp_path / "airflow"
    shutil.copytree(bucket / "dags", home / "dags")
    with zipfile.ZipFile(bucket / "plugins.zip") as archive:
        archive.extractall(home / "plugins")
    [wheel] = (home / "plugins").iterdir()
    constraint, find, requirement = (bucket / "requirements.txt").read_text().splitlines()
    assert constraint.endswith('/constraints-3.3.1/constraints-3.12.txt"')
    assert (find, wheel.name.split("-")[1]) == ("--find-links /usr/local/airflow/plugins", requirement.split("==")[1])
    startup = f". {bucket}/startup.sh; echo $SHADOW_PROJECT"
    root = subprocess.run(["sh", "-c", startup], check=True, capture_output=True, text=True).stdout.strip()
    found = look(home, python, SHADOW_PROJECT=root.replace("/usr/local/airflow", str(home)))
    assert (found["dags"], found["import errors"]) == (DAGS, {})
