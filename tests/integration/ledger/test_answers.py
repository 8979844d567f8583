"""A day's answers in batches that lie otherwise than they are read."""

from typing import Any

import numpy as np
import psycopg
import pytest

from shadow_deployment.ledger.batches import predictions_of_day
from tests.integration.ledger.batches import lies_in_batches
from tests.integration.ledger.test_prediction_rows import CHANGED, LYING, rewrite, rows_of
from tests.production import SHADOW, World, day

NONE = np.zeros(0, np.int64)
ONE_BY_ONE = f"""
SELECT ordinal, coalesce(p.value, 'NaN'), coalesce(p.latency_ms, 'NaN'), coalesce(r.champion, 'NaN'), r.cell,
    1 / r.inclusion_probability, coalesce(r.champion_latency_ms, 'NaN')
FROM (SELECT * {LYING}) AS p JOIN shadow.request AS r USING (day, snapshot_id, ordinal)
ORDER BY ordinal
"""


@pytest.mark.parametrize("rows", [1, 3, 7, 65_536])
def test_what_is_read_together_does_not_depend_on_what_lies_together(
    copied: World, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    from shadow_deployment.ledger import snapshots

    monkeypatch.setattr(predictions_of_day, "BATCH_ROWS", rows)
    deployment = copied.shadow().deployment
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        _, key = rows_of(copied, session)
        rewrite(session, key, CHANGED.replace("BETWEEN 4 AND 9", "= 5"))
        session.execute(f"DELETE {LYING.replace('prediction', 'prediction_batch')} AND first_ordinal = 8", key)
        lies_in_batches(session, key[:2], 5, without=[1, 30])
        expected = np.array(session.execute(ONE_BY_ONE, key).fetchall())
        snapshot = snapshots.find(session, deployment, day(1))
        assert snapshot is not None
        found: list[Any] = [
            batch
            for _, batch in predictions_of_day.batches(session, deployment, snapshot, [key[2]], NONE, latencies=True)
        ]
        session.rollback()
    assert len(expected) == snapshot.rows - 6
    names = ("ordinal", "challenger", "latency_ms", "champion", "cell", "weight", "champion_latency_ms")
    columns = [np.concatenate([getattr(one, name) for one in found]) for name in names]
    np.testing.assert_array_equal(np.column_stack(columns), expected)
