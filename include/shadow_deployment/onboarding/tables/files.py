"""Files on disk or on S3: the newest of them, since their rows are not indexed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

from psycopg import sql

from shadow_deployment.config.partitions import JSONL, Pattern
from shadow_deployment.data.sources.duckdb.files import Files
from shadow_deployment.data.sources.duckdb.formats import FileFormat, JsonLines, Parquet
from shadow_deployment.data.sources.duckdb.lake import Lake, LakeFile
from shadow_deployment.data.sources.duckdb.session import DuckDBSession
from shadow_deployment.data.sources.engines.port import Opened
from shadow_deployment.data.sources.table import Column
from shadow_deployment.onboarding.tables.engines import TableOfEngine, read_rows, selected
from shadow_deployment.onboarding.tables.line_types import types_of
from shadow_deployment.onboarding.tables.port import SAMPLE_ROWS, Values, kind_of

_NEWEST: Final = 90  # files that are looked at
_SAMPLED: Final = 10  # files of which rows are read


class TableFiles(TableOfEngine):
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
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        limit = {"limit": SAMPLE_ROWS // len(self._sampled)}
        with self._files.table(self._sampled) as (session, _):
            for file in self._sampled:
                present = self._form.open(session, self.name, [file]).columns
                columns = [selected(each) if name in present else _null(name) for name, each in self.columns.items()]
                pieces = {"columns": sql.SQL(", ").join(columns)}
                for name, values in read_rows(DuckDBSession(session), "engine_sample.sql", pieces, limit).items():
                    rows[name] += values
        return rows

    @contextmanager
    def _opened(self) -> Iterator[Opened | None]:
        with self._files.table(self._newest) as (session, table):
            yield Opened(DuckDBSession(session), table)

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


def _null(name: str) -> sql.Composable:
    return sql.SQL("NULL AS {}").format(sql.Identifier(name))
