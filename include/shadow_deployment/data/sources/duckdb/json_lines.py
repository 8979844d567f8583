"""JSON lines as a view, whose columns have the declared types."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.sources.json_lines import BUILT_IN, CAPTURE, GROUND_TRUTH, LineColumn
from shadow_deployment.data.sources.duckdb.lake import LakeFile
from shadow_deployment.data.sources.duckdb.table import VIEW, FileTable, columns_of_view

LINES: Final = "lines"  # the view of the lines as they are
_HERE: Final = Path(__file__).parent
_PATH: Final = "file path"
_LONGEST: Final = 1 << 26  # bytes of a line
_KEYS: Final = {CAPTURE: ("captureData", "eventMetadata"), GROUND_TRUTH: ("groundTruthData", "eventMetadata")}
_PAYLOADS: Final = {CAPTURE: ("input", "output"), GROUND_TRUTH: ("data",)}


class LineValue(NamedTuple):
    """A declared column as SQL: its JSON value, that value in the column's type, and why it cannot be decoded."""

    name: str
    type: str
    json: sql.Composable
    typed: sql.Composable
    fault: sql.Composable

    @property
    def is_misfit(self) -> sql.Composed:
        """Whether a value is there that does not fit the column's type."""
        return sql.SQL("{} IS NULL AND json_type({}) <> 'NULL'").format(self.typed, self.json)


class LineSchema:
    """The declared columns of a table of JSON lines, in a format of somebody's or in none."""

    def __init__(self, columns: Mapping[str, str], form: str | None) -> None:
        self._form = form
        self._declared = {name: LineColumn.parse(text) for name, text in columns.items()}
        self._places = [name for name, column in self._declared.items() if not column.path]

    @property
    def keys(self) -> Sequence[str]:
        """The keys of a line that are read."""
        if self._form is not None:
            return _KEYS[self._form]
        return list(dict.fromkeys(column.path[0] if column.path else name for name, column in self._declared.items()))

    @property
    def pointers(self) -> dict[str, str]:
        """The place of each key on a line, as a JSON pointer."""
        return {key: _pointer([key]) for key in self.keys}

    def values(self) -> Iterator[LineValue]:
        """Yield each column as SQL over `layer`."""
        is_text = sql.SQL("false" if self._form is None else "true")
        for name, column in (self._declared | self._built_in).items():
            json = self._json(name, column)
            fits = sql.SQL("fit_" + column.type + "({}, {})").format(json, is_text)
            yield LineValue(name, column.type, json, fits, self._fault(column))

    def layer(self) -> sql.Composable:
        """Return the lines with what their format holds in layers."""
        if self._form is None:
            return sql.Identifier(LINES)
        return sql.SQL("({})").format(load_literal_statement(_HERE / f"{self._form}.sql", {}, {}))

    def open(self, session: duckdb.DuckDBPyConnection, name: str, files: Sequence[LakeFile]) -> FileTable:
        """Let the view VIEW be these files and return its columns; `name` is what the deployment calls them.

        A statement that reads a value of another type than its column's ends with an error.
        """
        session.execute((_HERE / "json_values.sql").read_text(encoding="utf-8"))
        uploads = {"path": [file.path for file in files], "time": [file.modified for file in files]}
        session.register("uploads", pa.table(uploads))
        options: dict[str, Any] = {"filename": _PATH if self._form else False, "maximum_object_size": _LONGEST}
        session.read_json(
            [file.path for file in files],  # type: ignore[arg-type]  # the stub knows no list
            format="newline_delimited",
            columns=dict.fromkeys(self.keys, "JSON"),
            **options,
        ).create_view(LINES)
        checked = "coalesce({typed}, CASE WHEN json_type({json}) <> 'NULL' THEN error({text}) END)"
        checked = "CASE WHEN {fault} IS NOT NULL THEN error({text}) ELSE " + checked + " END AS {name}"
        columns = [
            sql.SQL(checked).format(
                typed=each.typed, json=each.json, fault=each.fault, text=each.name, name=sql.Identifier(each.name)
            )
            for each in self.values()
        ]
        statement = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns), self.layer())
        session.execute(f"CREATE OR REPLACE TEMP VIEW {VIEW} AS {statement.as_string()}")
        return FileTable(name, columns_of_view(session), {})

    @property
    def _built_in(self) -> dict[str, LineColumn]:
        return {name: LineColumn(type_, (name,)) for name, type_ in BUILT_IN[self._form].items()}

    @property
    def _payloads(self) -> Sequence[str]:
        return _PAYLOADS.get(self._form or "", ())

    def _fault(self, column: LineColumn) -> sql.Composable:
        """Return why what was captured cannot be used; a list has a value for each column that stands by its place."""
        if not self._payloads or column.path:
            return sql.SQL("fault" if self._payloads else "NULL")
        count = "json_type({0}) = 'ARRAY' AND json_array_length({0}) <> {1}"
        wrong = "coalesce(fault, CASE WHEN " + count + " THEN concat({2}, json_array_length({0}), {3}) END)"
        root, ends = self._payloads[0], f" values, must have {len(self._places)}: one for each column without a path"
        parts = sql.Identifier(root), len(self._places), sql.Literal(f"{root} has "), sql.Literal(ends)
        return sql.SQL(wrong).format(*parts)

    def _json(self, name: str, column: LineColumn) -> sql.Composable:
        """Return a column's value on the line; in a payload without a path it stands by its place or its name."""
        if not column.path and self._payloads:
            by_kind = "CASE json_type({0}) WHEN 'ARRAY' THEN {0} -> {1} ELSE {0} -> {2} END"
            root = sql.Identifier(self._payloads[0])
            place = str(self._places.index(name))
            return sql.SQL(by_kind).format(root, sql.Literal(_pointer([place])), sql.Literal(_pointer([name])))
        first, *rest = column.path or (name,)
        pointer = sql.Literal(_pointer(rest))
        return sql.SQL("({} -> {})").format(sql.Identifier(first), pointer) if rest else sql.Identifier(first)


def _pointer(steps: Sequence[str]) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
