"""A deployment: one champion, its challengers, where requests and labels come from, and the policy.

One YAML file is one deployment. `load_deployment` reports every wrong value at once, each line naming the key, what was
got, what is allowed, and the file and line. It uses neither network nor database: Airflow parses DAGs twice a minute.
"""

import datetime as dt
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import Discriminator, Field, ModelWrapValidatorHandler, Tag, ValidationError, model_validator

from shadow_deployment.base.paths import beside
from shadow_deployment.config.actions import FORMER_CHAMPION, Alerts, CloudWatch, Dependency, PromotionPolicy, Status
from shadow_deployment.config.error_messages import deployment_error, describe_error
from shadow_deployment.config.fields import (
    FROM_FILE,
    MAX_ROWS,
    Column,
    Day,
    Folder,
    Identifier,
    Probability,
    RowCount,
    Schedule,
    Section,
    Share,
    Text,
    TimeZone,
    weekday_of,
)
from shadow_deployment.config.model import ModelSettings
from shadow_deployment.config.policy import WEEK, CustomMetric, Policy
from shadow_deployment.config.sources.tables import AthenaSettings, FeaturesFrom, Labels, Requests
from shadow_deployment.config.validators import deployment_conflicts
from shadow_deployment.config.yaml_source import YamlSource, suggestion, text_of
from shadow_deployment.errors import DeploymentError
from shadow_deployment.metrics.catalog import BASIC, METRICS, SKEW, Metric, Task, metrics_of, skew_of

MetricEntry = Annotated[
    Annotated[str, Tag("name")] | Annotated[CustomMetric, Tag("custom")],
    Discriminator(lambda value: "custom" if isinstance(value, dict | CustomMetric) else "name"),
]


class StoreSettings(Section):
    """Where this package keeps its own data."""

    conn_id: Text = Field(description="Airflow connection of the Postgres database that holds the ledger.")
    owner_conn_id: Text | None = Field(
        None,
        description="Airflow connection of the ledger's owner, for `shadow migrate`, `backup`, `restore`, `prune` and "
        "`erase`; the role of `conn_id` then only reads and adds rows. By default `conn_id` is the owner.",
    )
    snapshots: Folder = Field(description="Folder of daily samples: a path, `file:///PATH` or `s3://BUCKET/PREFIX`.")
    snapshots_conn_id: Text | None = Field(
        None, description="Airflow connection for snapshots on S3; without it, boto3's default credentials."
    )
    keep_days: Annotated[int, Field(ge=2, le=36500)] | None = Field(
        None,
        description="How long requests, predictions, labels and files are kept after a day was sampled, in days; by "
        "default for ever. Sums and verdicts stay; `shadow migrate` enters it in the ledger.",
    )

    @property
    def owner(self) -> str:
        """The connection of the ledger's owner."""
        return self.owner_conn_id or self.conn_id


class Sample(Section):
    """How many of a window's requests are shadowed.

    In each stratum the requests with the smallest keyed hash of their id are drawn.
    """

    rate: Share = Field(description="Share of the requests to draw in each stratum of a window.")
    rates: dict[str, Share] = Field({}, description="Shares of single strata, by value, in place of `rate`.")
    strata: list[Column] = Field([], description="Columns whose values form the strata.")
    minimum_per_stratum: Annotated[int, Field(ge=0, le=MAX_ROWS)] = Field(
        0, description="Requests to draw at least from a stratum of a window, in rows; all where it has fewer."
    )
    max_rows: RowCount = Field(
        100_000, description="Requests to draw at most from a window, in rows, shared among strata in proportion."
    )
    salt: str | None = Field(None, description="Key of the hash; by default the deployment's name.")
    shard_rows: RowCount = Field(65_536, description="Requests scored by one task instance, in rows.")


class ChampionSettings(ModelSettings):
    """The champion's own model file, for the replay check: logged predictions must be reproduced from logged features.

    A difference indicates training-serving skew.
    """

    version: str | None = Field(None, description="Version that the file is; rows of other versions are not replayed.")
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1e-4, description="Largest accepted difference, in the unit of the prediction."
    )
    sample: Annotated[int, Field(ge=1)] = Field(1000, description="Requests to replay each day, in rows.")

    @property
    def as_challenger(self) -> "Challenger":
        """The champion as a model to load, as challengers are."""
        own: dict[str, Any] = {} if self.version is None else {"version": self.version}
        return Challenger(name="champion", **own, **{name: getattr(self, name) for name in ModelSettings.model_fields})


