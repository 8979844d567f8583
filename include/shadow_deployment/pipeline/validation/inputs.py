"""The step `validate_inputs`: check a day's requests, and score some of them again with the champion's own model."""

import datetime as dt
import logging
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.expectations import (
    UNIQUE,
    Validation,
    input_expectations,
    prediction_expectations,
)
from shadow_deployment.data.quality.validation import validate
from shadow_deployment.data.rows import Rows, SnapshotRows
from shadow_deployment.errors import ValidationFailed
from shadow_deployment.ledger.checks import replay_checks, validations
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.models.loading import load
from shadow_deployment.pipeline.challengers import replay_check
from shadow_deployment.pipeline.challengers.identities import digest_of
from shadow_deployment.pipeline.sample import files_of, require_snapshot
from shadow_deployment.pipeline.validation import constancy

logger = logging.getLogger(__name__)


def validate_inputs(context: DeploymentContext, day: dt.date) -> Validation:
    """Check the day's inputs and record the result; raise ValidationFailed where an expectation is not met."""
    deployment = context.deployment
    with context.ledger() as session:
        snapshot = require_snapshot(session, deployment, day)
        validation = Validation("", 0, [])
        if snapshot.rows:
            rows = SnapshotRows(context.store, snapshot.location, files_of(context, snapshot).parts)
            _require_features(deployment, day, rows)
            validation = validate(rows, input_expectations(deployment, snapshot.rows))
            validation = validation.with_failures(constancy.of_inputs(context, session, snapshot, rows))
            _check_replay(context, session, snapshot, rows)
        validations.record(session, snapshot, None, validation)
    require_success(validation, f"the inputs of {day}", _remedy(deployment, validation))
    return validation


def require_success(validation: Validation, subject: str, remedy: str = "") -> None:
    """Raise ValidationFailed with every failure of a validation, and what to do about them."""
    if not validation.success:
        lines = "\n".join(f"- {failure}" for failure in validation.failures)
        raise ValidationFailed(
            f"{len(validation.failures)} of {validation.evaluated} expectations are not met by {subject}:\n"
            f"{lines}{remedy}"
        )


def _remedy(deployment: Deployment, validation: Validation) -> str:
    """Return which setting accepts ids that were logged twice, where these are what fails."""
    repeated = any(
        failure.column == "request_id" and failure.expectation.startswith(UNIQUE) for failure in validation.failures
    )
    if not repeated or deployment.requests.duplicates == "first":
        return ""
    return (
        "\nrequest ids are logged twice: set duplicates: first in requests, which keeps the earliest row of each id on "
        "all days that are sampled from then on, or correct the log"
    )


def check_suites(deployment: Deployment) -> None:
    """Raise DeploymentError where an expectation suite is missing or malformed."""
    input_expectations(deployment, 0)
    prediction_expectations(deployment, 0)


def _require_features(deployment: Deployment, day: dt.date, rows: Rows) -> None:
    missing = [name for name in deployment.requests.features if name not in rows.schema.names]
    if missing:
        raise ValidationFailed(
            f"{day} was sampled before requests.features listed {', '.join(missing)}: its evidence is unchanged, and "
            "challengers that need these features get none for that day"
        )


def _check_replay(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, rows: Rows) -> None:
    champion = context.deployment.champion
    if champion is None:
        return
    model = champion.as_challenger
    digest = digest_of(context, model)
    predictor = load(context, model, window_of(context.deployment, snapshot.day), digest)
    result = replay_check.check(champion, predictor, rows)
    if result.mismatched:
        logger.warning("%d of %d requests differ when scored again", result.mismatched, result.checked)
    replay_checks.record(session, snapshot, champion, digest, result)
