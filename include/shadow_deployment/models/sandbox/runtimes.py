"""Interpreters for models that cannot live beside Airflow's packages.

`runtime.python` is one that is there. `runtime.requirements` is an environment that is made once, with uv or with pip,
and kept in a folder named by what is in it, below `.shadow/runtimes` or where SHADOW_RUNTIMES says. It counts as made
once its last file is written: one that was killed half-way is made anew.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.errors import ModelError

VARIABLE = "SHADOW_RUNTIMES"
ADDED = ("pandas", "pyarrow")  # what the child needs beside the requirements, which may pin them
SECONDS = 1_200.0
_COMPLETE = "complete.json"
_ESTIMATORS = {"joblib": "scikit-learn", "sklearn": "scikit-learn"}
_LONGEST = 600
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY")
_KEPT_PREFIXES = ("PIP_", "UV_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "no_proxy")
_LOGIN = re.compile(r"//[^/@\s]+@")


def interpreter(model: Challenger) -> str:
    """Return the interpreter that a model runs in: this one, unless it declares another.

    Raises ModelError where it is missing or cannot be made.
    """
    if model.runtime is None:
        return sys.executable
    if model.runtime.requirements is not None:
        return str(_made(model, model.runtime.requirements))
    path = PROJECT / Path(str(model.runtime.python)).expanduser()
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise ModelError(
            f"challenger {model.name}: runtime.python == {model.runtime.python!r}, but there is no program {path}: "
            "install it there on each worker, or declare runtime.requirements"
        )
    return str(path)


def described(model: Challenger) -> str:
    """Return a runtime as text that is the same for the same runtime; empty for this interpreter."""
    if model.runtime is None:
        return ""
    return json.dumps({"python": model.runtime.python, "requirements": sorted(model.runtime.requirements or [])})


def missing(model: Challenger, **named: str) -> Mapping[str, str]:
    """Return by the name of a module what to do where an interpreter lacks it; `named` has other names of packages."""
    packages = {"pandas": "pandas", "pyarrow": "pyarrow", "skops": "skops", "mlflow": "mlflow", **_ESTIMATORS, **named}
    if model.runtime is None:
        how = "; install {} beside this package, or declare runtime with it"
    elif model.runtime.python is not None:
        how = f"; install {{}} into {model.runtime.python}"
    else:
        how = "; add {} to runtime.requirements"
    return {module: how.format(package) for module, package in packages.items()}


def _made(model: Challenger, requirements: Sequence[str]) -> Path:
    folder = _home() / _key(requirements)
    python = folder / "bin" / "python"
    if (folder / _COMPLETE).is_file() and python.exists():
        return python
    with _alone(folder):
        if not ((folder / _COMPLETE).is_file() and python.exists()):
            _make(model, requirements, folder)
    return python


def _home() -> Path:
    named = os.environ.get(VARIABLE, "").strip()
    return PROJECT / (named or ".shadow/runtimes")


def _key(requirements: Sequence[str]) -> str:
    """Return a name of an environment: the same for the same requirements, Python and kind of machine."""
    content = [sorted(requirements), list(ADDED), sys.version_info[:2], sys.platform, platform.machine()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder for this process: two that need it at once make it once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(model: Challenger, requirements: Sequence[str], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    wanted = [*requirements, *ADDED]
    uv = _uv()
    if uv is not None:
        commands = [
            [uv, "venv", "--quiet", "--no-config", "--no-project", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--no-config", "--python", python, *wanted],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
        ]
    for command in commands:
        _run(model, command)
    temporary = folder / f".{_COMPLETE}.new"
    temporary.write_text(json.dumps({"requirements": sorted(requirements), "added": ADDED}))
    temporary.replace(folder / _COMPLETE)


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _run(model: Challenger, command: Sequence[str]) -> None:
    """Run a step of the installation; raise ModelError with its last words, without logins, where it fails."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    what = f"challenger {model.name}: its runtime.requirements cannot be installed"
    try:
        done = subprocess.run(  # noqa: S603 (requirements are checked where the deployment file is read)
            command,
            env=kept,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{what} within {SECONDS:.0f} seconds") from None
    except OSError as error:
        raise ModelError(f"{what}: {error.strerror or error}") from error
    if done.returncode:
        said = " ".join(_LOGIN.sub("//***@", done.stdout.decode("utf-8", "replace")).split())
        raise ModelError(f"{what}: {said[-_LONGEST:]}")