class Challenger(ModelSettings):
    """A model that is scored in shadow."""

    name: Identifier = Field(description="Name of the challenger: lower-case letters, digits and underscores.")
    version: Text = Field("1", description="Version; a new one starts new evidence. MLflow's `latest` brings its own.")
    trained_until: Day | None = Field(
        None,
        description="Last day of its training data; days whose labels it may have learned from never count. Required "
        "where `policy.replay` is `count`. An MLflow alias takes it from the tag `trained_until` of its version, as "
        "YYYY-MM-DD; a date here then holds for the version first seen with it. `latest` takes it from the tag alone.",
    )
    features_from: FeaturesFrom | None = Field(
        None, description="Features that the champion does not log; a change of it opens another trial."
    )

    @property
    def is_watched(self) -> bool:
        """Whether this is the former champion, judged against its successor."""
        return self.name == FORMER_CHAMPION

    @property
    def model_key(self) -> str:
        """The key of its model with its value, as errors name it."""
        return f"challenger {self.name}: model == {self.model!r}"

    @property
    def is_a_a_check(self) -> bool:
        """Whether this is the champion against itself, which measures noise and can never be promoted."""
        return self.model == "champion"


class Expectations(Section):
    """Great Expectations suites as JSON files, checked in addition to the package's own expectations.

    A feature or a model that stops varying is also a failure.
    """

    inputs: str | None = Field(None, description="Path of the suite for the sampled requests; a failure stops the day.")
    predictions: str | None = Field(None, description="Path of the suite for each challenger's predictions.")
    may_be_constant: list[Text] = Field(
        [],
        description="Features, challengers, or `champion`, whose values may all be the same on a day; of others 100 "
        "equal values or more, improbable by the first days, are a failure.",
    )


