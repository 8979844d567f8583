"""Evidence in the ledger: a day is computed from its answers in one transaction, and read back by metric and slice."""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import dict_row

from shadow_deployment.base.digests import rounded
from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.custom_metrics import custom_terms
from shadow_deployment.data.db import Session
from shadow_deployment.decision import calendar
from shadow_deployment.ledger.batches import histograms, predictions_of_day, shared_labels
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.reading import statement
from shadow_deployment.ledger.snapshots import Snapshot, deployment_id, find, keys
from shadow_deployment.ledger.writing.rows import add_revision, upsert
from shadow_deployment.metrics.catalog import DAILY, METRICS, QUIET, SKEW
from shadow_deployment.metrics.daily_values import DailyValues
from shadow_deployment.metrics.histograms import LargestDisagreements
from shadow_deployment.metrics.losses import Batch, Both, MetricSettings
from shadow_deployment.metrics.scores import SCORES
from shadow_deployment.metrics.sums import COUNTS, FIELDS, Slices, Sums
from shadow_deployment.metrics.validity import valid_only

# Raise it when a change to losses, scores, sums or histograms moves a number: every day is then compared again.
# tests/integration/test_golden_evidence.py holds the figures of each version and fails where they move without it.
EVIDENCE_VERSION = 1

_KEY = ("challenger_id", "snapshot_id", "champion_version")
# Of each metric that predictions and labels alone do not give, for a challenger and a batch of valid predictions
CustomValues = Callable[[int, Batch], Mapping[str, Both]]
_Cells = dict[tuple[str, tuple[str, str]], list[float]]  # by metric and slice, in the order of FIELDS


def statement_digest(deployment: Deployment) -> str:
    """Return a digest of how a day's evidence is computed: EVIDENCE_VERSION and what the deployment sets.

    Raises MetricError where the module of a custom metric is missing.
    """
    how = (
        EVIDENCE_VERSION,
        metric_settings(deployment),
        _metrics(deployment),
        custom_terms(deployment, deployment.custom_metrics),
        deployment.requests.champion_identity,
        (deployment.labels.key, deployment.labels.shared),
        _skewed(deployment),
    )
    return hashlib.sha256(repr(how).encode()).hexdigest()


def stale(
    session: Session[Any], deployment: Deployment, snapshots: Sequence[Snapshot], challengers: Collection[int]
) -> list[tuple[dt.date, int]]:
    """Return the days and challengers whose evidence is missing or rests on other labels or another method.

    Only those count whose inputs met their expectations and whose requests were all answered.
    """
    method, by_key = statement_digest(deployment), {snapshot.id: snapshot for snapshot in snapshots}
    values = {
        "snapshots": list(by_key),
        "challengers": list(challengers),
        "lookback": shared_labels.days_before(deployment),
    }
    rows = session.execute(statement("stale"), values).fetchall()
    wanted = {key: (each.label_revision, is_final(deployment, each), method, True) for key, each in by_key.items()}
    return [(by_key[key].day, challenger) for key, challenger, *done in rows if tuple(done) != wanted[key]]


def is_final(deployment: Deployment, snapshot: Snapshot) -> bool:
    """Return whether a day is mature by the labels that were collected, so that its evidence is final."""
    return calendar.is_mature(snapshot, maturity_of(deployment))


def analyze(session: Session[Any], snapshot: Snapshot) -> None:
    """Tell the planner how large a day's tables are, where they have grown since it looked. Commits.

    Rows that have just been copied into a new partition are unknown to it until autovacuum comes by. It is not to look
    into the arrays: that takes longer than all that is read of them.
    """
    session.execute("SELECT shadow.analyze_day(%s)", [snapshot.day])
    session.commit()


