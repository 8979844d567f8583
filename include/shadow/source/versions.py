"""Which champion version production's log says last."""

import datetime as dt
from pathlib import Path

from psycopg import sql

from include.shadow.connection import Connection
from include.shadow.deployment import Requests
from include.shadow.ledger.database import connect, translated
from include.shadow.source.catalogue import Catalogue
from include.shadow.source.postgres import SETTINGS, UNVERSIONED
from include.shadow.statements import parameterised

_HERE = Path(__file__).parent


def newest_version(requests: Requests, connection: Connection, since: dt.datetime | None) -> str | None:
    """Return the version of the newest request since a moment, None where there is no request.

    Raises SourceError where a table or column is missing, CredentialsError or TransientError as `connect` does.
    """
    if requests.version is None:
        return UNVERSIONED
    with translated(connection), connect(connection, **SETTINGS) as session:
        table = Catalogue(session, connection).table(requests.table, "requests.table")
        table.require(requests.version, "requests.version")
        table.require_time(requests.time, "requests.time")
        pieces = {
            "table": table.identifier,
            "version": sql.Identifier(requests.version),
            "time": sql.Identifier(requests.time),
        }
        values = {"since": since or "-infinity", "unversioned": UNVERSIONED}
        row = session.execute(parameterised(_HERE / "newest_version.sql", pieces), values).fetchone()
    return str(row[0]) if row else None
