"""Labels in Postgres, looked up by the ids of the requests."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from psycopg import errors, sql

from include.shadow.connection import Connection
from include.shadow.deployment import Deployment, Labels
from include.shadow.errors import SourceError
from include.shadow.ledger.arrays import reading_arrays
from include.shadow.ledger.database import Session, connect, translated
from include.shadow.source.catalogue import Catalogue
from include.shadow.source.columns import label_value
from include.shadow.source.postgres import SETTINGS
from include.shadow.statements import parameterised

_HERE = Path(__file__).parent
_OUR_ERA = "0001-01-01"  # no label became known before that, whatever a table says
_YEAR_2000 = np.datetime64("2000-01-01", "us").astype(np.int64)  # from which Postgres counts


class PostgresLabels:
    """One deployment's labels; its sessions are read only and bounded, as those that read the log are."""

    def __init__(self, deployment: Deployment, connection: Connection) -> None:
        self.deployment = deployment
        self._connection = connection

    def check(self) -> None:
        """Raise SourceError where the table or a column is missing or of no use."""
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            self._pieces(session)

    def labels(self, requests: Mapping[int, str], since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Return ordinal, value, known_at of the labels of requests, ordinal to id, that were known in (since, until].

        The ids go as one JSON text, and each column comes as one array: nothing is converted one by one.
        """
        ids = json.dumps(list(requests.values()), ensure_ascii=False)
        values = {"ids": ids, "since": since or _OUR_ERA, "until": until}
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            statement = parameterised(_HERE / "labels.sql", self._pieces(session))
            with reading_arrays(session) as cursor, _ids_that_fit(self.deployment.labels):
                found = cursor.execute(statement, values).fetchone()
        place, value, known_at = (np.zeros(0, np.int64),) * 3 if found is None or found[0] is None else found
        ordinals = np.fromiter(requests, np.int32, len(requests))
        return pa.table(
            {
                "ordinal": ordinals[place - 1],
                "value": value.astype(np.float64),
                "known_at": pa.array(known_at + _YEAR_2000, pa.timestamp("us", "UTC")),
            }
        )

    def _pieces(self, session: Session[Any]) -> dict[str, sql.Composable]:
        labels = self.deployment.labels
        table = Catalogue(session, self._connection).table(labels.table, "labels.table")
        table.require_time(labels.time, "labels.time")
        return {
            "table": table.identifier,
            "id": sql.Identifier(labels.id),
            "time": sql.Identifier(labels.time),
            "type": table.type_of(labels.id, "labels.id"),
            "value": label_value(table, self.deployment),
        }


@contextmanager
def _ids_that_fit(labels: Labels) -> Iterator[None]:
    """Say of ids that cannot be compared which column is meant."""
    try:
        yield
    except (errors.InvalidTextRepresentation, errors.NumericValueOutOfRange) as error:
        said = str(error).splitlines()[0]
        raise SourceError(
            f"labels.id == {labels.id!r}, must be of a type that the ids of requests can be read as: {said}"
        ) from error