def compare(
    session: Session[Any],
    deployment: Deployment,
    snapshot: Snapshot,
    challengers: Sequence[int],
    custom: CustomValues | None = None,
) -> int:
    """Compute a day's evidence for some challengers and note what it rests on; return how many rows changed. Commits.

    Metrics that need labels are provisional until the day is mature. A day whose requests are gone keeps the evidence
    that it has. `custom` computes the custom metrics and feature skew, and is needed where the deployment has one.
    """
    session.commit()  # the isolation level is that of a whole transaction
    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    snapshot = find(session, deployment, snapshot.day) or snapshot  # with the labels of this transaction
    final, repeated = is_final(deployment, snapshot), shared_labels.repeated(session, deployment, snapshot)
    computed = _computed(session, deployment, snapshot, challengers, repeated, custom)
    changed = sum(day.store(final=final) for days in computed for day in days)
    session.execute(
        statement("add_comparisons"),
        {
            "snapshot": snapshot.id,
            "challengers": list(challengers),
            "label_revision": snapshot.label_revision,
            "is_final": final,
            "method": statement_digest(deployment),
            "lookback": shared_labels.days_before(deployment),
            "repeated": 0 if repeated is None else len(repeated),
        },
    )
    session.commit()
    return changed


def recomputed(
    session: Session[Any],
    deployment: Deployment,
    snapshot: Snapshot,
    challenger: int,
    custom: CustomValues | None = None,
) -> dict[tuple[str, bool], str]:
    """Return what the digests of a day's evidence must be, by champion version and whether labels are needed.

    Nothing is stored. Empty where the day's requests are gone.
    """
    repeated = shared_labels.repeated(session, deployment, snapshot)
    computed = _computed(session, deployment, snapshot, [challenger], repeated, custom)
    days = [day for together in computed for day in together]
    rows = [row for day in days for row in day.evidence()]
    return {(row["champion_version"], row["needs_labels"]): digest_of_row(row) for row in rows}


def _computed(
    session: Session[Any],
    deployment: Deployment,
    snapshot: Snapshot,
    challengers: Sequence[int],
    repeated: NDArray[np.int64] | None,
    custom: CustomValues | None,
) -> Iterator[list["_Day"]]:
    """Yield a day as compared for each challenger, as many together as may be in memory.

    `repeated` are the requests that are not the first of their label; where that is not known, nothing is computed.
    """
    if repeated is None:
        return
    rows = session.execute("SELECT cell, slices FROM shadow.cell WHERE snapshot_id = %s", [snapshot.id]).fetchall()
    slices = Slices.of(dict(rows))
    daily = not DAILY.isdisjoint(deployment.tracked)
    timed = any(name in SCORES and SCORES[name].basis == "timed" for name in deployment.tracked)
    for together in [[key] for key in challengers] if daily else [list(challengers)]:  # daily values need the whole day
        days = {key: _Day(session, deployment, snapshot, key, slices, custom) for key in together}
        for key, batch in prefetch(
            predictions_of_day.batches(session, deployment, snapshot, together, repeated, latencies=timed)
        ):
            days[key].add(batch)
        yield list(days.values())


