"""Alarms of a day whose values stopped varying: features of the requests, the champion's predictions, a challenger's.

What a day is compared with are the first days whose files are there, as drift is. Whatever may be constant is named in
`expectations.may_be_constant`.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.constancy import dead, vanished, varying
from shadow_deployment.data.quality.drift import first_days
from shadow_deployment.data.quality.expectations import Failure
from shadow_deployment.data.rows import Rows, SnapshotRows
from shadow_deployment.errors import SnapshotError
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.batches.prediction_rows import PredictionRows
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.pipeline.challengers import own_features
from shadow_deployment.pipeline.sample import files_of

_HINT = "; correct what writes it, or name it in expectations.may_be_constant"


def of_inputs(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, rows: Rows) -> list[Failure]:
    """Return which features of a day stopped varying, and whether the champion's predictions did, as failures."""
    deployment, features = context.deployment, context.deployment.requests.features
    alive = varying(rows, features)
    failures = [
        _failure(name, vanished(rows, name, _sampled_before(context, session, snapshot)))
        for name in features
        if name not in alive
    ]
    if alive:
        columns = ["champion", *(["champion_probabilities"] if deployment.classes else [])]
        failures.append(_failure("champion", dead(rows, columns, _sampled_before(context, session, snapshot))))
    return _but_allowed(context, failures)


def of_challenger(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, challenger: Challenger, key: int
) -> list[Failure]:
    """Return which of a challenger's own features stopped varying, and whether its predictions did, as failures."""
    if challenger.is_a_a_check:
        return []
    own = own_features.rows_of(context, snapshot, challenger)
    features = challenger.features_from.features if challenger.features_from and own else []
    alive = varying(own, features) if own else set()
    failures = [
        _failure(name, vanished(own, name, _own_before(context, session, snapshot, challenger)))
        for name in features
        if own and name not in alive
    ]
    columns = ["value", *(["lowest", "total"] if context.deployment.classes else [])]
    before = (PredictionRows(session, day, key) for day in _first_days(context, session, snapshot, key))
    problem = dead(PredictionRows(session, snapshot, key), columns, before)
    if problem and (alive or _requests_vary(context, snapshot)):
        failures.append(_failure(challenger.name, problem))
    return _but_allowed(context, failures)


def _first_days(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, key: int | None = None
) -> Iterator[Snapshot]:
    """Yield the first days before one that have requests, or that a challenger has answered.

    They are looked for once the first is asked for: of a day whose values vary none is.
    """
    sampled = snapshots.snapshots(session, context.deployment, None, snapshot.day - dt.timedelta(days=1))
    answered = {each.id for each in sampled} if key is None else validations.scored(session, sampled, key)
    days = [each for each in sampled if each.rows and each.id in answered]
    yield from first_days(days, context.deployment.policy.days_per_period)


def _sampled_before(context: DeploymentContext, session: Session[Any], snapshot: Snapshot) -> Iterator[Rows]:
    """Yield the requests of the first days before one."""
    yield from _sampled(context, _first_days(context, session, snapshot))


def _own_before(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, challenger: Challenger
) -> Iterator[Rows]:
    """Yield a challenger's own features of the first days before one, as far as they are kept."""
    for day in _first_days(context, session, snapshot):
        rows = own_features.rows_of(context, day, challenger)
        if rows is not None:
            yield rows


def _requests_vary(context: DeploymentContext, snapshot: Snapshot) -> bool:
    return any(varying(rows, context.deployment.requests.features) for rows in _sampled(context, [snapshot]))


def _sampled(context: DeploymentContext, days: Iterable[Snapshot]) -> Iterator[Rows]:
    """Yield the requests of those days whose files are there."""
    for day in days:
        with suppress(SnapshotError):
            yield SnapshotRows(context.store, day.location, files_of(context, day).parts)


def _failure(name: str, problem: str | None) -> Failure | None:
    return (problem and Failure("expect_values_to_vary()", name, problem + _HINT, [])) or None


def _but_allowed(context: DeploymentContext, failures: Iterable[Failure | None]) -> list[Failure]:
    allowed = context.deployment.expectations.may_be_constant
    return [each for each in failures if each is not None and each.column not in allowed]
