"""Labels in Postgres, looked up by the ids of the requests."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import errors, sql

from shadow_deployment.base.redaction import first_line
from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.deployment import Deployment, Labels
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, connect, translated
from shadow_deployment.data.postgres_arrays import YEAR_2000, reading_arrays
from shadow_deployment.data.sources.catalogue import Catalogue
from shadow_deployment.data.sources.columns import label_value
from shadow_deployment.data.sources.postgres.requests import SETTINGS
from shadow_deployment.data.sources.postgres.throttle import FEW_IDS, Throttle, finds_many, throttle_of_lookups
from shadow_deployment.errors import SourceError

_HERE = Path(__file__).parent
_OUR_ERA = "0001-01-01"  # no label became known before that, whatever a table says


class PostgresLabels:
    """One deployment's labels; its sessions are read only and bounded, as those that read the log are."""

    def __init__(self, deployment: Deployment, connection: Connection) -> None:
        self.deployment = deployment
        self._connection = connection
        self._throttle: Throttle | None = None
        self._by_index: bool | None = None

    def check(self) -> None:
        """Raise SourceError where the table or a column is missing or of no use."""
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            self._pieces(session)

    def labels(self, requests: pa.Table, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Return ordinal, value, known_at of the labels of requests that were known in (since, until].

        The ids go as one array, and each column comes as one: nothing is converted one by one.
        """
        found = [_NONE]
        with translated(self._connection), connect(self._connection, **SETTINGS) as session:
            pieces = self._pieces(session)
            with reading_arrays(session) as cursor, _ids_that_fit(self.deployment.labels):
                throttle = self._paced(session, pieces, requests["request_id"])
                many = requests.num_rows > FEW_IDS and self._finds_many(session, pieces)
                statement = load_statement(_HERE / ("labels_by_index.sql" if many else "labels.sql"), pieces)
                for some in throttle.pieces(requests):
                    values = {"ids": some["request_id"].combine_chunks(), "since": since or _OUR_ERA, "until": until}
                    with throttle.piece():
                        row = cursor.execute(statement, values).fetchone()
                    if row is not None and row[0] is not None:
                        found.append(_table(some["ordinal"].to_numpy(), *row))
        return pa.concat_tables(found)

    def _paced(self, session: Session[Any], pieces: Mapping[str, sql.Composable], ids: Sequence[Any]) -> Throttle:
        """Return the throttle, which is that of all lookups of these labels."""
        if self._throttle is None:
            table, key, type_ = (pieces[name] for name in ("table", "id", "type"))
            self._throttle = throttle_of_lookups(session, table, key, type_, ids, self.deployment.throttle)
        return self._throttle

    def _finds_many(self, session: Session[Any], pieces: Mapping[str, sql.Composable]) -> bool:
        """Say whether an index finds many ids at once; if so, the transaction makes no bitmap of what it finds.

        A bitmap that is not exact, of a hash index or of too many rows, is checked by comparing each row with each id.
        """
        session.execute("SET LOCAL enable_bitmapscan TO off")
        if self._by_index is None:
            self._by_index = finds_many(session, pieces["table"], pieces["id"], pieces["type"])
        if not self._by_index:
            session.execute("SET LOCAL enable_bitmapscan TO DEFAULT")
        return self._by_index

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


def _table(
    ordinals: NDArray[np.int32], place: NDArray[np.int64], value: NDArray[Any], known_at: NDArray[np.int64]
) -> pa.Table:
    """Return labels as a table; `place` counts among the ordinals from 1, `known_at` microseconds since 2000."""
    return pa.table(
        {
            "ordinal": ordinals[place - 1],
            "value": value.astype(np.float64),
            "known_at": pa.array(known_at + YEAR_2000, pa.timestamp("us", "UTC")),
        }
    )


_NONE = _table(np.zeros(0, np.int32), *(np.zeros(0, np.int64),) * 3)


@contextmanager
def _ids_that_fit(labels: Labels) -> Iterator[None]:
    """Say of ids that cannot be compared which column is meant."""
    try:
        yield
    except (errors.InvalidTextRepresentation, errors.NumericValueOutOfRange) as error:
        raise SourceError(
            f"labels.id == {labels.id!r}, must be of a type that the ids of requests can be read as: "
            f"{first_line(error)}"
        ) from error
