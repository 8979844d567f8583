"""Requests in Parquet files, on disk or on S3, partitioned by day or not at all.

DuckDB reads them where they lie, only the columns and row groups that are needed, and draws by the same hash of the
same text as Postgres does: so the same rows give the same sample.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.partitions import Pattern
from shadow_deployment.config.window import Window
from shadow_deployment.data.ports import UNVERSIONED
from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.data.sources.columns import cut, plain, request_pieces
from shadow_deployment.data.sources.parquet.files import ParquetFiles
from shadow_deployment.data.sources.parquet.lake import Found, Lake
from shadow_deployment.data.sources.parquet.table import ParquetTable
from shadow_deployment.errors import SourceError

_HERE = Path(__file__).parent
_BATCH_ROWS = 8_192
_MOMENT = dt.timedelta(microseconds=1)


class ParquetRequests:
    """One deployment's prediction log in Parquet files."""

    def __init__(self, deployment: Deployment, lake: Lake, pattern: Pattern) -> None:
        self.deployment = deployment
        self._files = ParquetFiles(lake, pattern, "requests.table", deployment.requests.table)

    def check(self) -> None:
        """Raise SourceError where there is no file, or the newest lack a column or have one that is of no use."""
        with self._files.table(self._newest(dt.date.min)) as (_, table):
            self._pieces(table)

    @contextmanager
    def reading(self, window: Window) -> "Iterator[ParquetReading]":
        """Open the window for reading; raise TransientError where a file was changed before the end of it."""
        files = self._between(window)
        if not files:
            yield ParquetReading(None, {}, {}, self.deployment.salt)
            return
        with self._files.table(files) as (session, table):
            yield ParquetReading(session, self._pieces(table), _values(files, window), self.deployment.salt)

    def logged(self, address: str, requests: Sequence[str], window: Window) -> dict[str, tuple[float | None, ...]]:
        """Return what `COLUMN,COLUMN` of the log holds for these request ids; an id without a row is left out.

        Raises SourceError where another table is asked for, or a column is missing or no number.
        """
        if "." in address:
            raise SourceError(f"model == 'logged:{address}', must be logged:COLUMN where requests.table is Parquet")
        files = self._between(window)
        if not files:
            return {}
        requested = self.deployment.requests
        with self._files.table(files) as (session, table):
            pieces = _within(table, requested.time) | {
                "id": sql.Identifier(requested.id),
                "text": table.identity(requested.id, "requests.id"),
                "type": table.type_of(requested.id, "requests.id"),
                "values": sql.SQL(", ").join(table.number(column, "model") for column in address.split(",")),
            }
            if not requests:
                return {}
            statement = load_literal_statement(_HERE / "logged.sql", pieces, {}).as_string()
            rows = session.execute(statement, _values(files, window) | {"ids": list(requests)}).fetchall()
        return {str(request): tuple(values) for request, *values in rows}

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version of the newest request since a moment, None where there is no request.

        Raises SourceError where there is no file or no such column, CredentialsError or TransientError.
        """
        requests = self.deployment.requests
        if requests.version is None:
            return UNVERSIONED
        start = since or dt.datetime.min.replace(tzinfo=dt.UTC)
        files = self._newest(start.date())
        if not files:
            return None
        with self._files.table(files) as (session, table):
            pieces = _within(table, requests.time) | {"version": table.text(requests.version, "requests.version")}
            statement = load_literal_statement(_HERE / "newest_version.sql", pieces, {}).as_string()
            values = {"files": [one.path for one in files], "start": start, "unversioned": UNVERSIONED}
            row = session.execute(statement, values).fetchone()
        return str(row[0]) if row else None

    def _between(self, window: Window) -> list[Found]:
        return self._files.between(window.start, window.end - _MOMENT, self.deployment.requests.time, "requests.time")

    def _newest(self, since: dt.date) -> list[Found]:
        found = self._files.newest(since)
        if not found:
            self._files.require_some()
        return found

    def _pieces(self, table: ParquetTable) -> dict[str, sql.Composable]:
        requests = self.deployment.requests
        moment = table.moment(requests.time, "requests.time")
        identity = table.identity(requests.id, "requests.id")
        once = "QUALIFY row_number() OVER (PARTITION BY {id} ORDER BY {moment}) = 1"
        once = once if requests.duplicates == "first" else ""
        return (
            request_pieces(table, self.deployment)
            | _within(table, requests.time)
            | {"id": identity, "once": sql.SQL(once).format(id=identity, moment=moment)}
        )


class ParquetReading:
    """One window of the log, as its files were found; without files it is empty."""

    def __init__(
        self,
        session: DuckDBPyConnection | None,
        pieces: Mapping[str, sql.Composable],
        values: Mapping[str, Any],
        salt: str,
    ) -> None:
        self._session = session
        self._pieces = pieces
        self._values = values
        self._salt = salt

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        if self._session is None:
            return {}
        statement = load_literal_statement(_HERE / "population.sql", self._pieces, {}).as_string()
        rows = self._session.execute(statement, dict(self._values)).fetchall()
        return {str(stratum): int(count) for stratum, count in rows}

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw: strata by name, in each by hash.

        The columns are those that Postgres gives, in the same types.
        """
        if self._session is None:
            return pa.RecordBatchReader.from_batches(pa.schema([]), iter(()))
        values = dict(self._values) | {
            "salt": self._salt,
            "strata": [draw.stratum for draw in draws],
            "candidates": [HASHES if all_candidates else draw.candidates for draw in draws],
        }
        statement = load_literal_statement(_HERE / "sample.sql", self._pieces, {}).as_string()
        return cut(plain(self._session.sql(statement, params=values).to_arrow_reader(_BATCH_ROWS)), draws)


def _within(table: ParquetTable, time: str) -> dict[str, sql.Composable]:
    """Return a time and the bounds to compare it with."""
    moment = table.moment(time, "requests.time")
    column, start = table.comparable(time, "start")
    _, end = table.comparable(time, "end")
    return {"moment": moment, "time": column, "start": start, "end": end}


def _values(files: Sequence[Found], window: Window) -> dict[str, Any]:
    return {"files": [one.path for one in files], **window.bounds}
