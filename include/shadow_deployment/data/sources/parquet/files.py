"""The Parquet files that a stretch of time needs."""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
from psycopg import sql

from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.parquet.lake import Found, Lake
from shadow_deployment.data.sources.parquet.session import opened
from shadow_deployment.data.sources.parquet.table import ParquetTable, table_of
from shadow_deployment.errors import SourceError

logger = logging.getLogger(__name__)

LOOK_BACK = 7  # days: so many are looked at one by one for the newest files, before all names are listed
_DAY = dt.timedelta(days=1)


class ParquetFiles:
    """The files of one pattern; `key` and `name` are what the deployment calls them, such as requests.table.

    A partition holds the rows of its day in UTC. A row that came a little too early or too late for that is found all
    the same: the partitions of the day before and the day after are looked into, by the statistics of their files.
    """

    def __init__(self, lake: Lake, pattern: Pattern, key: str, name: str) -> None:
        self.lake = lake
        self.pattern = pattern
        self.key = key
        self.name = name

    def __str__(self) -> str:
        return f"{self.key} == {self.name!r}"

    @contextmanager
    def table(self, files: Sequence[Found]) -> Iterator[tuple[duckdb.DuckDBPyConnection, ParquetTable]]:
        """Open some files as one table."""
        with opened(self.lake, files, str(self)) as session:
            yield session, table_of(session, self.name, [one.path for one in files])

    def between(self, start: dt.datetime, end: dt.datetime, time: str, time_key: str) -> list[Found]:
        """Return the files with rows between two moments, both included; none where no partition has any.

        Raises SourceError where there is no file at all, on any day.
        """
        first, last = start.date(), end.date()
        if self.pattern.is_daily:
            days = (first + number * _DAY for number in range((last - first).days + 1))
            files = [one for day in days for one in self.lake.find(self.pattern, day)]
            beside = [one for day in (first - _DAY, last + _DAY) for one in self.lake.find(self.pattern, day)]
        else:
            files, beside = [], list(self.lake.find(self.pattern))
        found = [*files, *self._holding(beside, start, end, time, time_key)]
        if not found and not beside:
            self.require_some()
        return found

    def newest(self, since: dt.date) -> list[Found]:
        """Return the files of the newest day that has any, from a day on, or all where days have none of their own."""
        if not self.pattern.is_daily:
            return list(self.lake.find(self.pattern))
        tomorrow = dt.datetime.now(dt.UTC).date() + _DAY
        for back in range(LOOK_BACK):
            day = tomorrow - back * _DAY
            found = list(self.lake.find(self.pattern, day)) if day >= since else []
            if found:
                return found
        after = self.pattern.root(since) if self.pattern.is_chronological and since > dt.date.min else ""
        newest: tuple[dt.date, list[Found]] = (since, [])
        for one in self.lake.find(self.pattern, after=after):
            day_of_file = self.pattern.day_of(one.path)
            if day_of_file is not None and day_of_file >= newest[0]:
                newest = (day_of_file, [*newest[1], one] if day_of_file == newest[0] else [one])
        return newest[1]

    def require_some(self) -> None:
        """Raise SourceError where no file matches, on any day."""
        if next(iter(self.lake.find(self.pattern)), None) is None:
            near = ", ".join(self.lake.some(self.pattern)) or "nothing"
            raise SourceError(f"{self}, must match files: there are none on any day; what is there is {near}")

    def _holding(
        self, files: Sequence[Found], start: dt.datetime, end: dt.datetime, time: str, time_key: str
    ) -> list[Found]:
        """Return those of these files that have rows between two moments."""
        holding: list[Found] = []
        if not files:
            return holding
        with opened(self.lake, files, str(self)) as session:
            for one in files:
                try:
                    table = table_of(session, self.name, [one.path])
                    table.require_time(time, time_key)
                except (SourceError, duckdb.InvalidInputException) as error:
                    if not self.pattern.is_daily:
                        raise
                    logger.warning("%s of the day before or after is not looked into: %s", one.path, error)
                    continue
                statement = sql.SQL("SELECT 1 FROM read_parquet($files) WHERE {} >= {} AND {} <= {} LIMIT 1").format(
                    *table.comparable(time, "start"), *table.comparable(time, "end")
                )
                values = {"files": [one.path], "start": start, "end": end}
                if session.execute(statement.as_string(), values).fetchone():
                    holding.append(one)
        return holding
