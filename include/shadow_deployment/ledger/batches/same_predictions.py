"""How many predictions two challengers have in common, from the stored predictions of some days."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import reading_arrays
from shadow_deployment.ledger.batches.predictions_of_day import BATCH_ROWS
from shadow_deployment.ledger.batching import cut
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.losses import Array, same_prediction


def shares(
    session: Session[Any],
    deployment: Deployment,
    challenger: int,
    others: Sequence[Challenger],
    snapshots: Sequence[Snapshot],
) -> dict[str, float]:
    """Return which share of a challenger's predictions is the same as another's, by the other's name.

    Of the requests that both answered on these days. Another without any is left out.
    """
    column = "probabilities" if deployment.classes else "value"
    known = _keys(session, deployment, others)
    same, of = dict.fromkeys(known, 0), dict.fromkeys(known, 0)
    with reading_arrays(session) as cursor:
        for snapshot in snapshots:
            for first in range(0, snapshot.rows, BATCH_ROWS):
                span = {"day": snapshot.day, "snapshot": snapshot.id, "first": first, "end": first + BATCH_ROWS}
                own = _placed(cut(cursor, "prediction_batch", [column], span | {"challenger": challenger}), column)
                for name, key in known.items():
                    other = _placed(cut(cursor, "prediction_batch", [column], span | {"challenger": key}), column)
                    both = ~(np.isnan(own).any(axis=1) | np.isnan(other).any(axis=1))
                    of[name] += int(both.sum())
                    same[name] += int(same_prediction(own[both], other[both]).all(axis=1).sum()) if both.any() else 0
    return {name: same[name] / of[name] for name in known if of[name]}


def _keys(session: Session[Any], deployment: Deployment, models: Sequence[Challenger]) -> dict[str, int]:
    """Return the newest key in the ledger of each of these models that has one."""
    rows = session.execute(
        "SELECT m.name, max(m.id) FROM shadow.model_version AS m JOIN shadow.deployment AS d ON d.id = m.deployment_id "
        "JOIN unnest(%s::text[], %s::text[]) AS w (name, version) ON (w.name, w.version) = (m.name, m.version) "
        "WHERE d.name = %s GROUP BY 1 ORDER BY 1",
        [[each.name for each in models], [each.version for each in models], deployment.name],
    )
    return dict(rows.fetchall())


def _placed(parts: Iterable[tuple[slice, Mapping[str, Any]]], column: str) -> Array:
    """Return predictions of shape (BATCH_ROWS, classes or 1) by their place, NaN where there is none."""
    known = [(where, part[column]) for where, part in parts if part[column] is not None]
    width = known[0][1].shape[1] if known and known[0][1].ndim > 1 else 1
    placed = np.full((BATCH_ROWS, width), np.nan)
    for where, values in known:
        placed[where] = values.reshape(len(values), -1)
    return placed
