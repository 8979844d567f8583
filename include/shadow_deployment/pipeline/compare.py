"""The step `compare`: compute a day's evidence from predictions and labels."""

import datetime as dt

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import exclusively
from shadow_deployment.ledger import evidence
from shadow_deployment.pipeline.challengers import trials
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.custom_values import custom_values
from shadow_deployment.pipeline.sample import require_snapshot


def compare(context: DeploymentContext, day: dt.date) -> int:
    """Compute the day's evidence where it is missing or stale; return the number of changed rows."""
    deployment = context.deployment
    with context.ledger() as session:
        snapshot = require_snapshot(session, deployment, day)
        keys = list(challenger_keys(context, session).values())
        trials.register(context, session, snapshot)
        with exclusively(session, f"compare/{snapshot.id}"):
            stale = evidence.stale(session, deployment, [snapshot], keys)
            if not stale:
                return 0
            evidence.analyze(session, snapshot)
            custom = custom_values(context, snapshot)
            return evidence.compare(session, deployment, snapshot, [key for _, key in stale], custom)
