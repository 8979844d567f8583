"""Erasure in the ledger: single requests are taken out of a day, and those after them move up."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger import labels
from shadow_deployment.ledger.reading import read_rows
from shadow_deployment.ledger.snapshots import FIELDS, Snapshot
from shadow_deployment.ledger.writing.locks import until_commit

_READ = f"SELECT {FIELDS} FROM shadow.labelled_snapshot AS s"  # noqa: S608 (a constant)
_OF_DEPLOYMENT = "s.deployment_id = (SELECT id FROM shadow.deployment WHERE name = %s)"


def salted(value: str) -> str:
    """Return salt and scrypt hash of a value: whoever knows the value can check it, and the hash does not tell it."""
    return _salted(value, secrets.token_bytes(16))


def _salted(value: str, salt: bytes) -> str:
    return f"{salt.hex()}:{hashlib.scrypt(value.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=32).hex()}"


def erased_at(session: Session[Any], deployment: Deployment, value: str) -> dt.datetime | None:
    """Return when a value was erased last, None where it never was."""
    rows = session.execute(
        "SELECT r.subject, max(r.removed_at) FROM shadow.removal AS r JOIN shadow.deployment AS d "
        "ON d.id = r.deployment_id WHERE d.name = %s AND r.subject IS NOT NULL GROUP BY r.subject ORDER BY 2 DESC",
        [deployment.name],
    ).fetchall()
    matching = (at for subject, at in rows if subject == _salted(value, bytes.fromhex(subject.partition(":")[0])))
    return next(matching, None)


def kept_snapshots(session: Session[Any], deployment: Deployment) -> list[Snapshot]:
    """Return the snapshots of every sampling design whose requests were not removed, in order."""
    query = f"{_READ} WHERE {_OF_DEPLOYMENT} AND shadow.is_kept(s.id) ORDER BY s.day, s.id"
    return read_rows(session, Snapshot, query, [deployment.name])


def erase_requests(
    session: Session[Any],
    snapshot: Snapshot,
    ordinals: Sequence[int],
    ids: Sequence[str],
    dropped: Sequence[int],
    rewritten: tuple[Sequence[str], str],
    *,
    subject: str,
    by: str,
) -> None:
    """Take requests out of a day, as the ledger's owner, and enter the line about it. Commits.

    Args:
        session: A session of the ledger's owner.
        snapshot: The day.
        ordinals: The requests.
        ids: Their ids; what names one is removed too.
        dropped: The shards that have no other requests.
        rewritten: The digests of the day's windows without them, in the order of their numbers, and the day's folder.
        subject: The salted hash of what was asked for.
        by: Who removes.
    """
    digests, location = rewritten
    until_commit(session, f"labels/{snapshot.id}")
    session.execute(
        "SELECT shadow.erase_requests(%s, %s::int[], %s::text[], %s::int[], %s::text[], %s, %s, %s)",
        [snapshot.id, list(ordinals), list(ids), list(dropped), list(digests), location, subject, by],
    )
    (after,) = read_rows(session, Snapshot, f"{_READ} WHERE s.id = %s", [snapshot.id])
    labels.count_again(session, after)
    session.commit()
