"""The formats of files: how files become a table, and what is wrong with one that cannot be read."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Final, Protocol

import duckdb

from shadow_deployment.base.redaction import first_line
from shadow_deployment.config.partitions import JSONL
from shadow_deployment.data.sources.duckdb.json_lines import LineSchema
from shadow_deployment.data.sources.duckdb.lake import MOST_MEMORY, SETTINGS, THREADS, Lake, LakeFile, open_lines
from shadow_deployment.data.sources.duckdb.line_faults import first_fault
from shadow_deployment.data.sources.duckdb.table import FileTable, open_table
from shadow_deployment.errors import ShadowError, SourceError

if TYPE_CHECKING:
    from shadow_deployment.config.sources.tables import SourceTable


_MEMORY: Final = 200_000_000  # bytes, for joins and sorts, beyond which they spill
_LARGEST_GROUP: Final = """
SELECT max(bytes) FROM (
    SELECT sum(total_compressed_size + total_uncompressed_size)::bigint AS bytes
    FROM parquet_metadata($file) GROUP BY row_group_id
)
"""  # each thread has one in memory, as it lies there and as it is read


class FileFormat(Protocol):
    """What files of one kind are to DuckDB."""

    def open(self, session: duckdb.DuckDBPyConnection, name: str, files: Sequence[LakeFile]) -> FileTable:
        """Let the view VIEW be these files and return its columns; `name` is what the deployment calls them."""
        ...

    def fault(self, lake: Lake, file: LakeFile) -> ShadowError | None:
        """Return why a file cannot be read to its end, None where it can."""
        ...


class Parquet:
    """Parquet files, which know their types."""

    def open(self, session: duckdb.DuckDBPyConnection, name: str, files: Sequence[LakeFile]) -> FileTable:
        """Let the view VIEW be these files and return its columns; leave the session no more memory than they need."""
        table = open_table(session, name, [file.path for file in files])
        largest = max(files, key=lambda file: file.size)
        [(group,)] = session.execute(_LARGEST_GROUP, {"file": largest.path}).fetchall()
        needed = _MEMORY + THREADS * (group or 0)
        if needed < MOST_MEMORY:
            session.execute(f"SET memory_limit = '{needed}B'")
        return table

    def fault(self, lake: Lake, file: LakeFile) -> ShadowError | None:
        """Return why a file cannot be read to its end, None where it can."""
        with closing(duckdb.connect(config=SETTINGS)) as session:
            try:
                with lake.serving(session, [file]):
                    for _ in session.read_parquet([file.path]).to_arrow_reader():
                        pass
            except (duckdb.Error, OSError) as error:
                return SourceError(f"{file.path} cannot be read: {first_line(error)}")
        return None


class JsonLines:
    """JSON lines, whose types are declared; `key` is the section of the deployment that declares them."""

    def __init__(self, key: str, columns: Mapping[str, str], form: str | None) -> None:
        self._key = key
        self._schema = LineSchema(columns, form)

    def open(self, session: duckdb.DuckDBPyConnection, name: str, files: Sequence[LakeFile]) -> FileTable:
        """Let the view VIEW be these files and return its columns."""
        return self._schema.open(session, name, files)

    def fault(self, lake: Lake, file: LakeFile) -> ShadowError | None:
        """Return the error of the first line at fault, None without one."""
        with open_lines(lake, file) as content:
            return first_fault(self._schema, self._key, file.path, content)


def format_of(key: str, table: "SourceTable") -> FileFormat:
    """Return the format of a deployment's files; `key` is the section that declares them, such as requests."""
    return JsonLines(key, table.columns, table.format) if table.table.startswith(JSONL) else Parquet()
