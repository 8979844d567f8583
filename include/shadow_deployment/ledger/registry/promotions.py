"""Promotions in the ledger: the append-only history of champions, a row for each promotion and rollback."""

import datetime as dt
import getpass
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from psycopg import errors

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session, clock
from shadow_deployment.errors import RegistryError
from shadow_deployment.ledger.reading import read_row, read_rows, statement
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.verdicts import CODE_VERSION, StoredVerdict, latest
from shadow_deployment.ledger.writing.rows import insert

Kind = Literal["promotion", "rollback", "forced"]


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model; digest and address are None where only production's log knows it."""

    name: str
    version: str
    digest: str | None
    uri: str | None
    model_id: int | None = None

    @property
    def logged_as(self) -> tuple[str, str]:
        """What production's log may call it: its version, or name@version where versions are not unique."""
        return self.version, f"{self.name}@{self.version}"


@dataclass(frozen=True)
class CurrentChampion(ModelVersion):
    """Who is champion: by the promotion of this number, or, where it is 0, because the log says so."""

    number: int = 0
    since: dt.datetime | None = None
    approved_by: str | None = None

    def __str__(self) -> str:
        if not self.number:
            return f"{self.name} {self.version}, as the log says"
        return (
            f"{self.name} {self.version}, by promotion {self.number} of {self.since:%Y-%m-%d %H:%M} UTC, "
            f"approved by {self.approved_by}"
        )


@dataclass(frozen=True)
class Approval:
    """Who has decided, why, and when; None is now."""

    approved_by: str
    reason: str
    approved_at: dt.datetime | None = None


@dataclass(frozen=True)
class PromotionRecord:
    """One change of the champion, with all that it rests on; `undone_by` is the rollback that took it back."""

    number: int
    kind: Kind
    undoes: int | None
    undone_by: int | None
    from_name: str
    from_version: str
    from_digest: str | None
    from_uri: str | None
    from_model_id: int | None
    name: str
    version: str
    digest: str | None
    uri: str | None
    model_id: int | None
    verdict_id: int | None
    day: dt.date | None
    compared_with: str | None
    outcome: str | None
    findings: list[dict[str, Any]]
    input_digest: str | None
    policy: dict[str, Any]
    overridden: list[str]
    case_digest: str | None
    code_version: str
    approved_by: str
    approved_at: dt.datetime
    reason: str
    database_user: str
    os_user: str
    created_at: dt.datetime

    @property
    def champion(self) -> CurrentChampion:
        """The champion that this made."""
        return CurrentChampion(
            self.name,
            self.version,
            self.digest,
            self.uri,
            self.model_id,
            self.number,
            self.created_at,
            self.approved_by,
        )

    @property
    def approval(self) -> Approval:
        """Who has decided, and why."""
        return Approval(self.approved_by, self.reason)

    @property
    def before(self) -> ModelVersion:
        """The champion that this replaced."""
        return ModelVersion(self.from_name, self.from_version, self.from_digest, self.from_uri, self.from_model_id)


def history(session: Session[Any], deployment: Deployment) -> list[PromotionRecord]:
    """Return every promotion and rollback of a deployment, in order."""
    return read_rows(session, PromotionRecord, statement("promotions"), {"deployment": deployment.name})


def champion(session: Session[Any], deployment: Deployment) -> CurrentChampion | None:
    """Return the champion as the view shows it to production, None before the first promotion."""
    return read_row(
        session,
        CurrentChampion,
        "SELECT name, version, digest, uri, since, approved_by, number FROM shadow.champion WHERE deployment = %s",
        [deployment.name],
    )


def judgement(
    session: Session[Any], deployment: Deployment, challenger: str, day: dt.date | None
) -> StoredVerdict | None:
    """Return a challenger's newest verdict of a day, None for the newest day; None where there is none."""
    verdict = latest(session, deployment, day).get(challenger)
    return verdict if verdict is not None and day in (None, verdict.day) else None


def add(
    session: Session[Any],
    deployment: Deployment,
    *,
    kind: Kind,
    champion: CurrentChampion,
    successor: ModelVersion,
    approval: Approval,
    verdict: StoredVerdict | None = None,
    overridden: tuple[str, ...] = (),
    case_digest: str | None = None,
    undoes: int | None = None,
) -> PromotionRecord:
    """Let `successor` follow `champion`, who must be the newest; the caller commits.

    Raises RegistryError where another promotion has come first.
    """
    model = ("name", "version", "digest", "uri", "model_id")
    row = {
        "deployment_id": deployment_id(session, deployment),
        "number": champion.number + 1,
        "previous": champion.number or None,
        "kind": kind,
        "undoes": undoes,
        **{f"from_{key}": getattr(champion, key) for key in model},
        **{f"to_{key}": getattr(successor, key) for key in model},
        **_rests_on(deployment, verdict),
        "overridden": json.dumps(overridden),
        "promotion_request_digest": case_digest,
        "code_version": CODE_VERSION,
        "os_user": getpass.getuser(),
        **asdict(approval),
        "approved_at": approval.approved_at or clock(session),
    }
    try:
        insert(session, "promotion", row)
    except errors.UniqueViolation as error:
        raise RegistryError(
            f"deployment {deployment.name}: promotion {champion.number + 1} is there already: somebody else was first; "
            "look at the promotion request again"
        ) from error
    return history(session, deployment)[-1]


def _rests_on(deployment: Deployment, verdict: StoredVerdict | None) -> dict[str, Any]:
    return {
        "verdict_id": verdict and verdict.id,
        "day": verdict and verdict.day,
        "compared_with": verdict and verdict.champion_version,
        "outcome": verdict and verdict.outcome,
        "findings": json.dumps(verdict.findings if verdict else []),
        "input_digest": verdict and verdict.input_digest,
        "policy": json.dumps(verdict.policy) if verdict else deployment.policy.model_dump_json(by_alias=True),
    }
