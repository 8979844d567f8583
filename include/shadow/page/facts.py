"""What a page shows, as plain frozen values: read by `gathering`, drawn by others, escaped by neither.

Numbers are Python floats and ints, None where nothing is known, never NaN or infinite. Days are `date`, moments aware
`datetime` in UTC. Names and texts are as they were written, not escaped. A section that has nothing to show is None or
empty, and `DeploymentFacts.missing` says why.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Role = Literal["promotable", "control", "watched"]
State = Literal["ready", "empty", "broken"]
Unit = Literal["difference", "value", "change", "share"]


@dataclass(frozen=True)
class ChampionFacts:
    """Who is champion: by a promotion, `number` and `since` and `approved_by` then known, or as the log says.

    `version` is "none" where no request was logged yet. `words` is all of it in one phrase.
    """

    name: str
    version: str
    by_promotion: bool
    words: str
    number: int | None = None
    since: dt.datetime | None = None
    approved_by: str | None = None


@dataclass(frozen=True)
class ChallengerLine:
    """How one challenger stands, in one line.

    `role`: "promotable", "control" (the champion against itself) or "watched" (a former champion, judged against the
    new one). `outcome`, `day` and `sentence` are of its newest verdict; `outcome` is None where it was never judged in
    this version and sampling design, and `sentence` says so. `decided_on` is the first day of the same outcome on the
    same terms, None while open. `days` of evidence and `requests` are those of the gate over days that has the most.
    `more_days` is in how many days the last open gate would be decided if days stay as they are; None where nothing is
    open (`waiting` is None too) or where waiting does not decide, and `waiting` then says why.
    """

    name: str
    version: str
    role: Role
    outcome: Outcome | None
    sentence: str
    day: dt.date | None
    decided_on: dt.date | None
    days: int
    requests: int
    more_days: int | None
    waiting: str | None


@dataclass(frozen=True)
class DeploymentLine:
    """One deployment of the overview.

    `state`: "ready"; "empty", where `next_step` says what to do; "broken", where `error` says what broke and all else
    that could not be read is None, 0 or empty. `last_day` is the newest sampled day, `last_run` when a verdict or,
    where there is none, a sample was last written. `alerts_undelivered` counts alerts that some channel never took.
    """

    name: str
    state: State
    error: str | None = None
    next_step: str | None = None
    champion: ChampionFacts | None = None
    challengers: tuple[ChallengerLine, ...] = ()
    last_day: dt.date | None = None
    last_run: dt.datetime | None = None
    alerts_undelivered: int = 0
    alerts: int = 0


@dataclass(frozen=True)
class Overview:
    """All deployments, in order of their names; `error` where not even the files could be listed."""

    deployments: tuple[DeploymentLine, ...]
    error: str | None = None


@dataclass(frozen=True)
class VerdictFacts:
    """The verdict shown: `sentence` in one sentence, `explanation` of many lines of plain text."""

    outcome: Outcome
    sentence: str
    day: dt.date
    decided_on: dt.date | None
    champion_version: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    explanation: str
    revision: int
    judged_at: dt.datetime


@dataclass(frozen=True)
class Scaled:
    """A finding on the scale that all rules share: 0 is the bound, above 0 the rule holds, and all lies in -1 to 1.

    `lower` and `upper` are ordered on this scale, so for at_most they are the other way round; None where the side is
    open. `estimate` is None where there is none yet.
    """

    lower: float | None
    estimate: float | None
    upper: float | None


@dataclass(frozen=True)
class RuleFacts:
    """One finding of the verdict: a rule in one slice.

    `text` is the rule in words. `unit` says what estimate, interval and bound are: "difference" (the champion's loss
    minus the challenger's, positive favours the challenger), "value" (the challenger's own), "change" (challenger minus
    champion), "share" (of the champion's value: of a difference or of a change); `unit_words` is that in words.
    `holds_above`: whether the rule holds above its bound (else below). An interval is None before the burn-in, and for
    a rule that is judged on daily values (`is_daily`). `observations` are days, weeks where the policy counts weeks.
    """

    text: str
    metric: str
    title: str
    slice: str
    is_: str
    role: Literal["gate", "monitor"]
    outcome: Outcome
    reason: str
    bound: float
    estimate: float | None
    lower: float | None
    upper: float | None
    unit: Unit
    unit_words: str
    holds_above: bool
    is_daily: bool
    observations: int
    requests: int
    minimum_requests: int
    alpha_pass: float | None
    alpha_fail: float | None
    decided_on: dt.date | None
    more_days: int | None
    scaled: Scaled


@dataclass(frozen=True)
class SequenceFacts:
    """The confidence sequence of one gate in one slice, an entry an observation, in order; all of one length.

    `days` are days, or the last days of weeks where `per` is "week". `observed` is what each day alone says (the naive
    estimate), `mean` the running mean, `lower` and `upper` the interval that holds at all looks, None where none is
    given (before observation number `burn_in`, or while all days are alike). All in the rule's unit, as `bound`.
    `burn_in_end` is the day of the first bound that may be given, None before it. `decided_on` is as in the finding.
    `agrees`: whether the last point is the stored finding; False where evidence has changed since the verdict.
    """

    text: str
    metric: str
    title: str
    slice: str
    is_: str
    outcome: Outcome
    per: Literal["day", "week"]
    days: tuple[dt.date, ...]
    observed: tuple[float, ...]
    mean: tuple[float, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    bound: float
    unit: Unit
    unit_words: str
    holds_above: bool
    burn_in: int
    burn_in_end: dt.date | None
    decided_on: dt.date | None
    alpha_pass: float
    alpha_fail: float
    agrees: bool


@dataclass(frozen=True)
class SliceFacts:
    """One slice: mean daily difference of losses (positive favours the challenger) with its interval at all looks.

    `days` of evidence, `requests` are pairs. `worse`: the interval lies below 0; `better`: above.
    """

    name: str
    column: str
    value: str
    estimate: float
    lower: float | None
    upper: float | None
    days: int
    requests: int
    worse: bool
    better: bool


@dataclass(frozen=True)
class SlicesFacts:
    """Slices on one metric, worst estimate first; `overall` is all requests. `left_out` slices are not among them.

    The intervals have the error rates of the overall rule, one slice at a time: `alpha_lower` and `alpha_upper`.
    """

    metric: str
    title: str
    unit_words: str
    overall: SliceFacts | None
    slices: tuple[SliceFacts, ...]
    left_out: int
    alpha_lower: float
    alpha_upper: float


@dataclass(frozen=True)
class Binned:
    """One model's answers in bins, over the days of `ScoresFacts`: an entry a bin.

    `share` of the weight (sums to 1), `requests` unweighted. Of the labelled requests in the bin: how many, their mean
    answer, their mean label (binary: the share of yes), and its interval: Wilson's at 95 % for binary, at the effective
    number of requests where weights differ, and mean ± 1.96 standard errors for regression. None in a bin without a
    label.
    """

    share: tuple[float, ...]
    requests: tuple[int, ...]
    labelled: tuple[int, ...]
    mean_answer: tuple[float | None, ...]
    mean_label: tuple[float | None, ...]
    label_lower: tuple[float | None, ...]
    label_upper: tuple[float | None, ...]


@dataclass(frozen=True)
class ScoresFacts:
    """Answers of both models to the requests that both answered, in the same bins: distributions and reliability.

    `edges` has one entry more than there are bins, ascending. Binary: 20 equal bins of 0 to 1. Regression: equal bins
    of a width that is a power of two; the outermost hold what lies beyond them. `days` were added up, from `first` to
    `last`. `unit` is "probability" or "value".
    """

    unit: Literal["probability", "value"]
    edges: tuple[float, ...]
    champion: Binned
    challenger: Binned
    days: int
    first: dt.date
    last: dt.date
    requests: int
    labelled: int


@dataclass(frozen=True)
class Quadrant:
    """Requests on which champion and challenger said yes or no at the threshold: counts are unweighted.

    `share` is of the weight of all four. Of the `labelled` ones, how many each had right; for both the same in the
    quadrants where they agree.
    """

    champion_yes: bool
    challenger_yes: bool
    requests: int
    share: float
    labelled: int
    champion_right: int
    challenger_right: int


@dataclass(frozen=True)
class QuadrantsFacts:
    """The four quadrants, both yes, only champion, only challenger, both no; over `days` days of evidence."""

    threshold: float
    quadrants: tuple[Quadrant, Quadrant, Quadrant, Quadrant]
    days: int
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class Disagreement:
    """A request on which the two are far apart; `label` is None where unknown. Classes are named, numbers are texts."""

    day: dt.date
    request_id: str
    champion: float
    challenger: float
    label: float | None
    champion_words: str
    challenger_words: str
    label_words: str | None
    slices: Mapping[str, str]


@dataclass(frozen=True)
class LabelDay:
    """The labels of one sampled day. `expected` is how many will have come in the end, None before that can be said.

    `waiting` is how many are still expected. `ripe`: the day counts for metrics that need labels.
    """

    day: dt.date
    sampled: int
    labelled: int
    expected: int | None
    waiting: int | None
    contradicted: int
    ripe: bool
    collected_until: dt.datetime | None


@dataclass(frozen=True)
class LatencyFacts:
    """Latency percentiles by day in milliseconds, an entry a day, None on a day without: keys "p50", "p95", "p99"."""

    days: tuple[dt.date, ...]
    champion: Mapping[str, tuple[float | None, ...]]
    challenger: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class ExpectationFailure:
    """An expectation that did not hold: no values, and the ids of at most twenty of the requests."""

    expectation: str
    column: str | None
    detail: str
    requests: tuple[str, ...]


@dataclass(frozen=True)
class ValidationDay:
    """What the expectations said of a day: `subject` is "inputs" or "predictions", of the challenger shown."""

    day: dt.date
    subject: Literal["inputs", "predictions"]
    success: bool
    evaluated: int
    validated_at: dt.datetime
    failures: tuple[ExpectationFailure, ...]


@dataclass(frozen=True)
class DriftFacts:
    """Distance between the two models' answers by day: keys are metrics, an entry a day, None on a day without.

    `titles` are the metrics in words, `bounds` what a rule allows, where one does.
    """

    days: tuple[dt.date, ...]
    values: Mapping[str, tuple[float | None, ...]]
    titles: Mapping[str, str]
    bounds: Mapping[str, float]


@dataclass(frozen=True)
class NoiseSeries:
    """One challenger's daily differences in `NoiseFacts.metric`, an entry a day; `deviation` is their spread."""

    name: str
    role: Role
    days: tuple[dt.date, ...]
    differences: tuple[float, ...]
    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class NoiseFacts:
    """The control's daily differences (the noise of the whole pipe) beside the challengers', on the same metric."""

    metric: str
    title: str
    control: NoiseSeries | None
    others: tuple[NoiseSeries, ...]


@dataclass(frozen=True)
class OutcomeDay:
    """The newest verdict of one day; `revisions` is how often the day was judged."""

    day: dt.date
    outcome: Outcome
    revisions: int


@dataclass(frozen=True)
class PromotionFacts:
    """One change of the champion, newest first in `DeploymentFacts.promotions`.

    `undoes` and `undone_by` are numbers of promotions. `overridden` is what stood in the way of one that was forced.
    """

    number: int
    kind: Literal["promotion", "rollback", "forced"]
    at: dt.datetime
    from_name: str
    from_version: str
    to_name: str
    to_version: str
    approved_by: str
    reason: str
    day: dt.date | None
    undoes: int | None
    undone_by: int | None
    overridden: tuple[str, ...]


@dataclass(frozen=True)
class QuestionFacts:
    """A promotion that somebody was asked to approve. `answer` is None while nobody has answered."""

    challenger: str
    version: str
    day: dt.date
    asked_at: dt.datetime
    run_id: str
    answer: Literal["approved", "rejected", "silence", "changed"] | None
    answered_by: str | None
    answer_reason: str | None
    answered_at: dt.datetime | None


@dataclass(frozen=True)
class AlertFacts:
    """What was to be told. `delivered` are the channels that took it, `undelivered` maps the others to their error."""

    day: dt.date
    kind: str
    created_at: dt.datetime
    text: str
    delivered: tuple[str, ...]
    undelivered: Mapping[str, str]


@dataclass(frozen=True)
class Provenance:
    """What the verdict shown rests on; None where it is not known.

    `first_day` to `last_day` is the window of evidence, `sampled` requests of `population` were drawn in it.
    `snapshot_digest` is of the shown day's inputs, `input_digest` of the evidence and policy that were judged,
    `design_digest` of the sampling design.
    """

    champion_version: str | None
    challenger_name: str
    challenger_version: str
    challenger_uri: str | None
    challenger_digest: str | None
    first_day: dt.date | None
    last_day: dt.date | None
    days: int
    sampled: int
    population: int
    rate: float | None
    snapshot_digest: str | None
    snapshot_location: str | None
    input_digest: str | None
    design_digest: str
    code_version: str | None


@dataclass(frozen=True)
class DeploymentFacts:
    """One deployment, one challenger of it, as of one day.

    `state`: "ready", where `next_step` says what happens next; "empty", where it says what to do and sections are
    empty; "broken", where `error` says what broke. `challengers` is every one, for switching, as of `day`;
    `challenger` is the one shown. `days` are all days with a verdict of the challenger shown, ascending, for going
    back and forth; `day` is the one shown, `last_day` the newest sampled one up to the day that was asked for.
    `missing` maps the name of a field that is empty to why it is, and "control" to why there is none.
    `policy_words` is Markdown. Series by day (`labels`, `validations`, `history`) ascend.
    """

    name: str
    task: str
    state: State
    error: str | None = None
    next_step: str | None = None
    champion: ChampionFacts | None = None
    challengers: tuple[ChallengerLine, ...] = ()
    challenger: ChallengerLine | None = None
    day: dt.date | None = None
    days: tuple[dt.date, ...] = ()
    last_day: dt.date | None = None
    verdict: VerdictFacts | None = None
    rules: tuple[RuleFacts, ...] = ()
    sequences: tuple[SequenceFacts, ...] = ()
    slices: SlicesFacts | None = None
    scores: ScoresFacts | None = None
    quadrants: QuadrantsFacts | None = None
    disagreements: tuple[Disagreement, ...] = ()
    labels: tuple[LabelDay, ...] = ()
    latency: LatencyFacts | None = None
    validations: tuple[ValidationDay, ...] = ()
    drift: DriftFacts | None = None
    noise: NoiseFacts | None = None
    history: tuple[OutcomeDay, ...] = ()
    promotions: tuple[PromotionFacts, ...] = ()
    questions: tuple[QuestionFacts, ...] = ()
    alerts: tuple[AlertFacts, ...] = ()
    policy_words: str = ""
    provenance: Provenance | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True)
