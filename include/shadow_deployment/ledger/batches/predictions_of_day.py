"""A day's answers from the ledger, as arrays: a fixed number of requests at a time, in the order of the draw."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import YEAR_2000, reading_arrays
from shadow_deployment.ledger.batches import labels
from shadow_deployment.ledger.batches.label_states import NEVER
from shadow_deployment.ledger.batching import cut
from shadow_deployment.ledger.reading import read_value
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.losses import Array, Batch

BATCH_ROWS: Final = 65_536  # sums of doubles depend on it: it is part of what a day's evidence is computed by


def batches(
    session: Session[Any],
    deployment: Deployment,
    snapshot: Snapshot,
    challengers: Sequence[int],
    repeated: NDArray[np.int64],
    *,
    latencies: bool,
) -> Iterator[tuple[int, Batch]]:
    """Yield the day's requests that each challenger has a row for, batch by batch, with the challenger's key.

    `repeated` are the ordinals of requests that are not the first of their label: they have none, unless
    `labels.shared` is "all". Requests and labels are read once for all of them. Without `latencies` they are NaN.
    Whoever wants one state of the ledger throughout says so of the transaction.
    """
    columns = ["value", *(["latency_ms"] if latencies else []), *(["probabilities"] if deployment.classes else [])]
    of_requests = ["cell", "champion_version", "inclusion_probability", "champion"]
    of_requests += [f"champion_{name}" for name in columns[1:]]
    key = {"day": snapshot.day, "snapshot": snapshot.id}
    final_at = _complete_at(session, snapshot)
    with reading_arrays(session) as cursor:
        for first in range(0, snapshot.rows, BATCH_ROWS):
            span = key | {"first": first, "end": first + BATCH_ROWS}
            requests = list(cut(cursor, "request_batch", of_requests, span))
            if not requests:
                continue
            label = labels.read(session, snapshot, first, first + BATCH_ROWS).usable(final_at)
            drawn = _drawn(requests, label, first, len(deployment.classes))
            if deployment.labels.key is not None and deployment.labels.shared == "first":
                drawn = _of_first_only(drawn, repeated)
            if snapshot.by_service:
                drawn = replace(drawn, version=np.zeros_like(drawn.version))
            for challenger in challengers:
                parts = cut(cursor, "prediction_batch", columns, span | {"challenger": challenger})
                yield challenger, _answered(drawn, parts, first)


def _drawn(requests: Sequence[tuple[slice, Mapping[str, Any]]], label: Array, first: int, classes: int) -> Batch:
    """Return the champion's side, in the order of the draw."""
    place = np.concatenate([np.arange(where.start, where.stop) for where, _ in requests])
    unknown = np.full(len(place), np.nan)

    def column(name: str) -> Any:
        return np.concatenate([part[name] for _, part in requests])

    def probabilities() -> Array | None:
        if not classes:
            return None
        shares = [(where.stop - where.start, part["champion_probabilities"]) for where, part in requests]
        return np.concatenate([np.full((rows, classes), np.nan) if part is None else part for rows, part in shares])

    return Batch(
        ordinal=first + place,
        cell=column("cell").astype(np.int64),
        version=column("champion_version").astype(np.int64) - 1,
        weight=1 / column("inclusion_probability"),
        champion=column("champion"),
        challenger=unknown,
        label=label[place],
        champion_latency_ms=column("champion_latency_ms") if "champion_latency_ms" in requests[0][1] else unknown,
        latency_ms=unknown,
        champion_probabilities=probabilities(),
    )


def _of_first_only(drawn: Batch, repeated: NDArray[np.int64]) -> Batch:
    """Return requests where those that are not the first of their label have none."""
    is_repeated = np.isin(drawn.ordinal, repeated)
    return replace(drawn, label=np.where(is_repeated, np.nan, drawn.label), repeated=is_repeated)


def _answered(drawn: Batch, batches: Iterable[tuple[slice, Mapping[str, Any]]], first: int) -> Batch:
    """Add a challenger's side, and leave out the requests of which it has no row."""
    there = np.zeros(BATCH_ROWS, bool)
    answers = {name: np.full(BATCH_ROWS, np.nan) for name in ("value", "latency_ms")}
    for span, part in batches:
        there[span] = True
        for name, values in part.items():
            if values is not None:
                whole = answers.setdefault(name, np.full((BATCH_ROWS, *values.shape[1:]), np.nan))
                whole[span] = values
    place = drawn.ordinal - first
    rows = there[place]
    drawn_columns = {
        name: column[rows]
        for name, column in vars(drawn).items()
        if column is not None and name not in ("challenger", "latency_ms")
    }
    where = place[rows]
    return replace(
        drawn,
        **drawn_columns,
        challenger=answers["value"][where],
        latency_ms=answers["latency_ms"][where],
        challenger_probabilities=answers["probabilities"][where] if "probabilities" in answers else None,
    )


def _complete_at(session: Session[Any], snapshot: Snapshot) -> int:
    """Return when the last request got its label: what contradicts one later changes no evidence; NEVER before."""
    query = "SELECT extract(epoch FROM complete_at) * 1000000 FROM shadow.labelled_snapshot WHERE id = %s"
    moment = read_value(session, query, [snapshot.id])
    return NEVER if moment is None else int(moment) - YEAR_2000
