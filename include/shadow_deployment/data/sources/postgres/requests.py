"""Requests in Postgres.

Every session is read only, bounded by a statement and a lock time-out, and uses one connection at a time; a query is
one process of the server and no more, and compiles nothing. Rows come as Arrow batches, so that memory does not grow
with them. Tables and columns are looked up in the catalogue before they are named in a query. What the server says of
a value that it cannot use is repeated without the value.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.conninfo import make_conninfo
from pyarrow import ArrowInvalid

from shadow_deployment.base.redaction import first_line, without_quoted
from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, connect, connection_keywords, settle, translated
from shadow_deployment.data.ports import UNVERSIONED
from shadow_deployment.data.sources.catalogue import Catalogue
from shadow_deployment.data.sources.columns import request_pieces
from shadow_deployment.data.sources.postgres.reading import PostgresReading, share_of
from shadow_deployment.data.sources.postgres.throttle import throttle_of_lookups
from shadow_deployment.errors import SourceError, TransientError

SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "300s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "300s",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",  # a plan for ids that are not seen expects few, and is quadratic
    "work_mem": "32MB",  # what is counted stays in memory, and off production's disk
}
_WORTH_ANOTHER_TRY = ("canceling statement", "terminating connection", "server closed the connection", "could not")
_NAMES, _VALUES = "42", "22"  # classes of SQLSTATE, by what stands in quotes; an error inside a stream has none
_HERE = Path(__file__).parent


class PostgresRequests:
    """One deployment's prediction log, and predictions that were logged elsewhere."""

    def __init__(self, deployment: Deployment, connection: Connection) -> None:
        self.deployment = deployment
        self._connection = connection

    def check(self) -> None:
        """Raise SourceError where a table or column that the deployment names is missing or of no use."""
        with self._session() as session:
            self._pieces(session)

    @contextmanager
    def reading(self, window: Window) -> "Iterator[PostgresReading]":
        """Open the window for reading: counting and drawing see the same rows, whatever is written meanwhile."""
        import adbc_driver_manager
        from adbc_driver_postgresql import dbapi

        with self._session() as looking:
            pieces = self._pieces(looking)
            share = 1.0 if self.deployment.requests.duplicates == "first" else self.deployment.throttle
            share = share_of(looking, pieces, window, share)
        if self.deployment.requests.duplicates == "first":
            pieces |= {"table": _first_of_each(pieces, window)}
        try:
            with (
                closing(dbapi.connect(make_conninfo(**connection_keywords(self._connection, **SETTINGS)))) as session,
                closing(session.cursor()) as cursor,
            ):
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute(settle("transaction").as_string())
                yield PostgresReading(cursor, pieces, window, self.deployment.salt, share)
        except adbc_driver_manager.OperationalError as error:
            raise TransientError(f"connection {self._connection} is lost or not there: {first_line(error)}") from error
        except (adbc_driver_manager.Error, ArrowInvalid, OSError) as error:  # the last two where a stream breaks off
            kind = str(getattr(error, "sqlstate", None))[:2]
            text = f"connection {self._connection}: {first_line(error)}"
            if kind == _NAMES:
                raise SourceError(text) from error
            text = without_quoted(text)
            if kind != _VALUES and any(words in str(error) for words in _WORTH_ANOTHER_TRY):
                raise TransientError(text) from error
            raise SourceError(text) from None

    def logged(self, address: str, requests: Sequence[str], window: Window) -> dict[str, tuple[float | None, ...]]:
        """Return what `COLUMN,COLUMN` of the log, or `TABLE.COLUMN,COLUMN`, holds for these request ids.

        An id without a row is left out.
        """
        name, _, columns = address.rpartition(".")
        name = name or self.deployment.requests.table
        same_log = name == self.deployment.requests.table
        with self._session() as session:
            table = Catalogue(session, self._connection).table(name, "model")
            key, time = sql.Identifier(self.deployment.requests.id), sql.Identifier(self.deployment.requests.time)
            type_ = table.type_of(self.deployment.requests.id, "requests.id")
            window_of_log = sql.SQL("WHERE l.{time} >= %(start)s AND l.{time} < %(end)s").format(time=time)
            latest_first = sql.SQL(", l.{time} DESC").format(time=time)
            statement = sql.SQL(
                "SELECT l.{id}::text, {values} FROM unnest(%(ids)s::text[]) AS wanted (id) "
                "JOIN {table} AS l ON l.{id} = CAST(wanted.id AS {type}) {window} ORDER BY l.{id} {order}"
            ).format(
                id=key,
                values=sql.SQL(", ").join(table.number(column, "model") for column in columns.split(",")),
                table=table.identifier,
                type=type_,
                window=window_of_log if same_log else sql.SQL(""),
                order=latest_first if same_log else sql.SQL(""),
            )
            found = dict[str, tuple[float | None, ...]]()
            throttle = throttle_of_lookups(session, table.identifier, key, type_, requests, self.deployment.throttle)
            for ids in throttle.pieces(sorted(requests)):
                with throttle.piece():
                    rows = session.execute(statement, window.bounds | {"ids": list(ids)}).fetchall()
                found |= {str(request): tuple(values) for request, *values in rows}
            return found

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version of the newest request since a moment, None where there is no request.

        Raises SourceError where a table or column is missing, CredentialsError or TransientError as `connect` does.
        """
        requests = self.deployment.requests
        if requests.version is None:
            return UNVERSIONED
        with self._session() as session:
            table = Catalogue(session, self._connection).table(requests.table, "requests.table")
            table.require(requests.version, "requests.version")
            table.require_time(requests.time, "requests.time")
            pieces = {
                "table": table.identifier,
                "version": sql.Identifier(requests.version),
                "time": sql.Identifier(requests.time),
            }
            values = {"since": since or "-infinity", "unversioned": UNVERSIONED}
            row = session.execute(load_statement(_HERE / "newest_version.sql", pieces), values).fetchone()
        return str(row[0]) if row else None

    @contextmanager
    def _session(self) -> Iterator[Session[Any]]:
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            yield session

    def _pieces(self, session: Session[Any]) -> dict[str, sql.Composable]:
        requests = self.deployment.requests
        table = Catalogue(session, self._connection).table(requests.table, "requests.table")
        table.require(requests.id, "requests.id")
        table.require_time(requests.time, "requests.time")
        pieces = request_pieces(table, self.deployment)
        return pieces | {"table": table.identifier, "time": sql.Identifier(requests.time)}


def _first_of_each(pieces: Mapping[str, sql.Composable], window: Window) -> sql.Composed:
    """Return the window's log with the earliest row of each request id alone."""
    return sql.SQL(
        "(SELECT DISTINCT ON ({id}) * FROM {table} WHERE {time} >= {start} AND {time} < {end} "
        "ORDER BY {id}, {time}) AS log"
    ).format(
        **{key: pieces[key] for key in ("id", "table", "time")},
        start=sql.Literal(window.start),
        end=sql.Literal(window.end),
    )
