"""Python modules that a deployment file names: where they are looked for, and their source, without running any."""

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from shadow_deployment.base.paths import PROJECT


def folders(*, is_ours: bool = True) -> list[str]:
    """Return where modules are looked for first: in the project, and with our own interpreter on its PYTHONPATH."""
    extra = os.environ.get("PYTHONPATH", "").split(os.pathsep) if is_ours else []
    named = [str(PROJECT / "include"), str(PROJECT), *(str(Path(folder).absolute()) for folder in extra if folder)]
    return list(dict.fromkeys(named))


def source_of(module: str, *, is_ours: bool = True) -> bytes | None:
    """Return a module's source, None where there is no such file; neither it nor the packages around it are run.

    `is_ours` says whether it runs in this interpreter, whose installed packages are then looked through as well.
    """
    paths = [*folders(is_ours=is_ours), *(sys.path if is_ours else [])]
    names = module.split(".")
    spec = None
    for length in range(1, len(names) + 1):
        spec = PathFinder.find_spec(".".join(names[:length]), paths)
        if spec is None:
            return None
        paths = list(spec.submodule_search_locations or [])
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    return Path(spec.origin).read_bytes()
