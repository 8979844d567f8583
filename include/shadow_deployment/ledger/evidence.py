"""Evidence in the ledger: a day is computed from its answers in one transaction, and read back by metric and slice."""

import datetime as dt
import hashlib
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from psycopg import sql
from psycopg.rows import dict_row

from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.batches import histograms, predictions_of_day
from shadow_deployment.ledger.disagreements import MOST
from shadow_deployment.ledger.snapshots import Snapshot, deployment_id
from shadow_deployment.ledger.upserts import upsert
from shadow_deployment.metrics.catalog import METRICS, QUIET
from shadow_deployment.metrics.daily_values import DailyValues
from shadow_deployment.metrics.histograms import LargestDisagreements
from shadow_deployment.metrics.losses import Batch, MetricSettings
from shadow_deployment.metrics.scores import SCORES
from shadow_deployment.metrics.sums import COUNTS, FIELDS, Slices, Sums

_SQL = Path(__file__).parent / "sql"
# Raise it when a change to losses, scores, sums or histograms moves a number: every day is then compared again.
# tests/integration/test_golden_evidence.py holds the figures of each version and fails where they move without it.
EVIDENCE_VERSION = 1

_KEY = ("challenger_id", "snapshot_id", "champion_version")
_Cells = dict[tuple[str, tuple[str, str]], list[float]]  # by metric and slice, in the order of FIELDS


def statement_digest(deployment: Deployment) -> str:
    """Return a digest of how a day's evidence is computed: EVIDENCE_VERSION and what the deployment sets."""
    how = (EVIDENCE_VERSION, _settings(deployment), _metrics(deployment))
    return hashlib.sha256(repr(how).encode()).hexdigest()


def stale(
    session: Session[Any], snapshots: Sequence[Snapshot], challengers: Collection[int], statement: str
) -> list[tuple[dt.date, int]]:
    """Return the days and challengers whose evidence is missing or rests on other labels or another statement.

    Only those count whose inputs and predictions were scored as a whole and passed their expectations.
    """
    ids = [snapshot.id for snapshot in snapshots]
    values = {"snapshots": ids, "challengers": list(challengers), "method_digest": statement}
    rows = session.execute(load_statement(_SQL / "stale.sql"), values)
    return [(day, int(challenger)) for day, challenger in rows]


def analyze(session: Session[Any], snapshot: Snapshot) -> None:
    """Tell the planner how large a day's tables are, where they have grown since it looked. Commits.

    Rows that have just been copied into a new partition are unknown to it until autovacuum comes by. It is not to look
    into the arrays: that takes longer than all that is read of them.
    """
    names = [f"{table}_{snapshot.day:%Y%m%d}" for table in ("request_batch", "prediction_batch", "label_arrival")]
    grown = session.execute(load_statement(_SQL / "tables_to_analyze.sql"), {"names": names}).fetchall()
    for (name,) in grown:
        columns = sql.SQL("day, snapshot_id, first_ordinal, rows")
        session.execute(sql.SQL("ANALYZE {} ({})").format(sql.Identifier("shadow", name), columns))
    session.commit()


def compare(session: Session[Any], deployment: Deployment, snapshot: Snapshot, challengers: Sequence[int]) -> int:
    """Compute a day's evidence for some challengers and note what it rests on; return how many rows changed. Commits.

    A day whose requests are gone keeps the evidence that it has.
    """
    session.commit()  # the isolation level is that of a whole transaction
    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    rows = session.execute("SELECT cell, slices FROM shadow.cell WHERE snapshot_id = %s", [snapshot.id]).fetchall()
    slices = Slices.of(dict(rows))
    daily = any(not METRICS[name].is_sum for name in deployment.tracked)
    timed = any(name in SCORES and SCORES[name].basis == "timed" for name in deployment.tracked)
    changed = 0
    for together in [[key] for key in challengers] if daily else [list(challengers)]:  # daily values need the whole day
        days = {key: _Day(session, deployment, snapshot, key, slices) for key in together}
        for key, batch in prefetch(
            predictions_of_day.batches(session, deployment, snapshot, together, latencies=timed)
        ):
            days[key].add(batch)
        changed += sum(day.store() for day in days.values())
    session.execute(
        "INSERT INTO shadow.comparison (snapshot_id, challenger_id, label_revision, method_digest) "
        "SELECT id, unnest(%s::int[]), label_revision, %s FROM shadow.labelled_snapshot WHERE id = %s "
        "ON CONFLICT (snapshot_id, challenger_id) DO UPDATE SET label_revision = excluded.label_revision, "
        "method_digest = excluded.method_digest, compared_at = excluded.compared_at",
        [list(challengers), statement_digest(deployment), snapshot.id],
    )
    session.commit()
    return changed


