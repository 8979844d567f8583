"""Evidence of metrics that are no sums: each day and slice gets a value, computed from the day's answers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.shadow.evidence import ALL
from include.shadow.ledger.database import Session
from include.shadow.metrics import METRICS
from include.shadow.scores import Answers, score_all
from include.shadow.statements import parameterised

_SQL = Path(__file__).parent / "sql"


def add(session: Session[Any], settings: Mapping[str, Any], names: Sequence[str]) -> int:
    """Enter the named metrics of one day and challenger; return how many rows changed.

    `settings` are those of the comparison. A metric that is undefined on a slice, such as the area under the curve of
    labels that are all alike, has no row, and loses the one that it had.
    """
    rows = session.execute(parameterised(_SQL / "day_answers.sql"), settings).fetchall()
    if not rows:
        return 0
    cells = np.array([row[0] for row in rows], np.int64)
    versions = np.array([row[1] for row in rows], object)
    columns = np.array([row[2:] for row in rows], np.float64).T
    statement = parameterised(_SQL / "add_daily_value.sql")
    changed = 0
    kept: list[tuple[str, str, str, str]] = []
    for version in sorted(set(versions.tolist())):
        for column, value, within in _slices(session, settings["snapshot"], cells):
            chosen = within & (versions == version)
            if not chosen.any():
                continue
            answers = Answers(*columns[:, chosen])
            key = {"champion_version": version, "slice_column": column, "slice_value": value}
            for row in _values(answers, names, settings["threshold"]):
                changed += session.execute(statement, {**settings, **key, **row}).rowcount
                kept.append((version, column, value, row["metric"]))
    fields = dict(zip(("versions", "columns", "values", "kept"), map(list, zip(*kept, strict=True)), strict=False))
    undefined = {"versions": [], "columns": [], "values": [], "kept": [], **settings, **fields, "names": list(names)}
    return changed + session.execute(parameterised(_SQL / "drop_undefined.sql"), undefined).rowcount


def _slices(
    session: Session[Any], snapshot: int, cells: NDArray[np.int64]
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield every slice of a snapshot: its column, its value, and which requests are in it."""
    yield ALL, "", np.ones(len(cells), bool)
    rows = session.execute("SELECT cell, slices FROM shadow.cell WHERE snapshot_id = %s ORDER BY cell", [snapshot])
    members: dict[tuple[str, str], list[int]] = {}
    for cell, slices in rows:
        for column, value in slices.items():
            members.setdefault((column, value), []).append(cell)
    for (column, value), inside in sorted(members.items()):
        yield column, value, np.isin(cells, inside)


def _values(answers: Answers, names: Sequence[str], threshold: float) -> Iterator[dict[str, Any]]:
    labelled = int(np.isfinite(answers.label).sum())
    identical = int((answers.champion == answers.challenger).sum())
    for name, (champion, challenger, pairs) in score_all(answers, names, threshold=threshold).items():
        yield {
            "metric": name,
            "requests": len(answers.weight),
            "labelled": labelled,
            "pairs": pairs,
            "identical": min(identical, pairs),
            "champion_value": champion,
            "challenger_value": challenger,
            "difference": METRICS[name].sign * (champion - challenger),
        }
