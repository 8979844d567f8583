"""A model in a deployment file: where it lies, what it runs in, and what a call may take."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from shadow_deployment.base.paths import PROJECT, beside, is_supported_address
from shadow_deployment.config.fields import FROM_FILE, Section, Text, matching


@dataclass(frozen=True)
class ModelKind:
    """How a kind of model is addressed in `model`, and what produces its predictions."""

    form: str
    meaning: str


KINDS: Final = {
    "champion": ModelKind("champion", "the champion's own logged prediction: the A/A check"),
    "onnx": ModelKind("onnx:PATH or onnx:s3://BUCKET/KEY", "an ONNX model; on S3 it needs a `digest`"),
    "python": ModelKind("python:MODULE:FUNCTION", "a function that takes a DataFrame of the features"),
    "mlflow": ModelKind(
        "mlflow:models:/NAME/VERSION, mlflow:models:/NAME@ALIAS, mlflow:models:/NAME/latest or mlflow:FOLDER",
        "an MLflow pyfunc model; `latest` follows the newest version that is ready and has a tag `trained_until`",
    ),
    "skops": ModelKind("skops:PATH", "a scikit-learn estimator saved by skops; unusual types go into `trusted`"),
    "sklearn": ModelKind("sklearn:PATH", "a pickled scikit-learn estimator; it needs a `digest` and `unpickle: true`"),
    "endpoint": ModelKind(
        "endpoint:http(s)://HOST/v2/models/NAME[/versions/VERSION]", "a server of the Open Inference Protocol"
    ),
    "sagemaker": ModelKind(
        "sagemaker:ENDPOINT[/VARIANT] or sagemaker:transform/MODEL/INSTANCE_TYPE",
        "a SageMaker endpoint, or a batch transform job for each shard",
    ),
    "logged": ModelKind(
        "logged:TABLE.COLUMN or logged:COLUMN",
        "predictions that mirrored traffic logged: in another table, looked up by `requests.id`, which needs an index "
        "there, or in the log, whose columns come with the sample; COLUMN,COLUMN for several classes",
    ),
}
_FORMS = [kind.form for kind in KINDS.values()]
ALLOWED = f"must be {', '.join(_FORMS[:-1])} or {_FORMS[-1]}"
FOREIGN = ("python", "mlflow", "skops", "sklearn")  # run foreign code, so each runs in a process of its own
REMOTE = ("endpoint", "sagemaker")
IN_FILES = ("onnx", "mlflow", "skops", "sklearn")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_REGISTERED = re.compile(r"models:/[^/@\s]+(/([1-9]\d*|latest)|@[A-Za-z0-9_-]+)")
_ENDPOINT = re.compile(r"/v2/models/[^/\s]+(/versions/[^/\s]+)?")
_NAME = r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}"
_SAGEMAKER = re.compile(rf"(?!transform/){_NAME}(/{_NAME})?|transform/{_NAME}/ml\.[a-z0-9-]+\.[a-z0-9]+")
_PACKAGE = r"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?"
_PINNED = rf"{_PACKAGE}\s*==\s*[A-Za-z0-9][\w.!+-]*(\s*;.+)?"
_HASHED = rf"{_PACKAGE}\s*@\s*(https?|file)://[^\s#@]+#sha256=[0-9a-f]{{64}}"


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
    form = KINDS[kind].form
    if kind in ("onnx", "skops", "sklearn") and not _is_file(address):
        raise ValueError(f"must be {form}, PATH being a path or file:///an/absolute/path")
    if kind == "python" and not _FUNCTION.fullmatch(address):
        raise ValueError(f"must be {form}, as in python:include.my_models:predict")
    if kind == "mlflow" and address.startswith("models:") and not _REGISTERED.fullmatch(address):
        raise ValueError("must be mlflow:models:/NAME/VERSION, mlflow:models:/NAME@ALIAS or mlflow:models:/NAME/latest")
    if kind == "sagemaker" and not _SAGEMAKER.fullmatch(address):
        raise ValueError(f"must be {form}, as in sagemaker:transform/late-model/ml.m5.large")
    if kind == "endpoint":
        _require_endpoint(address)
    return value


def _is_file(address: str) -> bool:
    parts = urlsplit(address)
    is_object = not parts.path.endswith("/") and len(parts.path) > 1
    return is_supported_address(address) and (parts.scheme != "s3" or is_object)


def _require_endpoint(address: str) -> None:
    parts = urlsplit(address)
    is_readable = address.isprintable() and " " not in address and parts.port != 0
    is_endpoint = parts.hostname and _ENDPOINT.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not is_endpoint or not is_readable:
        raise ValueError(f"must be {KINDS['endpoint'].form}: an address of the Open Inference Protocol")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be without login, ? and #: put credentials into the connection of conn_id")


_PREFIX = f"^(champion$|({'|'.join(kind for kind in KINDS if kind != 'champion')}):)"
Address = Annotated[str, Field(json_schema_extra={"pattern": _PREFIX}), AfterValidator(_address)]
FunctionAddress = Annotated[
    str,
    matching(rf"python:{_FUNCTION.pattern}", "must be python:MODULE:FUNCTION, as in python:include.my_metrics:profit"),
]
Digest = Annotated[
    str,
    matching(
        r"[0-9a-f]{64}", "must be the SHA-256 of the model's file: 64 hexadecimal digits, as sha256sum prints them"
    ),
]
Requirement = Annotated[
    str,
    matching(
        f"{_PINNED}|{_HASHED}",
        "must be NAME==VERSION, or NAME @ ADDRESS#sha256=DIGEST without a login: only a pinned package stays the same",
    ),
]


class Runtime(Section):
    """The interpreter of a model that cannot share Airflow's packages: `python` or `requirements`, not both."""

    python: Text | None = Field(None, description="Path of a Python interpreter.")
    requirements: Annotated[list[Requirement], Field(min_length=1)] | None = Field(
        None, description="Pinned packages; a virtual environment is built from them once and cached."
    )

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if (self.python is None) == (self.requirements is None):
            raise ValueError("must have either python or requirements")
        return self


