"""A deployment: one champion, its challengers, where requests and labels come from, and the policy.

One YAML file is one deployment. `load` reads it; everything wrong in it is said at once, each line naming the key,
what was got, what is allowed, and the file and line. Parsing touches neither network nor database, because Airflow
does it every half minute.
"""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from include.shadow.errors import DeploymentError
from include.shadow.metrics import METRICS, Metric, Task, metrics_of
from include.shadow.yaml_source import Location, YamlSource, suggestion

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DAILY = re.compile(r"(?P<minute>[0-5]?\d) (?P<hour>[01]?\d|2[0-3]) \* \* \*")
RESERVED = (
    "request_id",
    "requested_at",
    "stratum",
    "inclusion_probability",
    "champion",
    "champion_version",
    "champion_latency_ms",
)
_MODEL = re.compile(r"champion|(onnx|logged):\S.*")


def _identifier(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be lower-case letters, digits and underscores, starting with a letter, at most 63")
    return value


def _daily(value: str) -> str:
    cron = {"@daily": "0 0 * * *", "@midnight": "0 0 * * *"}.get(value, value)
    if not _DAILY.fullmatch(cron):
        raise ValueError('must be one time a day, "MINUTE HOUR * * *" or @daily: the day is the unit of evidence')
    return cron


def _timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(
            f"must be an IANA time zone such as UTC or Europe/Berlin{suggestion(value, available_timezones())}"
        )
    return value


def _model(value: str) -> str:
    if not _MODEL.fullmatch(value):
        raise ValueError("must be champion, onnx:PATH or logged:TABLE.COLUMN")
    if value.startswith("logged:") and value.count(".") not in (1, 2):
        raise ValueError("must name a table and a column, as in logged:flights.prediction_log.other_probability")
    return value


def _table(value: str) -> str:
    if value.count(".") > 1 or not all(value.split(".")):
        raise ValueError("must be TABLE or SCHEMA.TABLE")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
Table = Annotated[str, Field(min_length=1), AfterValidator(_table)]
Column = Annotated[str, Field(min_length=1, max_length=63)]
Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Day = Annotated[dt.date, Field(strict=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Requests(_Part):
    """Where the champion's prediction log lies: one row per production request."""

    conn_id: str
    table: Table
    id: Column
    time: Column
    features: Annotated[list[Column], Field(min_length=1)]
    prediction: Column
    version: Column | None = None
    latency: Column | None = None


class Labels(_Part):
    """Where the ground truth arrives: `time` is when a label became known, not what it is about."""

    conn_id: str
    table: Table
    id: Column
    value: Column
    time: Column
    maturity_days: Annotated[int, Field(ge=0, le=3650)]


class Store(_Part):
    """Where this package keeps what it knows: the ledger's connection, and the folder of the snapshots."""

    conn_id: str
    snapshots: Annotated[str, Field(min_length=1)]


class Sample(_Part):
    """How many of a day's requests are shadowed.

    Within each stratum the requests with the smallest keyed hash are drawn: `rate` of them, at least
    `minimum_per_stratum` (all where there are fewer), and `max_rows` in all, shared in proportion.
    """

    rate: Share
    rates: dict[str, Share] = {}
    strata: list[Column] = []
    minimum_per_stratum: Annotated[int, Field(ge=0)] = 0
    max_rows: Annotated[int, Field(ge=1)] = 100_000
    salt: str | None = None
    shard_rows: Annotated[int, Field(ge=1)] = 50_000


class Challenger(_Part):
    """One model that scores in the shadow."""

    name: Identifier
    version: Annotated[str, Field(min_length=1)] = "1"
    model: Annotated[str, AfterValidator(_model)]

    @property
    def is_control(self) -> bool:
        """Whether this is the champion against itself, which measures noise and can never be promoted."""
        return self.model == "champion"


class Expectations(_Part):
    """Great Expectations suites of one's own, as JSON files; without one, the package's defaults apply."""

    inputs: str | None = None
    predictions: str | None = None


class Rule(_Part):
    """One thing that must hold for promotion (a gate), or that is judged and shown only (a monitor)."""

    metric: str
    is_: Literal["superior", "non_inferior", "at_most", "at_least"] = Field(alias="is")
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    value: Finite | None = None
    slices: list[str] = []
    role: Literal["gate", "monitor"] = "gate"

    @property
    def definition(self) -> Metric:
        """The metric that this rule is about."""
        return METRICS[self.metric]

    @property
    def bound(self) -> float:
        """What the interval is held against: 0, minus the margin, or the value."""
        if self.is_ == "superior":
            return 0.0
        return -(self.margin or 0.0) if self.is_ == "non_inferior" else float(self.value or 0.0)

    def __str__(self) -> str:
        words = {
            "superior": "superior to the champion",
            "non_inferior": f"not worse than the champion by {self.margin} or more",
            "at_most": f"at most {self.value}",
            "at_least": f"at least {self.value}",
        }[self.is_]
        where = f", overall and in every {' and '.join(self.slices)}" if self.slices else ""
        return f"{self.definition.title}: {words}{where}"


class Policy(_Part):
    """What must hold for promotion, at which error rate, and from when on a verdict is given."""

    alpha: Probability = 0.05
    unit: Literal["day"] = "day"
    burn_in: Annotated[int, Field(ge=2, le=3650)] = 28
    expected: Annotated[int, Field(ge=2, le=36500)] = 60
    minimum_coverage: Share = 1.0
    rules: Annotated[list[Rule], Field(min_length=1)]


class Deployment(_Part):
    """One YAML file of `include/deployments/`, checked."""

    name: Identifier
    schedule: Annotated[str, AfterValidator(_daily)] = "0 0 * * *"
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    start: Day
    end: Day | None = None
    task: Task
    threshold: Probability = 0.5
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    requests: Requests
    labels: Labels
    store: Store
    sample: Sample
    slices: list[Column] = []
    challengers: Annotated[list[Challenger], Field(min_length=1)]
    expectations: Expectations = Expectations()
    timeout_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    policy: Policy

    @property
    def tick(self) -> tuple[int, int]:
        """Hour and minute, local, at which a day begins."""
        match = _DAILY.fullmatch(self.schedule)
        assert match is not None  # noqa: S101 (the field's own validator has made sure)
        return int(match["hour"]), int(match["minute"])

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which a day is a day."""
        return ZoneInfo(self.timezone)

    @property
    def salt(self) -> str:
        """The key of the sampling hash."""
        return self.sample.salt if self.sample.salt is not None else self.name

    @property
    def promotable(self) -> list[Challenger]:
        """The challengers that a verdict may promote, among which alpha is divided."""
        return [challenger for challenger in self.challengers if not challenger.is_control]

    def challenger(self, name: str) -> Challenger:
        """Return a challenger by name; raise DeploymentError that lists the names there are."""
        for challenger in self.challengers:
            if challenger.name == name:
                return challenger
        names = [challenger.name for challenger in self.challengers]
        allowed = f"{', '.join(names)}{suggestion(name, names)}"
        raise DeploymentError(f"deployment {self.name}: challenger == {name!r}, must be one of {allowed}")


def load(path: Path) -> Deployment:
    """Read one deployment file; raise DeploymentError that names every wrong key with its line."""
    return parse(YamlSource.read(path))


def parse(source: YamlSource) -> Deployment:
    """Check what a YAML file holds; raise DeploymentError as `load` does."""
    name = source.content.get("name")
    title = f"deployment {name}" if isinstance(name, str) else "deployment"
    try:
        deployment = Deployment.model_validate(source.content)
    except ValidationError as error:
        lines = [_explain(source, problem) for problem in error.errors()]
        raise DeploymentError("\n".join(f"{title}: {line}" for line in lines)) from None
    lines = [f"{message} ({source.where(location)})" for location, message in _contradictions(deployment)]
    if lines:
        raise DeploymentError("\n".join(f"{title}: {line}" for line in lines))
    return deployment


def _explain(source: YamlSource, problem: Any) -> str:
    location: Location = tuple(problem["loc"])
    key = source.key(location)
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        text = f"{key} is missing"
    elif kind == "extra_forbidden":
        text = f"{key} is unknown{suggestion(str(location[-1]), _allowed(location[:-1]))}"
    elif kind == "literal_error":
        expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        near = suggestion(str(problem["input"]), expected.split(", "))
        text = f"{key} == {_shown(problem['input'])}, must be one of {expected}{near}"
    else:
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        hint = ": write it in quotes" if kind == "string_type" and isinstance(problem["input"], int | float) else ""
        message = message if message.startswith("must ") else f"must be {message}"
        text = f"{key} == {_shown(problem['input'])}, {message}{hint}"
    return f"{text} ({source.where(location)})"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _allowed(location: Location) -> list[str]:
    model: Any = Deployment
    for step in location:
        if isinstance(step, int):
            continue
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        annotation = fields.get(str(step))
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _contradictions(deployment: Deployment) -> Iterator[tuple[Location, str]]:
    yield from _repeated("challengers", [challenger.name for challenger in deployment.challengers], "name")
    yield from _repeated("slices", deployment.slices)
    yield from _repeated("requests.features", deployment.requests.features)
    for key, names in (("requests.features", deployment.requests.features), ("slices", deployment.slices)):
        for position, name in enumerate(names):
            if name in RESERVED:
                location: Location = (*key.split("."), position)
                yield location, f"{key}[{position}] == {name!r}, must not be a name that snapshots use themselves"
    if deployment.end is not None and deployment.end < deployment.start:
        yield ("end",), f"end == {deployment.end}, must not be before start == {deployment.start}"
    for position, rule in enumerate(deployment.policy.rules):
        for key, message in _rule_problems(deployment, rule):
            yield ("policy", "rules", position, key), f"policy.rules[{position}].{key} {message}"


def _repeated(key: str, names: list[str], part: str | None = None) -> Iterator[tuple[Location, str]]:
    for position, name in enumerate(names):
        if name in names[:position]:
            suffix = f".{part}" if part else ""
            location: Location = (*key.split("."), position, *((part,) if part else ()))
            yield location, f"{key}[{position}]{suffix} == {name!r}, must be there once"


def _rule_problems(deployment: Deployment, rule: Rule) -> Iterator[tuple[str, str]]:
    names = metrics_of(deployment.task)
    if rule.metric not in names:
        yield "metric", f"== {rule.metric!r}, must be one of {', '.join(names)}{suggestion(rule.metric, names)}"
        return
    if rule.is_ in ("superior", "non_inferior") and not rule.definition.compares:
        yield "is", f"== {rule.is_!r}, must be at_most or at_least: the champion has no {rule.metric} of its own"
    if (rule.margin is None) == (rule.is_ == "non_inferior"):
        yield "margin", "is missing" if rule.margin is None else f"== {rule.margin}, belongs to non_inferior only"
    if (rule.value is None) == (rule.is_ in ("at_most", "at_least")):
        yield "value", "is missing" if rule.value is None else f"== {rule.value}, belongs to at_most and at_least only"
    if rule.metric == "agreement" and deployment.task == "regression" and deployment.tolerance is None:
        yield "metric", "== 'agreement', needs the deployment's key tolerance: how far apart two answers still agree"
    for name in rule.slices:
        if name != "all" and name not in deployment.slices:
            yield (
                "slices",
                f"== {name!r}, must be one of the deployment's slices: {', '.join(deployment.slices) or 'none'}",
            )
