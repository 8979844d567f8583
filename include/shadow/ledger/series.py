"""Evidence by series: each metric in each slice with its days as arrays, for judging a long history."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from psycopg.rows import dict_row

from include.shadow.evidence import ALL, SQUARES, Columns
from include.shadow.ledger.arrays import reading_arrays
from include.shadow.ledger.database import Session
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.statements import parameterised

_SQL = Path(__file__).parent / "sql"
_COUNTS: Final = ("days", "requests", "pairs", "identical")
_SUMS: Final = ("weight", "champion_sum", "challenger_sum", "difference_sum")
# A year of fifty slices is put together by a hash table in memory, by one process of the server: neither in the order
# of an index, which reads each row where it lies, nor by a sort.
_SETTINGS: Final = {
    "work_mem": "64MB",
    "enable_sort": "off",
    "enable_indexscan": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}


def read(
    session: Session[Any],
    challenger: int,
    snapshots: Sequence[Snapshot],
    *,
    metrics: Collection[str],
    squares: bool,
) -> Iterator[Columns]:
    """Yield a challenger's evidence on these snapshots by metric and slice, all first; the days of each in no order.

    `squares` says whether the sums of squares are needed, which only single requests are judged by.
    """
    session.execute("; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _SETTINGS.items()))
    values = {
        "challenger": challenger,
        "snapshots": [one.id for one in snapshots],
        "metrics": list(metrics),
        "squares": squares,
    }
    with reading_arrays(session) as cursor:
        cursor.row_factory = dict_row
        rows = cursor.execute(parameterised(_SQL / "read_series.sql"), values).fetchall()
        session.execute("; ".join(f"RESET {name}" for name in _SETTINGS))
        for row in sorted(rows, key=_order):
            counts = {name: row[name].astype(np.int64) for name in _COUNTS}
            sums = {name: row[name] for name in (*_SUMS, *(SQUARES if squares else ()))}
            yield Columns(row["metric"], row["slice_column"], row["slice_value"], counts, sums)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    column = row["slice_column"]
    return row["metric"], column != ALL, column, row["slice_value"]
