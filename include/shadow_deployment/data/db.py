"""Sessions with Postgres, and what its errors mean to a user."""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from shadow_deployment.base.redaction import first_line
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError, LedgerError, ShadowError, SourceError, TransientError

Session = psycopg.Connection

_UTC_SETTINGS = {"TimeZone": "UTC", "DateStyle": "ISO"}
_LEDGER = re.compile(r'"shadow[."]')
_REFUSED = ("authentication failed", "does not exist", "no pg_hba.conf entry", "not permitted to log in", "no password")


def connect(connection: Connection, **settings: str) -> Session[tuple[Any, ...]]:
    """Open a session in UTC and UTF-8; its `with` block commits, or rolls back on an error, and closes it.

    Args:
        connection: The database.
        settings: Server settings for the life of the session, such as statement_timeout.

    Raises:
        CredentialsError: The server refuses the login.
        TransientError: The server cannot be reached.
    """
    with translated(connection):
        session = psycopg.connect(**connection_keywords(connection, **settings))
        _use_utc(session)
        return session


class Sessions:
    """Opens sessions with databases; those that are kept are used again, which saves connecting and planning."""

    def __init__(self) -> None:
        self._is_keeping = False
        self._idle: dict[str, list[Session[Any]]] = defaultdict(list)
        self._streams: dict[str, Any] = {}

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Use sessions again inside the block, and close them at its end, or at the end of a block around it."""
        if self._is_keeping:
            yield
            return
        self._is_keeping = True
        try:
            yield
        finally:
            self._is_keeping = False
            for kept in [*self._streams.values(), *(one for idle in self._idle.values() for one in idle)]:
                kept.close()
            self._streams.clear()
            self._idle.clear()

    @contextmanager
    def session(self, connection: Connection, **settings: str) -> Iterator[Session[Any]]:
        """Open a session as `connect` does; an error inside the block rolls back and ends it, kept or not."""
        idle = self._idle[_address(connection, settings)]
        session = _living(idle) or connect(connection, **settings)
        try:
            yield session
            session.commit()
        except BaseException:
            with session:  # rolls back and closes
                raise
        if self._is_keeping and not session.closed:
            idle.append(session)
        else:
            session.close()

    @contextmanager
    def stream(self, connection: Connection, **settings: str) -> Iterator[Any]:
        """Open a session of ADBC, which commits each statement and returns Arrow, and close it at the block's end.

        One that is kept beside it knows the types of the database, whose look-up takes longer than all else.
        """
        from adbc_driver_postgresql import dbapi

        address = _address(connection, settings)
        if not self._is_keeping:
            with closing(dbapi.connect(address, autocommit=True)) as stream:
                yield stream
            return
        if address not in self._streams:
            self._streams[address] = dbapi.connect(address, autocommit=True)
        with closing(self._streams[address].adbc_clone()) as stream:
            stream.adbc_connection.set_autocommit(True)
            yield stream


def _living(idle: list[Session[Any]]) -> Session[Any] | None:
    """Return a kept session that the server has not ended in the meantime, with the settings that it began with."""
    while idle:
        session = idle.pop()
        try:
            session.autocommit = True
            session.execute("RESET ALL")
            _use_utc(session)
            session.autocommit = False
        except psycopg.OperationalError:
            session.close()
        else:
            return session
    return None


def _address(connection: Connection, settings: dict[str, str]) -> str:
    return make_conninfo(**connection_keywords(connection, **settings))


def _use_utc(session: Session[Any]) -> None:
    parameter = session.info.parameter_status
    if parameter("TimeZone") != "UTC" or not str(parameter("DateStyle")).startswith("ISO"):
        session.execute(utc_statement())
        session.commit()


def utc_statement() -> sql.Composed:
    """Return what sets zone and date style where PGTZ and PGDATESTYLE override the options of a connection."""
    call = sql.SQL("set_config({}, {}, false)")
    calls = (call.format(name, value) for name, value in _UTC_SETTINGS.items())
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls))


def connection_keywords(connection: Connection, **settings: str) -> dict[str, Any]:
    """Return libpq's keywords for a connection, with server settings as options."""
    options = " ".join(f"-c {name}={value}" for name, value in {**_UTC_SETTINGS, **settings}.items())
    defaults = {"connect_timeout": 10, "application_name": "shadow"}
    return defaults | connection.parameters() | {"options": options, "client_encoding": "UTF8"}


def clock(session: Session[Any]) -> dt.datetime:
    """Return the time by the server's clock."""
    row = session.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 (a SELECT without FROM has one row)
    moment: dt.datetime = row[0]
    return moment


@contextmanager
def exclusively(session: Session[Any], name: str) -> Iterator[None]:
    """Let one session at a time into the block of this name; transactions inside are the caller's.

    The lock belongs to the session, so it ends with it, whatever happens to the process.
    """
    session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"shadow/{name}"])
    session.commit()
    try:
        yield
    finally:
        if not session.closed:
            session.rollback()
            session.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [f"shadow/{name}"])
            session.commit()


@contextmanager
def translated(connection: Connection) -> Iterator[None]:
    """Turn what psycopg raises inside the block into this package's errors."""
    try:
        yield
    except psycopg.Error as error:
        raise _translation(connection, error) from error


def _translation(connection: Connection, error: psycopg.Error) -> ShadowError:
    where, text = f"connection {connection}", first_line(error)
    if error.sqlstate is None and any(words in str(error) for words in _REFUSED):
        return CredentialsError(f"{where} is refused: {text}; check its login, password and database")
    match error:
        case errors.UndefinedTable() | errors.InvalidSchemaName() if _LEDGER.search(str(error)):
            translation: ShadowError = LedgerError(f"{where}: {text}; run shadow migrate")
        case errors.InsufficientPrivilege():
            translation = CredentialsError(f"{where} lacks a right: {text}")
        case errors.QueryCanceled():
            translation = TransientError(f"{where}: {text}; the time-out bounds what one query may take")
        case errors.DeadlockDetected() | errors.SerializationFailure():
            translation = TransientError(f"{where}: two runs met at the same rows, {text}")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            translation = TransientError(f"{where} is lost or not there: {text}")
        case errors.UndefinedTable() | errors.UndefinedColumn() | psycopg.DataError():
            translation = SourceError(f"{where}: {text}")
        case _:
            translation = LedgerError(f"{where}: {text}")
    return translation
