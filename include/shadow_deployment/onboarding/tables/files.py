"""Files on disk or on S3: the newest of them, since their rows are not indexed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from shadow_deployment.config.partitions import JSONL, Pattern
from shadow_deployment.data.sources.duckdb.files import Files
from shadow_deployment.data.sources.duckdb.formats import FileFormat, JsonLines, Parquet
from shadow_deployment.data.sources.duckdb.lake import Lake, LakeFile
from shadow_deployment.data.sources.duckdb.table import VIEW
from shadow_deployment.data.sources.table import Column
from shadow_deployment.onboarding.tables.line_types import types_of
from shadow_deployment.onboarding.tables.port import LOOKUP_ROWS, SAMPLE_ROWS, Values, kind_of

_NEWEST: Final = 90  # files that are looked at
_SAMPLED: Final = 10  # files of which rows are read


class TableFiles:
    """The newest files of a pattern as one table; `key` is the flag or question that names it."""

    def __init__(self, lake: Lake, name: str, key: str, form: FileFormat | None = None) -> None:
        self.name = name
        self._lake, self._key, self._known_form = lake, key, form
        self._pattern = Pattern.parse(name)

    @cached_property
    def declared(self) -> Mapping[str, str]:
        """The types that JSON lines show; files of other formats know their own."""
        return types_of(self._lake, self._sampled, self.name) if self.name.startswith(JSONL) else {}

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns of all sampled files; raise SourceError where there is no file."""
        with self._files.table(self._sampled) as (_, table):
            return {name: column for name, column in table.columns.items() if kind_of(column)}

    def sample(self) -> Values:
        """Return the first rows of some files, the oldest first."""
        names = list(self.columns)
        rows = list[tuple[Any, ...]]()
        with self._files.table(self._sampled) as (session, _):
            for file in self._sampled:
                present = self._form.open(session, self.name, [file]).columns
                selected = [_selected(self.columns[name]) if name in present else "NULL" for name in names]
                statement = f"SELECT {', '.join(selected)} FROM {VIEW} LIMIT $n"  # noqa: S608
                rows += session.execute(statement, {"n": SAMPLE_ROWS // len(self._sampled)}).fetchall()
        return _by_column(names, rows)

    def matching(self, column: str, texts: Sequence[str]) -> Values:
        """Return the rows of the newest files whose column has one of these texts."""
        selected = ", ".join(map(_selected, self.columns.values()))
        inside = f"{_quoted(column)}::text IN (SELECT unnest($texts))"
        statement = f"SELECT {selected} FROM {VIEW} WHERE {inside} LIMIT $n"  # noqa: S608
        with self._files.table(self._newest) as (session, _):
            rows = session.execute(statement, {"texts": list(texts), "n": LOOKUP_ROWS}).fetchall()
        return _by_column(list(self.columns), rows)

    def span(self, time: str) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the first and last time in the newest files."""
        moment = f"{_quoted(time)}::timestamptz"
        with self._files.table(self._newest) as (session, _):
            row = session.execute(f"SELECT min({moment}), max({moment}) FROM {VIEW}").fetchone()  # noqa: S608
        return (_aware(row[0]), _aware(row[1])) if row and row[0] is not None else None

    @cached_property
    def _form(self) -> FileFormat:
        if self._known_form is not None:
            return self._known_form
        return JsonLines(self._key.partition(".")[0], self.declared, None) if self.declared else Parquet()

    @cached_property
    def _files(self) -> Files:
        return Files(self._lake, self._pattern, self._key, self.name, self._form, 1)

    @cached_property
    def _newest(self) -> list[LakeFile]:
        files = list(self._lake.find(self._pattern))[-_NEWEST:]
        if not files:
            Files(self._lake, self._pattern, self._key, self.name, Parquet(), 1).require_some()
        return files

    @property
    def _sampled(self) -> list[LakeFile]:
        last = len(self._newest) - 1
        places = sorted({round(number * last / max(_SAMPLED - 1, 1)) for number in range(_SAMPLED)})
        return [self._newest[place] for place in places]


def _selected(column: Column) -> str:
    kind, name = kind_of(column), _quoted(column.name)
    if kind == "text":
        return f"left({name}::text, 200)"
    return f"{name}::timestamptz" if kind == "time" else name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _by_column(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Values:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: [_aware(value) for value in column] for name, column in zip(names, columns, strict=True)}


def _aware(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value
