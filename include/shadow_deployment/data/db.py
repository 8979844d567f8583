"""A connection to Postgres, and what its errors mean to a user."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import psycopg
from psycopg import errors, sql

from shadow_deployment.base.redaction import first_line
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError, LedgerError, ShadowError, SourceError, TransientError

Session = psycopg.Connection

_SETTLED = {"TimeZone": "UTC", "DateStyle": "ISO"}
_LEDGER = re.compile(r'"shadow[."]')
_REFUSED = ("authentication failed", "does not exist", "no pg_hba.conf entry", "not permitted to log in", "no password")


def connect(connection: Connection, **settings: str) -> Session[tuple[Any, ...]]:
    """Open a session in UTC and UTF-8; `settings` are server settings for its life, such as statement_timeout.

    Leaving its `with` block commits, or rolls back on an error, and closes it. Raises CredentialsError where the
    server refuses who asks, TransientError where it is not there.
    """
    with translated(connection):
        session = psycopg.connect(**connection_keywords(connection, **settings))
        reported = session.info.parameter_status
        if reported("TimeZone") != "UTC" or not str(reported("DateStyle")).startswith("ISO"):
            session.execute(settle("session"))
            session.commit()
        return session


def settle(scope: Literal["session", "transaction"]) -> sql.Composed:
    """Return what sets zone and style against PGTZ and PGDATESTYLE, which win over the options of a connection."""
    call = sql.SQL("set_config({}, {}, {})")
    pairs = ((sql.Literal(name), sql.Literal(value)) for name, value in _SETTLED.items())
    return sql.SQL("SELECT {}").format(
        sql.SQL(", ").join(call.format(*pair, sql.Literal(scope == "transaction")) for pair in pairs)
    )


def connection_keywords(connection: Connection, **settings: str) -> dict[str, Any]:
    """Return libpq's keywords for a connection, with server settings as options."""
    options = " ".join(f"-c {name}={value}" for name, value in {**_SETTLED, **settings}.items())
    defaults = {"connect_timeout": 10, "application_name": "shadow"}
    return defaults | connection.parameters() | {"options": options, "client_encoding": "UTF8"}


@contextmanager
def exclusively(session: Session[Any], what: str) -> Iterator[None]:
    """Let one session at a time into the block, for one thing by its name; transactions inside it are its own.

    The lock is the session's, so it goes with the session whatever happens to the process.
    """
    session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"shadow/{what}"])
    session.commit()
    try:
        yield
    finally:
        if not session.closed:
            session.rollback()
            session.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [f"shadow/{what}"])
            session.commit()


@contextmanager
def translated(connection: Connection) -> Iterator[None]:
    """Turn what psycopg raises inside the block into this package's errors."""
    try:
        yield
    except psycopg.Error as error:
        raise _meaning(connection, error) from error


def _meaning(connection: Connection, error: psycopg.Error) -> ShadowError:
    text = first_line(error)
    if error.sqlstate is None and any(words in str(error) for words in _REFUSED):
        return CredentialsError(f"connection {connection} is refused: {text}; check its login, password and database")
    where = f"connection {connection}"
    match error:
        case errors.UndefinedTable() | errors.InvalidSchemaName() if _LEDGER.search(str(error)):
            meaning: ShadowError = LedgerError(f"{where}: {text}; run shadow migrate")
        case errors.InsufficientPrivilege():
            meaning = CredentialsError(f"{where} lacks a right: {text}")
        case errors.QueryCanceled():
            meaning = TransientError(f"{where}: {text}; the time-out bounds what one query may take")
        case errors.DeadlockDetected() | errors.SerializationFailure():
            meaning = TransientError(f"{where}: two runs met at the same rows, {text}")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            meaning = TransientError(f"{where} is lost or not there: {text}")
        case errors.UndefinedTable() | errors.UndefinedColumn() | psycopg.DataError():
            meaning = SourceError(f"{where}: {text}")
        case _:
            meaning = LedgerError(f"{where}: {text}")
    return meaning
