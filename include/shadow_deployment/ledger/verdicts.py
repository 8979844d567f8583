"""Verdicts in the ledger: append-only, with a new revision where a day is judged again on other input."""

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.calendar import DayCounts
from shadow_deployment.decision.trial import SERVICE, Trial, champion_in_words
from shadow_deployment.decision.words.finding import Outcome, Verdict
from shadow_deployment.ledger.reading import read_column, read_rows, statement
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.locks import share
from shadow_deployment.ledger.writing.rows import add_revision

CODE_VERSION = "0.1.0"


@dataclass(frozen=True)
class StoredVerdict:
    """A stored verdict with its model and its trial; `decided_on` is the first day of the same outcome in it.

    `decided_on` is None where the verdict is open. `days` is as in DayCounts; `findings`, `reasons` and `policy` are as
    they were stored. `chain_number` and `chain_hash` are its place in the hash chain. `trial` and what follows are None
    before the champion's first request.
    """

    id: int
    name: str
    version: str
    uri: str
    model_digest: str
    challenger_id: int
    day: dt.date
    champion_version: str
    design: str
    days: dict[str, Any]
    outcome: Outcome
    reasons: list[str]
    warnings: list[str]
    findings: list[dict[str, Any]]
    policy: dict[str, Any]
    explanation: str
    input_digest: str
    code_version: str
    revision: int
    judged_at: dt.datetime
    decided_on: dt.date | None
    chain_number: int | None
    chain_hash: str | None
    trial: int | None
    opened_at: dt.datetime | None
    opened_because: str | None
    batch: int | None
    place: int | None
    alpha: float | None
    rules_digest: str | None
    terms: dict[str, Any] | None

    @property
    def champion(self) -> str:
        """The champion in words."""
        return champion_in_words(self.champion_version, self.served, self.period)

    @property
    def period(self) -> str:
        """What its days are: days, or with a weekly schedule weeks."""
        return str(self.days.get("period", "day"))

    @property
    def served(self) -> dict[str, int]:
        """The versions that served the days that count, in order, with their days."""
        return {each["version"]: each["days"] for each in self.days.get("champion_versions", [])}

    @property
    def compared_with(self) -> set[str]:
        """What production's log calls the champion: one version, or all that the service had."""
        return set(self.served) if self.champion_version == SERVICE else {self.champion_version}

    @property
    def is_first_failure(self) -> bool:
        """Whether its trial fails on this day for the first time; later days repeat what was decided then."""
        return self.outcome == "FAIL" and self.decided_on in (None, self.day)


@dataclass(frozen=True)
class NewVerdict:
    """A verdict that was just reached, with all that it depends on.

    `challenger` is the ledger's key of the model. `counted` and `shown` are keys of `shadow.evidence_batch`; `shown`
    is empty where no day is replayed. `judged_on` is all that the verdict depends on, whose digest is compared.
    """

    day: dt.date
    challenger: int
    champion_version: str
    trial: Trial | None
    days: DayCounts
    verdict: Verdict
    alpha: float
    blocked: Sequence[str]
    counted: Sequence[int]
    shown: Sequence[int]
    warnings: Sequence[str]
    explanation: str
    judged_on: Mapping[str, Any]


def store(session: Session[Any], deployment: Deployment, new: NewVerdict) -> None:
    """Store a verdict, unless the newest one of the day has the same input. Commits."""
    key = {"deployment_id": deployment_id(session, deployment), "day": new.day, "challenger_id": new.challenger}
    share(session, deployment)
    row = {
        "champion_version": new.champion_version,
        "design": digest(design(deployment)),
        "trial_id": new.trial.id if new.trial else None,
        "days": json.dumps(new.days.to_json()),
        "outcome": new.verdict.outcome,
        "reasons": json.dumps(list(new.verdict.reasons)),
        "warnings": json.dumps(list(new.warnings)),
        "explanation": new.explanation,
        "findings": json.dumps([finding.to_json() for finding in new.verdict.findings], allow_nan=False),
        "blocked": json.dumps(list(new.blocked)),
        "alpha": new.alpha,
        "counted_evidence": list(new.counted),
        "shown_evidence": list(new.shown),
        "policy": deployment.policy.model_dump_json(by_alias=True),
        "code_version": CODE_VERSION,
    }
    add_revision(session, "verdict", key, row, digest=digest(new.judged_on), digest_column="input_digest")
    session.commit()


def latest(session: Session[Any], deployment: Deployment, as_of: dt.date | None = None) -> dict[str, StoredVerdict]:
    """Return each model's newest verdict of a day up to `as_of`, by the model's name; none that was withdrawn."""
    values = {"deployment": deployment.name, "as_of": as_of}
    return {row.name: row for row in read_rows(session, StoredVerdict, statement("latest_verdicts"), values)}


def judged_days(session: Session[Any], challengers: Collection[int]) -> set[dt.date]:
    """Return the days on which all of these challengers were judged, as the models that they are now."""
    query = (
        "SELECT day FROM shadow.verdict WHERE challenger_id = ANY(%s) GROUP BY day "
        "HAVING count(DISTINCT challenger_id) = %s"
    )
    return set(read_column(session, query, [list(challengers), len(challengers)]))


@dataclass(frozen=True)
class KeptVerdict:
    """A verdict with all that it was computed from, as in NewVerdict."""

    id: int
    name: str
    day: dt.date
    outcome: str
    reasons: list[str]
    warnings: list[str]
    findings: list[dict[str, Any]]
    blocked: list[str]
    alpha: float
    counted_evidence: list[int]
    shown_evidence: list[int]
    policy: dict[str, Any]
    days: dict[str, Any]
    input_digest: str
    trial: int | None


def kept(session: Session[Any], deployment: Deployment, days: Collection[dt.date] | None) -> list[KeptVerdict]:
    """Return the newest revision of each verdict of some days, None for every day, in order."""
    values = {"deployment": deployment.name, "days": None if days is None else list(days)}
    return read_rows(session, KeptVerdict, statement("stored_verdicts"), values)


@dataclass(frozen=True)
class VerdictOutcome:
    """A model's newest verdict; `since` is when that outcome was first given in the days that have had no other."""

    name: str
    version: str
    day: dt.date
    outcome: str
    reasons: list[str]
    since: dt.datetime


def outcomes(session: Session[Any], deployment: Deployment) -> dict[tuple[str, str], VerdictOutcome]:
    """Return the verdict of the newest day of every model that was ever judged, by name and version."""
    rows = read_rows(session, VerdictOutcome, statement("outcomes"), {"deployment": deployment.name})
    return {(row.name, row.version): row for row in rows}
