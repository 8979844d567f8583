"""What a page shows of what was done and said, and of what a verdict rests on. See also `facts`."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


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
