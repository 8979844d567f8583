"""Alarms of a day whose values stopped varying: features of the requests, the champion's predictions, a challenger's.

What a day is compared with are the first days whose files are there, as drift is. Whatever may be constant is named in
`expectations.may_be_constant`.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
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
    days = _first_days(session, context, snapshot)
    alive = varying(rows, features)
    failures = [_failure(name, vanished(rows, name, _sampled(context, days))) for name in features if name not in alive]
    if alive:
        columns = ["champion", *(["champion_probabilities"] if deployment.classes else [])]
        failures.append(_failure("champion", dead(rows, columns, _sampled(context, days))))
    return _but_allowed(context, failures)


def of_challenger(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, challenger: Challenger, key: int
) -> list[Failure]:
    """Return which of a challenger's own features stopped varying, and whether its predictions did, as failures."""
    if challenger.is_a_a_check:
        return []
    days, own = _first_days(session, context, snapshot), own_features.rows_of(context, snapshot, challenger)
    features = challenger.features_from.features if challenger.features_from and own else []
    alive = varying(own, features) if own else set()
    earlier = [rows for rows in (own_features.rows_of(context, day, challenger) for day in days) if rows]
    failures = [_failure(name, vanished(own, name, earlier)) for name in features if own and name not in alive]
    if alive or any(varying(rows, context.deployment.requests.features) for rows in _sampled(context, [snapshot])):
        columns = ["value", *(["lowest", "total"] if context.deployment.classes else [])]
        answered = _first_days(session, context, snapshot, key)
        before = (PredictionRows(session, day, key) for day in answered)
        failures.append(_failure(challenger.name, dead(PredictionRows(session, snapshot, key), columns, before)))
    return _but_allowed(context, failures)


def _first_days(
    session: Session[Any], context: DeploymentContext, snapshot: Snapshot, key: int | None = None
) -> Sequence[Snapshot]:
    """Return the first days before one that have requests, or that a challenger has answered."""
    sampled = snapshots.snapshots(session, context.deployment, None, snapshot.day - dt.timedelta(days=1))
    answered = {each.id for each in sampled} if key is None else validations.scored(session, sampled, key)
    return first_days([each for each in sampled if each.rows and each.id in answered])


def _sampled(context: DeploymentContext, days: Sequence[Snapshot]) -> Iterator[Rows]:
    """Yield the requests of those days whose files are there."""
    for day in days:
        with suppress(SnapshotError):
            yield SnapshotRows(context.store, day.location, files_of(context, day).parts)


def _failure(name: str, problem: str | None) -> Failure | None:
    return (problem and Failure("expect_values_to_vary()", name, problem + _HINT, [])) or None


def _but_allowed(context: DeploymentContext, failures: Iterable[Failure | None]) -> list[Failure]:
    allowed = context.deployment.expectations.may_be_constant
    return [each for each in failures if each is not None and each.column not in allowed]
