"""Model files: on this machine, or on S3 with the digest that they must have."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.errors import ModelError, SnapshotError

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext


def digest(model: Challenger) -> str:
    """Return the SHA-256 of a model's file; of one on S3 the declared one, which is checked where it is loaded.

    Raises ModelError where a file is missing or is not the one that is declared.
    """
    if model.address.startswith("s3://"):
        if model.digest is None:
            raise ModelError(f"challenger {model.name}: digest is missing, and must be there for a model on S3")
        return model.digest
    return _verified(model, _local(model))


def fetch(context: "DeploymentContext", model: Challenger) -> Path:
    """Return a local path of a model's file, from S3 where it lies there.

    Raises ModelError where it is missing or is not the one that is declared, and what the store raises.
    """
    if not model.address.startswith("s3://"):
        path = _local(model)
    else:
        folder, _, name = model.address.rpartition("/")
        try:
            path = context.cloud.store(folder, model.conn_id).path(name)
        except SnapshotError as error:
            raise ModelError(f"challenger {model.name}: model == {model.model!r}: {error}") from error
    _verified(model, path)
    return path


def _local(model: Challenger) -> Path:
    path = PROJECT / model.address.removeprefix("file://")
    if not path.is_file():
        raise ModelError(
            f"challenger {model.name}: model == {model.model!r}, but there is no file {path}: "
            "put the model there, or mend challengers[].model; the models of the demo come from `make demo`"
        )
    return path


def _verified(model: Challenger, path: Path) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if model.digest not in (None, found):
        raise ModelError(
            f"challenger {model.name}: model == {model.model!r} has SHA-256 {found}, must have {model.digest}, its "
            "digest: put the right file there, or declare the other one with a version of its own"
        )
    return found
