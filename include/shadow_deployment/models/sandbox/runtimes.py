"""Interpreters for models whose packages do not resolve beside Airflow's.

`runtime.python` is an existing interpreter. `runtime.requirements` is an environment that is built once, with uv or
pip, in a folder named by a digest of its requirements, below `.shadow/runtimes` or SHADOW_RUNTIMES. Its last file marks
it complete: one whose installation was killed is built from scratch.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shadow_deployment.base.extras import install_command
from shadow_deployment.base.paths import PROJECT
from shadow_deployment.base.redaction import without_credentials
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.errors import ModelError

VARIABLE = "SHADOW_RUNTIMES"
ADDED = ("pandas", "pyarrow")  # what the sandbox needs beside the requirements, which may pin them
SECONDS = 1_200.0
_COMPLETE = "complete.json"
_PACKAGES = {  # by the module that cannot be imported
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "joblib": "scikit-learn",
    "sklearn": "scikit-learn",
    "skops": "skops",
    "mlflow": "mlflow-skinny",
}
_EXTRAS = {"onnxruntime": "onnx", "joblib": "sklearn", "sklearn": "sklearn", "skops": "sklearn", "mlflow": "mlflow"}
_LONGEST_OUTPUT = 600
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PASSED_ON_PREFIXES = ("PIP_", "UV_", "NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "no_proxy")


def interpreter(model: Challenger) -> str:
    """Return the interpreter that a model runs in: this one, unless its runtime declares another.

    Raises:
        ModelError: The interpreter is missing or cannot be built.
    """
    if model.runtime is None:
        return sys.executable
    if model.runtime.requirements is not None:
        return str(_environment(model, model.runtime.requirements))
    path = PROJECT / Path(str(model.runtime.python)).expanduser()
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise ModelError(
            f"challenger {model.name}: runtime.python == {model.runtime.python!r}, but {path} is not a program: "
            "install it there on each worker, or declare runtime.requirements"
        )
    return str(path)


def runtime_key(model: Challenger) -> str:
    """Return a text that is the same for the same runtime; empty for this interpreter."""
    if model.runtime is None:
        return ""
    return json.dumps({"python": model.runtime.python, "requirements": sorted(model.runtime.requirements or [])})


def missing_packages(model: Challenger) -> Mapping[str, str]:
    """Return, by module, what to say of a challenger whose interpreter lacks it: the extra or package to install."""
    if model.runtime is None:
        return {
            module: f'needs the extra "{extra}": {install_command(extra)}, or declare runtime'
            for module, extra in _EXTRAS.items()
        }
    if model.runtime.python is not None:
        text = f"needs the package {{}}: install it into {model.runtime.python}"
    else:
        text = "needs the package {}: add it to runtime.requirements"
    return {module: text.format(package) for module, package in _PACKAGES.items()}


def _environment(model: Challenger, requirements: Sequence[str]) -> Path:
    folder = _home() / _key(requirements)
    python = folder / "bin" / "python"
    if (folder / _COMPLETE).is_file() and python.exists():
        return python
    with _locked(folder):
        if not ((folder / _COMPLETE).is_file() and python.exists()):
            _build(model, requirements, folder)
    return python


def _home() -> Path:
    return PROJECT / (os.environ.get(VARIABLE, "").strip() or ".shadow/runtimes")


def _key(requirements: Sequence[str]) -> str:
    """Return a name of an environment: the same for the same requirements, Python and kind of machine."""
    content = [sorted(requirements), list(ADDED), sys.version_info[:2], sys.platform, platform.machine()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder for this process: of two that need it at once, one builds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(model: Challenger, requirements: Sequence[str], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    packages = [*requirements, *ADDED]
    uv = _uv()
    if uv is not None:
        commands = [
            [uv, "venv", "--quiet", "--no-config", "--no-project", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--no-config", "--python", python, *packages],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
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
    """Run a step of the installation; raise ModelError with the end of its output, without logins, where it fails."""
    what = f"challenger {model.name}: its runtime.requirements cannot be installed"
    try:
        process = subprocess.run(  # noqa: S603 (requirements are checked where the deployment file is read)
            command,
            env={k: v for k, v in os.environ.items() if k in _PASSED_ON or k.startswith(_PASSED_ON_PREFIXES)},
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
    if process.returncode:
        output = " ".join(without_credentials(process.stdout.decode("utf-8", "replace")).split())
        raise ModelError(f"{what}: {output[-_LONGEST_OUTPUT:]}")
