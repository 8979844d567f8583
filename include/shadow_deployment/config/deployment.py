"""A deployment: one champion, its challengers, where requests and labels come from, and the policy.

One YAML file is one deployment. `load` reads it; every wrong value in it is said at once, each line naming the key,
what was got, what is allowed, and the file and line. Parsing touches neither network nor database, because Airflow
does it every half minute.
"""

import datetime as dt
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationError

from shadow_deployment.base.paths import is_supported_address
from shadow_deployment.config.actions import FORMER_CHAMPION, Alerts, CloudWatch, PromotionPolicy, Status
from shadow_deployment.config.error_messages import deployment_error, describe_error
from shadow_deployment.config.model import ModelSettings
from shadow_deployment.config.partitions import ALLOWED, Pattern, is_parquet
from shadow_deployment.config.policy import Policy, Probability, Section, Share
from shadow_deployment.config.validators import deployment_conflicts
from shadow_deployment.config.yaml_source import YamlSource, suggestion
from shadow_deployment.errors import DeploymentError
from shadow_deployment.metrics.catalog import BASIC, Task, metrics_of

_LONGEST_NAME = 63
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{_LONGEST_NAME - 1}}}")
FOLDER = "must be a path, file:///an/absolute/folder or s3://BUCKET/PREFIX"
MOST_ROWS = (1 << 31) - 1  # of a day's sample: their ordinals are integers of SQL
_NO_ZONES = {"localtime", "Factory"}  # another one on each machine, and none at all
DAYS = (dt.date(1970, 1, 1), dt.date(2199, 12, 31))
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAILY = re.compile(r"(?P<minute>[0-5]?\d) (?P<hour>[01]?\d|2[0-3]) \* \* \*")


def _identifier(value: str) -> str:
    if not _NAME.fullmatch(value):
        other = next((f": {one!r} is U+{ord(one):04X}, which ASCII has not" for one in value if not one.isascii()), "")
        raise ValueError(
            f"must be lower-case letters, digits and underscores, starting with a letter, at most 63{other}"
        )
    return value


def _daily(value: str) -> str:
    cron = {"@daily": "0 0 * * *", "@midnight": "0 0 * * *"}.get(value, value)
    if not _DAILY.fullmatch(cron):
        raise ValueError('must be one time a day, "MINUTE HOUR * * *" or @daily: the day is the unit of evidence')
    return cron


def _timezone(value: str) -> str:
    if value not in _zones():
        raise ValueError(f"must be an IANA time zone such as UTC or Europe/Berlin{suggestion(value, _zones())}")
    return value


@cache
def _zones() -> frozenset[str]:
    """Return the zones of this machine: looking for them reads some six hundred files."""
    return frozenset(available_timezones() - _NO_ZONES)


