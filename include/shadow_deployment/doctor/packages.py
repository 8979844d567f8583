"""The interpreter: is what is installed what pyproject.toml asks for, and nothing older."""

import importlib.metadata
import platform
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shadow_deployment.base.extras import install_command
from shadow_deployment.base.paths import PROJECT
from shadow_deployment.doctor.checks import Probe, SkippedError
from shadow_deployment.errors import PermanentError

_FILE = PROJECT / "pyproject.toml"


class InstallationError(PermanentError):
    """Python or a package is another than the one that is asked for."""


def probes(file: Path = _FILE) -> Iterator[Probe]:
    """Yield what to look at in this interpreter."""
    yield Probe("Python", lambda: _python(_project(file)), "take a Python that pyproject.toml's requires-python allows")
    yield Probe("packages", lambda: _packages(_project(file)), "pip install --requirement requirements.txt")
    yield Probe("MCP server", _mcp, install_command("mcp"))


def _mcp() -> str:
    try:
        return f"shadow mcp can serve, with mcp {importlib.metadata.version('mcp')}"
    except importlib.metadata.PackageNotFoundError:
        raise SkippedError(f"only shadow mcp needs it: {install_command('mcp')}") from None


def _project(file: Path) -> dict[str, Any]:
    try:
        project: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    except FileNotFoundError:
        raise SkippedError(f"{file} is not here to say what is needed") from None
    return project


def _python(project: dict[str, Any]) -> str:
    from packaging.specifiers import SpecifierSet

    installed, wanted = platform.python_version(), project["requires-python"]
    if not SpecifierSet(wanted).contains(installed, prereleases=True):
        raise InstallationError(f"Python is {installed}, must be {wanted}")
    return f"{installed}, {wanted} is needed"


def _packages(project: dict[str, Any]) -> str:
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in project["dependencies"]]
    wrong = [
        line
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate()
        for line in _problem(requirement)
    ]
    if wrong:
        raise InstallationError("; ".join(wrong))
    return f"{len(wanted)} packages, apache-airflow {importlib.metadata.version('apache-airflow')} among them"


def _problem(wanted: Any) -> Iterator[str]:
    try:
        installed = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        yield f"{wanted.name} is not installed, must be {wanted.specifier or 'there'}"
        return
    if not wanted.specifier.contains(installed, prereleases=True):
        yield f"{wanted.name} is {installed}, must be {wanted.specifier}"