class Limits(Section):
    """What one call of a model, or of a metric's function, may take; a row that needs more is an error.

    Not for SageMaker batch transforms.
    """

    seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = Field(
        60.0, description="Time limit of a call, in seconds."
    )
    memory_mb: Annotated[int, Field(ge=64, le=1 << 24)] = Field(
        2048, description="Memory limit of the model's process, in MB."
    )
    rows: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="Requests per call, in rows; by default 256 to a server, and a whole batch to a process."
    )
    calls_per_second: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] | None = Field(
        None, description="Rate limit of one task on an endpoint, in calls per second; by default unlimited."
    )


class ModelSettings(Section):
    """A model, wherever it lies."""

    model: Address = Field(description="What produces the predictions: see Models.")
    digest: Digest | None = Field(
        None,
        description="SHA-256 that the model's file must have, or that of all files of an MLflow model or of ONNX with "
        "external data, as the error of another one shows it; required on S3.",
    )
    conn_id: Text | None = Field(
        None, description="Airflow connection with the credentials for S3, an endpoint, SageMaker or MLflow."
    )
    runtime: Runtime | None = Field(None, description="Interpreter for a model that cannot share Airflow's packages.")
    limits: Limits | None = Field(None, description="What one call may take.")
    unpickle: bool = Field(
        False, description="Accepts that reading the file can run arbitrary code; required by `sklearn:`."
    )
    trusted: list[Text] = Field([], description="Types that a `skops:` file may contain besides the usual ones.")
    nulls: Literal["null", "NaN"] | None = Field(
        None, description="How an endpoint expects a missing number in JSON; by default such a row is an error."
    )

    newer_versions: SkipJsonSchema[str | None] = Field(
        None,
        description="Of `latest`: the newer versions that wait, and why; entered when MLflow is asked.",
    )

    @field_validator("newer_versions", mode="before")
    @classmethod
    def _not_from_file(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.context is FROM_FILE:
            raise ValueError("must be absent: MLflow is asked for it")
        return value

    @property
    def kind(self) -> str:
        """The part of `model` before the first colon."""
        return self.model.partition(":")[0]

    @property
    def address(self) -> str:
        """The part of `model` after the first colon."""
        return self.model.partition(":")[2]

    @property
    def path(self) -> str | None:
        """Where its file or folder lies, None for a model that has none on this machine."""
        is_file = self.kind in IN_FILES and not self.address.startswith(("s3://", "models:"))
        return self.address.removeprefix("file://") if is_file else None

    def beside(self, folder: Path) -> Self:
        """Return the model with a relative path that leads to something in a folder written out."""
        address = beside(self.path or "", folder)
        return self if address == (self.path or "") else self.model_copy(update={"model": f"{self.kind}:{address}"})

    def logged_columns(self, log: str) -> list[str]:
        """Return the columns of the log, by its table, that hold the predictions; none where they are elsewhere."""
        table, _, columns = self.address.rpartition(".")
        return columns.split(",") if self.kind == "logged" and table in ("", log) else []

    @property
    def digest_wanted(self) -> str:
        """Return which digest a model must have: that of its file where it can be read here."""
        try:
            digest = None if self.path is None else hashlib.sha256((PROJECT / self.path).read_bytes()).hexdigest()
        except (OSError, ValueError):
            digest = None
        if digest is None:
            return "the SHA-256 of the model's file, as sha256sum prints it: nothing else identifies the model"
        return f"{digest}, the SHA-256 of {PROJECT / str(self.path)}, if you trust that file"

    @property
    def is_alias(self) -> bool:
        """Whether it is an alias in MLflow or the newest version there, which may be another one tomorrow."""
        return self.is_newest or (self.kind == "mlflow" and self.address.startswith("models:") and "@" in self.address)

    @property
    def is_newest(self) -> bool:
        """Whether it is the newest version of a model that is registered in MLflow."""
        return self.kind == "mlflow" and self.address.startswith("models:") and self.address.endswith("/latest")

    @property
    def is_transform(self) -> bool:
        """Whether SageMaker runs it as a batch transform, a whole shard at a time."""
        return self.kind == "sagemaker" and self.address.startswith("transform/")