class _Day:
    """One challenger's day while it is compared."""

    def __init__(
        self,
        session: Session[Any],
        deployment: Deployment,
        snapshot: Snapshot,
        challenger: int,
        slices: Slices,
        custom: CustomValues | None,
    ) -> None:
        settings, metrics = metric_settings(deployment), _metrics(deployment)
        self._session, self._versions, self._requests = session, snapshot.numbered_champions, 0
        self._keys: dict[str, Any] = {
            "deployment_id": deployment_id(session, deployment),
            "day": snapshot.day,
            "snapshot_id": snapshot.id,
            "challenger_id": challenger,
        }
        sums, daily = ([name for name in metrics if (name in DAILY) == is_daily] for is_daily in (False, True))
        self._sums = Sums(sums, settings, len(self._versions), slices)
        self._daily_values = DailyValues(daily, settings, len(self._versions), slices)
        self._settings, self._custom = settings, custom
        self._slices, self._task, self._threshold = slices, deployment.task, deployment.threshold
        self._bins = histograms.begin(session, self._keys, settings, len(self._versions))
        self._disagreements = LargestDisagreements(histograms.MOST_DISAGREEMENTS)

    def add(self, batch: Batch) -> None:
        """Add a batch to everything that is made of the day; invalid predictions count as missing."""
        batch = valid_only(batch, self._task)
        if self._custom is not None:
            batch = replace(batch, custom=self._custom(self._keys["challenger_id"], batch))
        self._requests += len(batch.ordinal)
        for accumulator in (self._sums, self._daily_values, self._bins, self._disagreements):
            if accumulator is not None:
                accumulator.add(batch)

    def store(self, *, final: bool) -> int:
        """Enter what was made of the day, `final` or to be replaced; return how many rows changed."""
        if not self._requests:
            return 0
        changed = sum(self._enter(row, final=final) for row in self.evidence())
        if self._bins is not None:
            changed += histograms.add_bins(self._session, self._keys, self._versions, self._bins, self._threshold)
        return changed + histograms.add_disagreements(self._session, self._keys, self._disagreements)

    def evidence(self) -> Iterator[dict[str, Any]]:
        """Yield the day's rows: for each champion version one of the metrics that need labels, one of the others."""
        rows: dict[tuple[int, bool], _Cells] = {}
        for accumulated in (self._sums, self._daily_values):
            for version, key, metric, values in accumulated.rows():
                rows.setdefault((version, self._settings.metric(metric).needs_label), {})[metric, key] = values
        for (version, needs_labels), cells in rows.items():
            whose = {"champion_version": self._versions[version], "needs_labels": needs_labels}
            arrays = _arrays(cells, self._slices)
            if not needs_labels:  # labels that arrive change nothing of it
                arrays["labelled"] = np.zeros_like(arrays["labelled"]).tolist()
            yield self._keys | whose | arrays

    def _enter(self, row: dict[str, Any], *, final: bool) -> int:
        provisional = {name: value for name, value in row.items() if name != "needs_labels"}
        if row["needs_labels"] and not final:
            return upsert(self._session, "provisional_evidence", _KEY, [provisional], stamp="computed_at")
        key = {name: row[name] for name in (*_KEY, "needs_labels")}
        if row["needs_labels"]:
            self._session.execute(statement("delete_provisional"), key)
        return add_revision(self._session, "evidence_batch", key, row, digest=digest_of_row(row))


def digest_of_row(row: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a row of evidence: what it is about, and its figures to some twelve digits."""
    named = [row[name] for name in ("metrics", "slice_columns", "slice_values")]
    total = hashlib.sha256(json.dumps([str(row["champion_version"]), *named]).encode())
    for name in FIELDS:
        for part in rounded(np.array(row[name], np.float64)):
            total.update(part.tobytes())
    return total.hexdigest()


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
            statement("read_evidence"),
            {
                "challenger": challenger,
                "snapshots": keys(snapshots),
                "champion_version": champion_version,
                "metrics": None if metrics is None else list(metrics),
                "slices": None if slices is None else list(slices),
            },
        )


def metric_settings(deployment: Deployment) -> MetricSettings:
    """Return the parameters of a deployment's metrics."""
    tolerance = math.nan if deployment.tolerance is None else deployment.tolerance
    falls_back = deployment.policy.fallback == "champion"
    custom = {name: deployment.catalog[name] for name in deployment.tracked if name not in METRICS}
    return MetricSettings(deployment.task, deployment.threshold, tolerance, deployment.quantile, falls_back, custom)


def _skewed(deployment: Deployment) -> list[object]:
    """Return what feature skew is computed from, nothing where it is not kept."""
    models = deployment.challengers if SKEW in deployment.tracked else ()
    return [(each.name, each.features_from.terms, deployment.skewable) for each in models if each.features_from]


def _metrics(deployment: Deployment) -> list[str]:
    return sorted({name for name in QUIET if deployment.task in METRICS[name].tasks} | {*deployment.tracked})
