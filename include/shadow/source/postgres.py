"""Requests and labels in Postgres.

Every session is read only, bounded by a statement and a lock time-out, and uses one connection at a time. Rows come as
Arrow batches, so that memory does not grow with them. Tables and columns are looked up in the catalogue before they
are named in a query.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from psycopg import sql
from psycopg.conninfo import make_conninfo

from include.shadow.connection import Connection
from include.shadow.deployment import Deployment
from include.shadow.errors import SourceError, TransientError
from include.shadow.ledger.database import connect, connection_keywords, translated
from include.shadow.sampling import HASHES, Draw
from include.shadow.source.catalogue import Catalogue, Table
from include.shadow.statements import parameterised, quoted
from include.shadow.window import Window

SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "300s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "300s",
}
_WORTH_ANOTHER_TRY = ("canceling statement", "terminating connection", "server closed the connection", "could not")
UNVERSIONED = "unversioned"
_HERE = Path(__file__).parent


class PostgresSource:
    """One deployment's production: its requests, its labels, and predictions that were logged elsewhere."""

    def __init__(self, deployment: Deployment, requests: Connection, labels: Connection) -> None:
        self.deployment = deployment
        self._requests = requests
        self._labels = labels

    def check(self) -> None:
        """Raise SourceError where a table or column that the deployment names is missing or of no use."""
        self._pieces()
        self._label_pieces()

    @contextmanager
    def reading(self, window: Window) -> "Iterator[Reading]":
        """Open the window for reading: counting and drawing see the same rows, whatever is written meanwhile."""
        import adbc_driver_manager
        from adbc_driver_postgresql import dbapi

        pieces = self._pieces()
        if self.deployment.requests.duplicates == "first":
            pieces |= {"table": _first_of_each(pieces, window)}
        try:
            with (
                closing(dbapi.connect(make_conninfo(**connection_keywords(self._requests, **SETTINGS)))) as session,
                closing(session.cursor()) as cursor,
            ):
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield Reading(cursor, pieces, window, self.deployment.salt)
        except adbc_driver_manager.OperationalError as error:
            raise TransientError(f"connection {self._requests} is lost or not there: {_first_line(error)}") from error
        except (adbc_driver_manager.Error, OSError) as error:  # a stream that breaks off raises OSError
            if any(words in str(error) for words in _WORTH_ANOTHER_TRY):
                raise TransientError(f"connection {self._requests}: {_first_line(error)}") from error
            raise SourceError(f"connection {self._requests}: {_first_line(error)}") from error

    def labels(
        self, requests: Mapping[int, str], since: dt.datetime | None, until: dt.datetime
    ) -> list[tuple[int, float, dt.datetime]]:
        """Return (ordinal, label, known at) of the given requests, ordinal to id, known in (since, until]."""
        pieces = self._label_pieces()
        values = {
            "ordinals": list(requests),
            "ids": list(requests.values()),
            "since": since or "-infinity",
            "until": until,
        }
        with translated(self._labels), connect(self._labels, **SETTINGS) as session:
            return session.execute(parameterised(_HERE / "labels.sql", pieces), values).fetchall()

    def logged(self, column: str, requests: Sequence[str], window: Window) -> dict[str, tuple[float | None, ...]]:
        """Return what `TABLE.COLUMN,COLUMN` holds for these request ids; an id without a row is left out."""
        table_name, _, column_names = column.rpartition(".")
        same_log = table_name == self.deployment.requests.table
        with translated(self._requests), connect(self._requests, **SETTINGS) as session:
            table = Catalogue(session, self._requests).table(table_name, "model")
            key = self.deployment.requests.id
            statement = sql.SQL(
                "SELECT l.{id}::text, {values} FROM unnest(%(ids)s::text[]) AS wanted (id) "
                "JOIN {table} AS l ON l.{id} = CAST(wanted.id AS {type}) {window} ORDER BY l.{id} {latest_first}"
            ).format(
                id=sql.Identifier(key),
                values=sql.SQL(", ").join(table.number(name, "model") for name in column_names.split(",")),
                table=table.identifier,
                type=table.type_of(key, "requests.id"),
                window=sql.SQL("WHERE {time} >= %(start)s AND {time} < %(end)s").format(
                    time=sql.Identifier(self.deployment.requests.time)
                )
                if same_log
                else sql.SQL(""),
                latest_first=sql.SQL(", l.{} DESC").format(sql.Identifier(self.deployment.requests.time))
                if same_log
                else sql.SQL(""),
            )
            rows = session.execute(statement, _bounds(window) | {"ids": list(requests)})
            return {str(request): tuple(values) for request, *values in rows}

    def _pieces(self) -> dict[str, sql.Composable]:
        deployment, requests = self.deployment, self.deployment.requests
        with translated(self._requests), connect(self._requests, **SETTINGS) as session:
            table = Catalogue(session, self._requests).table(requests.table, "requests.table")
            table.require(requests.id, "requests.id")
            table.require_time(requests.time, "requests.time")
            columns = [
                *_answers(table, requests.columns),
                _named(_version(table, requests.version), "champion_version"),
                _named(_latency(table, requests.latency), "champion_latency_ms"),
                *(_named(table.feature(name, key), name) for name, key in _inputs(deployment).items()),
            ]
            return {
                "table": table.identifier,
                "id": sql.Identifier(requests.id),
                "time": sql.Identifier(requests.time),
                "stratum": _stratum(table, deployment.sample.strata),
                "columns": sql.SQL(", ").join(columns),
                "names": sql.SQL(", ").join(sql.Identifier(name) for name in column_names(deployment)),
            }

    def _label_pieces(self) -> dict[str, sql.Composable]:
        labels = self.deployment.labels
        with translated(self._labels), connect(self._labels, **SETTINGS) as session:
            table = Catalogue(session, self._labels).table(labels.table, "labels.table")
            table.require_time(labels.time, "labels.time")
            return {
                "table": table.identifier,
                "id": sql.Identifier(labels.id),
                "time": sql.Identifier(labels.time),
                "type": table.type_of(labels.id, "labels.id"),
                "value": table.number(labels.value, "labels.value")
                if not self.deployment.classes
                else table.position(labels.value, "labels.value", self.deployment.classes),
            }


