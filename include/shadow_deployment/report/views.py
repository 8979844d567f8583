"""What a page shows, as frozen values: read by `queries`, drawn by `charts` and `html`, escaped by neither.

Rows of the ledger and findings are shown as they are; the classes here hold what a page computes from them. Numbers are
Python floats and ints, None where nothing is known, never NaN or infinite. Days are `date`, times aware `datetime` in
UTC. Names and texts are as they were written. A section with nothing to show is None or empty, and
`DeploymentView.missing` says why.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Literal

from shadow_deployment.config.window import Window
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.decision.words.finding import Finding, Outcome
from shadow_deployment.ledger.alerts import StoredAlert
from shadow_deployment.ledger.checks.validations import ValidationRow
from shadow_deployment.ledger.page import OutcomeDay, QuadrantRow, ScoringRow
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import CurrentChampion, PromotionRecord
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.status import ChallengerStatus
from shadow_deployment.report.wording import Measure, measure_of

if TYPE_CHECKING:
    from shadow_deployment.report.analyses.drift import DriftView
    from shadow_deployment.report.scorecard import HealthItem, Scorecard

Role = Literal["promotable", "a_a_check", "watched"]
Unit = Literal["difference", "value", "change", "share"]
State = Literal["ready", "empty", "broken"]
Values = tuple[float | None, ...]


@dataclass(frozen=True)
class ChallengerLine:
    """A challenger in one line.

    `role`: "promotable", "a_a_check" (the champion against itself) or "watched" (a former champion, judged against the
    new one). `outcome` and `day` are of its newest verdict; `outcome` is None where it was never judged in this version
    and sampling design. `status` says where it stands. `decided_on` is the first day of the same outcome on the
    same terms, None while open. `days` of evidence and `requests` are those of the blocking rule over days that has the
    most. `more_days` is in how many days the last open rule would be decided if days stay as they are; None where
    nothing is open (`waiting` is None too) or where waiting does not decide, and `waiting` then says why. `days` are
    weeks where `period` is "week", by the schedule.
    """

    name: str
    version: str
    role: Role
    outcome: Outcome | None
    status: ChallengerStatus
    day: dt.date | None = None
    decided_on: dt.date | None = None
    days: int = 0
    requests: int = 0
    more_days: int | None = None
    waiting: str | None = None
    period: str = "day"


@dataclass(frozen=True)
class RuleView:
    """A finding with its rule in words.

    `unit` says what estimate, interval and bound are: "difference" (the champion's loss minus the challenger's,
    positive favours the challenger), "value" (the challenger's own), "change" (challenger minus champion), "share" (of
    the champion's value: of a difference or of a change); `unit_words` is that in words. `is_daily`: the rule is judged
    on daily values, without an interval. `spelling` is the rule as a deployment file has it.
    """

    finding: Finding
    text: str
    unit: Unit
    unit_words: str
    is_daily: bool
    spelling: str = ""

    @property
    def is_overall(self) -> bool:
        """Whether it is about all requests."""
        return self.finding.slice == ALL

    @property
    def holds_above(self) -> bool:
        """Whether the rule holds above its bound, or else below it."""
        return self.finding.is_ != "at_most"

    @property
    def measure(self) -> Measure:
        """How its numbers are written."""
        return measure_of(self.finding.metric, self.unit)


@dataclass(frozen=True)
class SequenceView:
    """The confidence sequence of one rule in one slice, an entry an observation, in order; all of one length.

    `days` are days, or the last days of weeks where `per` is "week". `observed` is what each day alone says (the naive
    estimate), `mean` the running mean, `lower` and `upper` the interval that holds at all looks, None where none is
    given (before observation number `burn_in`, or while all days are alike). All in the rule's unit. The first
    `replayed` of them lie before the challenger's registration. `agrees`: whether the last point is the stored finding;
    False where evidence has changed since the verdict.
    """

    rule: RuleView
    per: Literal["day", "week"]
    days: tuple[dt.date, ...]
    observed: tuple[float, ...]
    mean: tuple[float, ...]
    lower: Values
    upper: Values
    burn_in: int
    replayed: int
    agrees: bool

    @property
    def burn_in_end(self) -> dt.date | None:
        """The day of the first bound that may be given, None before it."""
        return self.days[self.burn_in - 1] if len(self.days) >= self.burn_in else None


@dataclass(frozen=True)
class SliceView:
    """A slice: mean difference of losses (positive favours the challenger) with its interval at all looks.

    `days` of evidence; `requests` are pairs.
    """

    name: str
    estimate: float
    lower: float | None
    upper: float | None
    days: int
    requests: int

    @property
    def value(self) -> str:
        """The value of the slice's column."""
        return self.name.partition("=")[2]

    @property
    def is_worse(self) -> bool:
        """Whether the interval lies below 0."""
        return self.upper is not None and self.upper < 0

    @property
    def is_better(self) -> bool:
        """Whether the interval lies above 0."""
        return self.lower is not None and self.lower > 0

    @property
    def order(self) -> tuple[bool, float]:
        """A key that puts the slice first whose interval lies furthest below 0, one without an interval last.

        Intervals of any width compare by where 0 lies in them: 0 at the lower end, 1 at the upper end.
        """
        if self.lower is None or self.upper is None:
            return True, self.estimate
        return False, self.lower / ((self.upper - self.lower) or 1.0)


@dataclass(frozen=True)
class SlicesView:
    """Slices on one metric, those first whose interval favours the champion most; `left_out` have fewer requests.

    `overall` is the mean difference of all requests. All intervals hold at once, on all days, with probability `level`:
    each has the error rates `alpha`.
    """

    metric: str
    title: str
    unit_words: str
    overall: float | None
    slices: tuple[SliceView, ...]
    left_out: int
    level: float
    alpha: AlphaSplit


@dataclass(frozen=True)
class PredictionBin:
    """One model's predictions in one bin: their share of the weight (shares sum to 1) and their unweighted number.

    Of the labelled requests in the bin: how many and with what weight, their mean prediction, their mean label (binary:
    the share of yes), and its interval: Wilson's at 95 % for binary, at the effective number of requests where weights
    differ, and mean ± 1.96 standard errors for regression. None in a bin without a label.
    """

    share: float = 0.0
    requests: int = 0
    labelled: int = 0
    mean_prediction: float | None = None
    mean_label: float | None = None
    lower: float | None = None
    upper: float | None = None
    labelled_weight: float = 0.0


@dataclass(frozen=True)
class ScoresView:
    """Both models' predictions of the requests that both answered, in the same bins: distributions and reliability.

    `edges` has one entry more than there are bins, ascending. Binary: 20 equal bins of 0 to 1. Regression: equal bins
    of a width that is a power of two; the outermost hold what lies beyond them. `days` were added up, from `first` to
    `last`. `unit` is "probability" or "value".
    """

    unit: Literal["probability", "value"]
    edges: tuple[float, ...]
    champion: tuple[PredictionBin, ...]
    challenger: tuple[PredictionBin, ...]
    days: int
    first: dt.date
    last: dt.date

    @property
    def requests(self) -> int:
        """How many requests both have answered."""
        return sum(each.requests for each in self.champion)

    @property
    def labelled(self) -> int:
        """How many of them are labelled."""
        return sum(each.labelled for each in self.champion)


@dataclass(frozen=True)
class QuadrantsView:
    """Where champion and challenger say yes and no at the threshold: both, only one, only the other, neither."""

    threshold: float
    rows: tuple[QuadrantRow, ...]

    def share(self, *rows: QuadrantRow) -> float:
        """Return the share of all requests, by weight, that lies in these quadrants."""
        return sum(row.weight for row in rows) / (sum(row.weight for row in self.rows) or 1.0)


@dataclass(frozen=True)
class LabelDay:
    """The labels of one sampled day. `expected` is how many there will be in the end, None before that can be said.

    `contradicted`, `invalid` and `early` count requests: of several labels, of a value that is none, of a label known
    before the request. `mature`: the day counts for metrics that need labels.
    """

    day: dt.date
    sampled: int
    labelled: int
    expected: int | None
    contradicted: int
    invalid: int
    early: int
    collected_until: dt.datetime | None
    mature: bool

    @property
    def waiting(self) -> int | None:
        """How many labels are still expected."""
        return None if self.expected is None else self.expected - self.labelled


@dataclass(frozen=True)
class DailySeries:
    """Values by day, an entry a day for each key, None on a day without; `bounds` where a rule sets one for a key.

    Distances between the two models' predictions: keys are metrics. Latency: keys are a model and a percentile, as
    "champion p50", in milliseconds.
    """

    days: tuple[dt.date, ...]
    values: Mapping[str, Values]
    bounds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class NoiseSeries:
    """One challenger's daily differences in `NoiseView.metric`, an entry a day."""

    name: str
    role: Role
    days: tuple[dt.date, ...]
    differences: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """Their mean."""
        return fmean(self.differences) if self.differences else None

    @property
    def deviation(self) -> float | None:
        """Their standard deviation."""
        return stdev(self.differences) if len(self.differences) > 1 else None


@dataclass(frozen=True)
class NoiseView:
    """The A/A check's daily differences (the noise of the pipeline) beside the challengers', on the same metric."""

    metric: str
    title: str
    a_a_check: NoiseSeries | None
    others: tuple[NoiseSeries, ...]


@dataclass(frozen=True)
class DayView:
    """What the run of one day did: its sample (`snapshot`, None before it), validations, scoring and labels.

    `missing` says which windows of the day were not sampled; it is empty where all were, or none.
    `validations` are by what was validated ("inputs" or a challenger's name), `scoring` and `judged` by challenger;
    None where there is none yet.
    """

    window: Window
    judged: Mapping[str, Outcome | None]
    snapshot: Snapshot | None = None
    missing: str = ""
    shards: int = 0
    labels: LabelDay | None = None
    validations: Mapping[str, ValidationRow | None] = field(default_factory=dict)
    scoring: Mapping[str, ScoringRow | None] = field(default_factory=dict)


@dataclass(frozen=True)
class DeploymentView:
    """One deployment, one challenger of it, as of one day; in the overview without challenger and sections.

    `state`: "ready", where `next_step` says what happens next; "empty", where it says what to do and sections are
    empty; "broken", where `error` says what broke. `challengers` is every one, for switching, as of `day`; `challenger`
    is the one shown. `days` are all days with a verdict of the challenger shown, for going back and forth; `day` is the
    one shown, `last_day` the newest sampled one up to the day that was requested, `last_run` when a verdict or, where
    there is none, a sample was last written. `next_alpha` is alpha toward PASS of a trial that is opened next.
    `threshold` is that of a binary task. `compared` are the days of evidence, `snapshot` is that of `day`, `run` what
    its run did where that was requested. `missing` maps the name of a field that is empty to why it is, and "a_a_check"
    to why there is none. `policy_words` is Markdown. What is by day ascends; what was done descends. Where `period` is
    "week", by the schedule, each day stands for the week that begins on it.
    """

    name: str
    state: State
    period: str = "day"
    error: str | None = None
    next_step: str | None = None
    champion: CurrentChampion | None = None
    challengers: tuple[ChallengerLine, ...] = ()
    challenger: ChallengerLine | None = None
    day: dt.date | None = None
    days: tuple[dt.date, ...] = ()
    last_day: dt.date | None = None
    last_run: dt.datetime | None = None
    verdict: StoredVerdict | None = None
    next_alpha: float | None = None
    explanation: str = ""
    scorecard: "Scorecard | None" = None
    health: "tuple[HealthItem, ...]" = ()
    rules: tuple[RuleView, ...] = ()
    sequences: tuple[SequenceView, ...] = ()
    slices: SlicesView | None = None
    scores: ScoresView | None = None
    quadrants: QuadrantsView | None = None
    disagreements: tuple[DisagreeingRequest, ...] = ()
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    drift: "DriftView | None" = None
    labels: tuple[LabelDay, ...] = ()
    latency: DailySeries | None = None
    validations: tuple[ValidationRow, ...] = ()
    distances: DailySeries | None = None
    noise: NoiseView | None = None
    history: tuple[OutcomeDay, ...] = ()
    promotions: tuple[PromotionRecord, ...] = ()
    approvals: tuple[ApprovalRequest, ...] = ()
    alerts: tuple[StoredAlert, ...] = ()
    policy_words: str = ""
    compared: tuple[Snapshot, ...] = ()
    snapshot: Snapshot | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    run: DayView | None = None
