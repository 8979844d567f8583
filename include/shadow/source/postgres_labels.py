"""Labels in Postgres, looked up by the ids of the requests."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from psycopg import sql

from include.shadow.connection import Connection
from include.shadow.deployment import Deployment
from include.shadow.ledger.database import connect, translated
from include.shadow.source import Arrived
from include.shadow.source.catalogue import Catalogue
from include.shadow.source.columns import label_value
from include.shadow.source.postgres import SETTINGS
from include.shadow.statements import parameterised

_HERE = Path(__file__).parent


class PostgresLabels:
    """One deployment's labels; its sessions are read only and bounded, as those that read the log are."""

    def __init__(self, deployment: Deployment, connection: Connection) -> None:
        self.deployment = deployment
        self._connection = connection

    def check(self) -> None:
        """Raise SourceError where the table or a column is missing or of no use."""
        self._pieces()

    def labels(self, requests: Mapping[int, str], since: dt.datetime | None, until: dt.datetime) -> Arrived:
        """Return (ordinal, label, known at) of the given requests, ordinal to id, known in (since, until]."""
        pieces = self._pieces()
        values = {
            "ordinals": list(requests),
            "ids": list(requests.values()),
            "since": since or "-infinity",
            "until": until,
        }
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            return session.execute(parameterised(_HERE / "labels.sql", pieces), values).fetchall()

    def _pieces(self) -> dict[str, sql.Composable]:
        labels = self.deployment.labels
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            table = Catalogue(session, self._connection).table(labels.table, "labels.table")
            table.require_time(labels.time, "labels.time")
            return {
                "table": table.identifier,
                "id": sql.Identifier(labels.id),
                "time": sql.Identifier(labels.time),
                "type": table.type_of(labels.id, "labels.id"),
                "value": label_value(table, self.deployment),
            }
