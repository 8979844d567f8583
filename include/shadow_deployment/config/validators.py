"""Contradictions between the keys of a deployment file, looked for once each value by itself is right."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.fields import is_reserved
from shadow_deployment.config.model import FOREIGN, REMOTE, ModelSettings
from shadow_deployment.config.policy import BOUNDING, COMPARING, PROVING, WEEK, WITH_MARGIN, Rule
from shadow_deployment.config.sources.conflicts import source_conflicts
from shadow_deployment.config.yaml_source import Location, shorten, suggestion
from shadow_deployment.metrics.aliases import metric_instead, metric_meant
from shadow_deployment.metrics.catalog import METRICS

if TYPE_CHECKING:
    from shadow_deployment.config.deployment import Deployment

Conflicts = Iterator[tuple[Location, str]]

_KINDS_WITH = {
    "digest": ("onnx", "skops", "sklearn", "mlflow"),
    "conn_id": ("onnx", "mlflow", "endpoint", "sagemaker"),
    "runtime": FOREIGN,
    "limits": (*FOREIGN, *REMOTE, "onnx"),
    "unpickle": ("sklearn",),
    "trusted": ("skops",),
    "nulls": ("endpoint",),
    "features_from": (*FOREIGN, *REMOTE, "onnx"),
}
_OF_ONE_VERSION = ("version", "digest", "trained_until")


def deployment_conflicts(deployment: "Deployment") -> Conflicts:
    """Yield each contradiction: its location in the file, and a message that names the key."""
    if deployment.name == "doctor" or deployment.name.endswith(("_promotion", "_replay", "_rollback")):
        text = "must not be doctor nor end in _promotion, _replay or _rollback: other DAGs have these names"
        yield ("name",), f"name == {shorten(deployment.name)}, {text}"
    yield from _columns(deployment)
    if deployment.sample.rates and not deployment.sample.strata:
        yield ("sample", "rates"), "sample.rates needs sample.strata: it names a rate for each of their values"
    if deployment.policy.period == "week":
        yield from _weeks(deployment)
    elif deployment.end is not None and deployment.end < deployment.start:
        yield ("end",), f"end == {deployment.end}, must not be before start == {deployment.start}"
    yield from _policy(deployment)
    yield from source_conflicts(deployment)
    yield from _metrics(deployment)
    yield from _classes(deployment)
    yield from _label_texts(deployment)
    yield from _shared_labels(deployment)
    yield from _own_features(deployment)
    yield from _retention(deployment)
    yield from _models(deployment)
    yield from _promotion(deployment)


def _weeks(deployment: "Deployment") -> Conflicts:
    """Yield what a weekly schedule cannot have: no whole week, or observations that are not weeks."""
    if deployment.end is not None and deployment.end < deployment.start:
        ends = deployment.start + dt.timedelta(WEEK - 1)
        yield ("end",), f"end must be at least {ends}, the last day of the first whole week from start on"
    if deployment.policy.unit != "week":
        text = f"must be week, or absent: schedule == {deployment.schedule!r} is weekly"
        yield ("policy", "unit"), f"policy.unit == {deployment.policy.unit!r}, {text}"


def _policy(deployment: "Deployment") -> Conflicts:
    """Yield wrong rules, thresholds out of order, and training dates that are missing."""
    for position, rule in enumerate(deployment.policy.rules):
        for key, message in rule_problems(rule, deployment):
            yield ("policy", "rules", position, key), f"policy.rules[{position}].{key} {message}"
    for position, message in rule_conflicts(deployment.policy.rules):
        yield ("policy", "rules", position), f"policy.rules[{position}] {message}"
    too_good = deployment.policy.too_good
    if too_good.champion_auc >= too_good.auc:
        text = f"must be below policy.too_good.auc == {too_good.auc}"
        where = "policy.too_good.champion_auc"
        yield ("policy", "too_good", "champion_auc"), f"{where} == {too_good.champion_auc}, {text}"
    if deployment.policy.replay == "count":
        for position, challenger in enumerate(deployment.challengers):
            if challenger.trained_until is None and not challenger.is_a_a_check and not challenger.is_alias:
                text = "is missing: policy.replay == 'count' needs the last day of its training data"
                yield ("challengers", position), f"challengers[{position}].trained_until {text}"


def rule_problems(rule: Rule, deployment: "Deployment") -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a rule, by itself or in this deployment: the key, and the rest of the message."""
    names = deployment.metric_names
    if rule.metric not in names:
        yield (
            "metric",
            f"== {shorten(rule.metric)}, must be one of {', '.join(names)}{_metric_meant(rule.metric, names)}",
        )
        return
    if rule.is_ in COMPARING and not rule.definition.compares:
        yield "is", f"== {rule.is_!r}, must be at_most or at_least: the champion has no {rule.metric} of its own"
    yield from _rule_parameters(rule)
    if rule.metric == "agreement" and deployment.task == "regression" and deployment.tolerance is None:
        yield "metric", "== 'agreement', needs the deployment's key tolerance: up to which difference two values agree"
    is_summed_difference = rule.is_ in COMPARING and rule.relative_margin is None and rule.definition.is_sum
    if deployment.policy.unit == "request" and not rule.is_daily and not is_summed_difference:
        yield "is", f"== {rule.is_!r} cannot be judged with policy.unit == 'request', which knows differences only"
    is_bounded = rule.definition.is_bounded and (rule.metric, deployment.task) != ("brier_score", "multiclass")
    if deployment.policy.method == "betting" and not rule.is_daily and not is_bounded:
        yield "metric", f"== {rule.metric!r} has no bounds, which policy.method == 'betting' needs"
    for name in rule.slices:
        if name != "all" and name not in deployment.slices:
            declared = ", ".join(deployment.slices) or "none are declared"
            yield "slices", f"== {shorten(name)}, must be one of the deployment's slices: {declared}"
    for name in rule.minimum_requests if isinstance(rule.minimum_requests, dict) else ():
        column, separator, _ = name.partition("=")
        if separator and column not in rule.slices:
            allowed = ["all", "VALUE", *(f"{column}=VALUE" for column in rule.slices if column != "all")]
            yield "minimum_requests", f"names {shorten(name)}, must be one of {', '.join(allowed)}"


