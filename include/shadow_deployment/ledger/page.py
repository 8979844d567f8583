"""What a page reads from the ledger: evidence and what was kept beside it, and never more requests than it shows."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.ledger.reading import read_column, read_rows, read_value, statement
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.ledger.verdicts import StoredVerdict

MOST_BINS, MOST_BINS_OF_A_DAY = 60, 200


@dataclass(frozen=True)
class ComparedPredictions:
    """Which days of whom: a challenger's comparable days against one champion version, and which of them are mature."""

    challenger: int
    days: Sequence[Snapshot]
    champion_version: str
    mature: Mapping[dt.date, bool]

    @property
    def values(self) -> dict[str, Any]:
        """The same as the statements name it."""
        return {
            "challenger": self.challenger,
            "snapshots": keys(self.days),
            "champion_version": self.champion_version,
            "mature": keys(day for day in self.days if self.mature.get(day.day)),
        }


@dataclass(frozen=True)
class ScoringRow:
    """How many rows of a day one model has answered, in how many shards, and how many of them with an error."""

    name: str
    version: str
    challenger_id: int
    rows: int
    errors: int
    shards: int
    scored_at: dt.datetime


@dataclass(frozen=True)
class HistogramRow:
    """Answers of one model in one bin, from bin * width to (bin + 1) * width, summed with their weights.

    They are of one `day`, or where that is None added up over all `days`, from `first` to `last`; what is of labels is
    of the mature ones among them.
    """

    day: dt.date | None
    model: str
    width: float
    bin: int
    requests: int
    weight: float
    labelled: int
    labelled_weight: float
    labelled_weight_squares: float
    labelled_answer_sum: float
    label_sum: float
    label_squares: float
    days: int
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class QuadrantRow:
    """One quadrant, summed over `days` days; `positive` of the `labelled` requests of mature days are positive."""

    champion_yes: bool
    challenger_yes: bool
    requests: int
    weight: float
    labelled: int
    positive: int
    labelled_weight: float
    positive_weight: float
    days: int
    first: dt.date
    last: dt.date

    @property
    def champion_right(self) -> int:
        """On how many of the labelled requests the champion is right."""
        return self.positive if self.champion_yes else self.labelled - self.positive

    @property
    def challenger_right(self) -> int:
        """On how many of the labelled requests the challenger is right."""
        return self.positive if self.challenger_yes else self.labelled - self.positive


@dataclass(frozen=True)
class NewestSampled:
    """The newest sampled day, None where there is none, and the version that served last, "none" before a request."""

    day: dt.date | None
    version: str


@dataclass(frozen=True)
class OutcomeDay:
    """The newest verdict of one day; `revision` is how often the day was judged."""

    day: dt.date
    outcome: Outcome
    revision: int


def fingerprints(session: Session[Any], deployments: Sequence[Deployment]) -> dict[str, str]:
    """Return by name a digest that changes whenever anything may have changed that a list shows of a deployment.

    It covers the deployment's file too, save what only the file's layout is.
    """
    query = statement("deployment_fingerprints")
    rows = dict(session.execute(query, {"deployments": [deployment.name for deployment in deployments]}).fetchall())
    return {deployment.name: _digest(deployment, rows.get(deployment.name)) for deployment in deployments}


def fingerprint(session: Session[Any], deployment: Deployment) -> str:
    """Return a digest that changes whenever anything may have changed that a page shows of a deployment."""
    days = read_value(session, statement("page_fingerprint"), {"deployment": deployment.name})
    return f"{fingerprints(session, [deployment])[deployment.name]} {days}"


def _digest(deployment: Deployment, entered: str | None) -> str:
    content = f"{deployment.model_dump_json(by_alias=True)}\n{entered}"
    return hashlib.sha256(content.encode()).hexdigest()


def last_run(session: Session[Any], deployment: Deployment) -> dt.datetime | None:
    """Return when a verdict, or where there is none a sample, was last written."""
    moment: dt.datetime | None = read_value(session, statement("page_activity"), {"deployment": deployment.name})
    return moment


def newest_sampled(session: Session[Any], deployment: Deployment) -> NewestSampled:
    """Return the newest day that was sampled by the present design, and which version served last."""
    values = {"deployment": deployment.name, "design": digest(design(deployment))}
    row = session.execute(statement("newest_sampled"), values).fetchone()
    assert row is not None  # noqa: S101 (an aggregate has one row)
    return NewestSampled(row[0], row[1] or "none")


def evidence_days(session: Session[Any], verdict: StoredVerdict) -> set[dt.date]:
    """Return the days whose evidence a verdict shows."""
    query = (
        "SELECT DISTINCT b.day FROM shadow.verdict AS v "
        "JOIN shadow.evidence_batch AS b ON b.id = ANY(v.counted_evidence || v.shown_evidence) WHERE v.id = %s"
    )
    return set(read_column(session, query, [verdict.id]))


def history(session: Session[Any], challenger: int) -> list[OutcomeDay]:
    """Return a model's judged days in order."""
    return read_rows(session, OutcomeDay, statement("page_history"), {"challenger": challenger})


def bins(session: Session[Any], compared: ComparedPredictions, *, by_day: bool = False) -> list[HistogramRow]:
    """Return the answers of both models in the same bins, added up over the days or `by_day`, by model and bin."""
    shape = {"by_day": by_day, "most": MOST_BINS_OF_A_DAY if by_day else MOST_BINS}
    return read_rows(session, HistogramRow, statement("page_bins"), compared.values | shape)


def quadrants(session: Session[Any], compared: ComparedPredictions, threshold: float) -> list[QuadrantRow]:
    """Return the quadrants at a threshold, added up over the days; none where they were kept at another."""
    return read_rows(session, QuadrantRow, statement("page_quadrants"), compared.values | {"threshold": threshold})


def scored(session: Session[Any], snapshot: Snapshot) -> list[ScoringRow]:
    """Return how the scoring of a day went, a row for each model that has answered some of it."""
    return read_rows(session, ScoringRow, statement("page_scoring"), {"snapshot": snapshot.id})


def shards(session: Session[Any], snapshot: Snapshot) -> int:
    """Return in how many parts a day's sample is scored."""
    return int(read_value(session, "SELECT shards FROM shadow.day_so_far WHERE id = %s", [snapshot.id]) or 0)
