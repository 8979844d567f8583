"""Rows of a table in memory, read as those of a snapshot are."""

from collections.abc import Iterator, Sequence

import pyarrow as pa


class TableRows:
    """The rows of a table in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.replace_schema_metadata(None)

    @property
    def schema(self) -> pa.Schema:
        """The schema of all columns."""
        return self._table.schema

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns in tables of at most `rows` rows."""
        table = self._table.select(list(columns))
        for start in range(0, table.num_rows, rows):
            yield table.slice(start, rows)