class _Day:
    """One challenger's day while it is compared."""

    def __init__(
        self, session: Session[Any], deployment: Deployment, snapshot: Snapshot, challenger: int, slices: Slices
    ) -> None:
        settings, metrics = _settings(deployment), _metrics(deployment)
        self._session, self._versions, self._requests = session, snapshot.champion_versions, 0
        self._keys: dict[str, Any] = {
            "deployment_id": deployment_id(session, deployment),
            "day": snapshot.day,
            "snapshot_id": snapshot.id,
            "challenger_id": challenger,
        }
        daily = [name for name in metrics if not METRICS[name].is_sum]
        self._sums = Sums([name for name in metrics if METRICS[name].is_sum], settings, len(self._versions), slices)
        self._daily_values = DailyValues(daily, settings, len(self._versions), slices)
        self._slices, self._threshold = slices, deployment.threshold
        self._bins = histograms.begin(session, self._keys, settings, len(self._versions))
        self._disagreements = LargestDisagreements(MOST)

    def add(self, batch: Batch) -> None:
        """Add a batch to everything that is made of the day."""
        self._requests += len(batch.ordinal)
        for accumulator in (self._sums, self._daily_values, self._bins, self._disagreements):
            if accumulator is not None:
                accumulator.add(batch)

    def store(self) -> int:
        """Enter what was made of the day; return how many rows changed."""
        if not self._requests:
            return 0
        by_version: dict[int, _Cells] = {}
        for accumulated in (self._sums, self._daily_values):
            for version, key, metric, values in accumulated.rows():
                by_version.setdefault(version, {})[metric, key] = values
        changed = 0
        for version, cells in by_version.items():
            row = self._keys | {"champion_version": self._versions[version]} | _arrays(cells, self._slices)
            changed += upsert(self._session, "evidence_batch", _KEY, [row], stamp="computed_at")
        if self._bins is not None:
            changed += histograms.add_bins(self._session, self._keys, self._versions, self._bins, self._threshold)
        return changed + histograms.add_disagreements(self._session, self._keys, self._disagreements)


def _arrays(cells: _Cells, slices: Slices) -> dict[str, list[Any]]:
    """Return a day's evidence as arrays by metric and slice: zeros where a metric has no value in a slice."""
    metrics = sorted({metric for metric, _ in cells})
    named = [key for key in slices.members if any((metric, key) in cells for metric in metrics)]
    nothing = [0.0] * len(FIELDS)
    grid = np.array([[cells.get((metric, key), nothing) for key in named] for metric in metrics])
    columns: dict[str, list[Any]] = {
        name: grid[:, :, place].astype(int if place < COUNTS else float).tolist() for place, name in enumerate(FIELDS)
    }
    whose = {"slice_columns": [column for column, _ in named], "slice_values": [value for _, value in named]}
    return {"metrics": metrics, **whose, **columns}


def read(
    session: Session[Any],
    challenger: int,
    snapshots: Sequence[Snapshot],
    *,
    champion_version: str | None = None,
    metrics: Collection[str] | None = None,
    slices: Collection[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a challenger's evidence on these snapshots by metric, slice and day, one mapping a row of the table.

    None is no restriction; `slices` are columns, "all" among them.
    """
    with session.cursor(row_factory=dict_row) as cursor:
        yield from cursor.execute(
            load_statement(_SQL / "read_evidence.sql"),
            {
                "challenger": challenger,
                "snapshots": [snapshot.id for snapshot in snapshots],
                "champion_version": champion_version,
                "metrics": None if metrics is None else list(metrics),
                "slices": None if slices is None else list(slices),
            },
        )


def _settings(deployment: Deployment) -> MetricSettings:
    tolerance = math.nan if deployment.tolerance is None else deployment.tolerance
    return MetricSettings(deployment.task, deployment.threshold, tolerance, deployment.quantile)


def _metrics(deployment: Deployment) -> list[str]:
    return sorted({name for name in QUIET if deployment.task in METRICS[name].tasks} | {*deployment.tracked})
