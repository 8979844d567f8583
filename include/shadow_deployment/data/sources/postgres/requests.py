"""Requests in Postgres.

Every session is read-only, bounded by a statement and a lock time-out, and uses one connection at a time; a query runs
in one process of the server and is not compiled, and leaves no transaction open. Rows come as Arrow batches, so that
memory does not grow with them. Tables and columns are looked up in the catalogue before a query names them. A server's
error about a value is repeated without the value.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from psycopg import sql
from pyarrow import ArrowInvalid

from shadow_deployment.base.redaction import first_line, without_quoted
from shadow_deployment.base.sql_templates import load_literal_statement, load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window, counted_since
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, Sessions, translated, utc_statement
from shadow_deployment.data.ports import UNVERSIONED, Access
from shadow_deployment.data.sources.columns import request_pieces
from shadow_deployment.data.sources.identity import has_key, key_text
from shadow_deployment.data.sources.postgres.access import access_of
from shadow_deployment.data.sources.postgres.catalogue import Catalogue
from shadow_deployment.data.sources.postgres.pieces import ThrottledReading, feasible_share
from shadow_deployment.data.sources.postgres.reading import PostgresReading
from shadow_deployment.data.sources.postgres.throttle import lookup_throttle
from shadow_deployment.errors import ShadowError, SourceError, TransientError

SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "300s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "300s",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",  # a generic plan expects few ids, and is quadratic in them
    "work_mem": "32MB",  # counting stays in memory, and off production's disk
}
_TRANSIENT = ("canceling statement", "terminating connection", "server closed the connection", "could not")
_NAME_ERRORS, _VALUE_ERRORS = "42", "22"  # classes of SQLSTATE; an error inside a stream has none
_HERE = Path(__file__).parent


@contextmanager
def reading_session(connection: Connection, sessions: Sessions) -> Iterator[Session[Any]]:
    """Open a session whose statements are transactions of their own: no pause between two of them holds one open."""
    with translated(connection), sessions.session(connection, **SETTINGS) as session:
        session.autocommit = True
        yield session


@contextmanager
def arrow_cursor(connection: Connection, sessions: Sessions) -> Iterator[Any]:
    """Open a cursor in a session as `reading_session` does, whose results are read as Arrow."""
    import adbc_driver_manager

    try:
        with sessions.stream(connection, **SETTINGS) as stream, closing(stream.cursor()) as cursor:
            cursor.execute(utc_statement().as_string())
            yield cursor
    except adbc_driver_manager.OperationalError as error:
        raise TransientError(f"connection {connection} is lost or not there: {first_line(error)}") from error
    except (adbc_driver_manager.Error, ArrowInvalid, OSError) as error:  # the last two where a stream breaks off
        raise _stream_error(connection, error) from error


def _stream_error(connection: Connection, error: Exception) -> ShadowError:
    """Return the meaning of an error of the stream; raise SourceError without its cause where that has a value."""
    state = str(getattr(error, "sqlstate", None))[:2]
    text = f"connection {connection}: {first_line(error)}"
    if state == _NAME_ERRORS:
        return SourceError(text)
    text = without_quoted(text)
    if state != _VALUE_ERRORS and any(words in str(error) for words in _TRANSIENT):
        return TransientError(text)
    raise SourceError(text) from None


class PostgresRequests:
    """One deployment's prediction log, and predictions that were logged elsewhere."""

    def __init__(self, deployment: Deployment, connection: Connection, sessions: Sessions) -> None:
        self.deployment = deployment
        self._connection, self._sessions = connection, sessions

    def check(self) -> None:
        """Raise SourceError where a table or column that the deployment names is missing or has the wrong type."""
        with reading_session(self._connection, self._sessions) as session:
            self._pieces(session)

    @contextmanager
    def reading(self, window: Window) -> "Iterator[PostgresReading]":
        """Open the window for reading: at once, or in pieces where the index of its time makes them cheaper."""
        with reading_session(self._connection, self._sessions) as session:
            pieces = self._pieces(session)
            share = self._share(session, pieces, window)
        if self._is_first_only:
            bounds = window.bounds | {"start": counted_since(self.deployment, window)}
            first_rows = load_literal_statement(_HERE / "first_rows.sql", pieces, bounds)
            pieces |= {"table": sql.SQL("({}) AS log").format(first_rows)}
        with arrow_cursor(self._connection, self._sessions) as cursor:
            if share < 1:
                yield ThrottledReading(cursor, pieces, window, self.deployment, share)
            else:
                yield PostgresReading(cursor, pieces, window, self.deployment.salt)

    def access(self, window: Window) -> Access:
        """Return how the requests of a window are found: as `reading` would, by an index where it pauses."""
        with reading_session(self._connection, self._sessions) as session:
            pieces = self._pieces(session)
            statement = load_literal_statement(_HERE / "population.sql", pieces, window.bounds)
            if self._share(session, pieces, window) < 1:
                session.execute("SET enable_seqscan TO off; SET enable_bitmapscan TO off")
            return access_of(session, statement, self.deployment.requests.table)

    def logged(self, address: str, requests: Sequence[str], window: Window) -> dict[str, tuple[float | None, ...]]:
        """Return what `COLUMN,COLUMN` of the log, or `TABLE.COLUMN,COLUMN`, holds for these request ids.

        Ids without a row are left out. Of the log, only rows of the window count, the earliest of each id.
        """
        log = self.deployment.requests
        table_name, _, columns = address.rpartition(".")
        inside: sql.Composable = sql.SQL("true")
        last: sql.Composable = sql.SQL("1")
        if table_name in ("", log.table):
            time = sql.SQL("l.{}").format(sql.Identifier(log.time))
            inside = sql.SQL("{0} >= {1} AND {0} < {2}").format(time, window.start, window.end)
            last = sql.SQL("{} DESC").format(time)
        with reading_session(self._connection, self._sessions) as session:
            table = Catalogue(session, self._connection).table(table_name or log.table, "model")
            pieces = {
                "values": sql.SQL(", ").join(table.number(column, "model") for column in columns.split(",")),
                "table": table.identifier,
                "match": has_key(table, log.id, "requests.id", "l"),
                "inside": inside,
                "last": last,
            }
            values = dict[str, tuple[float | None, ...]]()
            throttle = lookup_throttle(session, pieces, requests, self.deployment.throttle)
            statement = load_statement(_HERE / "logged.sql", pieces)
            for ids in throttle.split(sorted(requests)):
                with throttle.chunk():
                    rows = session.execute(statement, {"ids": list(ids)}).fetchall()
                values |= {str(request): tuple(numbers) for request, *numbers in rows}
            return values

    def newest_time(self) -> dt.datetime | None:
        """Return the time of the newest request, None where there is no request; raise as `newest_version` does."""
        with reading_session(self._connection, self._sessions) as session:
            row = session.execute(load_statement(_HERE / "newest_time.sql", self._pieces(session))).fetchone()
        return row[0] if row else None

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version of the newest request since a moment, None where there is no request.

        Raises SourceError where a table or column is missing, CredentialsError or TransientError as `connect` does.
        """
        log = self.deployment.requests
        if log.version is None:
            return UNVERSIONED
        with reading_session(self._connection, self._sessions) as session:
            table = Catalogue(session, self._connection).table(log.table, "requests.table")
            table.require(log.version, "requests.version")
            table.require_time(log.time, "requests.time")
            pieces = {
                "table": table.identifier,
                "version": sql.Identifier(log.version),
                "time": sql.Identifier(log.time),
            }
            values = {"since": since or "-infinity", "unversioned": UNVERSIONED}
            row = session.execute(load_statement(_HERE / "newest_version.sql", pieces), values).fetchone()
        return str(row[0]) if row else None

    @property
    def _is_first_only(self) -> bool:
        return self.deployment.requests.duplicates == "first"

    def _share(self, session: Session[Any], pieces: Mapping[str, sql.Composable], window: Window) -> float:
        """Return the share of the time that production works for a window; the earliest rows are found all at once."""
        return feasible_share(session, pieces, window, 1.0 if self._is_first_only else self.deployment.throttle)

    def _pieces(self, session: Session[Any]) -> dict[str, sql.Composable]:
        log = self.deployment.requests
        table = Catalogue(session, self._connection).table(log.table, "requests.table")
        key_text(table, log.id, "requests.id")
        table.require_time(log.time, "requests.time")
        pieces = request_pieces(table, self.deployment)
        return pieces | {"table": table.identifier, "time": sql.Identifier(log.time)}
