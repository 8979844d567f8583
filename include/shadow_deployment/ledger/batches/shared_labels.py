"""Requests that share a label: which of a day's requests are not the first of theirs.

Requests of one key are drawn together, so what a deployment's own samples hold tells whether a request is the first.
Two requests can use the same label only where both days still waited for it when it became known. So no day more than
`labels.maturity_days` earlier is looked at, and each label counts once at most.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_value, statement
from shadow_deployment.ledger.snapshots import Snapshot, keys


def days_before(deployment: Deployment) -> int:
    """Return how many days before a day may share labels with it; 0 where each request has a label of its own."""
    known, last = deployment.labels, deployment.policy.days_per_period
    return 0 if known.key is None else known.maturity_days + last


def repeated(session: Session[Any], deployment: Deployment, snapshot: Snapshot) -> NDArray[np.int64] | None:
    """Return the ordinals of a day's requests that are not the first of their label.

    None where that is no longer known, because the requests of an earlier day are gone.
    """
    if deployment.labels.key is None:
        return np.zeros(0, np.int64)
    values = {"snapshot": snapshot.id, "day": snapshot.day, "lookback": days_before(deployment)}
    ordinals = read_value(session, statement("repeated_requests"), values)
    return None if ordinals is None else np.array(ordinals, np.int64)


def count(session: Session[Any], snapshots: Sequence[Snapshot]) -> int:
    """Return how many requests of compared days are not the first of their label."""
    row = session.execute(
        "SELECT coalesce(sum(repeated), 0) FROM (SELECT DISTINCT ON (snapshot_id) repeated FROM shadow.comparison "
        "WHERE snapshot_id = ANY(%s::int[]) ORDER BY snapshot_id, id DESC) AS newest",
        [keys(snapshots)],
    ).fetchone()
    return 0 if row is None else int(row[0])
