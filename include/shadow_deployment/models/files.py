"""Model files: on this machine, or on S3 with a declared digest."""

import hashlib
from pathlib import Path

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ModelError, SnapshotError


def digest(model: Challenger) -> str:
    """Return the SHA-256 of a model's file; on S3 the declared one, which is checked when the file is fetched.

    Raises:
        ModelError: The file is missing, or its digest is not the declared one.
    """
    if model.address.startswith("s3://"):
        if model.digest is None:
            raise ModelError(f"challenger {model.name}: digest is missing; declare it for a model on S3")
        return model.digest
    return _verified_digest(model, _local_path(model))


def fetch(context: DeploymentContext, model: Challenger) -> Path:
    """Return a local path of a model's file, downloaded from S3 where it lies there.

    Raises:
        ModelError: The file is missing, or its digest is not the declared one.
        TransientError, CredentialsError: The store cannot be read.
    """
    if not model.address.startswith("s3://"):
        path = _local_path(model)
    else:
        folder, _, name = model.address.rpartition("/")
        try:
            path = context.cloud.store(folder, model.conn_id).path(name)
        except SnapshotError as error:
            raise ModelError(f"challenger {model.name}: model == {model.model!r}: {error}") from error
    _verified_digest(model, path)
    return path


def _local_path(model: Challenger) -> Path:
    path = PROJECT / model.address.removeprefix("file://")
    if not path.is_file():
        raise ModelError(
            f"challenger {model.name}: model == {model.model!r}, but {path} does not exist: put the model there, or "
            "correct challengers[].model; `make demo` trains the models of the demo"
        )
    return path


def _verified_digest(model: Challenger, path: Path) -> str:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if model.digest not in (None, actual):
        raise ModelError(
            f"challenger {model.name}: model == {model.model!r} has SHA-256 {actual}, must have {model.digest}, its "
            "digest: restore the declared file, or declare the new one under a new version"
        )
    return actual
