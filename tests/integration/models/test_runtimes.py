"""Interpreters of a model's own: which one it is, how it is made once, and what is said where it cannot be."""

import json
import os
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.errors import DeploymentError, ModelError
from shadow_deployment.models.sandbox import runtimes
from tests.integration.models.beside import MISBEHAVING, batch, loaded, surrounded

SAYS = "echo see https://u:pw@h/; exit 1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runtimes are made in this test; what is added to them beside the requirements is nothing."""
    monkeypatch.setenv("SHADOW_RUNTIMES", str(tmp_path / "runtimes"))
    monkeypatch.setattr(runtimes, "ADDED", ())
    return tmp_path / "runtimes"


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A requirement that needs no network: a package of one module, with its digest."""
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny.py", "ANSWER = 42\n")
        file.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        names = ("tiny.py", *(f"tiny-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")))
        file.writestr("tiny-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    return f"tiny @ {path.as_uri()}#sha256={sha256(path.read_bytes()).hexdigest()}"


def challenger(**runtime: Any) -> Challenger:
    return Challenger.model_validate({"name": "one", "model": f"{MISBEHAVING}good", "runtime": runtime})


def said_by(python: str, program: str = "import tiny; print(tiny.ANSWER)") -> str:
    return subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_an_environment_is_made_once_and_made_anew_where_it_was_left_half_way(
    folder: Path, wheel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = runtimes.interpreter(challenger(requirements=[wheel]))
    assert said_by(python) == "42"
    assert Path(python).parents[2] == folder
    complete = Path(python).parents[1] / "complete.json"
    assert json.loads(complete.read_text())["requirements"] == [wheel]
    with monkeypatch.context() as patch:
        patch.setattr(runtimes.subprocess, "run", lambda *_, **__: pytest.fail("it is there"))
        assert runtimes.interpreter(challenger(requirements=[wheel])) == python
    complete.unlink()  # as after a kill before the last step
    (Path(python).parents[1] / "leftover").touch()
    assert runtimes.interpreter(challenger(requirements=[wheel])) == python
    assert not (Path(python).parents[1] / "leftover").exists()
    assert said_by(python) == "42"


def test_without_uv_it_is_made_by_pip(folder: Path, wheel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_uv", lambda: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert said_by(runtimes.interpreter(challenger(requirements=[wheel]))) == "42"


def test_two_at_once_make_it_once(folder: Path, wheel: str) -> None:
    program = (
        "import sys; from shadow_deployment.models.sandbox import runtimes; runtimes.ADDED = ()\n"
        "from shadow_deployment.config.deployment import Challenger\n"
        "real = runtimes._build\n"
        "def make(*arguments):\n    print('made', file=sys.stderr)\n    real(*arguments)\n"
        "runtimes._build = make\n"
        "runtime = {'requirements': sys.argv[1:]}\n"
        "one = Challenger.model_validate({'name': 'a', 'model': 'python:a:b', 'runtime': runtime})\n"
        "print(runtimes.interpreter(one))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, wheel], stdout=-1, stderr=-1, text=True) for _ in range(2)]
    outputs = [one.communicate() for one in both]
    assert len({out for out, _ in outputs}) == 1
    assert sorted(err for _, err in outputs) == ["", "made\n"]


def test_what_cannot_be_installed_is_reported_in_the_installers_words_and_leaves_nothing(
    folder: Path, wheel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = f"{wheel.partition('#')[0]}#sha256={'0' * 64}"
    for _ in range(2):
        with pytest.raises(ModelError, match=r"one: its runtime.requirements cannot be installed: .*(?s:.)*mismatch"):
            runtimes.interpreter(challenger(requirements=[wrong]))
    monkeypatch.setattr(runtimes, "_uv", lambda: "/bin/sh")
    monkeypatch.setattr(
        runtimes,
        "_run",
        lambda model, command, run=runtimes._run: run(model, ["sh", "-c", SAYS]),
    )
    with pytest.raises(ModelError, match=r"see https://\.\.\.@h/"):
        runtimes.interpreter(challenger(requirements=["tiny==2.0"]))


def test_an_installer_sees_no_connection(folder: Path, wheel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION_DB", "postgresql://somebody:secret@127.0.0.1/production")
    seen: list[dict[str, str]] = []
    real = subprocess.run

    def run(command: Any, **keywords: Any) -> Any:
        seen.append(keywords["env"])
        return real(command, **keywords)

    monkeypatch.setattr(runtimes.subprocess, "run", run)
    runtimes.interpreter(challenger(requirements=[wheel]))
    assert seen
    assert not [name for one in seen for name in one if name.startswith(("AIRFLOW", "SHADOW"))]


@pytest.mark.parametrize(
    "requirement",
    ["mlflow", "mlflow>=3", "mlflow==3.*", "-r requirements.txt", "--index-url=http://127.0.0.1", "git+https://host/a",
     "a @ https://host/a.whl", "https://host/a.whl#sha256=" + "0" * 64, "a @ https://u:p@host/a.whl#sha256=" + "0" * 64,
     "mlflow==3.1, !=3.1"],
)  # fmt: skip
def test_a_requirement_must_say_which_one_it_is(requirement: str) -> None:
    with pytest.raises(DeploymentError, match=r"requirements\[0\] == .*must be NAME==VERSION, or NAME @ ADDRESS"):
        surrounded({"model": f"{MISBEHAVING}good", "runtime": {"requirements": [requirement]}})


@pytest.mark.parametrize(
    "requirement", ["mlflow==3.1.0", "Some_pkg[a,b]==1.0rc1+cpu", 'a == 1 ; python_version < "4"',
                    "a @ file:///wheels/a.whl#sha256=" + "0" * 64]
)  # fmt: skip
def test_a_pinned_requirement_is_taken(requirement: str) -> None:
    _, model = surrounded({"model": f"{MISBEHAVING}good", "runtime": {"requirements": [requirement]}})
    assert model.runtime is not None
    assert model.runtime.requirements == [requirement]


def test_the_order_of_requirements_makes_no_other_environment(folder: Path) -> None:
    assert runtimes._key(["a==1", "b==2"]) == runtimes._key(["b==2", "a==1"]) != runtimes._key(["a==1", "b==3"])


def test_an_interpreter_of_its_own_runs_the_model(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    program = tmp_path / "interpreter"
    program.write_text(f'#!/bin/sh\ntouch "{tmp_path}/used"\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    answers = loaded({"model": f"{MISBEHAVING}good", "runtime": {"python": str(program)}}).predict(batch([12.0]))
    assert answers.values.tolist() == [0.5]
    assert (tmp_path / "used").exists()


def test_an_interpreter_that_is_missing_or_lacks_what_is_needed_is_reported(folder: Path, wheel: str) -> None:
    with pytest.raises(ModelError, match=r"runtime.python == '/nowhere/python', but /nowhere/python is not a program"):
        loaded({"model": f"{MISBEHAVING}good", "runtime": {"python": "/nowhere/python"}})
    assert os.access(__file__, os.X_OK) is False
    with pytest.raises(ModelError, match="is not a program"):
        loaded({"model": f"{MISBEHAVING}good", "runtime": {"python": __file__}})
    bare = runtimes.interpreter(challenger(requirements=[wheel]))
    with pytest.raises(ModelError, match=f"one needs the package pyarrow: install it into {bare}"):
        loaded({"model": f"{MISBEHAVING}good", "runtime": {"python": bare}})
    with pytest.raises(ModelError, match=r"one needs the package pyarrow: add it to runtime\.requirements"):
        loaded({"model": f"{MISBEHAVING}good", "runtime": {"requirements": [wheel]}})
