"""Rows that can be read in parts and repeatedly, such as a day's inputs from Parquet.

As pandas frames, parts have the types that one frame of all rows would have: columns of integers and of booleans are
searched for nulls before the first part is converted.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from shadow_deployment.base.parts import tables_of_one_size
from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.data.snapshots import SnapshotPart, read_part
from shadow_deployment.data.storage import Store

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS: Final = 131_072
PART_COLUMNS: Final = 8


def rows_per_part(columns: int, part_rows: int = PART_ROWS) -> int:
    """Return how many rows a part of so many columns has: `part_rows` for PART_COLUMNS, and at most twice as many."""
    return max(part_rows * PART_COLUMNS // max(columns, PART_COLUMNS // 2), 1)


class Rows(Protocol):
    """Rows with a column request_id, always in the same order."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of all columns."""
        ...

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns, at least one, in tables of 1 to `rows` rows."""
        ...


class SnapshotRows:
    """The rows of a snapshot that is not empty; a file's digest is checked when it is first read.

    Reading raises SnapshotError where a file is missing or was changed.
    """

    def __init__(self, store: Store, folder: str, parts: Sequence[SnapshotPart]) -> None:
        self._store, self._folder, self._parts = store, folder, parts
        self._checked: set[str] = set()

    @property
    def schema(self) -> pa.Schema:
        """The schema of all columns."""
        return self._open(self._parts[0]).schema_arrow

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns in tables of `rows` rows, the last with the rest."""
        batches = (
            batch
            for part in self._parts
            for batch in self._open(part).iter_batches(batch_size=rows, columns=list(columns), use_threads=False)
        )
        yield from tables_of_one_size(batches, rows)

    def _open(self, part: SnapshotPart) -> pq.ParquetFile:
        if part.name in self._checked:
            return pq.ParquetFile(self._store.path(f"{self._folder}/{part.name}"))
        file = read_part(self._store, self._folder, part)
        self._checked.add(part.name)
        return file


class FrameReader:
    """Reads rows as pandas frames of about `part_rows` rows, whose index counts all rows."""

    def __init__(self, source: Rows, part_rows: int = PART_ROWS) -> None:
        self.schema = source.schema
        self.part_rows = part_rows
        self._source = source
        self._with_nulls: dict[str, bool] = {}

    def parts(self, columns: Sequence[str]) -> "Iterator[pd.DataFrame]":
        """Yield the columns part by part, at least one part; it may be empty."""
        import pandas as pd

        with_nulls = self._find_nulls(columns)
        start = 0
        for table in self._read(columns):
            frame = self._frame(table, with_nulls)
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            yield frame
        if not start:
            yield self._frame(self.empty(columns), with_nulls)

    def whole(self, columns: Sequence[str]) -> "pd.DataFrame":
        """Return all rows of some columns at once."""
        tables = list(self._read(columns))
        table = pa.concat_tables(tables) if tables else self.empty(columns)
        del tables
        frame: pd.DataFrame = table.to_pandas(self_destruct=True, split_blocks=True)
        return frame

    def empty(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns without rows."""
        return pa.schema([self.schema.field(name) for name in columns]).empty_table()

    def _read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        return prefetch(self._source.read(columns, rows_per_part(len(columns), self.part_rows)))

    def _find_nulls(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that hold nulls, and have another type in pandas for that."""
        unknown = [name for name in columns if name not in self._with_nulls and self._is_int_or_bool(name)]
        if unknown:
            self._with_nulls |= dict.fromkeys(unknown, False)
            for table in self._read(unknown):
                for name in unknown:
                    self._with_nulls[name] |= table[name].null_count > 0
        return [name for name in columns if self._with_nulls.get(name)]

    def _frame(self, table: pa.Table, with_nulls: Sequence[str]) -> "pd.DataFrame":
        frame: pd.DataFrame = table.to_pandas()
        for name in with_nulls:
            boolean = pa.types.is_boolean(self.schema.field(name).type)
            frame[name] = frame[name].astype(object if boolean else "float64")
        return frame

    def _is_int_or_bool(self, name: str) -> bool:
        type_ = self.schema.field(name).type
        return bool(pa.types.is_integer(type_) or pa.types.is_boolean(type_))
