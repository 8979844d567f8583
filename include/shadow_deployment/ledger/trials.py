"""Trials in the ledger: opened once, never changed; and days that were withdrawn."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.rows import class_row

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.trial import Kind, Trial, champion_in_words, difference
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.locks import until_commit

_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class NewTrial:
    """What a trial is opened on: `challenger` is the ledger's key of the model, `terms` are as in Trial."""

    kind: Kind
    challenger: int
    champion_version: str
    terms: Mapping[str, Any]
    alpha: float
    trained_until: dt.date | None


def open_trial(session: Session[Any], deployment: Deployment, wanted: NewTrial) -> Trial:
    """Return the trial on these terms, opening it where there is none. Commits.

    A training date that is declared for the first time is entered; another one than was declared opens a new trial.
    """
    key = deployment_id(session, deployment)
    until_commit(session, f"trials/{key}")
    trial = find(session, wanted)
    if trial is None:
        values = {
            "deployment": key,
            "kind": wanted.kind,
            "challenger": wanted.challenger,
            "champion_version": wanted.champion_version,
            "terms": json.dumps(wanted.terms),
            "terms_digest": digest(wanted.terms),
            "rules_digest": digest(wanted.terms["rules"]),
            "start": deployment.start,
            "alpha": wanted.alpha,
            "opened_because": _cause(session, wanted),
        }
        session.execute(load_statement(_SQL / "open_trial.sql"), values)
        trial = find(session, wanted, newest=True)
    assert trial is not None  # noqa: S101 (it was there or was inserted)
    if trial.trained_until is None and wanted.trained_until is not None:
        session.execute(
            "INSERT INTO shadow.trial_training (trial_id, trained_until) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [trial.id, wanted.trained_until],
        )
        trial = find(session, wanted) or trial
    session.commit()
    return trial


def seen_days(session: Session[Any], trial: Trial) -> set[dt.date]:
    """Return the days on which the trial's model had evidence before the trial was opened.

    The model is recognized by its digest, and by name and version, in all deployments of this ledger that read the
    same requests.
    """
    rows = session.execute(load_statement(_SQL / "seen_days.sql"), {"trial": trial.id})
    return {day for (day,) in rows}


@dataclass(frozen=True)
class TrialRecord:
    """A trial as `shadow trials` lists it: `digest` is the model's, `outcome` and `day` are of its newest verdict."""

    number: int
    kind: str
    name: str
    version: str
    digest: str
    champion_version: str
    opened_at: dt.datetime
    opened_because: str
    alpha: float
    trained_until: dt.date | None
    terms: dict[str, Any]
    day: dt.date | None
    outcome: str | None
    judged: int


def trials(session: Session[Any], deployment: Deployment) -> list[TrialRecord]:
    """Return every trial that was ever opened for a deployment, in order."""
    with session.cursor(row_factory=class_row(TrialRecord)) as cursor:
        return cursor.execute(load_statement(_SQL / "trials.sql"), {"deployment": deployment.name}).fetchall()


def withdraw(session: Session[Any], deployment: Deployment, day: dt.date, *, by: str, reason: str) -> bool:
    """Take a day back; return whether it was not withdrawn before. Commits."""
    done = session.execute(
        "INSERT INTO shadow.withdrawal (deployment_id, day, reason, withdrawn_by) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [deployment_id(session, deployment), day, reason, by],
    )
    session.commit()
    return done.rowcount == 1


def withdrawn(session: Session[Any], deployment: Deployment) -> dict[dt.date, str]:
    """Return the days that were withdrawn, each with its reason."""
    rows = session.execute(
        "SELECT w.day, w.reason FROM shadow.withdrawal AS w JOIN shadow.deployment AS d ON d.id = w.deployment_id "
        "WHERE d.name = %s ORDER BY w.day",
        [deployment.name],
    )
    return dict(rows.fetchall())


def find(session: Session[Any], wanted: NewTrial, *, newest: bool = False) -> Trial | None:
    """Return the trial on these terms, None where it was never opened; `newest` whatever training date it has."""
    values = {
        "challenger": wanted.challenger,
        "champion_version": wanted.champion_version,
        "terms_digest": digest(wanted.terms),
        "trained_until": None if newest else wanted.trained_until,
    }
    with session.cursor(row_factory=class_row(Trial)) as cursor:
        return cursor.execute(load_statement(_SQL / "find_trial.sql"), values).fetchone()


def _cause(session: Session[Any], wanted: NewTrial) -> str:
    """Return why a trial is opened, from what differs from the newest one of a challenger of the same name."""
    row = session.execute(load_statement(_SQL / "previous_trial.sql"), {"challenger": wanted.challenger}).fetchone()
    if row is None:
        return "it was seen for the first time"
    number, terms, champion_version, challenger, version, digest_before, trained_until = row
    if challenger != wanted.challenger:
        return f"the model is another one than in trial {number}: version {version}, digest {digest_before[:12]}"
    if champion_version != wanted.champion_version:
        now, before = (champion_in_words(each) for each in (wanted.champion_version, champion_version))
        return f"it is now against {now}, in trial {number} it was against {before}"
    changed = difference(terms, wanted.terms)
    return (
        f"{changed} changed since trial {number}" if changed else f"trained_until was {trained_until} in trial {number}"
    )
