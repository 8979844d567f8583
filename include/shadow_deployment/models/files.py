"""Model files: on this machine, or on S3 with a declared digest. A model is its bytes, those that it refers to as well.

They are read once: the bytes whose digest is checked are the ones that are loaded.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ModelError, SnapshotError
from shadow_deployment.models.onnx_references import external_files


@dataclass(frozen=True)
class ModelBytes:
    """The bytes of a model: of its file, and by name of those that it refers to."""

    content: bytes = field(repr=False)
    external: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the file; with others, of the list of all names and their SHA-256, the file's own first."""
        own = hashlib.sha256(self.content).hexdigest()
        if not self.external:
            return own
        others = [[name, hashlib.sha256(content).hexdigest()] for name, content in sorted(self.external.items())]
        return hashlib.sha256(json.dumps([["", own], *others]).encode()).hexdigest()


def digest(model: Challenger) -> str:
    """Return what `ModelBytes.digest` is of a model; on S3 the declared one, which is checked when it is fetched.

    Raises:
        ModelError: A file is missing, or the digest is not the declared one.
    """
    if model.address.startswith("s3://"):
        if model.digest is None:
            raise ModelError(f"challenger {model.name}: digest is missing; declare it for a model on S3")
        return model.digest
    return _read_local(model).digest


def read(context: DeploymentContext, model: Challenger) -> ModelBytes:
    """Return the bytes of a model, downloaded from S3 where it lies there.

    Raises:
        ModelError: A file is missing or lies elsewhere than beside the model, or the digest is not the declared one.
        TransientError, CredentialsError: The store cannot be read.
    """
    if not model.address.startswith("s3://"):
        return _read_local(model)
    folder, _, file = model.address.rpartition("/")
    store = context.cloud.store(folder, model.conn_id)

    def fetched(name: str) -> Path:
        try:
            return store.path(name or file)
        except SnapshotError as error:
            raise ModelError(f"{model.model_key}: {error}") from error

    return _read(model, fetched)


def pinned(model: Challenger, files: ModelBytes) -> Challenger:
    """Return the model with the digest of these bytes as the declared one: no others are read from then on."""
    return model.model_copy(update={"digest": files.digest})


def require_declared(model: Challenger, actual: str, what: str) -> None:
    """Raise ModelError where a model has not the digest that is declared; `what` has it, as in " has"."""
    if model.digest not in (None, actual):
        raise ModelError(
            f"{model.model_key}{what} SHA-256 {actual}, must have {model.digest}, its digest: restore the "
            "declared bytes, or declare the new ones under a new version"
        )


def _read_local(model: Challenger) -> ModelBytes:
    path = PROJECT / model.address.removeprefix("file://")
    if not path.is_file():
        raise ModelError(
            f"{model.model_key}, but {path} does not exist: put the model there or beside the deployment's file, or "
            "correct challengers[].model; `make demo` trains the models of the demo"
        )

    def beside(name: str) -> Path:
        place = path.parent / name if name else path
        if name and not place.resolve().is_relative_to(path.parent.resolve()):
            raise _refers_outside(model, name)
        return place

    return _read(model, beside)


def _read(model: Challenger, locate: Callable[[str], Path]) -> ModelBytes:
    """Return the bytes of a model; `locate` returns the path of a file that it refers to, and of its own for ""."""
    content = _bytes(model, locate(""))
    names = external_files(content) if model.kind == "onnx" else []
    for name in names:
        parts = PurePosixPath(name)
        if not name or "\\" in name or parts.is_absolute() or ".." in parts.parts:
            raise _refers_outside(model, name)
    read = ModelBytes(content, {name: _bytes(model, locate(name)) for name in names})
    require_declared(model, read.digest, f"{' with ' if names else ''}{', '.join(names)} has")
    return read


def _bytes(model: Challenger, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{model.model_key}: {path} cannot be read: {error.strerror or error}") from error


def _refers_outside(model: Challenger, name: str) -> ModelError:
    return ModelError(f"{model.model_key} refers to the file {name!r}, must be one in its own folder")
