"""Rows that are read in parts and as often as needed: a day's inputs from Parquet, a table in memory.

As pandas frames, the parts have the types that one frame of all rows would have: whether a column of integers or of
booleans holds a null anywhere is looked up before the first part is made.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.data.snapshots import SnapshotPart, read_part, tables_of_one_size
from shadow_deployment.data.storage import Store

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS: Final = 131_072
PART_COLUMNS: Final = 8


def rows_at_once(columns: int, part_rows: int = PART_ROWS) -> int:
    """Return how many rows of so many columns a part has: `part_rows` of PART_COLUMNS, and at most twice as many."""
    return max(part_rows * PART_COLUMNS // max(columns, PART_COLUMNS // 2), 1)


class Rows(Protocol):
    """Rows with a column request_id, always in the same order."""

    @property
    def schema(self) -> pa.Schema:
        """All columns there are."""
        ...

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns, at least one, in tables of at most `rows` rows; nothing where there is no row."""
        ...


class TableRows:
    """The rows of a table that is in memory as a whole."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.replace_schema_metadata(None)

    @property
    def schema(self) -> pa.Schema:
        """All columns there are."""
        return self._table.schema

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns in tables of at most `rows` rows."""
        chosen = self._table.select(list(columns))
        for first in range(0, chosen.num_rows, rows):
            yield chosen.slice(first, rows)


class SnapshotRows:
    """The rows of a snapshot that has some; the bytes of a file are compared with the manifest when it is first read.

    Reading raises SnapshotError where a file is missing or was changed.
    """

    def __init__(self, store: Store, folder: str, parts: Sequence[SnapshotPart]) -> None:
        self._store, self._folder, self._parts = store, folder, parts
        self._known: set[str] = set()

    @property
    def schema(self) -> pa.Schema:
        """All columns there are."""
        return self._open(self._parts[0]).schema_arrow

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns in tables of `rows` rows, the last of them with what is left."""
        names = list(columns)
        batches = (
            batch
            for part in self._parts
            for batch in self._open(part).iter_batches(batch_size=rows, columns=names, use_threads=False)
        )
        yield from tables_of_one_size(batches, rows)

    def _open(self, part: SnapshotPart) -> pq.ParquetFile:
        if part.name in self._known:
            return pq.ParquetFile(self._store.path(f"{self._folder}/{part.name}"))
        file = read_part(self._store, self._folder, part)
        self._known.add(part.name)
        return file


class FrameTypes:
    """Rows as pandas frames of at most `part_rows` rows, whose index says which row of all it is."""

    def __init__(self, source: Rows, part_rows: int = PART_ROWS) -> None:
        self.schema = source.schema
        self.part_rows = part_rows
        self._source = source
        self._with_nulls: dict[str, bool] = {}

    def parts(self, columns: Sequence[str]) -> "Iterator[pd.DataFrame]":
        """Yield the columns part by part; where there is no row, one frame without rows."""
        import pandas as pd

        with_nulls = self._find_nulls(columns)
        first = 0
        for table in self._read(columns):
            frame = self._frame(table, with_nulls)
            frame.index = pd.RangeIndex(first, first + len(frame))
            first += len(frame)
            yield frame
        if not first:
            yield self._frame(self.empty(columns), with_nulls)

    def whole(self, columns: Sequence[str]) -> "pd.DataFrame":
        """Return all rows of some columns at once."""
        tables = list(self._read(columns))
        table = pa.concat_tables(tables) if tables else self.empty(columns)
        del tables
        frame: pd.DataFrame = table.to_pandas(self_destruct=True, split_blocks=True)
        return frame

    def empty(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns without a row."""
        return pa.schema([self.schema.field(name) for name in columns]).empty_table()

    def _read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        return prefetch(self._source.read(columns, rows_at_once(len(columns), self.part_rows)))

    def _find_nulls(self, columns: Sequence[str]) -> list[str]:
        """Return the columns of which pandas has another type where there is a null, and where there is one."""
        unknown = [name for name in columns if name not in self._with_nulls and _changes(self.schema.field(name).type)]
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


def _changes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))