class Reading:
    """One window of the log, in one transaction."""

    def __init__(self, cursor: Any, pieces: Mapping[str, sql.Composable], window: Window, salt: str) -> None:
        self._cursor = cursor
        self._pieces = pieces
        self._bounds = _bounds(window)
        self._salt = salt

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        self._cursor.execute(quoted(_HERE / "population.sql", self._pieces, self._bounds).as_string())
        return {str(stratum): int(count) for stratum, count in self._cursor.fetchall()}

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw: strata by name, in each by hash.

        Columns: request_id, requested_at, stratum, champion, champion_version, champion_latency_ms, then features,
        slices and strata under their own names. `all_candidates` sorts every row, where the shortcut fell short.
        """
        values = self._bounds | {
            "salt": self._salt,
            "strata": [draw.stratum for draw in draws],
            "sizes": [draw.size for draw in draws],
            "candidates": [HASHES if all_candidates else draw.candidates for draw in draws],
        }
        self._cursor.execute(quoted(_HERE / "sample.sql", self._pieces, values).as_string())
        return self._cursor.fetch_record_batch()


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


def column_names(deployment: Deployment) -> list[str]:
    """Return the columns that a sample holds behind request_id, requested_at and stratum."""
    probabilities = ["champion_probabilities"] if deployment.classes else []
    return ["champion", *probabilities, "champion_version", "champion_latency_ms", *_inputs(deployment)]


def _inputs(deployment: Deployment) -> dict[str, str]:
    named = {
        "requests.features": deployment.requests.features,
        "slices": deployment.slices,
        "sample.strata": deployment.sample.strata,
    }
    columns: dict[str, str] = {}
    for key, names in named.items():
        for name in names:
            columns.setdefault(name, key)
    return columns


def _bounds(window: Window) -> dict[str, Any]:
    return {"start": window.start, "end": window.end}


def _named(expression: sql.Composable, name: str) -> sql.Composed:
    return sql.SQL("{} AS {}").format(expression, sql.Identifier(name))


def _answers(table: Table, columns: Sequence[str]) -> list[sql.Composable]:
    """Return the champion's answer: a number, or the likeliest class, counted from 0, and all probabilities."""
    numbers = [table.number(column, "requests.prediction") for column in columns]
    if len(numbers) == 1:
        return [_named(numbers[0], "champion")]
    array = sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(numbers))
    whole = sql.SQL("array_position({}, NULL) IS NULL").format(array)
    likeliest = sql.SQL(
        "(SELECT (k - 1)::float8 FROM unnest({}) WITH ORDINALITY AS c (p, k) ORDER BY p DESC, k LIMIT 1)"
    ).format(array)
    case = sql.SQL("CASE WHEN {} THEN {} END")
    return [
        _named(case.format(whole, likeliest), "champion"),
        _named(case.format(whole, array), "champion_probabilities"),
    ]


def _version(table: Table, column: str | None) -> sql.Composable:
    if column is None:
        return sql.Literal(UNVERSIONED)
    table.require(column, "requests.version")
    return sql.SQL("coalesce({}::text, {})").format(sql.Identifier(column), sql.Literal(UNVERSIONED))


def _latency(table: Table, column: str | None) -> sql.Composable:
    return sql.SQL("NULL::float8") if column is None else table.number(column, "requests.latency")


def _stratum(table: Table, columns: Sequence[str]) -> sql.Composable:
    if not columns:
        return sql.SQL("'all'::text")
    for column in columns:
        table.require(column, "sample.strata")
    parts = [sql.SQL("coalesce({}::text, '(null)')").format(sql.Identifier(column)) for column in columns]
    return sql.SQL("concat_ws('/', {})").format(sql.SQL(", ").join(parts))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
