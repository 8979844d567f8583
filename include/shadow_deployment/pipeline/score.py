"""The step `score`: one challenger predicts one shard of a day. The engine is challengers/scoring.py."""

import datetime as dt
import logging
from collections.abc import Collection
from typing import Any

from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data import snapshots as snapshots_on_disk
from shadow_deployment.ledger import predictions
from shadow_deployment.models import logged
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.pipeline.challengers import own_features, scoring
from shadow_deployment.pipeline.challengers.conclusion import concluded
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.sample import files_of, require_sampled

logger = logging.getLogger(__name__)


def scoring_plan(
    context: DeploymentContext, day: dt.date, shards: Collection[int], only: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Return the challenger and shard of every call of `score` for a run; `only` restricts the challengers.

    These are the given shards of the day so far, and those that an earlier run has left. One whose trial was concluded
    before the day is not scored.
    """
    deployment = context.deployment
    with context.ledger() as session:
        keys = challenger_keys(context, session)
        ends = concluded(session, deployment, keys, day)
        snapshot = require_sampled(session, deployment, day)
        left = {name: predictions.unscored(session, snapshot, key) for name, key in keys.items()}
    for name, end in ends.items():
        logger.info("%s is not scored: its trial was concluded by a FAIL on %s (policy.after_fail)", name, end)
    names = [each.name for each in deployment.challengers if only is None or each.name in only]
    return [
        {"challenger": name, "shard": shard}
        for name in names
        if name not in ends
        for shard in sorted({*shards, *left.get(name, ())})
    ]


def score(context: DeploymentContext, day: dt.date, challenger_name: str, shard: int) -> tuple[int, int]:
    """Store one challenger's predictions of one shard; return rows and errors. A scored shard is left unchanged."""
    deployment = context.deployment
    challenger = deployment.challenger(challenger_name)
    digest = model_digest(challenger)  # not the context's: the file is loaded now, and may be a newer one
    with context.ledger() as session:
        snapshot = require_sampled(session, deployment, day)
        key = predictions.challenger_id(session, deployment, challenger, digest)
        session.commit()
        scored = predictions.is_scored(session, snapshot, key, shard)
        session.commit()
        if scored is not None:
            return scored
        sampled = snapshot.window_of(shard)
        part = files_of(context, snapshot, [sampled]).parts[shard - sampled.first_shard]
        file = snapshots_on_disk.read_part(context.store, snapshot.location, part)
        predictor = logged.sampled(deployment, challenger, file.schema_arrow.names) or load(
            context, challenger, Window(day, sampled.start, sampled.end), digest
        )
        shown = own_features.part_of(context, session, snapshot, challenger, shard, file)
        features, classes = deployment.seen_by(challenger).requests.features, len(deployment.classes)
        tables = scoring.score(predictor, shown, part.first_ordinal, features, classes=classes)
        return predictions.store(session, snapshot, key, shard, tables)
