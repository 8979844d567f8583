"""How the ledger is read: statements of `sql` by name, and their rows as dataclasses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString, TypeVar

from psycopg import sql
from psycopg.rows import class_row

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.data.db import Session

T = TypeVar("T")
Query = LiteralString | sql.Composed
Values = Mapping[str, Any] | Sequence[Any] | None

_SQL = Path(__file__).parent / "sql"


def statement(name: str, pieces: Mapping[str, sql.Composable] | None = None) -> sql.Composed:
    """Return a statement of `ledger/sql`, as `load_statement` does."""
    return load_statement(_SQL / f"{name}.sql", pieces)


def read_rows(session: Session[Any], kind: type[T], query: Query, values: Values = None) -> list[T]:
    """Return the rows of a query as instances of a dataclass, whose fields are its columns."""
    with session.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query, values).fetchall()


def read_row(session: Session[Any], kind: type[T], query: Query, values: Values = None) -> T | None:
    """Return the first row of a query as an instance of a dataclass, None where there is none."""
    return next(iter(read_rows(session, kind, query, values)), None)


def read_column(session: Session[Any], query: Query, values: Values = None) -> list[Any]:
    """Return the first column of the rows of a query."""
    return [row[0] for row in session.execute(query, values)]


def read_value(session: Session[Any], query: Query, values: Values = None) -> Any:
    """Return the first column of the first row of a query, None where there is no row."""
    row = session.execute(query, values).fetchone()
    return row[0] if row else None
