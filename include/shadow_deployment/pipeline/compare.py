"""The step `compare`: compute a day's evidence from predictions and labels."""

import datetime as dt

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import exclusively
from shadow_deployment.ledger import evidence
from shadow_deployment.pipeline.challengers import trials
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.feature_skew import request_values
from shadow_deployment.pipeline.sample import require_snapshot


def compare(context: DeploymentContext, day: dt.date) -> int:
    """Compute the day's evidence where it is missing or stale; return the number of changed rows."""
    deployment = context.deployment
    with context.ledger() as session:
        snapshot = require_snapshot(session, deployment, day)
        keys = challenger_keys(context, session)
        with exclusively(session, f"compare/{snapshot.id}"):
            stale = evidence.stale(session, deployment, [snapshot], list(keys.values()))
            if not stale:
                return 0
            answered = {name: key for name, key in keys.items() if key in {key for _, key in stale}}
            trials.register(session, deployment, snapshot, answered)
            evidence.analyze(session, snapshot)
            custom = request_values(context, session, snapshot)
            return evidence.compare(session, deployment, snapshot, [key for _, key in stale], custom)
