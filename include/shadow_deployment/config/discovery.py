"""The deployments there are: the YAML files of one folder, not of the folders in it."""

import os
from functools import lru_cache
from pathlib import Path

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.yaml_source import YamlSource, suggestion, text_of
from shadow_deployment.errors import DeploymentError

VARIABLE = "SHADOW_DEPLOYMENTS"


def deployments_folder() -> Path:
    """Return the folder of deployment files: SHADOW_DEPLOYMENTS, or `include/deployments` by default."""
    path = os.environ.get(VARIABLE, "").strip()
    return Path(path) if path else PROJECT / "include" / "deployments"


def deployment_files() -> list[Path]:
    """Return the deployment files, sorted by name; raise DeploymentError if the folder is missing."""
    folder = deployments_folder()
    if not folder.is_dir():
        raise DeploymentError(
            f"{folder} is not a folder: put deployment files there, or set {VARIABLE} to their folder"
        )
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
