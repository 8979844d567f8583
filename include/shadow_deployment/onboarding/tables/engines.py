"""A table that statements in DuckDB's dialect read where it lies."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from psycopg import sql

from shadow_deployment.data.sources.engines.port import EngineSession, Opened, Pieces, QueryEngine
from shadow_deployment.data.sources.table import Column
from shadow_deployment.onboarding.tables.port import LOOKUP_ROWS, SAMPLE_ROWS, Values, kind_of

_HERE: Final = Path(__file__).parent


class TableOfEngine:
    """A table of a query engine; `name` is what a deployment would call it."""

    def __init__(self, engine: QueryEngine, name: str) -> None:
        self.name = name
        self._engine = engine

    @property
    def declared(self) -> Mapping[str, str]:
        """Nothing: the engine's catalogue knows the types."""
        return {}

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns that a deployment can use; raise SourceError where there is no such table."""
        with self._opened() as opened:
            columns = opened.table.columns if opened else {}
        return {name: column for name, column in columns.items() if kind_of(column)}

    def sample(self) -> Values:
        """Return the rows that the engine comes to first."""
        return self._rows("engine_sample.sql", {"columns": self._selected()}, {"limit": SAMPLE_ROWS})

    def matching(self, column: str, texts: Sequence[str]) -> Values:
        """Return the rows whose column has one of these texts."""
        pieces = {"columns": self._selected(), "column": sql.Identifier(column)}
        wanted = pa.table({"text": pa.array(texts, pa.string())})
        return self._rows("engine_matching.sql", pieces, {"limit": LOOKUP_ROWS}, wanted)

    def span(self, time: str) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the first and last value of a column of times."""
        span = self._rows("engine_span.sql", {"time": sql.Identifier(time)}, {})
        return None if span["first"][0] is None else (span["first"][0], span["last"][0])

    def _opened(self) -> AbstractContextManager[Opened | None]:
        return self._engine.open_newest(dt.date.min)

    def _rows(
        self, statement: str, pieces: Pieces, values: Mapping[str, Any], wanted: pa.Table | None = None
    ) -> dict[str, list[Any]]:
        with self._opened() as opened:
            if opened is None:
                return {}
            if wanted is not None:
                opened.session.bring("wanted", [wanted])
            return read_rows(opened.session, statement, pieces, values)

    def _selected(self) -> sql.Composable:
        return sql.SQL(", ").join(map(selected, self.columns.values()))


def read_rows(
    session: EngineSession, statement: str, pieces: Pieces, values: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Return the rows of a statement of this folder by column."""
    rows = session.stream(_HERE / statement, pieces, values).read_all()
    return {name: rows[name].to_pylist() for name in rows.column_names}


def selected(column: Column) -> sql.Composable:
    """Return a column as a number, a boolean, short text, or a moment in UTC."""
    form = {"text": "left({0}::text, 200) AS {0}", "time": "{0}::timestamptz AS {0}"}.get(str(kind_of(column)), "{0}")
    return sql.SQL(form).format(sql.Identifier(column.name))
