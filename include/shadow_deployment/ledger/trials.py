"""Trials in the ledger: opened once, never changed; and days that were withdrawn."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session, clock
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.alpha import alpha_of_batch, alpha_of_trial, spends_alpha
from shadow_deployment.decision.trial import Kind, Trial, champion_in_words, difference
from shadow_deployment.ledger.reading import read_column, read_row, read_rows, read_value, statement
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.locks import share, until_commit
from shadow_deployment.ledger.writing.rows import insert


@dataclass(frozen=True)
class NewTrial:
    """What a trial is opened on: `challenger` is the ledger's key of the model, `terms` are as in Trial."""

    kind: Kind
    challenger: int
    champion_version: str
    terms: Mapping[str, Any]
    trained_until: dt.date | None


def open_trials(session: Session[Any], deployment: Deployment, wanted: Sequence[NewTrial]) -> list[Trial]:
    """Return the trial on each of these terms, opening those that are not there as one batch. Commits.

    A training date that is declared for the first time is entered; another one than was declared opens a new trial.
    Nobody promotes meanwhile, since a promotion changes the place of a batch.
    """
    key = deployment_id(session, deployment)
    share(session, deployment)
    until_commit(session, f"trials/{key}")
    missing = [each for each in wanted if find(session, each) is None]
    if missing:
        _open(session, deployment, key, missing)
    trials = [_declared(session, each) for each in wanted]
    session.commit()
    return trials


def _open(session: Session[Any], deployment: Deployment, key: int, wanted: Sequence[NewTrial]) -> None:
    """Enter trials at one moment: those that may end in a PASS share the alpha of their batch."""
    policy, at = deployment.policy, clock(session)
    sharing = [each for each in wanted if each.kind == "challenger" and spends_alpha(policy)]
    batch, place = next_batch(session, deployment, at)
    alpha = alpha_of_trial(policy.alpha, place=place, size=max(len(sharing), 1))
    newest = read_value(session, "SELECT max(number) FROM shadow.trial WHERE deployment_id = %s", [key]) or 0
    for number, each in enumerate(wanted, newest + 1):
        spent = (batch, place, alpha) if each in sharing else (None, None, policy.alpha)
        row = {
            "deployment_id": key,
            "number": number,
            "kind": each.kind,
            "challenger_id": each.challenger,
            "champion_version": each.champion_version,
            "terms": json.dumps(each.terms),
            "terms_digest": digest(each.terms),
            "rules_digest": digest(each.terms["rules"]),
            "start": deployment.start,
            **dict(zip(("batch", "place", "alpha"), spent, strict=True)),
            "opened_because": _cause(session, each),
            "opened_at": at,
        }
        insert(session, "trial", row)


def _declared(session: Session[Any], wanted: NewTrial) -> Trial:
    """Return a trial that was opened, with its training date entered where it was not declared before."""
    trial = find(session, wanted) or find(session, wanted, newest=True)
    assert trial is not None  # noqa: S101 (it was there or was inserted)
    if trial.trained_until is None and wanted.trained_until is not None:
        row = {"trial_id": trial.id, "trained_until": wanted.trained_until}
        insert(session, "trial_training", row, once=True)
        trial = find(session, wanted) or trial
    return trial


def next_batch(session: Session[Any], deployment: Deployment, at: dt.datetime | None = None) -> tuple[int, int]:
    """Return number and place of the batch that trials opened at a moment make; None is now."""
    values = {"deployment": deployment.name, "at": at or clock(session)}
    batch, place = session.execute(statement("next_batch"), values).fetchone() or (1, 1)
    return batch, place


def alpha_of_next(session: Session[Any], deployment: Deployment) -> float:
    """Return alpha toward PASS of a trial that was opened now, alone."""
    _, place = next_batch(session, deployment)
    return alpha_of_batch(deployment.policy.alpha, place)


def seen_days(session: Session[Any], trial: Trial) -> set[dt.date]:
    """Return the days on which the trial's model had evidence before the trial was opened.

    The model is recognized by its digest, and by name and version, in all deployments of this ledger that read the
    same requests.
    """
    return set(read_column(session, statement("seen_days"), {"trial": trial.id}))


def failing_since(
    session: Session[Any], trial: Trial, challenger: int, before: dt.date, but: dt.date | None = None
) -> dt.date | None:
    """Return the day before `before` since which a trial fails on every judged day; None where it does not.

    Args:
        session: The ledger.
        trial: The trial.
        challenger: The ledger's key of its model.
        before: The day that is asked about.
        but: A day whose own verdict does not count. Days that were withdrawn never do.
    """
    values = {"challenger": challenger, "trial": trial.id, "before": before, "but": but}
    day: dt.date | None = read_value(session, statement("failing_since"), values)
    return day


@dataclass(frozen=True)
class TrialRecord:
    """A trial as `shadow trials` lists it: `digest` is the model's, `outcome` and `day` are of its newest verdict.

    `batch_size` trials share the alpha of the batch; `batch` is None where a trial spends none.
    """

    number: int
    kind: str
    name: str
    version: str
    digest: str
    champion_version: str
    opened_at: dt.datetime
    opened_because: str
    batch: int | None
    place: int | None
    batch_size: int | None
    alpha: float
    terms_digest: str
    rules_digest: str
    trained_until: dt.date | None
    terms: dict[str, Any]
    day: dt.date | None
    outcome: str | None
    judged: int


def trials(session: Session[Any], deployment: Deployment) -> list[TrialRecord]:
    """Return every trial that was ever opened for a deployment, in order."""
    return read_rows(session, TrialRecord, statement("trials"), {"deployment": deployment.name})


def withdraw(session: Session[Any], deployment: Deployment, day: dt.date, *, by: str, reason: str) -> bool:
    """Take a day back; return whether it was not withdrawn before. Commits."""
    key = {"deployment_id": deployment_id(session, deployment), "day": day}
    is_new = insert(session, "withdrawal", key | {"reason": reason, "withdrawn_by": by}, once=True)
    session.commit()
    return bool(is_new)


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
    return read_row(session, Trial, statement("find_trial"), values)


def _cause(session: Session[Any], wanted: NewTrial) -> str:
    """Return why a trial is opened, from what differs from the newest one of a challenger of the same name."""
    row = session.execute(statement("previous_trial"), {"challenger": wanted.challenger}).fetchone()
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
