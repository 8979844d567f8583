"""What contradicts itself in a deployment file, once every value by itself is right."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.model import FOREIGN, REMOTE, ModelSettings
from shadow_deployment.config.partitions import is_parquet
from shadow_deployment.config.policy import rule_conflicts, rule_problems
from shadow_deployment.config.yaml_source import Location, shorten, suggestion
from shadow_deployment.metrics.catalog import metrics_of

if TYPE_CHECKING:
    from shadow_deployment.config.deployment import Deployment

RESERVED = (
    "request_id",
    "requested_at",
    "stratum",
    "inclusion_probability",
    "champion",
    "champion_version",
    "champion_latency_ms",
    "champion_probabilities",
)


def deployment_conflicts(deployment: "Deployment") -> Iterator[tuple[Location, str]]:
    """Yield each contradiction: where it stands in the file, and what is wrong with it."""
    if deployment.name == "doctor" or deployment.name.endswith(("_promotion", "_rollback")):
        text = "must not be doctor nor end in _promotion or _rollback: other DAGs are called so"
        yield ("name",), f"name == {shorten(deployment.name)}, {text}"
    yield from _twice(deployment)
    columns = {
        "requests.features": deployment.requests.features,
        "slices": deployment.slices,
        "sample.strata": deployment.sample.strata,
    }
    for key, names in columns.items():
        for position, name in enumerate(names):
            if name in RESERVED or (key == "slices" and name == "all"):
                location: Location = (*key.split("."), position)
                yield (
                    location,
                    f"{key}[{position}] == {shorten(name)}, must not be a name that snapshots use themselves",
                )
    if deployment.sample.rates and not deployment.sample.strata:
        yield ("sample", "rates"), "sample.rates needs sample.strata: it names a rate for each of their values"
    if deployment.end is not None and deployment.end < deployment.start:
        yield ("end",), f"end == {deployment.end}, must not be before start == {deployment.start}"
    for position, rule in enumerate(deployment.policy.rules):
        for key, message in rule_problems(rule, deployment):
            yield ("policy", "rules", position, key), f"policy.rules[{position}].{key} {message}"
    for position, message in rule_conflicts(deployment.policy.rules):
        yield ("policy", "rules", position), f"policy.rules[{position}] {message}"
    yield from _unreadable(deployment)
    yield from _unjudgeable(deployment)
    yield from _inconsequent(deployment)


def _twice(deployment: "Deployment") -> Iterator[tuple[Location, str]]:
    """Yield what is there twice in a list, and which column would have to be two things at once."""
    requests, labels = deployment.requests, deployment.labels
    yield from _repeated("challengers", [challenger.name for challenger in deployment.challengers], "name")
    yield from _repeated("slices", deployment.slices)
    yield from _repeated("dependencies", [dependency.name for dependency in deployment.dependencies], "name")
    yield from _repeated("requests.features", requests.features)
    yield from _repeated("requests.prediction", requests.columns)
    yield from _repeated("sample.strata", deployment.sample.strata)
    yield from _repeated("metrics", deployment.metrics)
    columns = (("requests", "time", requests.id), ("labels", "time", labels.id), ("labels", "value", labels.id))
    for part, key, identity in columns:
        if getattr(getattr(deployment, part), key) == identity:
            yield (part, key), f"{part}.{key} == {shorten(identity)}, must not be the column of {part}.id"


def _unreadable(deployment: "Deployment") -> Iterator[tuple[Location, str]]:
    """Yield which connection production lacks, and which table is not in Parquet."""
    for key, part in (("requests", deployment.requests), ("labels", deployment.labels)):
        if part.conn_id is None and not is_parquet(part.table):
            yield (key, "conn_id"), f"{key}.conn_id is missing"
    for position, challenger in enumerate(deployment.challengers):
        if challenger.kind == "logged" and "." in challenger.address and is_parquet(deployment.requests.table):
            text = "must be logged:COLUMN, a column of the log itself, where requests.table is Parquet"
            yield (
                ("challengers", position, "model"),
                f"challengers[{position}].model == {shorten(challenger.model)}, {text}",
            )


def _unjudgeable(deployment: "Deployment") -> Iterator[tuple[Location, str]]:
    names = metrics_of(deployment.task)
    for position, name in enumerate(deployment.metrics):
        if name not in names:
            near = suggestion(name, names)
            yield (
                ("metrics", position),
                f"metrics[{position}] == {shorten(name)}, must be one of {', '.join(names)}{near}",
            )
    yield from _classes(deployment)
    if deployment.policy.unit == "request" and deployment.policy.method == "betting":
        yield ("policy", "method"), "policy.method == 'betting', must be robust or plain where policy.unit is request"
    if deployment.champion and deployment.champion.kind in ("champion", "logged"):
        text = "must be a model that can be run: its answers are compared with the log"
        yield ("champion", "model"), f"champion.model == {shorten(deployment.champion.model)}, {text}"
    if deployment.champion:
        yield from _unloadable(("champion",), "champion", deployment.champion)
    for position, challenger in enumerate(deployment.challengers):
        yield from _unloadable(("challengers", position), f"challengers[{position}]", challenger)
        if challenger.is_transform and not deployment.store.snapshots.startswith("s3://"):
            text = f"must be s3://BUCKET/PREFIX where challengers[{position}] is a batch transform: it works on S3"
            yield ("store", "snapshots"), f"store.snapshots == {shorten(deployment.store.snapshots)}, {text}"


def _unloadable(location: Location, key: str, model: ModelSettings) -> Iterator[tuple[Location, str]]:
    """Yield what a kind of model lacks, and what means nothing to it."""
    needed = {
        "digest": (model.kind == "onnx" and model.address.startswith("s3://")) or model.kind == "sklearn",
        "unpickle": model.kind == "sklearn",
    }
    reasons = {
        "digest": "is missing, must be the SHA-256 of the model's file: nothing else says which model it is",
        "unpickle": "must be true: reading such a file runs whatever code is in it, so say that you trust it",
    }
    for name, is_needed in needed.items():
        if is_needed and not getattr(model, name):
            yield (*location, name), f"{key}.{name} {reasons[name]}"
    known = {
        "digest": ("onnx", "skops", "sklearn"),
        "conn_id": ("onnx", "mlflow", "endpoint", "sagemaker"),
        "runtime": FOREIGN,
        "limits": (*FOREIGN, *REMOTE, "onnx"),
        "unpickle": ("sklearn",),
        "trusted": ("skops",),
        "nulls": ("endpoint",),
    }
    for name, kinds in known.items():
        if getattr(model, name) and model.kind not in kinds:
            yield (*location, name), f"{key}.{name} means nothing to {model.kind}, must not be there"
    if model.limits and model.is_transform:
        yield (*location, "limits"), f"{key}.limits means nothing to a batch transform, must not be there"
    if model.limits and model.limits.calls_per_second and model.kind not in REMOTE:
        text = f"means nothing to {model.kind}, must not be there: it spares an endpoint"
        yield (*location, "limits", "calls_per_second"), f"{key}.limits.calls_per_second {text}"


def _inconsequent(deployment: "Deployment") -> Iterator[tuple[Location, str]]:
    names = [one.name for one in deployment.challengers]
    for position, one in enumerate(deployment.challengers):
        key = f"challengers[{position}]"
        if one.name == FORMER_CHAMPION:
            yield (
                ("challengers", position, "name"),
                f"{key}.name == {FORMER_CHAMPION!r}, must not be: a promotion makes it",
            )
        if deployment.promotion.mlflow and not one.is_a_a_check and not one.version.isdecimal():
            text = f"must be the number of a version of {deployment.promotion.mlflow.model} in MLflow"
            yield ("challengers", position, "version"), f"{key}.version == {shorten(one.version)}, {text}"
    for name in deployment.status.ids if deployment.status else {}:
        if name not in names:
            near = suggestion(name, names)
            yield ("status", "ids", name), f"status.ids.{name} must be one of the challengers {', '.join(names)}{near}"
    ids = list(deployment.status.ids.items()) if deployment.status else []
    for position, (name, entry) in enumerate(ids):
        if entry in [other for _, other in ids[:position]]:
            yield ("status", "ids", name), f"status.ids.{name} == {shorten(entry)}, must be there once"
    yield from _repeated("alerts.channels", [str(one) for one in deployment.alerts.channels])


def _classes(deployment: "Deployment") -> Iterator[tuple[Location, str]]:
    """Yield where the number of classes and of the columns that hold their probabilities differ."""
    yield from _repeated("classes", deployment.classes)
    count, is_multiclass = len(deployment.classes), deployment.task == "multiclass"
    is_wrong = count < 3 if is_multiclass else count > 0
    if is_wrong:
        wanted = "at least three, for a multiclass task" if is_multiclass else "none, but for a multiclass task"
        yield ("classes",), f"classes has {count}, must have {wanted}"
        return
    columns: dict[str, tuple[Location, list[str]]] = {
        "requests.prediction": (("requests", "prediction"), deployment.requests.columns)
    }
    for position, challenger in enumerate(deployment.challengers):
        if challenger.kind == "logged":
            key = f"challengers[{position}].model"
            columns[key] = (("challengers", position, "model"), challenger.address.rpartition(".")[2].split(","))
    for key, (location, names) in columns.items():
        if len(names) != max(count, 1):
            yield location, f"{key} names {len(names)} columns, must name {max(count, 1)}, one for each class"


def _repeated(key: str, names: list[str], part: str | None = None) -> Iterator[tuple[Location, str]]:
    seen = set[str]()
    for position, name in enumerate(names):
        if name in seen:
            suffix = f".{part}" if part else ""
            location: Location = (*key.split("."), position, *((part,) if part else ()))
            yield location, f"{key}[{position}]{suffix} == {shorten(name)}, must be there once"
        seen.add(name)
