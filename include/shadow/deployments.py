"""The deployments there are: the YAML files of one folder."""

import os
from pathlib import Path

from include.shadow.deployment import Deployment, load
from include.shadow.errors import DeploymentError
from include.shadow.store import PROJECT
from include.shadow.yaml_source import YamlSource, suggestion

VARIABLE = "SHADOW_DEPLOYMENTS"


def folder() -> Path:
    """Return where deployment files lie: SHADOW_DEPLOYMENTS, else `include/deployments`."""
    named = os.environ.get(VARIABLE, "").strip()
    return Path(named) if named else PROJECT / "include" / "deployments"


def paths() -> list[Path]:
    """Return the deployment files in order of their names; raise DeploymentError where the folder is missing."""
    where = folder()
    if not where.is_dir():
        raise DeploymentError(f"{where} is no folder: put deployment files there, or set {VARIABLE} to where they are")
    return sorted(path for path in where.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())


def declared() -> dict[str, Path]:
    """Return each file by the name that it declares, or by its own name where it cannot be read."""
    found: dict[str, Path] = {}
    for path in paths():
        try:
            name = YamlSource.read(path).content.get("name")
        except DeploymentError:
            name = path.stem
        found[str(name)] = path
    return found


def find(name: str) -> Deployment:
    """Return the deployment of a name, whatever its file is called; raise DeploymentError where there is none.

    A file that is broken only matters if it is the one that is asked for.
    """
    found = declared()
    if name not in found:
        names = ", ".join(sorted(found)) or "none"
        raise DeploymentError(
            f"there is no deployment {name!r} in {folder()}, must be one of {names}{suggestion(name, found)}"
        )
    return load(found[name])
