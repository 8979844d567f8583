"""The files that a stretch of time needs."""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.partitions import JSONL, Pattern
from shadow_deployment.data.ports import Access
from shadow_deployment.data.sources.duckdb.formats import FileFormat
from shadow_deployment.data.sources.duckdb.lake import Lake, LakeFile
from shadow_deployment.data.sources.duckdb.session import DuckDBSession, open_session
from shadow_deployment.data.sources.duckdb.table import FileTable
from shadow_deployment.data.sources.engines.port import Opened
from shadow_deployment.errors import SourceError, TransientError

logger = logging.getLogger(__name__)

LOOK_BACK = 7  # days that are listed one by one for the newest files, before all names are
_DAY = dt.timedelta(days=1)
_HERE = Path(__file__).parent


class Files:
    """The files of one pattern; `key` and `name` are what the deployment calls them, such as requests.table.

    A partition holds the rows of its day in UTC. A row that came too early or was written late is found all the same:
    the partitions of as many days before and after as `within` are searched too, those of Parquet by the statistics of
    their files.
    """

    holds_many = True

    def __init__(self, lake: Lake, pattern: Pattern, key: str, name: str, form: FileFormat, within: int) -> None:
        self.lake = lake
        self.pattern = pattern
        self.key = key
        self.name = name
        self._form = form
        self._within = within

    def __str__(self) -> str:
        return f"{self.key} == {self.name!r}"

    @contextmanager
    def table(self, files: Sequence[LakeFile]) -> Iterator[tuple[duckdb.DuckDBPyConnection, FileTable]]:
        """Open some files as one table."""
        with open_session(self.lake, files, str(self), self._form) as session:
            yield session, self._form.open(session, self.name, files)

    @contextmanager
    def open_between(self, start: dt.datetime, end: dt.datetime, time: str, key: str) -> Iterator[Opened | None]:
        """Open the files with rows between two moments, as `QueryEngine` does; None where no partition has any.

        Raises SourceError where there is no file at all, on any day.
        """
        with self._opened(self.between(start, end, time, key)) as opened:
            yield opened

    @contextmanager
    def open_until(self, until: dt.datetime) -> Iterator[Opened]:
        """Open the files of all days up to a moment's, or all where there are none; raise as `open_between` does."""
        with self.table(self._up_to(until.date())) as (session, table):
            yield Opened(DuckDBSession(session), table)

    @contextmanager
    def open_newest(self, since: dt.date) -> Iterator[Opened | None]:
        """Open the files of the newest day that has any; raise SourceError where there is none on any day."""
        files = self.newest(since)
        if not files:
            self.require_some()
        with self._opened(files) as opened:
            yield opened

    def access(self, start: dt.datetime, end: dt.datetime, time: str, key: str) -> Access:
        """Return how many files and bytes hold the rows between two moments."""
        files = self.between(start, end, time, key)
        return Access(self.name, "files", files=len(files), bytes=sum(file.size for file in files))

    def between(self, start: dt.datetime, end: dt.datetime, time: str, time_key: str) -> list[LakeFile]:
        """Return the files with rows between two moments, both included; none where no partition has any.

        Raises SourceError where there is no file at all, on any day.
        """
        first, last = start.date(), end.date()
        if self.pattern.is_daily:
            days = (first + number * _DAY for number in range((last - first).days + 1))
            files = [file for day in days for file in self.lake.find(self.pattern, day)]
            away = [number * _DAY for number in range(1, self._within + 1)]
            others = [*(first - days for days in reversed(away)), *(last + days for days in away)]
            neighbours = [file for day in others for file in self.lake.find(self.pattern, day)]
        else:
            files, neighbours = [], list(self.lake.find(self.pattern))
        try:
            files += self._with_rows(neighbours, start, end, time, time_key)
        except TransientError as error:
            if not self.name.startswith(JSONL):
                raise
            remedy = f"where each row lies in its own day's file, set {self.key.partition('.')[0]}.flushed_within: 0"
            raise TransientError(f"{error}; {remedy}") from error
        if not files and not neighbours:
            self.require_some()
        return files

    def newest(self, since: dt.date) -> list[LakeFile]:
        """Return the files of the newest day that has any, from a day on, or all where days have none of their own."""
        if not self.pattern.is_daily:
            return list(self.lake.find(self.pattern))
        tomorrow = dt.datetime.now(dt.UTC).date() + _DAY
        for back in range(LOOK_BACK):
            day = tomorrow - back * _DAY
            files = list(self.lake.find(self.pattern, day)) if day >= since else []
            if files:
                return files
        after = self.pattern.root(since) if self.pattern.is_chronological and since > dt.date.min else ""
        newest, files = since, []
        for file in self.lake.find(self.pattern, after=after):
            day_of_file = self.pattern.day_of(file.path)
            if day_of_file is not None and day_of_file >= newest:
                files = [*files, file] if day_of_file == newest else [file]
                newest = day_of_file
        return files

    def _up_to(self, day: dt.date) -> list[LakeFile]:
        """Return the files of all days up to one, and of those behind it whose files may hold its rows."""
        self.require_some()
        last = day + self._within * _DAY
        files = list(self.lake.find(self.pattern))
        days = [self.pattern.day_of(file.path) for file in files]
        return [file for file, of in zip(files, days, strict=True) if of is None or of <= last] or files

    def require_some(self) -> None:
        """Raise SourceError where no file matches, on any day."""
        if next(iter(self.lake.find(self.pattern)), None) is None:
            near = ", ".join(self.lake.some(self.pattern)) or "nothing"
            raise SourceError(f"{self}, must match files: there are none on any day; what is there is {near}")

    @contextmanager
    def _opened(self, files: Sequence[LakeFile]) -> Iterator[Opened | None]:
        if not files:
            yield None
            return
        with self.table(files) as (session, table):
            yield Opened(DuckDBSession(session), table)

    def _with_rows(
        self, files: Sequence[LakeFile], start: dt.datetime, end: dt.datetime, time: str, time_key: str
    ) -> list[LakeFile]:
        """Return those of these files that have rows between two moments, both included."""
        if not files:
            return []
        with open_session(self.lake, files, str(self), self._form) as session:
            return self._search(session, files, {"start": start, "end": end}, (time, time_key))

    def _search(
        self,
        session: duckdb.DuckDBPyConnection,
        files: Sequence[LakeFile],
        bounds: Mapping[str, dt.datetime],
        time: tuple[str, str],
    ) -> list[LakeFile]:
        """Return those of these files that have rows, by halves: of the files of other days most have none."""
        try:
            pieces = self._form.open(session, self.name, files).time_pieces(*time)
        except (SourceError, duckdb.InvalidInputException) as error:
            if len(files) == 1:
                if not self.pattern.is_daily:
                    raise
                logger.warning("%s of the day before or after is not looked into: %s", files[0].path, error)
                return []
        else:
            statement = load_literal_statement(_HERE / "any_row.sql", pieces, {}).as_string()
            has_rows = bool(session.execute(statement, dict(bounds)).fetchall())
            if not has_rows or len(files) == 1:
                return list(files) if has_rows else []
        half = len(files) // 2
        return [each for part in (files[:half], files[half:]) for each in self._search(session, part, bounds, time)]
