"""Requests in Parquet files, on disk or on S3, partitioned by day or not at all.

DuckDB reads them where they lie, only the columns and row groups that are needed, and draws by the same hash of the
same text as Postgres does: so the same rows give the same sample.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.partitions import Pattern
from shadow_deployment.config.window import Window, counted_since
from shadow_deployment.data.ports import UNVERSIONED, Access
from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.data.sources.columns import (
    first_of_each_stratum,
    request_pieces,
    without_field_metadata,
)
from shadow_deployment.data.sources.duckdb.files import Files
from shadow_deployment.data.sources.duckdb.lake import Lake, LakeFile
from shadow_deployment.data.sources.duckdb.table import FileTable
from shadow_deployment.data.sources.identity import has_key
from shadow_deployment.errors import SourceError

_HERE = Path(__file__).parent
_BATCH_ROWS = 8_192
_TICK = dt.timedelta(microseconds=1)
_FEW = 'AND {hash} < (SELECT max("candidate hashes") FROM design)'
_ONCE = "QUALIFY row_number() OVER (PARTITION BY {id} ORDER BY {moment}) = 1"


class FileRequests:
    """One deployment's prediction log in Parquet files."""

    def __init__(self, deployment: Deployment, lake: Lake, pattern: Pattern) -> None:
        self.deployment = deployment
        self._files = Files(lake, pattern, "requests.table", deployment.requests.table)

    def check(self) -> None:
        """Raise SourceError where there is no file, or the newest lack a column or have one of the wrong type."""
        with self._files.table(self._newest(dt.date.min)) as (_, table):
            self._pieces(table)

    @contextmanager
    def reading(self, window: Window) -> "Iterator[FileReading]":
        """Open the window for reading; raise TransientError where a file was changed before the end of it."""
        since = counted_since(self.deployment, window)
        files = self._between(replace(window, start=since))
        if not files:
            yield FileReading(None, {}, window, since, self.deployment.salt)
            return
        with self._files.table(files) as (session, table):
            yield FileReading(session, self._pieces(table), window, since, self.deployment.salt)

    def access(self, window: Window) -> Access:
        """Return which files hold a window."""
        return self._files.access(self._between(window))

    def logged(self, address: str, requests: Sequence[str], window: Window) -> dict[str, tuple[float | None, ...]]:
        """Return what `COLUMN,COLUMN` of the log holds for these request ids; ids without a row are left out.

        Raises SourceError where `address` names another table, or a column is missing or no number.
        """
        if "." in address:
            raise SourceError(f"model == 'logged:{address}', must be logged:COLUMN where requests.table is Parquet")
        files = self._between(window)
        if not files:
            return {}
        log = self.deployment.requests
        with self._files.table(files) as (session, table):
            pieces = table.time_pieces(log.time, "requests.time") | {
                "text": table.key_text(log.id, "requests.id"),
                "match": has_key(table, log.id, "requests.id", "files"),
                "values": sql.SQL(", ").join(table.number(column, "model") for column in address.split(",")),
            }
            if not requests:
                return {}
            statement = load_literal_statement(_HERE / "logged.sql", pieces, {}).as_string()
            rows = session.execute(statement, {"ids": list(requests), **window.bounds}).fetchall()
        return {str(request): tuple(values) for request, *values in rows}

    def newest_time(self) -> dt.datetime | None:
        """Return the time of the newest request, None where there is no request; raise as `newest_version` does."""
        with self._files.table(self._newest(dt.date.min)) as (session, table):
            statement = load_literal_statement(_HERE / "newest_time.sql", self._pieces(table), {}).as_string()
            newest: dt.datetime | None = session.sql(statement).to_arrow_table()["newest"][0].as_py()
        return newest

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version of the newest request since a moment, None where there is no request.

        Raises SourceError where there is no file or no such column, CredentialsError or TransientError.
        """
        log = self.deployment.requests
        if log.version is None:
            return UNVERSIONED
        start = since or dt.datetime.min.replace(tzinfo=dt.UTC)
        files = self._newest(start.date())
        if not files:
            return None
        with self._files.table(files) as (session, table):
            times = table.time_pieces(log.time, "requests.time")
            pieces = times | {"version": table.text(log.version, "requests.version")}
            statement = load_literal_statement(_HERE / "newest_version.sql", pieces, {}).as_string()
            row = session.execute(statement, {"start": start, "unversioned": UNVERSIONED}).fetchone()
        return str(row[0]) if row else None

    def _between(self, window: Window) -> list[LakeFile]:
        return self._files.between(window.start, window.end - _TICK, self.deployment.requests.time, "requests.time")

    def _newest(self, since: dt.date) -> list[LakeFile]:
        files = self._files.newest(since)
        if not files:
            self._files.require_some()
        return files

    def _pieces(self, table: FileTable) -> dict[str, sql.Composable]:
        log = self.deployment.requests
        id_text = {"id": table.key_text(log.id, "requests.id")}
        pieces = request_pieces(table, self.deployment) | table.time_pieces(log.time, "requests.time") | id_text
        pieces["hash"] = sql.SQL("coalesce(sha256($salt || ':' || {hashed}), '')").format(**pieces)
        few, once = (_FEW, _ONCE) if log.duplicates == "first" else ("", "")  # all rows would be held to find the first
        return pieces | {"few": sql.SQL(few).format(**pieces), "once": sql.SQL(once).format(**pieces)}


class FileReading:
    """One window of the log; without a session, because it has no files, it is empty."""

    def __init__(
        self,
        session: DuckDBPyConnection | None,
        pieces: Mapping[str, sql.Composable],
        window: Window,
        since: dt.datetime,
        salt: str,
    ) -> None:
        self._session = session
        self._pieces = pieces
        self._window = window
        self._bounds = {**window.bounds, "since": since}
        self._salt = salt

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        if self._session is None:
            return {}
        rows = self._session.execute(self._statement("population.sql"), self._bounds).fetchall()
        return {str(stratum): int(count) for stratum, count in rows}

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw, as `Reading` does."""
        if self._session is None:
            return pa.RecordBatchReader.from_batches(pa.schema([]), iter(()))
        values: dict[str, Any] = {
            **self._bounds,
            "salt": self._salt,
            "strata": [draw.stratum for draw in draws],
            "candidates": [_digits(HASHES if all_candidates else draw.candidates) for draw in draws],
        }
        rows = self._session.sql(self._statement("sample.sql"), params=values).to_arrow_reader(_BATCH_ROWS)
        return first_of_each_stratum(without_field_metadata(rows), draws)

    def newest(self, most: int) -> pa.Table:
        """Return the newest requests of the window, as `Reading` does."""
        if self._session is None:
            return pa.table({})
        values: dict[str, Any] = {**self._window.bounds, "most": most}
        rows = self._session.sql(self._statement("newest.sql"), params=values).to_arrow_reader(_BATCH_ROWS)
        return without_field_metadata(rows).read_all()

    def _statement(self, name: str) -> str:
        return load_literal_statement(_HERE / name, self._pieces, {}).as_string()


def _digits(hash_: int) -> str:
    """Return a keyed hash as the first 13 digits of SHA-256; HASHES, which no hash reaches, is behind all digits."""
    return f"{hash_:013x}" if hash_ < HASHES else "g"
