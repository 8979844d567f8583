"""Erasure: the requests of a subject go, with their features, predictions and labels; the sums that they are in stay.

Each day is rewritten beside its files, and the ledger changes over in one transaction: a run that is killed is finished
by the next. Verdicts, alerts and kept pages name no request, so nothing of them changes.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.features import kept
from shadow_deployment.data.snapshots import folder_after, read_manifest, read_part, rewrite_without, window_folder
from shadow_deployment.errors import DeploymentError, TransientError
from shadow_deployment.ledger.removal import erasure
from shadow_deployment.ledger.snapshots import Snapshot, register_features
from shadow_deployment.ledger.writing.locks import no_steps
from shadow_deployment.pipeline.history.prune import remove_leftovers
from shadow_deployment.pipeline.sample import files_of


@dataclass(frozen=True)
class ErasedDay:
    """So many requests of a day were erased, or would be."""

    day: dt.date
    requests: int


@dataclass(frozen=True)
class _Found:
    """The requests of a day that a subject has: their places in the day, and their ids."""

    snapshot: Snapshot
    ordinals: list[int]
    ids: list[str]


def would_erase(context: DeploymentContext, value: str, column: str) -> list[ErasedDay]:
    """Return which days have requests with this value, as text, in a column of their snapshots."""
    with context.ledger() as session:
        return [ErasedDay(each.snapshot.day, len(each.ordinals)) for each in _found(context, session, value, column)]


def erase(context: DeploymentContext, value: str, column: str, by: str) -> list[ErasedDay]:
    """Erase the requests with this value, as text, in a column of their snapshots; return their days.

    Days that were erased by a run that was killed are not among them, their files are removed all the same.

    Raises:
        TransientError: A step is working on requests, or a day of the subject is not complete yet.
        DeploymentError: No snapshot has the column.
        CredentialsError: The connection of `store.owner_conn_id` may not change the ledger.
        SnapshotError: A file is not the one that was written, or the store cannot be changed.
    """
    deployment, erased = context.deployment, list[ErasedDay]()
    with context.owned_ledger() as session:
        if not no_steps(session, deployment):
            raise TransientError(
                f"deployment {deployment.name}: a run is working on its requests; erase when it has ended"
            )
        subject = erasure.salted(value)
        for held in _found(context, session, value, column):
            _erase(context, session, held, subject, by)
            erased.append(ErasedDay(held.snapshot.day, len(held.ordinals)))
        remove_leftovers(context, session)
    return erased


def erased_before(context: DeploymentContext, value: str) -> dt.datetime | None:
    """Return when this value was erased last, None where it never was."""
    with context.ledger() as session:
        return erasure.erased_at(session, context.deployment, value)


def _erase(context: DeploymentContext, session: Session[Any], held: _Found, subject: str, by: str) -> None:
    """Write a day's windows again without some requests, and let the ledger change over to them."""
    snapshot, target = held.snapshot, folder_after(held.snapshot.location)
    digests, dropped = list[str](), list[int]()
    for window in snapshot.windows:
        name = window_folder(window.start)
        folders = f"{snapshot.location}/{name}", f"{target}/{name}"
        manifest = read_manifest(context.store, folders[0])
        own = frozenset(ordinal - window.first_ordinal for ordinal in held.ordinals)
        rewritten, without = rewrite_without(context.store, *folders, manifest, own)
        for wanted in kept.declared(context.deployment):
            features = kept.rewrite(context.store, wanted, folders, (manifest, rewritten), own)
            if features is not None:
                register_features(session, snapshot, features.folder, features.digest)
        digests.append(rewritten.digest)
        dropped += [window.first_shard + place for place in without]
    erasure.erase_requests(
        session, snapshot, held.ordinals, held.ids, dropped, (digests, target), subject=subject, by=by
    )


def _found(context: DeploymentContext, session: Session[Any], value: str, column: str) -> Iterator[_Found]:
    """Yield the days that have requests of the subject; raise DeploymentError where no snapshot has the column."""
    names: set[str] = set()
    snapshots = erasure.kept_snapshots(session, context.deployment)
    session.commit()
    for snapshot in snapshots:
        files = files_of(context, snapshot)
        ordinals, ids = list[int](), list[str]()
        for part in files.parts:
            file = read_part(context.store, snapshot.location, part)
            names |= set(file.schema_arrow.names)
            if column in file.schema_arrow.names:
                table = file.read(columns=list({column, "request_id"}))
                same = _is(table[column], value)
                ordinals += [part.first_ordinal + place for place in pc.indices_nonzero(same).to_pylist()]
                ids += [name for name in table["request_id"].filter(same).to_pylist() if name is not None]
        if ordinals and not snapshot.is_complete:
            raise TransientError(
                f"deployment {context.deployment.name}: {snapshot.day} has the subject's requests and windows to come; "
                "erase when all of them are sampled"
            )
        if ordinals:
            yield _Found(snapshot, ordinals, ids)
    if names and column not in names:
        raise DeploymentError(
            f"deployment {context.deployment.name}: column == {column!r}, must be one of {', '.join(sorted(names))}"
        )


def _is(column: pa.ChunkedArray, value: str) -> pa.ChunkedArray:
    """Return which elements have this value as text."""
    return pc.fill_null(pc.equal(column.cast(pa.string()), value), False)