def _written_day(value: object) -> object:
    """Refuse what pydantic would take for seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _ISO_DAY.fullmatch(value)):
        raise ValueError("must be a day as YYYY-MM-DD")
    return value


def _possible_day(value: dt.date) -> dt.date:
    first, last = DAYS
    if not first <= value <= last:
        raise ValueError(f"must be a day from {first} to {last}")
    return value


def _table(value: str) -> str:
    if is_parquet(value):
        Pattern.parse(value)
    elif "://" in value or value.count(".") > 1 or not all(value.split(".")):
        raise ValueError(ALLOWED if "://" in value else "must be TABLE or SCHEMA.TABLE")
    return value


def _folder(value: str) -> str:
    parts = urlsplit(value)
    if parts.query or parts.fragment or not (parts.netloc or parts.path):
        raise ValueError(FOLDER)
    if not is_supported_address(value) or (parts.scheme == "s3") != bool(parts.netloc):
        raise ValueError(FOLDER)
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
Folder = Annotated[str, AfterValidator(_folder)]
Table = Annotated[str, Field(min_length=1), AfterValidator(_table)]
ConnId = Annotated[str, Field(min_length=1)]
Column = Annotated[str, Field(min_length=1, max_length=63)]
Columns = Annotated[
    Annotated[Column, Tag("one")] | Annotated[list[Column], Field(min_length=2), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
]
Day = Annotated[dt.date, Field(strict=False), BeforeValidator(_written_day), AfterValidator(_possible_day)]


class Requests(Section):
    """Where the champion's prediction log lies: one row per production request, in a table or in Parquet files.

    `table` is TABLE or SCHEMA.TABLE of the database that `conn_id` names, or `parquet:` and where the files lie, on
    disk or on S3, with the day in it: `parquet:s3://BUCKET/predictions/dt={day}/*.parquet`. For S3 `conn_id` names a
    connection of Airflow's amazon provider, or is not there: then boto3 finds credentials by itself.

    An id that is there twice in a day stops the day, unless `duplicates` is "first": then the earliest row counts, the
    answer as it was first given.
    """

    conn_id: ConnId | None = None
    table: Table
    id: Column
    time: Column
    features: Annotated[list[Column], Field(min_length=1)]
    prediction: Columns
    version: Column | None = None
    latency: Column | None = None
    duplicates: Literal["refuse", "first"] = "refuse"

    @property
    def columns(self) -> list[str]:
        """The columns that hold the champion's answer: one, or a probability for each class."""
        return [self.prediction] if isinstance(self.prediction, str) else self.prediction


class Labels(Section):
    """Where the ground truth arrives: `time` is when a label became known, not what it is about.

    `table` and `conn_id` are as those of requests; Parquet files lie by the day on which labels became known, or in
    one place without a day.
    """

    conn_id: ConnId | None = None
    table: Table
    id: Column
    value: Column
    time: Column
    maturity_days: Annotated[int, Field(ge=0, le=3650)]

    @property
    def column(self) -> str:
        """The labels in words: TABLE.COLUMN, or COLUMN of the files."""
        return f"{self.value} of {self.table}" if is_parquet(self.table) else f"{self.table}.{self.value}"


class StoreSettings(Section):
    """Where this package keeps what it knows: the ledger's connection, and the folder of the snapshots.

    The folder is a path, file:///an/absolute/folder or s3://BUCKET/PREFIX, with the credentials of `snapshots_conn_id`.
    """

    conn_id: ConnId
    snapshots: Folder
    snapshots_conn_id: ConnId | None = None


class Sample(Section):
    """How many of a day's requests are shadowed.

    Within each stratum the requests with the smallest keyed hash are drawn: `rate` of them, at least
    `minimum_per_stratum` (all where there are fewer), and `max_rows` in all, shared in proportion.
    """

    rate: Share
    rates: dict[str, Share] = {}
    strata: list[Column] = []
    minimum_per_stratum: Annotated[int, Field(ge=0, le=MOST_ROWS)] = 0
    max_rows: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 100_000
    salt: str | None = None
    shard_rows: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 65_536


class ChampionSettings(ModelSettings):
    """The champion's own model file: `sample` of a day's requests are scored by it again, and must come out the same.

    A difference of more than `tolerance` means that the features differ between serving and shadow. `version` is the
    one that the file is; other versions in the log cannot be scored again.
    """

    version: str | None = None
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    sample: Annotated[int, Field(ge=1)] = 1000

    @property
    def as_challenger(self) -> "Challenger":
        """The champion as a model to load, as challengers are."""
        own: dict[str, Any] = {} if self.version is None else {"version": self.version}
        return Challenger(name="champion", **own, **{name: getattr(self, name) for name in ModelSettings.model_fields})


class Challenger(ModelSettings):
    """One model that scores in the shadow."""

    name: Identifier
    version: Annotated[str, Field(min_length=1)] = "1"

    @property
    def is_watched(self) -> bool:
        """Whether this is the former champion, judged against the one that has followed it."""
        return self.name == FORMER_CHAMPION

    @property
    def is_a_a_check(self) -> bool:
        """Whether this is the champion against itself, which measures noise and can never be promoted."""
        return self.model == "champion"