class Deployment(Section):
    """The keys at the top level of a deployment file."""

    name: Identifier = Field(
        description="Name of the deployment and of its DAG, `shadow_<name>`: lower-case letters, digits, underscores."
    )
    owner: Text | None = Field(None, description="Person or team that is responsible for the deployment, as text.")
    purpose: Text | None = Field(
        None, description="What the predictions are used for, and by whom, as text: the validation report says it."
    )
    schedule: Schedule = Field(
        "0 0 * * *",
        description='When a window begins, in `timezone`: once a day (`"MINUTE HOUR * * *"`, `"@daily"`), every hour '
        '(`"MINUTE * * * *"`, `"@hourly"`), every 2, 3, 4, 6, 8 or 12 hours (`"MINUTE */6 * * *"`), or once a week '
        '(`"MINUTE HOUR * * WEEKDAY"`, `"@weekly"`). Each window is sampled and scored by a run; a day is compared and '
        "judged once all its windows are. A weekly window is one week of evidence, named by its first day.",
    )
    timezone: TimeZone = Field("UTC", description="IANA time zone of the schedule.")
    start: Day = Field(description="First day, inclusive; a weekly schedule begins with the first whole week from it.")
    end: Day | None = Field(
        None,
        description="Last day that is run; by default open. A week that ends later is not run. Labels that arrive "
        "later are not collected: let it be `labels.maturity_days` after the last day that must count.",
    )
    task: Task = Field(description="What is predicted.")
    threshold: Probability = Field(0.5, description="Probability from which a binary prediction counts as positive.")
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="Regression: largest difference at which two predictions agree, in the label's unit."
    )
    quantile: Probability = Field(0.5, description="Quantile that `pinball_loss` measures.")
    classes: list[Column] = Field(
        [], description="Multiclass: the labels, in the order of the probability columns; any other label is invalid."
    )
    metrics: list[MetricEntry] = Field(
        [], description="Metrics to compute besides the basic ones and those that rules name: names, and your own."
    )
    champion: ChampionSettings | None = Field(None, description="The champion's model file, for the replay check.")
    requests: Requests = Field(description="The champion's prediction log.")
    labels: Labels = Field(description="The ground truth.")
    store: StoreSettings = Field(description="Where ledger and snapshots are kept.")
    sample: Sample = Field(description="How many requests are shadowed.")
    slices: list[Column] = Field([], description="Columns by whose values evidence is kept separately.")
    challengers: Annotated[list[Challenger], Field(min_length=1)] = Field(description="The models to shadow.")
    athena: AthenaSettings = Field(AthenaSettings(), description="How tables of Athena are queried, and at what cost.")
    expectations: Expectations = Field(Expectations(), description="Your own Great Expectations suites.")
    throttle: Annotated[float, Field(ge=0.001, le=1)] = Field(
        0.03,
        description="Share of the time during which production's database works while it is read; 1, for a replica, "
        "never pauses.",
    )
    timeout_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(
        60, description="Time limit of one task attempt, in minutes."
    )
    policy: Policy = Field(description="What must hold for a promotion.")
    promotion: PromotionPolicy = Field(PromotionPolicy(), description="How the champion may change.")
    alerts: Alerts = Field(Alerts(), description="Who is alerted.")
    status: Status | None = Field(None, description="JSON file that shows the state of each challenger.")
    cloudwatch: CloudWatch | None = Field(None, description="Daily metrics on Amazon CloudWatch.")
    dependencies: list[Dependency] = Field([], description="Other services for `shadow doctor` to check.")

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_form(cls, value: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Let columns be in the order of classes, and the policy carry custom metrics and the period of evidence.

        A policy is then judged by itself wherever it is.
        """
        deployment = handler(value)
        requests = deployment.requests.in_order_of(deployment.classes)
        policy = deployment.policy.with_custom(deployment.custom_metrics)
        one_form = deployment.model_copy(update={"requests": requests, "policy": policy})
        weekday = weekday_of(deployment.schedule)
        return one_form if weekday is None else one_form._in_whole_weeks(weekday)

    def _in_whole_weeks(self, weekday: int) -> Self:
        """Return a weekly deployment whose `start` and `end` are the first days of its first and last whole week."""
        start, end = self.start + dt.timedelta((weekday - self.start.weekday()) % WEEK), self.end
        if end is not None:
            end -= dt.timedelta(WEEK - 1)
            end -= dt.timedelta((end.weekday() - weekday) % WEEK)
        return self.model_copy(update={"start": start, "end": end, "policy": self.policy.of_weeks()})

    @property
    def custom_metrics(self) -> dict[str, CustomMetric]:
        """The metrics of the deployment's own, by name."""
        return {entry.name: entry for entry in self.metrics if isinstance(entry, CustomMetric)}

    @property
    def catalog(self) -> dict[str, Metric]:
        """All metrics by name, those of the deployment's own last."""
        custom = {name: metric.definition for name, metric in self.custom_metrics.items()}
        return METRICS | custom | {each.name: each for each in map(skew_of, self.skewable)}

    @property
    def skewable(self) -> list[str]:
        """The logged features that a challenger takes from elsewhere, so that the two can differ."""
        own = [each.features_from.features for each in self.challengers if each.features_from]
        return [name for name in self.requests.features if any(name in features for features in own)]

    @property
    def metric_names(self) -> list[str]:
        """The metrics that rules may name, in the order in which they are shown."""
        return list(dict.fromkeys([*metrics_of(self.task), *self.custom_metrics]))

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which a day is a day."""
        return ZoneInfo(self.timezone)

    @property
    def tracked(self) -> list[str]:
        """The metrics to keep evidence of: the basic ones, those that rules name, and `metrics`."""
        declared = {entry for entry in self.metrics if isinstance(entry, str)}
        names = BASIC | {rule.metric for rule in self.policy.rules} | declared
        skews = [skew_of(name).name for name in self.skewable if SKEW in names]
        return [*(name for name in metrics_of(self.task) if name in names), *self.custom_metrics, *skews]

    def seen_by(self, challenger: Challenger) -> Self:
        """Return the deployment with the features that a challenger is shown: those of the log, and its own."""
        if challenger.features_from is None:
            return self
        features = dict.fromkeys([*self.requests.features, *challenger.features_from.features])
        return self.model_copy(update={"requests": self.requests.model_copy(update={"features": [*features]})})

    @property
    def salt(self) -> str:
        """The key of the sampling hash."""
        return self.sample.salt if self.sample.salt is not None else self.name

    @property
    def promotable(self) -> list[Challenger]:
        """The challengers that a verdict may promote, among which alpha is divided."""
        return [each for each in self.challengers if not each.is_a_a_check and not each.is_watched]

    def challenger(self, name: str) -> Challenger:
        """Return a challenger by name; raise DeploymentError that lists the names there are."""
        names = [challenger.name for challenger in self.challengers]
        if name in names:
            return self.challengers[names.index(name)]
        allowed = f"{', '.join(names)}{suggestion(name, names)}"
        raise DeploymentError(f"deployment {self.name}: challenger == {name!r}, must be one of {allowed}")


def load_deployment(path: Path) -> Deployment:
    """Read one deployment file.

    Raises:
        DeploymentError: with a line for every wrong value, or, once each value by itself is right, for every
            contradiction between keys.
    """
    return _beside(_loaded(text_of(path), str(path)), path.parent)


@lru_cache(maxsize=1024)
def _loaded(text: str, name: str) -> Deployment:
    """Return the deployment of a file's text: web pages read all files again and again, and seldom changed ones."""
    return parse_deployment(YamlSource.from_text(text, name))


def parse_deployment(source: YamlSource) -> Deployment:
    """Check the content of a YAML file; raise DeploymentError as `load_deployment` does."""
    name = source.content.get("name")
    is_shown = isinstance(name, str) and 0 < len(name) <= 63 and name.isprintable()
    title = f"deployment {name}" if is_shown else "deployment"
    try:
        deployment = Deployment.model_validate(source.content, context=FROM_FILE)
    except ValidationError as error:
        raise deployment_error(
            title, [describe_error(Deployment, source, problem) for problem in error.errors()]
        ) from None
    conflicts = deployment_conflicts(_beside(deployment, Path(source.name).parent))
    lines = [f"{message} ({source.where(location)})" for location, message in conflicts]
    if lines:
        raise deployment_error(title, lines)
    return deployment


def _beside(deployment: Deployment, folder: Path) -> Deployment:
    """Return a deployment with the relative paths of models and suites that lie beside its file written out."""
    champion, suites = (
        deployment.champion,
        {key: beside(path, folder) for key, path in deployment.expectations if isinstance(path, str)},
    )
    changes = {
        "challengers": [challenger.beside(folder) for challenger in deployment.challengers],
        "champion": champion and champion.beside(folder),
        "expectations": deployment.expectations.model_copy(update=suites),
    }
    return deployment.model_copy(update=changes)
