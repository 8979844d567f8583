"""Parquet files on disk or on S3: the newest of them, since their rows are not indexed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.duckdb.files import Files
from shadow_deployment.data.sources.duckdb.formats import Parquet
from shadow_deployment.data.sources.duckdb.lake import Lake, LakeFile
from shadow_deployment.data.sources.duckdb.table import VIEW
from shadow_deployment.data.sources.table import Column
from shadow_deployment.onboarding.tables.port import LOOKUP_ROWS, SAMPLE_ROWS, Values, kind_of

_NEWEST: Final = 90  # files that are looked at
_SAMPLED: Final = 10  # files of which rows are read


class TableFiles:
    """The newest files of a pattern as one table; `key` is the flag or question that names it."""

    def __init__(self, lake: Lake, name: str, key: str) -> None:
        self.name = name
        self._files = Files(lake, Pattern.parse(name), key, name, Parquet(), 1)

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
                present = set(session.read_parquet([file.path], hive_partitioning=False).columns)
                selected = [_selected(self.columns[name]) if name in present else "NULL" for name in names]
                part = "read_parquet($path, hive_partitioning=false)"
                statement = f"SELECT {', '.join(selected)} FROM {part} LIMIT $n"  # noqa: S608
                values = {"path": file.path, "n": SAMPLE_ROWS // len(self._sampled)}
                rows += session.execute(statement, values).fetchall()
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
    def _newest(self) -> list[LakeFile]:
        files = list(self._files.lake.find(self._files.pattern))[-_NEWEST:]
        if not files:
            self._files.require_some()
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
