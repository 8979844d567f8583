"""A promotion policy: rules on metrics, blocking or advisory, and the error rate at which they are judged."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from shadow_deployment.config.fields import (
    FROM_FILE,
    Days,
    Finite,
    Identifier,
    Portion,
    Positive,
    Probability,
    Section,
    Share,
    Text,
)
from shadow_deployment.config.model import FunctionAddress, Limits
from shadow_deployment.metrics.catalog import METRICS, Metric, custom_metric

Count = Annotated[int, Field(ge=0)]
Minimum = Annotated[
    Annotated[Count, Tag("one")] | Annotated[dict[str, Count], Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, dict) else "one"),
]

COMPARING = ("superior", "non_inferior", "equivalent", "guardrail")
PROVING = ("superior", "non_inferior", "equivalent")  # by comparison; a guardrail proves nothing
WITH_MARGIN = ("non_inferior", "equivalent")
BOUNDING = ("at_most", "at_least")
RULES: Final = {
    "superior": "The challenger's loss is smaller than the champion's.",
    "non_inferior": "The challenger's loss is at most `margin` larger, or `relative_margin` times the champion's loss.",
    "equivalent": "The two losses differ by less than `margin`, or `relative_margin` times the champion's loss: enough "
    "data, and no difference that matters.",
    "guardrail": "The challenger's loss is not shown to be larger; for slices too small to show more.",
    "at_most": "The challenger's value (or the change that `of` names) is at most `value`.",
    "at_least": "The challenger's value (or the change that `of` names) is at least `value`.",
}
WEEK = 7
FEWEST_WEEKS = 8  # a limit theorem starts badly on fewer


def _bounds(value: list[float]) -> list[float]:
    if len(value) != 2 or value[0] >= value[1]:
        raise ValueError("must be [SMALLEST, LARGEST], as in [-5, 5]")
    return value


class CustomMetric(Section):
    """A metric of your own: a function that gives each request one value, for the champion and for the challenger.

    `def profit(prediction, label, request)` takes arrays of shape (n,) and a pandas DataFrame of `requests.features`,
    and returns n finite numbers; with several classes, `prediction` is a DataFrame of probabilities by class and
    `label` has the names of classes. It is called for each model by itself, only with usable predictions and known
    labels, in a process of its own as models are. A request's value must depend on nothing but that request.

    What is too good to be true, and what labels that never came could change, is looked for in built-in losses only.
    """

    name: Identifier = Field(description="Name by which rules refer to it; not that of a built-in metric.")
    function: FunctionAddress = Field(
        description="`python:MODULE:FUNCTION`. A change of the module starts new evidence; one of what it imports does "
        "not."
    )
    better: Literal["higher", "lower"] = Field(description="Which values are better.")
    bounds: Annotated[list[Finite], AfterValidator(_bounds)] | None = Field(
        None,
        description="Smallest and largest possible value; any other is an error. A request without a usable prediction "
        "is charged the worse of them, or without them the worst value of its day.",
    )
    needs_label: bool = Field(
        True,
        description="Whether it needs the label; if not, as for a price per call, `def price(prediction, request)`.",
    )
    title: Text | None = Field(None, description="What people read instead of the name.")
    unit: Text | None = Field(None, description="Unit that follows the title, as EUR.")
    limits: Limits | None = Field(None, description="What one call may take, as for a model.")

    @property
    def definition(self) -> Metric:
        """What everything but its computation needs to know of it."""
        title = self.title or self.name.replace("_", " ")
        return custom_metric(
            self.name,
            f"{title}, {self.unit}" if self.unit else title,
            higher_is_better=self.better == "higher",
            needs_label=self.needs_label,
            bounds=(self.bounds[0], self.bounds[1]) if self.bounds else None,
        )


def _by_schedule(value: object, info: ValidationInfo) -> object:
    if value != "day" and info.context is FROM_FILE:
        raise ValueError("must be absent: it follows from schedule")
    return value


Period = SkipJsonSchema[
    Annotated[
        Literal["day", "week"],
        Field(description="What evidence has one entry of, by the schedule; entered when the file is read."),
        BeforeValidator(_by_schedule),
    ]
]


class Last(Section):
    """A rule on daily values passes if it held on `hold` of the last `of` days."""

    hold: Days = Field(description="Days on which the rule must hold, in days; of a weekly schedule weeks.")
    of: Days = Field(description="Days that are looked at, in days; of a weekly schedule weeks.")
    period: Period = "day"


RoleName = Literal["blocking", "gate", "advisory", "monitor"]


def _role(value: object) -> object:
    """Return the name of a role; MLOps tools also say gate and monitor."""
    return {"gate": "blocking", "monitor": "advisory"}.get(value, value) if isinstance(value, str) else value


class Rule(Section):
    """One condition of a promotion, on one metric."""

    metric: str = Field(description="Name of the metric: see Metrics.", json_schema_extra={"examples": [*METRICS]})
    is_: Literal["superior", "non_inferior", "equivalent", "guardrail", "at_most", "at_least"] = Field(
        alias="is", description="What must hold: see Rules."
    )
    of: Literal["value", "change", "relative_change"] = Field(
        "value",
        description="What `at_most` and `at_least` bound: the challenger's value, its change from the champion's, or "
        "that change as a share of the champion's value.",
    )
    margin: Positive | None = Field(
        None,
        description="How much worse `non_inferior` tolerates, and how much difference `equivalent` does, in the "
        "metric's unit; or give `relative_margin`.",
    )
    relative_margin: Positive | None = Field(
        None,
        description="How much `non_inferior` and `equivalent` tolerate, as a share of the champion's value.",
    )
    worst_day: Positive | None = Field(
        None,
        description="For PASS of a rule that compares, the interval must clear its bound had one more day lost this "
        "much, in the metric's unit: a day of average traffic, worse than any seen.",
    )
    value: Finite | None = Field(
        None,
        description="Bound of `at_most` and `at_least`, inclusive, in the metric's unit or as a share.",
    )
    slices: list[str] = Field([], description="Columns of `slices` in whose every value the rule must hold as well.")
    minimum_requests: Minimum = Field(
        0,
        description="Requests that a slice needs to be judged: one number, or a number for each of `all`, VALUE or "
        "COLUMN=VALUE.",
    )
    last: Last | None = Field(
        None,
        description="Judge `at_most` and `at_least` on the last days' values instead of an interval over all days.",
    )
    role: Annotated[Literal["blocking", "advisory"], BeforeValidator(_role, json_schema_input_type=RoleName)] = Field(
        "blocking",
        description="`blocking` (or `gate`): must hold for a promotion; `advisory` (or `monitor`): shown only.",
    )
    custom: SkipJsonSchema[CustomMetric | None] = Field(
        None, description="The declaration of a custom metric, entered when the file is read."
    )

    @field_validator("custom", mode="before")
    @classmethod
    def _not_from_file(cls, value: object, info: ValidationInfo) -> object:
        if info.context is FROM_FILE:
            raise ValueError("must be absent: declare the metric in metrics, and name it in metric")
        return value

    @property
    def definition(self) -> Metric:
        """The metric that this rule is about."""
        return self.custom.definition if self.custom else METRICS[self.metric]

    @property
    def is_daily(self) -> bool:
        """Whether it judges daily values, as of operational metrics, instead of a confidence sequence."""
        return self.is_ in BOUNDING and (self.definition.operational or self.last is not None)

    @property
    def bound(self) -> float:
        """What the interval is compared with: 0, minus the margin, or the value; equivalent allows plus it as well."""
        if self.is_ in WITH_MARGIN:
            return -(self.margin or self.relative_margin or 0.0)
        return float(self.value or 0.0) if self.is_ in BOUNDING else 0.0

    @property
    def is_relative(self) -> bool:
        """Whether bound and interval are shares of the champion's value."""
        return self.relative_margin is not None or self.of == "relative_change"

    def requests_needed(self, name: str) -> int:
        """Return how many requests a slice needs to be judged.

        Args:
            name: `column=value`, or `all`.
        """
        if isinstance(self.minimum_requests, int):
            return self.minimum_requests
        return self.minimum_requests.get(name, self.minimum_requests.get(name.partition("=")[2], 0))

    @property
    def spelling(self) -> str:
        """The rule as a deployment file spells it, on one line."""
        keys = self.model_dump(by_alias=True, exclude_defaults=True, exclude={"custom"})
        return f"{{{', '.join(f'{key}: {_spelt(value)}' for key, value in keys.items())}}}"

    def __str__(self) -> str:
        of = {"value": "", "change": "change of ", "relative_change": "relative change of "}[self.of]
        share = f"{self.relative_margin:.4g} of its value" if self.relative_margin else f"{self.margin}"
        words = {
            "superior": "is better",
            "non_inferior": f"is not worse by {share} or more",
            "equivalent": f"differs by less than {share}",
            "guardrail": "is not shown to be worse",
            "at_most": f"is at most {self.value}",
            "at_least": f"is at least {self.value}",
        }[self.is_]
        columns = [name for name in self.slices if name != "all"]
        where = f", overall and in every {' and '.join(columns)}" if columns else ""
        often = f", on {self.last.hold} of the last {self.last.of} {self.last.period}s" if self.last else ""
        return f"{of}{self.definition.title} {words}{often}{where}"


