"""What a page shows, as plain frozen values: read by `gathering`, drawn by others, escaped by neither.

Numbers are Python floats and ints, None where nothing is known, never NaN or infinite. Days are `date`, moments aware
`datetime` in UTC. Names and texts are as they were written, not escaped. A section that has nothing to show is None or
empty, and `DeploymentFacts.missing` says why.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shadow_deployment.report.views.facts_of_days import (
    Binned,
    Checked,
    Disagreement,
    DriftFacts,
    ExpectationFailure,
    LabelDay,
    LatencyFacts,
    NoiseFacts,
    NoiseSeries,
    OutcomeDay,
    Quadrant,
    QuadrantsFacts,
    ScoresFacts,
    ScoringDay,
    ValidationDay,
)
from shadow_deployment.report.views.facts_of_record import AlertFacts, PromotionFacts, Provenance, QuestionFacts
from shadow_deployment.report.views.facts_of_verdicts import (
    ChallengerLine,
    ChampionFacts,
    Outcome,
    Role,
    RuleFacts,
    Scaled,
    SequenceFacts,
    SliceFacts,
    SlicesFacts,
    Unit,
    VerdictFacts,
)

__all__ = [
    "AlertFacts",
    "Binned",
    "ChallengerLine",
    "ChampionFacts",
    "Checked",
    "DayFacts",
    "DeploymentFacts",
    "DeploymentLine",
    "Disagreement",
    "DriftFacts",
    "ExpectationFailure",
    "LabelDay",
    "LatencyFacts",
    "NoiseFacts",
    "NoiseSeries",
    "Outcome",
    "OutcomeDay",
    "Overview",
    "PromotionFacts",
    "Provenance",
    "Quadrant",
    "QuadrantsFacts",
    "QuestionFacts",
    "Role",
    "RuleFacts",
    "RunFacts",
    "Scaled",
    "ScoresFacts",
    "ScoringDay",
    "SequenceFacts",
    "SliceFacts",
    "SlicesFacts",
    "State",
    "Unit",
    "ValidationDay",
    "VerdictFacts",
    "plain",
]

State = Literal["ready", "empty", "broken"]


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
class DeploymentFacts:
    """One deployment, one challenger of it, as of one day.

    `state`: "ready", where `next_step` says what happens next; "empty", where it says what to do and sections are
    empty; "broken", where `error` says what broke. `challengers` is every one, for switching, as of `day`;
    `challenger` is the one shown. `days` are all days with a verdict of the challenger shown, ascending, for going
    back and forth; `day` is the one shown, `last_day` the newest sampled one up to the day that was asked for.
    `missing` maps the name of a field that is empty to why it is, and "a_a_check" to why there is none.
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
