"""The wheel, built once, and an environment in which it is installed beside Airflow."""

import sys
import venv
import zipfile
from pathlib import Path

import airflow
import pytest

from infrastructure.package import build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with what is installed here, but the wheel in place of the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    ours = Path(airflow.__file__).parents[1]
    site = folder / ours.relative_to(sys.prefix)
    for path in ours.iterdir():
        if path.suffix != ".pth" and not path.name.startswith(("shadow_deployment", "_virtualenv")):
            (site / path.name).symlink_to(path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return folder / "bin" / "python"
