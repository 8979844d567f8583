"""A model in a deployment file: where it lies, what it runs in, and what it may take."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shadow_deployment.base.paths import is_supported_address
from shadow_deployment.config.policy import Section

KINDS = {
    "champion": "champion",
    "onnx": "onnx:PATH or onnx:s3://BUCKET/KEY",
    "python": "python:MODULE:FUNCTION",
    "mlflow": "mlflow:models:/NAME/VERSION, mlflow:models:/NAME@ALIAS or mlflow:FOLDER",
    "skops": "skops:PATH",
    "sklearn": "sklearn:PATH",
    "endpoint": "endpoint:http(s)://HOST/v2/models/NAME[/versions/VERSION]",
    "sagemaker": "sagemaker:ENDPOINT[/VARIANT] or sagemaker:transform/MODEL/INSTANCE_TYPE",
    "logged": "logged:TABLE.COLUMN or logged:COLUMN of the log itself",
}
ALLOWED = f"must be {', '.join(list(KINDS.values())[:-1])} or {KINDS['logged']}"
FOREIGN = ("python", "mlflow", "skops", "sklearn")  # their code is somebody else's: it runs in a process of its own
REMOTE = ("endpoint", "sagemaker")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_REGISTERED = re.compile(r"models:/[^/@\s]+(/[1-9]\d*|@[A-Za-z0-9_-]+)")
_ENDPOINT = re.compile(r"/v2/models/[^/\s]+(/versions/[^/\s]+)?")
_NAME = r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}"
_SAGEMAKER = re.compile(rf"(?!transform/){_NAME}(/{_NAME})?|transform/{_NAME}/ml\.[a-z0-9-]+\.[a-z0-9]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?\s*==\s*[A-Za-z0-9][\w.!+-]*(\s*;.+)?")
_HASHED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?\s*@\s*(https?|file)://[^\s#@]+#sha256=[0-9a-f]{64}")


def _address(value: str) -> str:
    kind, _, address = value.partition(":")
    if kind not in KINDS or (kind == "champion") != (value == "champion") or (address != address.strip()):
        raise ValueError(ALLOWED)
    if kind != "champion" and not address:
        raise ValueError(ALLOWED)
    table, _, columns = address.rpartition(".")
    names = [*(table.split(".") if "." in address else []), *columns.split(",")]
    if kind == "logged" and not (len(names) - columns.count(",") <= 3 and all(names)):
        raise ValueError("must name a table and a column, as in logged:flights.prediction_log.other_probability")
    if kind in ("onnx", "skops", "sklearn") and not _is_file(address):
        raise ValueError(f"must be {KINDS[kind]}, PATH being a path or file:///an/absolute/path")
    if kind == "python" and not _FUNCTION.fullmatch(address):
        raise ValueError(f"must be {KINDS[kind]}, as in python:include.my_models:predict")
    if kind == "mlflow" and address.startswith("models:") and not _REGISTERED.fullmatch(address):
        raise ValueError("must be mlflow:models:/NAME/VERSION or mlflow:models:/NAME@ALIAS: latest is no version")
    if kind == "sagemaker" and not _SAGEMAKER.fullmatch(address):
        raise ValueError(f"must be {KINDS[kind]}, as in sagemaker:transform/late-model/ml.m5.large")
    if kind == "endpoint":
        _require_served(address)
    return value


def _is_file(address: str) -> bool:
    parts = urlsplit(address)
    return is_supported_address(address) and (
        parts.scheme != "s3" or (not parts.path.endswith("/") and len(parts.path) > 1)
    )


def _require_served(address: str) -> None:
    parts = urlsplit(address)
    is_readable = address.isprintable() and " " not in address and parts.port != 0
    is_served = parts.hostname and _ENDPOINT.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not is_served or not is_readable:
        raise ValueError(f"must be {KINDS['endpoint']}: an address of the Open Inference Protocol")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be without login, ? and #: credentials belong into the connection of conn_id")


def _sha256(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError("must be the SHA-256 of the model's file: 64 hexadecimal digits, as sha256sum prints them")
    return value


def _requirement(value: str) -> str:
    if not (_PINNED.fullmatch(value) or _HASHED.fullmatch(value)):
        raise ValueError(
            "must be NAME==VERSION, or NAME @ ADDRESS#sha256=DIGEST without a login: what is not pinned may be another "
            "package tomorrow, and the model another model"
        )
    return value


Address = Annotated[str, AfterValidator(_address)]
Digest = Annotated[str, AfterValidator(_sha256)]
Text = Annotated[str, Field(min_length=1)]
Requirement = Annotated[str, AfterValidator(_requirement)]


class Runtime(Section):
    """The interpreter that a model runs in, where it cannot live beside Airflow's packages.

    Either `python`, the path of an interpreter, or `requirements`, from which an environment is made once and kept;
    each of them names one version.
    """

    python: Text | None = None
    requirements: Annotated[list[Requirement], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.python is None) == (self.requirements is None):
            raise ValueError("must have either python or requirements")
        return self


class Limits(Section):
    """What one call of a model may take; a row that needs more is an error.

    `seconds` and `memory_mb` bound a call, `rows` how many requests it answers at once, and `calls_per_second` how
    often an endpoint is called by one task. A batch transform of SageMaker has none.
    """

    seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 60.0
    memory_mb: Annotated[int, Field(ge=64, le=1 << 24)] = 2048
    rows: Annotated[int, Field(ge=1, le=100_000)] | None = None
    calls_per_second: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] | None = None


class ModelSettings(Section):
    """A model, wherever it lies.

    `digest` is the SHA-256 that its file must have, and is needed where the file lies on S3. `conn_id` names the
    credentials for S3, an endpoint, SageMaker or an MLflow server. `unpickle` says that a file may run code of its own
    while it is read, which `sklearn:` needs; `trusted` names the types that a `skops:` file may hold beside the usual.
    `nulls` is how an endpoint wants a missing number, which JSON cannot write: without it such a row is an error.
    """

    model: Address
    digest: Digest | None = None
    conn_id: Text | None = None
    runtime: Runtime | None = None
    limits: Limits | None = None
    unpickle: bool = False
    trusted: list[Text] = []
    nulls: Literal["null", "NaN"] | None = None

    @property
    def kind(self) -> str:
        """What stands before the first colon."""
        return self.model.partition(":")[0]

    @property
    def address(self) -> str:
        """What stands behind it."""
        return self.model.partition(":")[2]

    @property
    def is_transform(self) -> bool:
        """Whether it is run by a batch transform of SageMaker, over a shard at once."""
        return self.kind == "sagemaker" and self.address.startswith("transform/")
