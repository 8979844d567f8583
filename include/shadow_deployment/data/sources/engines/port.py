"""What a query engine must do: open a stretch of the log, run a statement as a stream of Arrow, and read small tables.

Statements are the `*.sql` files of this folder, in DuckDB's dialect. They read `files`, the table that the deployment
names, and call `keyed_hash(text)`: SHA-256 of the text in UTF-8, as hexadecimal digits, which sort by their bytes.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
from psycopg import sql

from shadow_deployment.data.ports import Access
from shadow_deployment.data.sources.engines.table import EngineTable
from shadow_deployment.errors import SourceError

STATEMENTS = Path(__file__).parent
Pieces = Mapping[str, sql.Composable]


class EngineSession(Protocol):
    """A session in UTC; it ends with its block."""

    def bring(self, name: str, parts: Iterable[pa.Table]) -> None:
        """Let statements read the rows of these tables, of which there is one at least, under a name."""
        ...

    def stream(self, statement: Path, pieces: Pieces, values: Mapping[str, Any]) -> pa.RecordBatchReader:
        """Run a statement and return its rows in batches.

        Args:
            statement: The file.
            pieces: What takes the place of `:name`.
            values: What `$name` stands for: texts, whole numbers and aware times.
        """
        ...


class Opened(NamedTuple):
    """A session, and the columns of what `files` is in it."""

    session: EngineSession
    table: EngineTable


class QueryEngine(Protocol):
    """Opens one table of production; its errors are SourceError, CredentialsError and TransientError.

    `holds_many` where a session has room for any number of rows that are brought.
    """

    holds_many: bool

    def open_between(
        self, start: dt.datetime, end: dt.datetime, time: str, key: str
    ) -> AbstractContextManager[Opened | None]:
        """Open the rows between two moments, both included, and perhaps others; None where there are none.

        Args:
            start: The first moment.
            end: The last moment.
            time: The column of times.
            key: The key of the deployment that names it, for errors.
        """
        ...

    def open_until(self, until: dt.datetime) -> AbstractContextManager[Opened]:
        """Open the rows up to a moment, it included, and perhaps others."""
        ...

    def open_newest(self, since: dt.date) -> AbstractContextManager[Opened | None]:
        """Open the newest rows that there are, of a day from `since` on; None where there are none."""
        ...

    def access(self, start: dt.datetime, end: dt.datetime, time: str, key: str) -> Access:
        """Return what would be read of the rows between two moments, without reading them."""
        ...


def require_newest(engine: "QueryEngine", pieces: Callable[[EngineTable], Pieces], key: str, name: str) -> None:
    """Raise SourceError where the newest rows lack a column, or have one of the wrong type, or none has a time.

    A misspelt key of JSON lines is a column without a value. `pieces` looks the columns up, `key` names that of times.
    """
    with engine.open_newest(dt.date.min) as opened:
        if opened is None:
            return
        times = opened.session.stream(STATEMENTS / "times.sql", pieces(opened.table), {}).read_all()
        if times["are_missing"][0].as_py():
            raise SourceError(
                f"{key} == {name!r}, must have a value: none of the newest rows of {opened.table.name} has one"
            )
