"""The deployments there are: the YAML files of one folder."""

import os
from pathlib import Path

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.yaml_source import YamlSource, suggestion
from shadow_deployment.errors import DeploymentError

VARIABLE = "SHADOW_DEPLOYMENTS"


def deployments_folder() -> Path:
    """Return where deployment files lie: SHADOW_DEPLOYMENTS, else `include/deployments`."""
    named = os.environ.get(VARIABLE, "").strip()
    return Path(named) if named else PROJECT / "include" / "deployments"


def deployment_files() -> list[Path]:
    """Return the deployment files in order of their names; raise DeploymentError where the folder is missing."""
    where = deployments_folder()
    if not where.is_dir():
        raise DeploymentError(f"{where} is no folder: put deployment files there, or set {VARIABLE} to where they are")
    return sorted(path for path in where.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())


def files_by_name() -> dict[str, Path]:
    """Return each file by the name that it declares, or by its own name where it cannot be read."""
    return {_name_of(path) or path.stem: path for path in deployment_files()}


def find_deployment(name: str) -> Deployment:
    """Return the deployment of a name, whatever its file is called; raise DeploymentError where there is none.

    A file that is broken only matters if it is the one that is asked for; of two that declare the name neither is.
    """
    names = {path: _name_of(path) for path in deployment_files()}
    found = [path for path, one in names.items() if one == name]
    found = found or [path for path, one in names.items() if one is None and path.stem == name]
    if not found:
        known = sorted({one or path.stem for path, one in names.items()})
        raise DeploymentError(
            f"there is no deployment {name!r} in {deployments_folder()}, must be one of {', '.join(known) or 'none'}"
            f"{suggestion(name, known)}"
        )
    if len(found) > 1:
        files = " and ".join(map(str, found))
        raise DeploymentError(f"deployment {name}: name == {name!r}, must be there once ({files})")
    return load_deployment(found[0])


def _name_of(path: Path) -> str | None:
    """Return the name that a file declares, None where it cannot be read."""
    try:
        return str(YamlSource.read(path).content.get("name"))
    except DeploymentError:
        return None
