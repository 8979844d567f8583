"""Evidence in the ledger: one statement computes a day, another reads it back by metric and slice."""

import datetime as dt
import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from include.shadow import scores
from include.shadow.deployment import Deployment
from include.shadow.ledger import daily_values, score_bins
from include.shadow.ledger.database import Session
from include.shadow.ledger.snapshots import Snapshot, deployment_id
from include.shadow.metrics import METRICS, QUIET
from include.shadow.statements import parameterised

_SQL = Path(__file__).parent / "sql"


def statement_digest(deployment: Deployment) -> str:
    """Return what a day's evidence is computed by: the statements and what the deployment puts into them."""
    paths = (_SQL / "compare.sql", Path(scores.__file__), *score_bins.STATEMENTS)
    code = b"".join(path.read_bytes() for path in paths)
    content = code + repr(sorted(_settings(deployment).items())).encode()
    return hashlib.sha256(content).hexdigest()


def stale(
    session: Session[Any], snapshots: Sequence[Snapshot], challengers: Collection[int], statement: str
) -> list[tuple[dt.date, int]]:
    """Return the days and challengers whose evidence is missing or rests on other labels or another statement.

    Only those count whose inputs and predictions were scored as a whole and passed their expectations.
    """
    rows = session.execute(
        parameterised(_SQL / "stale.sql"),
        {"snapshots": [one.id for one in snapshots], "challengers": list(challengers), "statement": statement},
    )
    return [(day, int(challenger)) for day, challenger in rows]


def analyze(session: Session[Any], snapshot: Snapshot) -> None:
    """Tell the planner how large a day's tables are, where they have grown since it looked. Commits.

    Rows that have just been copied into a new partition are unknown to it until autovacuum comes by, and a join planned
    for one row takes hours for a million.
    """
    names = [f"{table}_{snapshot.day:%Y%m%d}" for table in ("request", "prediction", "label")]
    grown = session.execute(parameterised(_SQL / "grown.sql"), {"names": names}).fetchall()
    for (name,) in grown:
        session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("shadow", name)))
    session.commit()


def compare(session: Session[Any], deployment: Deployment, snapshot: Snapshot, challenger: int) -> int:
    """Compute a day's evidence for one challenger and note what it rests on; return how many rows changed. Commits."""
    session.commit()  # the isolation level is that of a whole transaction
    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    session.execute("SET LOCAL max_parallel_workers_per_gather = 0")  # sums of doubles depend on their order
    values = _settings(deployment) | {
        "deployment": deployment_id(session, deployment),
        "day": snapshot.day,
        "snapshot": snapshot.id,
        "challenger": challenger,
    }
    changed = session.execute(parameterised(_SQL / "compare.sql"), values).rowcount
    names = [name for name in deployment.tracked if not METRICS[name].is_sum]
    if names:
        changed += daily_values.add(session, values, names)
    changed += score_bins.add(session, values)
    session.execute(
        "INSERT INTO shadow.comparison (snapshot_id, challenger_id, label_revision, statement) "
        "SELECT id, %s, label_revision, %s FROM shadow.snapshot WHERE id = %s "
        "ON CONFLICT (snapshot_id, challenger_id) DO UPDATE SET label_revision = excluded.label_revision, "
        "statement = excluded.statement, compared_at = excluded.compared_at",
        [challenger, statement_digest(deployment), snapshot.id],
    )
    session.commit()
    return changed


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
            parameterised(_SQL / "read_evidence.sql"),
            {
                "challenger": challenger,
                "snapshots": [one.id for one in snapshots],
                "champion_version": champion_version,
                "metrics": None if metrics is None else list(metrics),
                "slices": None if slices is None else list(slices),
            },
        )


def _settings(deployment: Deployment) -> dict[str, Any]:
    return {
        "task": deployment.task,
        "metrics": sorted({name for name in QUIET if deployment.task in METRICS[name].tasks} | {*deployment.tracked}),
        "threshold": deployment.threshold,
        "tolerance": deployment.tolerance,
        "quantile": deployment.quantile,
    }