def _metric_meant(name: str, names: Sequence[str]) -> str:
    """Return ', did you mean X?' by what metrics are called elsewhere, else for the most similar name."""
    meant, instead = metric_meant(name), metric_instead(name)
    if meant in names:
        return f", did you mean {meant}?"
    return f"; use {instead} in its place" if instead in names else suggestion(name, names)


def _rule_parameters(rule: Rule) -> Iterator[tuple[str, str]]:
    margins = [key for key in ("margin", "relative_margin") if getattr(rule, key) is not None]
    if rule.is_ in WITH_MARGIN and len(margins) != 1:
        yield "margin", f"== {rule.margin}, excludes relative_margin; remove one of them" if margins else "is missing"
    if rule.is_ not in WITH_MARGIN:
        for key in margins:
            yield key, f"== {getattr(rule, key)}, belongs to {' and '.join(WITH_MARGIN)} only"
    if rule.worst_day is not None and rule.is_ not in PROVING:
        yield "worst_day", f"== {rule.worst_day}, belongs to {', '.join(PROVING)} only"
    only_bounds = "belongs to at_most and at_least only"
    if (rule.value is None) == (rule.is_ in BOUNDING):
        yield "value", "is missing" if rule.value is None else f"== {rule.value}, {only_bounds}"
    if rule.of != "value" and rule.is_ not in BOUNDING:
        yield "of", f"== {rule.of!r}, {only_bounds}"
    if rule.of != "value" and not rule.definition.compares:
        yield "of", f"== {rule.of!r}, must be value: the champion has no {rule.metric} of its own"
    if rule.last and rule.is_ not in BOUNDING:
        yield "last", only_bounds
    if rule.last and rule.last.hold > rule.last.of:
        yield "last", f"== hold {rule.last.hold} of {rule.last.of}: hold must not exceed of"