def _spelt(value: object) -> str:
    """Return a value as YAML's flow style has it."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_spelt(each)}' for key, each in value.items())}}}"
    return f"[{', '.join(map(_spelt, value))}]" if isinstance(value, list) else f"{value}"


class TooGood(Section):
    """What is too good to be true: PASS is refused until a person acknowledges it with `shadow acknowledge`."""

    loss_ratio: Probability = Field(
        0.05, description="A loss below this share of the champion's is too good: a feature may hold the label."
    )
    auc: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.995, description="Area under the ROC curve above which a challenger is too good, binary tasks only."
    )
    champion_auc: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.98, description="`auc` applies where the champion's is below this; must be below `auc`."
    )
    identical: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.999, description="Share of predictions within 1e-6 of another model's above which it is the same model."
    )
    replayed_alpha: Probability = Field(
        0.01, description="Error rate, over all days, of the test whether replayed and live days differ in their mean."
    )


class Policy(Section):
    """What must hold for a promotion, at which error rate, and from which day on verdicts are given."""

    alpha: Probability = Field(
        0.05,
        description="Error rate over all days: the chance that any challenger of a year passes wrongly, and as much "
        "again that one fails wrongly.",
    )
    unit: Literal["day", "week", "request"] = Field(
        "day",
        description="What one observation is: a day; a block of seven days, where days depend on each other for longer "
        "than a few; or a request, where requests are independent. By a weekly schedule it is a week.",
    )
    period: Period = "day"
    weighting: Literal["request", "day"] = Field(
        "request",
        description="What counts the same: a `request`, so that units day, week and request answer one question, about "
        "the mean over production's requests; or a `day`, so that one of few requests counts as much as one of many.",
    )
    method: Literal["robust", "long_memory", "plain", "betting"] = Field(
        "robust",
        description="Confidence sequence: widened for dependent and skewed days (`robust`), also for days that depend "
        "on many days before (`long_memory`), asymptotic (`plain`), or nonasymptotic for bounded metrics (`betting`).",
    )
    burn_in: Annotated[int, Field(ge=2, le=3650)] = Field(
        28, description="Days without a verdict at the start, in days."
    )
    tuned_for: Annotated[int, Field(ge=2, le=36500)] = Field(60, description="When intervals are tightest, in days.")
    recent_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        56,
        description="PASS of a rule that compares also needs the mean of the newest calendar days to be on the "
        "challenger's side of the bound: of how many, in days; 0 switches it off.",
    )
    horizon: Days = Field(
        365,
        description="Days within which a decision is wanted: an undecided rule says where even the best that its "
        "interval allows would not pass by then.",
    )
    minimum_coverage: Share = Field(
        0.8,
        description="Share of the requests of counted days that must have a label for PASS; a day counts once all its "
        "labels are known or `maturity_days` have passed. A PASS says whether it holds whatever the others are.",
    )
    max_invalid_labels: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = Field(
        0.001,
        description="Share of the requests whose label may be invalid for PASS, and the same share for labels known "
        "before their requests. Neither is ever used.",
    )
    replay: Literal["shown", "count"] = Field(
        "shown",
        description="Days whose window began before a challenger was registered: `shown`, so that they inform and may "
        "FAIL, while PASS rests on live days; or `count`, from `trained_until` on.",
    )
    replay_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        90, description="Most days that a new challenger's replay answers, the newest ones, in days."
    )
    after_fail: Literal["conclude", "continue"] = Field(
        "conclude",
        description="A FAIL ends a challenger's trial: it is scored no more, and judged again only on the days up to "
        "then, whose labels production may correct; or it goes on to be scored and judged as before.",
    )
    max_days_left_out: Share = Field(
        0.05,
        description="Share of days that may be left out of the evidence, because their inputs failed, they were not "
        "run or were withdrawn; at least 2 days may.",
    )
    fallback: Literal["none", "champion"] = Field(
        "none",
        description="What production would serve where a promoted challenger gives no usable prediction: nothing, so "
        "that the request is charged its worst loss, or the champion's prediction, so that it makes no difference.",
    )
    max_unanswered: Portion = Field(
        0.001, description="Share of the requests of all days that a challenger may leave without a usable prediction."
    )
    max_champion_missing: Portion = Field(
        0.001, description="Share of the requests of all days that may lack a usable prediction of the champion."
    )
    too_good: TooGood = Field(TooGood(), description="When a challenger is too good to be true.")
    rules: Annotated[list[Rule], Field(min_length=1)] = Field(description="The rules.")

    def with_custom(self, metrics: Mapping[str, CustomMetric]) -> Self:
        """Return the policy whose rules carry the declarations of the custom metrics that they name."""
        rules = [rule.model_copy(update={"custom": metrics.get(rule.metric)}) for rule in self.rules]
        return self.model_copy(update={"rules": rules})

    def of_weeks(self) -> Self:
        """Return the policy of a weekly schedule, whose evidence is of weeks; `unit` is week where nobody gave one."""
        unit = self.unit if "unit" in self.model_fields_set else "week"
        weeks = {"period": "week"}
        rules = [
            rule.model_copy(update={"last": rule.last.model_copy(update=weeks)}) if rule.last else rule
            for rule in self.rules
        ]
        return self.model_copy(update={**weeks, "unit": unit, "rules": rules})

    @property
    def days_per_period(self) -> int:
        """How many days an entry of evidence is about: one, or with a weekly schedule seven."""
        return WEEK if self.period == "week" else 1

    @property
    def days_per_observation(self) -> int:
        """How many days an observation is about."""
        return WEEK if self.unit == "week" else 1

    @property
    def periods_per_observation(self) -> int:
        """How many entries of evidence make an observation: seven days make a week, but a week is one already."""
        return self.days_per_observation // self.days_per_period

    @property
    def observations_before_bound(self) -> int:
        """The burn-in in the policy's unit; at least eight weeks, because a limit theorem starts badly on fewer."""
        return max(FEWEST_WEEKS, -(-self.burn_in // WEEK)) if self.unit == "week" else self.burn_in
