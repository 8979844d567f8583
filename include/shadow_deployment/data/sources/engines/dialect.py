"""Statements of this folder in the dialect of another engine, by SQLGlot."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from shadow_deployment.config.partitions import LakeTable
from shadow_deployment.data.sources.engines.table import EngineTable
from shadow_deployment.data.sources.table import Column

_TIMES = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ, exp.DataType.Type.TIMESTAMPTZ)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Dialect:
    """A dialect that SQLGlot writes.

    `functions` are what calls mean in it, by name, of one `argument`; `precision` how many digits of a second a type of
    times must ask for, None where it has them anyway.
    """

    name: str
    functions: Mapping[str, str]
    precision: int | None = None

    def written(self, statement: str, table: exp.Expression, values: Mapping[str, Any]) -> str:
        """Return a statement in this dialect.

        Args:
            statement: It, in DuckDB's dialect.
            table: What takes the place of `files`.
            values: What `$name` stands for: texts, whole numbers and aware times.
        """

        def replaced(node: exp.Expression) -> exp.Expression:
            match node:
                case exp.Placeholder():
                    return _literal(values[node.name])
                case exp.DataType() if node.this in _TIMES and self.precision is not None:
                    digits = exp.DataTypeParam(this=exp.Literal.number(self.precision))
                    return exp.DataType(this=node.this, expressions=[digits])
                case exp.ByteString():  # a text with a backslash
                    return exp.Literal.string(node.name)
                case exp.Table() if node.name == "files":
                    return table
            return node

        tree = sqlglot.parse_one(statement, read="duckdb").transform(self._called).transform(replaced)
        written: str = tree.sql(self.name, unsupported_level=sqlglot.ErrorLevel.RAISE)
        return written

    def _called(self, call: exp.Expression) -> exp.Expression:
        meaning = self.functions.get(call.name.lower()) if isinstance(call, exp.Anonymous) else None
        if meaning is None:
            return call
        [argument] = call.expressions
        tree = sqlglot.parse_one(meaning, read=self.name)
        return tree.transform(lambda node: argument.copy() if node == exp.column("argument") else node)


def identifier(table: LakeTable) -> exp.Table:
    """Return the quoted name of a table."""
    *above, last = table.names
    return exp.table_(last, *reversed(above), quoted=True)


def rows_of(table: LakeTable, columns: EngineTable, first: dt.date | None = None, last: dt.date | None = None) -> Any:
    """Return what `files` is: the table, or its partitions from the day before the first to the day after the last.

    A row that came a little too early or too late is found all the same. Raises SourceError where a column of
    partitions is missing.
    """
    named = identifier(table)
    if not table.partition or first is None or last is None:
        return named.as_("files")
    days = (first + number * _DAY for number in range(-1, (last - first).days + 2))
    partitions = [
        exp.and_(*(_is(columns.require(name, columns.name), text) for name, text in table.on(day).items()))
        for day in days
    ]
    return exp.select("*").from_(named).where(exp.or_(*partitions)).subquery("files")


def _is(column: Column, text: str) -> exp.Expression:
    """Return the condition that a column of partitions holds a text, in the column's own type."""
    value, number = exp.Literal.string(text), exp.Literal.number(text.lstrip("0") or "0")
    written = {"N": number, "D": exp.cast(value, "date")}.get(column.category, value)
    return exp.column(column.name, quoted=True).eq(written)


def _literal(value: Any) -> exp.Expression:
    if isinstance(value, dt.datetime):
        in_utc = value.astimezone(dt.UTC).replace(tzinfo=None)
        return exp.Literal.string(f"{in_utc.isoformat(' ', 'microseconds')} UTC")
    return exp.convert(value)