def _http(value: str) -> str:
    parts = urlsplit(value)
    is_readable = value.isprintable() and " " not in value and parts.port != 0
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not is_readable:
        raise ValueError("must be an address such as http://host:8080/path, without a login")
    return value


class Dependency(Section):
    """Anything else that must answer over HTTP for the deployment to work, such as a feature service or an MCP server.

    Only the doctor asks for it.
    """

    name: Annotated[str, Field(min_length=1, max_length=63)]
    url: Annotated[str, AfterValidator(_http)]


class Expectations(Section):
    """Great Expectations suites of one's own, as JSON files; without one, the package's defaults apply."""

    inputs: str | None = None
    predictions: str | None = None


class Deployment(Section):
    """One YAML file of `include/deployments/`, checked.

    `throttle` is the share of the time in which production's database works for it while it is read; 1 knows no rest.
    """

    name: Identifier
    schedule: Annotated[str, AfterValidator(_daily)] = "0 0 * * *"
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    start: Day
    end: Day | None = None
    task: Task
    threshold: Probability = 0.5
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    quantile: Probability = 0.5
    classes: list[Column] = []
    metrics: list[str] = []
    champion: ChampionSettings | None = None
    requests: Requests
    labels: Labels
    store: StoreSettings
    sample: Sample
    slices: list[Column] = []
    challengers: Annotated[list[Challenger], Field(min_length=1)]
    expectations: Expectations = Expectations()
    throttle: Annotated[float, Field(ge=0.001, le=1)] = 0.03
    timeout_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    policy: Policy
    promotion: PromotionPolicy = PromotionPolicy()
    alerts: Alerts = Alerts()
    status: Status | None = None
    cloudwatch: CloudWatch | None = None
    dependencies: list[Dependency] = []

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
    def tracked(self) -> list[str]:
        """The metrics that evidence is kept of: the basic ones, those that rules name, and those asked for besides."""
        named = BASIC | {rule.metric for rule in self.policy.rules} | set(self.metrics)
        return [name for name in metrics_of(self.task) if name in named]

    @property
    def salt(self) -> str:
        """The key of the sampling hash."""
        return self.sample.salt if self.sample.salt is not None else self.name

    @property
    def promotable(self) -> list[Challenger]:
        """The challengers that a verdict may promote, among which alpha is divided."""
        return [one for one in self.challengers if not one.is_a_a_check and not one.is_watched]

    def challenger(self, name: str) -> Challenger:
        """Return a challenger by name; raise DeploymentError that lists the names there are."""
        for challenger in self.challengers:
            if challenger.name == name:
                return challenger
        names = [challenger.name for challenger in self.challengers]
        allowed = f"{', '.join(names)}{suggestion(name, names)}"
        raise DeploymentError(f"deployment {self.name}: challenger == {name!r}, must be one of {allowed}")


def load_deployment(path: Path) -> Deployment:
    """Read one deployment file; raise DeploymentError that names every wrong value with its line.

    What contradicts another key is named once every value by itself is right.
    """
    return parse_deployment(YamlSource.read(path))


def parse_deployment(source: YamlSource) -> Deployment:
    """Check what a YAML file holds; raise DeploymentError as `load` does."""
    name = source.content.get("name")
    is_shown = isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable()
    title = f"deployment {name}" if is_shown else "deployment"
    try:
        deployment = Deployment.model_validate(source.content)
    except ValidationError as error:
        raise deployment_error(
            title, [describe_error(Deployment, source, problem) for problem in error.errors()]
        ) from None
    lines = [f"{message} ({source.where(location)})" for location, message in deployment_conflicts(deployment)]
    if lines:
        raise deployment_error(title, lines)
    return deployment
