"""The step `validate_predictions`: check one challenger's predictions of a day."""

import datetime as dt

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.quality.expectations import Failure, Validation, prediction_expectations
from shadow_deployment.data.quality.validation import validate
from shadow_deployment.errors import LedgerError, ValidationFailed
from shadow_deployment.ledger import predictions
from shadow_deployment.ledger.batches.prediction_rows import PredictionRows
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.removal.retention import require_kept
from shadow_deployment.pipeline.challengers.identities import challenger_key
from shadow_deployment.pipeline.sample import require_snapshot
from shadow_deployment.pipeline.validation import constancy
from shadow_deployment.pipeline.validation.inputs import require_success


def validate_predictions(context: DeploymentContext, day: dt.date, challenger_name: str) -> Validation:
    """Check one challenger's predictions and record the result.

    Raises:
        ValidationFailed: an expectation is not met, or no request has an answer.
        LedgerError: a shard was not scored, or the day's requests were removed.
    """
    deployment = context.deployment
    challenger = deployment.challenger(challenger_name)
    with context.ledger() as session:
        snapshot = require_snapshot(session, deployment, day)
        require_kept(session, snapshot)
        key = challenger_key(context, session, challenger)
        scored = predictions.rows_scored(session, snapshot, key)
        if scored != snapshot.rows:
            raise LedgerError(
                f"challenger {challenger.name} has predictions for {scored} of the {snapshot.rows} requests of {day}: "
                "scoring is incomplete; run the day's score tasks again"
            )
        if not snapshot.rows:
            return Validation("", 0, [])
        rows = PredictionRows(session, snapshot, key)
        validation = validate(rows, prediction_expectations(deployment, snapshot.rows))
        error = None if challenger.is_a_a_check else predictions.common_error(session, snapshot, key)
        unanswered = _unanswered(snapshot.rows, *error) if error else None
        if unanswered is not None:
            validation = validation.with_failures([Failure("expect_an_answer()", "value", unanswered, [])])
        validation = validation.with_failures(constancy.of_challenger(context, session, snapshot, challenger, key))
        validations.record(session, snapshot, key, validation)
    if unanswered is not None and len(validation.failures) == 1:
        raise ValidationFailed(f"challenger {challenger.name}, {day}: {unanswered}")
    require_success(validation, f"the predictions of {challenger.name} for {day}")
    return validation


def _unanswered(rows: int, error: str, count: int) -> str:
    """Return that every request of a day failed, and why: of one reason as of the most frequent one."""
    reasons = "all for one reason" if count == rows else f"{count} of them for this reason"
    return f"none of {rows} requests has an answer, {reasons}: {error}"
