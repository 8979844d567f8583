"""DuckDB over files: a session of its own, bounded in memory and threads, that ends with its block."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from shadow_deployment.base.redaction import first_line
from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.data.sources.duckdb.formats import FileFormat
from shadow_deployment.data.sources.duckdb.lake import SETTINGS, Lake, LakeFile
from shadow_deployment.data.sources.engines.port import Pieces
from shadow_deployment.errors import ShadowError, SourceError, TransientError

_QUERY_ERRORS = (duckdb.ConversionException, duckdb.BinderException, duckdb.OutOfMemoryException)

_HASH = "CREATE TEMPORARY MACRO keyed_hash(key) AS sha256(key)"
_BATCH_ROWS: Final = 8_192
_PART: Final = "part"


@dataclass(frozen=True)
class DuckDBSession:
    """What statements run in, as `EngineSession`."""

    connection: duckdb.DuckDBPyConnection

    def bring(self, name: str, parts: Iterable[pa.Table]) -> None:
        """Let statements read these rows under a name: they are copied to a table, of which much lies on disk."""
        put = f"CREATE OR REPLACE TEMPORARY TABLE {name} AS"
        for part in parts:
            self.connection.register(_PART, part)
            self.connection.execute(f"{put} FROM {_PART}")
            put = f"INSERT INTO {name}"
        self.connection.unregister(_PART)

    def stream(self, statement: Path, pieces: Pieces, values: Mapping[str, Any]) -> pa.RecordBatchReader:
        """Run a statement and return its rows in batches."""
        text = load_literal_statement(statement, pieces, {}).as_string()
        return self.connection.sql(text, params=dict(values)).to_arrow_reader(_BATCH_ROWS)


@contextmanager
def open_session(
    lake: Lake, files: Sequence[LakeFile], what: str, form: FileFormat
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session in UTC that can read these files; what does not fit into its memory spills to a folder.

    `what` names the table in errors, in which `form` says what is wrong with a file. Raises SourceError where a file
    cannot be read, which it names, TransientError where one was changed or lost meanwhile, and what the lake raises.
    """
    with (
        tempfile.TemporaryDirectory(prefix="shadow-duckdb-") as spill,
        closing(duckdb.connect(config={**SETTINGS, "temp_directory": spill})) as session,
    ):
        session.execute("SET TimeZone = 'UTC'")
        session.execute(_HASH)
        try:
            with lake.serving(session, files):
                yield session
        except (duckdb.Error, OSError) as error:  # a stream that breaks off raises OSError
            text = first_line(error)
            if text.startswith("IO Error"):
                raise TransientError(f"{what}: {text}") from error
            fault = None if isinstance(error, _QUERY_ERRORS) else _fault(lake, files, form)
            raise type(fault or SourceError())(f"{what}: {fault or text}") from error


def _fault(lake: Lake, files: Sequence[LakeFile], form: FileFormat) -> ShadowError | None:
    """Return what is wrong with the first file that cannot be read, None where all can."""
    return next((fault for file in files if (fault := form.fault(lake, file)) is not None), None)