class ScoringDay:
    """How one challenger's scoring of a day went: `errors` of `rows` answers are errors; `scored_at` None: not yet."""

    name: str
    version: str
    role: Role
    rows: int
    errors: int
    shards: int
    scored_at: dt.datetime | None


@dataclass(frozen=True)
class Checked:
    """One validation of a day: `subject` is "inputs" or a challenger's name; `success` is None where none was run."""

    subject: str
    success: bool | None
    evaluated: int
    failures: tuple[ExpectationFailure, ...]


@dataclass(frozen=True)
class DayFacts:
    """What one run did: the sample, its expectations, scoring, labels, and how long its window is.

    `rate` is rows over population, None for no request. `labels` is None before the day was sampled. `judged` says of
    each challenger by name which outcome the day has, None where it was not judged.
    """

    day: dt.date
    window_start: dt.datetime
    window_end: dt.datetime
    sampled: bool
    judged: Mapping[str, Outcome | None]
    population: int = 0
    rows: int = 0
    rate: float | None = None
    shards: int = 0
    snapshot_digest: str | None = None
    snapshot_location: str | None = None
    champion_versions: tuple[str, ...] = ()
    labels: LabelDay | None = None
    validations: tuple[Checked, ...] = ()
    scoring: tuple[ScoringDay, ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """One run of one deployment: the deployment as of its day, and the day's own facts, None where state is broken."""

    deployment: DeploymentFacts
    day: DayFacts | None


def plain(value: Any) -> Any:
    """Return facts as what JSON can hold: mappings and lists, days and moments as ISO texts."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, dt.date) else value
