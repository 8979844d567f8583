"""What a policy may ask: rules on metrics, blocking or advisory, and the error rates they are judged at."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from shadow_deployment.config.yaml_source import shorten, suggestion
from shadow_deployment.metrics.catalog import METRICS, Metric, metrics_of

if TYPE_CHECKING:
    from shadow_deployment.config.deployment import Deployment

Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Count = Annotated[int, Field(ge=0)]
Minimum = Annotated[
    Annotated[Count, Tag("one")] | Annotated[dict[str, Count], Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, dict) else "one"),
]

COMPARING = ("superior", "non_inferior", "guardrail")
BOUNDING = ("at_most", "at_least")
WEEK = 7
FEWEST_WEEKS = 8  # a limit theorem starts badly on fewer


class Section(BaseModel):
    """A part of a deployment file: unknown keys and values of another type are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Last(Section):
    """A rule on daily values holds where it held on `hold` of the last `of` days."""

    hold: Annotated[int, Field(ge=1, le=3650)]
    of: Annotated[int, Field(ge=1, le=3650)]


def _role(value: object) -> object:
    """Return a role by its name; MLOps tools also say gate and monitor."""
    return {"gate": "blocking", "monitor": "advisory"}.get(value, value) if isinstance(value, str) else value


class Rule(Section):
    """One condition of a promotion: a blocking rule must hold, an advisory one is judged and shown only.

    - superior: the challenger's loss is smaller than the champion's.
    - non_inferior: it is not larger by `margin`, or by `relative_margin` times the champion's.
    - guardrail: it is not shown to be larger; for slices too thin to show more.
    - at_most, at_least: the challenger's value, its `change` from the champion's, or its `relative_change`, against
      `value`, inclusive.
    """

    metric: str
    is_: Literal["superior", "non_inferior", "guardrail", "at_most", "at_least"] = Field(alias="is")
    of: Literal["value", "change", "relative_change"] = "value"
    margin: Positive | None = None
    relative_margin: Positive | None = None
    value: Finite | None = None
    slices: list[str] = []
    minimum_requests: Minimum = 0
    last: Last | None = None
    role: Annotated[Literal["blocking", "advisory"], BeforeValidator(_role)] = "blocking"

    @property
    def definition(self) -> Metric:
        """The metric that this rule is about."""
        return METRICS[self.metric]

    @property
    def is_daily(self) -> bool:
        """Whether it judges daily values one by one, as operational metrics are, and no sequence."""
        return self.is_ in BOUNDING and (self.definition.operational or self.last is not None)

    @property
    def bound(self) -> float:
        """What the interval is held against: 0, minus the margin, or the value."""
        if self.is_ == "non_inferior":
            return -(self.margin or self.relative_margin or 0.0)
        return float(self.value or 0.0) if self.is_ in BOUNDING else 0.0

    @property
    def is_relative(self) -> bool:
        """Whether bound and interval are shares of the champion's value."""
        return self.relative_margin is not None or self.of == "relative_change"

    def requests_needed(self, name: str) -> int:
        """Return how many requests a slice, named column=value or all, must have to be judged."""
        if isinstance(self.minimum_requests, int):
            return self.minimum_requests
        return self.minimum_requests.get(name, self.minimum_requests.get(name.partition("=")[2], 0))

    def __str__(self) -> str:
        of = {"value": "", "change": "change of ", "relative_change": "relative change of "}[self.of]
        share = f"{self.relative_margin:.4g} of its value" if self.relative_margin else f"{self.margin}"
        words = {
            "superior": "superior to the champion",
            "non_inferior": f"not worse than the champion by {share} or more",
            "guardrail": "not shown to be worse than the champion",
            "at_most": f"at most {self.value}",
            "at_least": f"at least {self.value}",
        }[self.is_]
        columns = [name for name in self.slices if name != "all"]
        where = f", overall and in every {' and '.join(columns)}" if columns else ""
        often = f", on {self.last.hold} of the last {self.last.of} days" if self.last else ""
        return f"{of}{self.definition.title}: {words}{often}{where}"


