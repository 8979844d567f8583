"""The wheel: the engine and nothing else, with everything that it reads, and a public API that is light."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import shadow_deployment
from tests.conftest import PROJECT

SOURCE = PROJECT / "include"


def test_the_wheel_holds_every_file_of_the_engine_and_nothing_else(wheel: Path) -> None:
    engine = SOURCE / "shadow_deployment"
    files = {path.relative_to(SOURCE).as_posix() for path in engine.rglob("*") if path.is_file()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {name for name in files if "__pycache__" not in name}


def test_the_wheel_registers_the_command_and_the_plugin(wheel: Path) -> None:
    [text] = [
        zipfile.ZipFile(wheel).read(name).decode()
        for name in zipfile.ZipFile(wheel).namelist()
        if name.endswith("entry_points.txt")
    ]
    assert "shadow = shadow_deployment.cli.main:main" in text
    assert "[airflow.plugins]\nshadow = shadow_deployment.orchestration.ui.plugin:ShadowPlugin" in text


def test_importing_the_package_imports_nothing_below_it() -> None:
    program = "import sys, shadow_deployment; print([name for name in sys.modules if 'shadow_deployment.' in name])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", shadow_deployment.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(shadow_deployment, name).__doc__
    assert name in dir(shadow_deployment)


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        AttributeError, match="no attribute 'judgement', must be one of Deployment, confidence_sequence"
    ):
        _ = shadow_deployment.judgement


def test_the_version_is_that_of_the_changelog() -> None:
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'version = "0.1.0"' in text
    assert "## 0.1.0" in Path(PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
