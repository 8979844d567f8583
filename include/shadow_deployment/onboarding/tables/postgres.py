"""A table or view in Postgres, read in sessions that are read only and bounded as those of a run are."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from psycopg import errors, sql

from shadow_deployment.base.sql_templates import columns_of, load_statement
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, connect, translated
from shadow_deployment.data.sources.postgres.catalogue import Catalogue
from shadow_deployment.data.sources.postgres.requests import SETTINGS
from shadow_deployment.data.sources.table import Column
from shadow_deployment.onboarding.tables.port import LOOKUP_ROWS, SAMPLE_ROWS, Values, kind_of

_HERE: Final = Path(__file__).parent
_SAMPLED_KINDS: Final = ("r", "m", "p")  # tables, materialised views, partitioned tables; no views
_LARGE: Final = 20 * SAMPLE_ROWS  # rows from which pages are sampled, and not rows
_NOT_COMPARABLE: Final = (
    errors.InvalidTextRepresentation,
    errors.NumericValueOutOfRange,
    errors.InvalidDatetimeFormat,
    errors.UndefinedFunction,
)


class PostgresTable:
    """A table that the flag or question `key` names."""

    def __init__(self, connection: Connection, name: str, key: str) -> None:
        self.name = name
        self._connection, self._key = connection, key

    @property
    def declared(self) -> Mapping[str, str]:
        """Nothing: the catalogue knows the types."""
        return {}

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns that a deployment can use; raise SourceError where there is no such table."""
        with self._session() as session:
            table = Catalogue(session, self._connection).table(self.name, self._key)
        return {name: column for name, column in table.columns.items() if kind_of(column)}

    def sample(self) -> Values:
        """Return rows of pages all over the table, in the order in which they are stored; of a view the first."""
        with self._session() as session:
            for sampling in (self._sampling(session), sql.SQL("")):
                pieces = self._pieces() | {"sampling": sampling}
                rows = session.execute(load_statement(_HERE / "sample.sql", pieces), {"limit": SAMPLE_ROWS}).fetchall()
                if len(rows) >= SAMPLE_ROWS // 4:
                    break
        return columns_of(list(self.columns), rows)

    def matching(self, column: str, texts: Sequence[str]) -> Values:
        """Return the rows whose column has one of these texts; none where the column cannot hold them."""
        pieces = self._pieces() | {
            "column": sql.Identifier(column),
            "type": sql.SQL(self.columns[column].cast),
        }
        values = {"texts": list(texts), "limit": LOOKUP_ROWS}
        with self._session() as session:
            try:
                rows = session.execute(load_statement(_HERE / "matching.sql", pieces), values).fetchall()
            except _NOT_COMPARABLE:
                session.rollback()
                rows = []
        return columns_of(list(self.columns), rows)

    def span(self, time: str) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the first and last value of a column of times."""
        pieces = self._pieces() | {"time": _moment(time), "column": sql.Identifier(time)}
        with self._session() as session:
            row = session.execute(load_statement(_HERE / "span.sql", pieces)).fetchone()
        return (row[0], row[1]) if row and row[0] is not None else None

    def _sampling(self, session: Session[Any]) -> sql.SQL:
        quoted = self._identifier.as_string(session)
        row = session.execute(load_statement(_HERE / "size.sql"), {"table": quoted}).fetchone()
        if row is None or row[0] not in _SAMPLED_KINDS:
            return sql.SQL("")
        method = "SYSTEM" if row[1] > _LARGE else "BERNOULLI"
        percent = min(100.0, 90.0 * SAMPLE_ROWS / max(row[1], 1.0))
        return sql.SQL(f"TABLESAMPLE {method} ({percent:.6f}) REPEATABLE (0)")

    def _pieces(self) -> dict[str, sql.Composable]:
        return {
            "table": self._identifier,
            "columns": sql.SQL(", ").join(map(_selected, self.columns.values())),
        }

    @property
    def _identifier(self) -> sql.Identifier:
        return sql.Identifier(*self.name.split("."))

    @contextmanager
    def _session(self) -> Iterator[Session[Any]]:
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            yield session


def _selected(column: Column) -> sql.Composable:
    """Return a column as numbers, booleans, short text, or moments in UTC."""
    identifier = sql.Identifier(column.name)
    if kind_of(column) == "text":
        return sql.SQL("left({}::text, 200)").format(identifier)
    if kind_of(column) == "time":
        return sql.SQL("CASE WHEN isfinite({}) THEN {} END").format(identifier, _moment(column.name))
    return identifier


def _moment(name: str) -> sql.Composed:
    return sql.SQL("{}::timestamptz").format(sql.Identifier(name))
