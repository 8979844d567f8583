"""What a page shows of days and answers: labels, latency, drift, noise, bins, quadrants. See also `facts`."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shadow_deployment.report.views.facts_of_verdicts import Outcome, Role


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
    """The A/A check's daily differences (the noise of the whole pipe) beside the challengers', on the same metric."""

    metric: str
    title: str
    a_a_check: NoiseSeries | None
    others: tuple[NoiseSeries, ...]


@dataclass(frozen=True)
class OutcomeDay:
    """The newest verdict of one day; `revisions` is how often the day was judged."""

    day: dt.date
    outcome: Outcome
    revisions: int


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
