"""The deployments there are: the YAML files of one folder, not of the folders in it."""

import os
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.yaml_source import YamlSource, suggestion, text_of
from shadow_deployment.errors import DeploymentError

VARIABLE = "SHADOW_DEPLOYMENTS"
_chosen: ContextVar[Path | None] = ContextVar("deployments", default=None)


@contextmanager
def looking_in(folder: Path | None) -> Iterator[None]:
    """Look for deployments in this folder inside the block, whatever else names one; None leaves it to the rest."""
    token = _chosen.set(folder)
    try:
        yield
    finally:
        _chosen.reset(token)


def deployments_folder() -> Path:
    """Return the folder of deployment files: the first that is named, `include/deployments` by default.

    It is named by `looking_in` (a DAG file, or the option --deployments), by SHADOW_DEPLOYMENTS, or by the key
    `deployments` in the section `shadow` of Airflow's configuration, where a path starts in AIRFLOW_HOME.
    """
    return next(folder for _, folder in _places() if folder is not None)


def deployment_files() -> list[Path]:
    """Return the deployment files, sorted by name; raise DeploymentError, with all places, if there is no folder."""
    folder = deployments_folder()
    if not folder.is_dir():
        raise DeploymentError(f"there is no folder of deployments, name one: {'; '.join(_looked_at())}")
    return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())


def files_by_name() -> dict[str, Path]:
    """Return each file by the name that it declares, or by its own name if it cannot be read."""
    return {_declared_name(path) or path.stem: path for path in deployment_files()}


def find_deployment(name: str) -> Deployment:
    """Return the deployment with a name, whatever its file is called; a broken file matters only if it is this one.

    Raises:
        DeploymentError: no file or several files declare the name, or the file is wrong.
    """
    names = {path: _declared_name(path) for path in deployment_files()}
    files = [path for path, declared in names.items() if declared == name]
    files = files or [path for path, declared in names.items() if declared is None and path.stem == name]
    if not files:
        known = sorted({declared or path.stem for path, declared in names.items()})
        raise DeploymentError(
            f"there is no deployment {name!r} in {deployments_folder()}, must be one of {', '.join(known) or 'none'}"
            f"{suggestion(name, known)}"
        )
    if len(files) > 1:
        raise DeploymentError(
            f"deployment {name}: {len(files)} files declare it; rename all but one ({', '.join(map(str, files))})"
        )
    return load_deployment(files[0])


def _declared_name(path: Path) -> str | None:
    try:
        return _name(text_of(path), str(path))
    except DeploymentError:
        return None


@lru_cache(maxsize=1024)
def _name(text: str, file: str) -> str:
    return str(YamlSource.from_text(text, file).content.get("name"))


def _places() -> Iterator[tuple[str, Path | None]]:
    """Give what may name the folder, and the folder that it names."""
    yield "--deployments (in a DAG file the argument of shadow_dags)", _chosen.get()
    variable = os.environ.get(VARIABLE, "").strip()
    yield VARIABLE, Path(variable) if variable else None
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    file = Path(os.environ.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()
    named = os.environ.get("AIRFLOW__SHADOW__DEPLOYMENTS", "").strip() or _configured(file)
    yield f"[shadow] deployments in {file}", home / named if named else None
    yield "the default", PROJECT / "include" / "deployments"


def _looked_at() -> Iterator[str]:
    for place, folder in _places():
        if folder is not None:
            yield f"{place} is {folder}, which is not a folder"
            return
        yield f"{place} is not set"


def _configured(file: Path) -> str:
    """Return what Airflow's configuration says, read without Airflow, which takes seconds to import."""
    try:
        return _deployments_of(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, ConfigParserError):
        return ""  # Airflow itself says what is wrong with its file


@lru_cache(maxsize=1)
def _deployments_of(text: str) -> str:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return parser.get("shadow", "deployments", fallback="").strip()