def rule_conflicts(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    """Yield the position of a rule that repeats another, or that another makes impossible, and the message."""
    seen: dict[str, int] = {}
    strictest: dict[tuple[str, str, str], tuple[float, int]] = {}
    for position, rule in enumerate(rules):
        other = seen.setdefault(rule.model_dump_json(), position)
        if other != position:
            yield position, f"duplicates policy.rules[{other}]; remove one of them"
        if rule.role != "blocking" or rule.is_ not in BOUNDING or rule.last is not None or rule.value is None:
            continue
        sign = 1 if rule.is_ == "at_most" else -1
        (opposite,) = set(BOUNDING) - {rule.is_}
        bound, other = strictest.get((rule.metric, rule.of, opposite), (rule.value, position))
        if sign * rule.value < sign * bound:
            contradiction = f"{rule.metric} {rule.is_} {rule.value:g}, policy.rules[{other}] {opposite} {bound:g}"
            yield position, f"== {contradiction}: no challenger can meet both"
        key = (rule.metric, rule.of, rule.is_)
        strictest[key] = min(
            strictest.get(key, (rule.value, position)), (rule.value, position), key=lambda it: sign * it[0]
        )


def _columns(deployment: "Deployment") -> Conflicts:
    """Yield duplicates in lists of columns and names, columns with two roles, and reserved names."""
    requests, labels = deployment.requests, deployment.labels
    yield from _duplicates("challengers", [challenger.name for challenger in deployment.challengers], "name")
    yield from _duplicates("slices", deployment.slices)
    yield from _duplicates("dependencies", [dependency.name for dependency in deployment.dependencies], "name")
    yield from _duplicates("requests.features", requests.features)
    yield from _duplicates("requests.prediction", requests.prediction_columns)
    yield from _duplicates("sample.strata", deployment.sample.strata)
    yield from _duplicates("metrics", [entry if isinstance(entry, str) else entry.name for entry in deployment.metrics])
    for key, columns in {"requests.id": requests.id, "labels.id": labels.id, "labels.key": labels.key}.items():
        yield from _duplicates(key, columns if isinstance(columns, list) else [])
    identities = (("requests", "time", requests.id), ("labels", "time", labels.id), ("labels", "value", labels.id))
    for section, key, identity in identities:
        if getattr(getattr(deployment, section), key) == identity:
            yield (section, key), f"{section}.{key} == {shorten(identity)}, must not be the column of {section}.id"
    copied = {
        "requests.features": requests.features,
        "slices": deployment.slices,
        "sample.strata": deployment.sample.strata,
    }
    for key, names in copied.items():
        for position, name in enumerate(names):
            if is_reserved(name) or (key == "slices" and name == "all"):
                text = f"{key}[{position}] == {shorten(name)}, is a name that snapshots use; rename the column"
                yield (*key.split("."), position), text


def _metrics(deployment: "Deployment") -> Conflicts:
    names = deployment.metric_names
    for position, entry in enumerate(deployment.metrics):
        key = f"metrics[{position}]"
        if isinstance(entry, str):
            if entry not in names:
                text = f"must be one of {', '.join(names)}{_metric_meant(entry, names)}"
                yield ("metrics", position), f"{key} == {shorten(entry)}, {text}"
            continue
        if entry.name in METRICS:
            text = "is the name of a built-in metric; choose another"
            yield ("metrics", position, "name"), f"{key}.name == {shorten(entry.name)}, {text}"
        if entry.limits and entry.limits.calls_per_second:
            name = "limits.calls_per_second"
            location: Location = ("metrics", position, *name.split("."))
            yield location, f"{key}.{name} does not apply to a metric, only to endpoints; remove it"
    policy = deployment.policy
    if policy.unit == "request" and policy.method not in ("robust", "plain"):
        text = "must be robust or plain where policy.unit is request"
        yield ("policy", "method"), f"policy.method == {policy.method!r}, {text}"
    elif policy.weighting == "request" and policy.method == "betting":
        text = "must be day where policy.method is betting: it needs bounds, and a day's number of requests has none"
        yield ("policy", "weighting"), f"policy.weighting == 'request', {text}"
    elif policy.unit == "request" and policy.weighting == "day":
        yield ("policy", "weighting"), "policy.weighting == 'day', must be request where policy.unit is request"


def _retention(deployment: "Deployment") -> Conflicts:
    """Yield that days are removed while their labels, or requests of later days that share them, are waited for."""
    keep, waits = deployment.store.keep_days, deployment.labels.maturity_days
    least = waits + 1 + deployment.policy.days_per_period
    if keep is not None and keep < least:
        text = f"must be at least {least}, {least - waits} days more than labels.maturity_days"
        yield ("store", "keep_days"), f"store.keep_days == {keep}, {text}"


def _models(deployment: "Deployment") -> Conflicts:
    champion = deployment.champion
    if champion and champion.kind in ("champion", "logged"):
        text = "must be a model that can be run: its predictions are compared with the log"
        yield ("champion", "model"), f"champion.model == {shorten(champion.model)}, {text}"
    if champion:
        if champion.is_newest:
            text = "must be a version or an alias: the newest version need not be the one that serves"
            yield ("champion", "model"), f"champion.model == {shorten(champion.model)}, {text}"
        yield from _model(("champion",), "champion", champion)
    for position, challenger in enumerate(deployment.challengers):
        yield from _model(("challengers", position), f"challengers[{position}]", challenger)
        if challenger.is_transform and not deployment.store.snapshots.startswith("s3://"):
            text = f"must be s3://BUCKET/PREFIX where challengers[{position}] is a batch transform: it works on S3"
            yield ("store", "snapshots"), f"store.snapshots == {shorten(deployment.store.snapshots)}, {text}"
        for name in _OF_ONE_VERSION if challenger.is_newest else ():
            if name in challenger.model_fields_set:
                text = "must be absent where model follows the newest version: each version has its own"
                yield ("challengers", position, name), f"challengers[{position}].{name} {text}"


def _model(location: Location, key: str, model: ModelSettings) -> Conflicts:
    """Yield what a kind of model lacks, and keys that do not apply to it."""
    is_on_s3 = model.kind == "onnx" and model.address.startswith("s3://")
    if (is_on_s3 or model.kind == "sklearn") and not model.digest:
        yield (*location, "digest"), f"{key}.digest is missing, must be {model.digest_wanted}"
    if model.kind == "sklearn" and not model.unpickle:
        text = "must be true: reading a pickle can run arbitrary code, so confirm that you trust it"
        yield (*location, "unpickle"), f"{key}.unpickle {text}"
    for name, kinds in _KINDS_WITH.items():
        if getattr(model, name, None) and model.kind not in kinds:
            yield (*location, name), f"{key}.{name} does not apply to {model.kind}; remove it"
    if model.limits and model.is_transform:
        yield (*location, "limits"), f"{key}.limits does not apply to a batch transform; remove it"
    if model.limits and model.limits.calls_per_second and model.kind not in REMOTE:
        name = "limits.calls_per_second"
        yield (
            (*location, *name.split(".")),
            f"{key}.{name} does not apply to {model.kind}, only to endpoints; remove it",
        )


def _promotion(deployment: "Deployment") -> Conflicts:
    names = [challenger.name for challenger in deployment.challengers]
    for position, challenger in enumerate(deployment.challengers):
        key = f"challengers[{position}]"
        if challenger.name == FORMER_CHAMPION:
            text = "is reserved for the former champion after a promotion; choose another name"
            yield ("challengers", position, "name"), f"{key}.name == {FORMER_CHAMPION!r}, {text}"
        if deployment.promotion.mlflow and not challenger.is_a_a_check and not challenger.version.isdecimal():
            text = f"must be the number of a version of {deployment.promotion.mlflow.model} in MLflow"
            yield ("challengers", position, "version"), f"{key}.version == {shorten(challenger.version)}, {text}"
    seen: dict[str, str] = {}
    for name, entry in deployment.status.ids.items() if deployment.status else ():
        location: Location = ("status", "ids", name)
        if name not in names:
            text = f"must be one of the challengers {', '.join(names)}{suggestion(name, names)}"
            yield location, f"status.ids.{name} {text}"
        if seen.setdefault(entry, name) != name:
            yield location, f"status.ids.{name} == {shorten(entry)}, duplicates status.ids.{seen[entry]}"
    yield from _duplicates("alerts.channels", [str(channel) for channel in deployment.alerts.channels])


def _classes(deployment: "Deployment") -> Conflicts:
    """Yield where the number of classes and the number of columns of their probabilities differ."""
    yield from _duplicates("classes", deployment.classes)
    count, is_multiclass = len(deployment.classes), deployment.task == "multiclass"
    if count < 3 if is_multiclass else count > 0:
        allowed = "at least three, for a multiclass task" if is_multiclass else "none, except for a multiclass task"
        yield ("classes",), f"classes has {count}, must have {allowed}"
        return
    yield from _prediction_by_class(deployment)
    columns: dict[str, tuple[Location, list[str]]] = {}
    if not isinstance(deployment.requests.prediction, dict):
        columns["requests.prediction"] = ("requests", "prediction"), deployment.requests.prediction_columns
    for position, challenger in enumerate(deployment.challengers):
        if challenger.kind == "logged":
            location: Location = ("challengers", position, "model")
            columns[f"challengers[{position}].model"] = location, challenger.address.rpartition(".")[2].split(",")
    for key, (location, names) in columns.items():
        if len(names) != max(count, 1):
            text = ", a probability each" if is_multiclass and len(names) == 1 else ""
            yield location, f"{key} names {len(names)} columns, must name {max(count, 1)}, one for each class{text}"


def _prediction_by_class(deployment: "Deployment") -> Conflicts:
    """Yield the classes without a column, and the columns of what is no class."""
    columns, classes = deployment.requests.prediction, deployment.classes
    if not isinstance(columns, dict):
        return
    if not classes:
        text = "must be one column: CLASS: COLUMN is for a multiclass task"
        yield ("requests", "prediction"), f"requests.prediction == {shorten(columns)}, {text}"
        return
    for name in classes:
        if name not in columns:
            yield ("requests", "prediction"), f"requests.prediction.{name} is missing, must be the column of that class"
    for name in columns:
        if name not in classes:
            text = f"must be one of classes: {', '.join(classes)}{suggestion(name, classes)}"
            yield ("requests", "prediction", name), f"requests.prediction.{name} {text}"


def _label_texts(deployment: "Deployment") -> Conflicts:
    """Yield texts of labels where there can be none, or that say nothing."""
    labels = deployment.labels
    for key in ("positive", "negative"):
        if getattr(labels, key) is not None and deployment.task != "binary":
            yield ("labels", key), f"labels.{key} applies to a binary task only; remove it"
    if labels.negative is not None and labels.positive is None:
        yield ("labels", "negative"), "labels.negative needs labels.positive"
    elif labels.negative is not None and labels.negative == labels.positive:
        yield ("labels", "negative"), f"labels.negative == {shorten(labels.negative)}, must not be labels.positive"


def _shared_labels(deployment: "Deployment") -> Conflicts:
    """Yield a key that shares nothing, and single requests that depend on each other through their labels."""
    labels, matched = deployment.labels, "requests.id" if deployment.labels.key is None else "labels.key"
    counts = [1 if isinstance(each, str) else len(each) for each in (labels.id, labels.key or deployment.requests.id)]
    if counts[0] != counts[1]:
        yield ("labels", "id"), f"labels.id names {counts[0]} columns, must name {counts[1]}, as {matched} does"
    if labels.key == deployment.requests.id:
        yield ("labels", "key"), f"labels.key == {shorten(labels.key)}, is requests.id, the default; remove it"
    if labels.shared == "all" and labels.key is None:
        yield ("labels", "shared"), "labels.shared == 'all' needs labels.key"
    elif labels.shared == "all" and deployment.policy.unit == "request":
        text = "must be first where policy.unit is request: requests that share a label depend on each other"
        yield ("labels", "shared"), f"labels.shared == 'all', {text}"


def _own_features(deployment: "Deployment") -> Conflicts:
    """Yield a look-up by another number of columns than requests have, and what may be constant and is not there."""
    names = ["champion", *(each.name for each in deployment.challengers), *deployment.requests.features]
    for position, wanted in enumerate(each.features_from for each in deployment.challengers):
        if wanted is not None:
            names += wanted.features
            matched = wanted.key or deployment.requests.id
            counts = [1 if isinstance(each, str) else len(each) for each in (wanted.id, matched)]
            if counts[0] != counts[1]:
                as_ = "key" if wanted.key else "requests.id"
                text = f"names {counts[0]} columns, must name {counts[1]}, as {as_} does"
                yield (
                    ("challengers", position, "features_from", "id"),
                    f"challengers[{position}].features_from.id {text}",
                )
    for place, name in enumerate(deployment.expectations.may_be_constant):
        if name not in names:
            text = f"== {shorten(name)}, must be one of {', '.join(names)}{suggestion(name, names)}"
            yield ("expectations", "may_be_constant", place), f"expectations.may_be_constant[{place}] {text}"


def _duplicates(key: str, names: list[str], part: str = "") -> Conflicts:
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        first = seen.setdefault(name, position)
        if first != position:
            suffix = f".{part}" if part else ""
            location: Location = (*key.split("."), position, *((part,) if part else ()))
            text = f"duplicates {key}[{first}]{suffix}; remove one of them"
            yield location, f"{key}[{position}]{suffix} == {shorten(name)}, {text}"
