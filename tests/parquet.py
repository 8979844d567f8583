"""Production in Parquet: what tests write where the source reads it."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Put = Callable[[str, bytes], None]


def encoded(table: pa.Table, **options: Any) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def on_disk(folder: Path) -> Put:
    """Return what puts files below a folder."""

    def put(name: str, content: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return put


def by_day(table: pa.Table, time: str) -> dict[dt.date, pa.Table]:
    """Return the rows of each day in UTC."""
    days = pc.cast(table[time], pa.timestamp("us", "UTC")).to_pylist()
    found = sorted({one.date() for one in days if one is not None})
    return {day: table.filter(pa.array([one is not None and one.date() == day for one in days])) for day in found}