class Policy(Section):
    """What must hold for promotion, at which error rate, and from when on a verdict is given.

    `burn_in` and `tuned_for` are days, whatever the unit.
    """

    alpha: Probability = 0.05
    unit: Literal["day", "week", "request"] = "day"
    method: Literal["robust", "plain", "betting"] = "robust"
    burn_in: Annotated[int, Field(ge=2, le=3650)] = 28
    tuned_for: Annotated[int, Field(ge=2, le=36500)] = 60
    minimum_coverage: Share = 1.0
    rules: Annotated[list[Rule], Field(min_length=1)]

    @property
    def observations_before_bound(self) -> int:
        """The burn-in in the policy's unit; a week is a poor start for a limit theorem, so there are at least eight."""
        return max(FEWEST_WEEKS, -(-self.burn_in // WEEK)) if self.unit == "week" else self.burn_in


def rule_problems(rule: Rule, deployment: "Deployment") -> Iterator[tuple[str, str]]:
    """Yield what contradicts itself or the deployment in a rule: the key, and what is wrong with it."""
    names = metrics_of(deployment.task)
    if rule.metric not in names:
        yield (
            "metric",
            f"== {shorten(rule.metric)}, must be one of {', '.join(names)}{suggestion(rule.metric, names)}",
        )
        return
    if rule.is_ in COMPARING and not rule.definition.compares:
        yield "is", f"== {rule.is_!r}, must be at_most or at_least: the champion has no {rule.metric} of its own"
    yield from _parameters(rule)
    if rule.metric == "agreement" and deployment.task == "regression" and deployment.tolerance is None:
        yield "metric", "== 'agreement', needs the deployment's key tolerance: how far apart two answers still agree"
    if deployment.policy.unit == "request" and not rule.is_daily and not _fits_requests(rule):
        yield "is", f"== {rule.is_!r} cannot be judged with policy.unit == 'request', which knows differences only"
    is_bounded = rule.definition.is_bounded and (rule.metric, deployment.task) != ("brier_score", "multiclass")
    if deployment.policy.method == "betting" and not rule.is_daily and not is_bounded:
        yield "metric", f"== {rule.metric!r} has no bounds, which policy.method == 'betting' needs"
    for name in rule.slices:
        if name != "all" and name not in deployment.slices:
            declared = ", ".join(deployment.slices) or "none are declared"
            yield "slices", f"== {shorten(name)}, must be one of the deployment's slices: {declared}"
    yield from _minima(rule)


def rule_conflicts(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    """Yield the position of a rule that repeats another, or asks for what that forbids, and what is wrong with it."""
    seen: dict[str, int] = {}
    strictest: dict[tuple[str, str, str], tuple[float, int]] = {}
    for position, rule in enumerate(rules):
        other = seen.setdefault(rule.model_dump_json(), position)
        if other != position:
            yield position, f"is policy.rules[{other}] again, must be there once"
        if rule.role != "blocking" or rule.is_ not in BOUNDING or rule.last is not None or rule.value is None:
            continue
        sign = 1 if rule.is_ == "at_most" else -1
        (opposite,) = set(BOUNDING) - {rule.is_}
        bound, other = strictest.get((rule.metric, rule.of, opposite), (rule.value, position))
        if sign * rule.value < sign * bound:
            asked = f"{rule.metric} {rule.is_} {rule.value:g}, policy.rules[{other}] {opposite} {bound:g}"
            yield position, f"== {asked}, must leave a value between: no challenger could ever pass"
        own = (rule.metric, rule.of, rule.is_)
        strictest[own] = min(
            strictest.get(own, (rule.value, position)), (rule.value, position), key=lambda one: sign * one[0]
        )


def _minima(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield what `minimum_requests` names that is no slice."""
    if isinstance(rule.minimum_requests, int):
        return
    for name in rule.minimum_requests:
        column, is_named, _ = name.partition("=")
        if is_named and column not in rule.slices:
            allowed = ", ".join(f"{one}=VALUE" for one in rule.slices if one != "all")
            yield (
                "minimum_requests",
                f"names {shorten(name)}, must be all, VALUE{f' or {allowed}' if allowed else ''}",
            )


def _parameters(rule: Rule) -> Iterator[tuple[str, str]]:
    margins = [key for key in ("margin", "relative_margin") if getattr(rule, key) is not None]
    if rule.is_ == "non_inferior" and len(margins) != 1:
        yield "margin", "is missing" if not margins else f"== {rule.margin}, must not stand beside relative_margin"
    if rule.is_ != "non_inferior":
        for key in margins:
            yield key, f"== {getattr(rule, key)}, belongs to non_inferior only"
    if (rule.value is None) == (rule.is_ in BOUNDING):
        yield "value", "is missing" if rule.value is None else f"== {rule.value}, belongs to at_most and at_least only"
    if rule.of != "value" and rule.is_ not in BOUNDING:
        yield "of", f"== {rule.of!r}, belongs to at_most and at_least only"
    if rule.of != "value" and not rule.definition.compares:
        yield "of", f"== {rule.of!r}, must be value: the champion has no {rule.metric} of its own"
    if rule.last and rule.is_ not in BOUNDING:
        yield "last", "belongs to at_most and at_least only"
    if rule.last and rule.last.hold > rule.last.of:
        yield "last", f"== hold {rule.last.hold} of {rule.last.of}, must not ask for more days than it looks at"


def _fits_requests(rule: Rule) -> bool:
    return rule.is_ in COMPARING and rule.relative_margin is None and rule.definition.is_sum
