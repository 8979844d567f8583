"""Labels in Postgres, looked up by the ids of the requests."""

import datetime as dt
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import errors, sql

from shadow_deployment.base.prefetch import prefetch_map
from shadow_deployment.base.redaction import first_line
from shadow_deployment.base.sql_templates import load_literal_statement, load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, Sessions
from shadow_deployment.data.ports import LABELS, Access
from shadow_deployment.data.postgres_arrays import YEAR_2000, reading_arrays
from shadow_deployment.data.sources.columns import label_pieces
from shadow_deployment.data.sources.identity import has_key
from shadow_deployment.data.sources.postgres.access import access_of
from shadow_deployment.data.sources.postgres.catalogue import Catalogue
from shadow_deployment.data.sources.postgres.requests import reading_session
from shadow_deployment.data.sources.postgres.throttle import (
    SMALL_LOOKUP_IDS,
    Throttle,
    has_bulk_index,
    lookup_throttle,
)
from shadow_deployment.data.sources.table import Table
from shadow_deployment.errors import SourceError

_HERE = Path(__file__).parent
_BEGINNING = "0001-01-01"  # no label became known before that, whatever a table says


class PostgresLabels:
    """One deployment's labels; its sessions are read-only and bounded, as those that read the log are."""

    seeks_ids = True

    def __init__(self, deployment: Deployment, connection: Connection, sessions: Sessions) -> None:
        self.deployment = deployment
        self._connection, self._sessions = connection, sessions
        self._looked_up: dict[str, sql.Composable] | None = None
        self._throttle: Throttle | None = None  # of all look-ups
        self._bulk_index: bool | None = None

    def check(self) -> None:
        """Raise SourceError where the table or a column is missing or has the wrong type."""
        with reading_session(self._connection, self._sessions) as session:
            self._pieces(session)

    def labels(
        self, requests: Iterable[pa.Table], since: dt.datetime | None, until: dt.datetime
    ) -> Generator[pa.RecordBatch]:
        """Yield the labels of requests that became known in (since, until], as `LabelSource` does.

        Each table is looked up by itself, while the caller works on the labels of the one before it.
        """
        look_up = self._looked_up_at_once if self.deployment.labels.key is None else self._by_key
        with closing(prefetch_map(lambda part: look_up(part, since, until), requests)) as tables:
            for table in tables:
                yield from table.to_batches()

    def _by_key(self, requests: pa.Table, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Look each distinct key up once, and return its labels for every request that has it."""
        keys = requests["request_id"].combine_chunks().dictionary_encode()
        distinct = pa.table(
            {"ordinal": pa.array(range(len(keys.dictionary)), pa.int32()), "request_id": keys.dictionary}
        )
        labels = self._looked_up_at_once(distinct, since, until)
        places = pa.table({"place": keys.indices, "request": requests["ordinal"]})
        joined = labels.join(places, keys="ordinal", right_keys="place")
        return joined.drop_columns("ordinal").rename_columns({"request": "ordinal"}).select(labels.schema.names)

    def _looked_up_at_once(self, requests: pa.Table, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Ids are sent as one array, and each column comes back as one: no value is converted by itself."""
        tables = [LABELS.empty_table()]
        with reading_session(self._connection, self._sessions) as session:
            pieces = self._pieces(session)
            with reading_arrays(session) as cursor, self._checked_ids():
                if self._throttle is None:
                    ids, share = requests["request_id"], self.deployment.throttle
                    self._throttle = lookup_throttle(session, pieces, ids, share)
                statement = load_statement(_HERE / self._lookup(session, pieces, requests.num_rows), pieces)
                for chunk in self._throttle.split(requests):
                    ids = chunk["request_id"].combine_chunks()
                    with self._throttle.chunk():
                        values = {"ids": ids, "since": since or _BEGINNING, "until": until}
                        row = cursor.execute(statement, values).fetchone()
                    if row is not None and row[0] is not None:
                        tables.append(_table(chunk["ordinal"].to_numpy(), *row))
        return pa.concat_tables(tables)

    def access(self, requests: pa.Table, since: dt.datetime, until: dt.datetime) -> Access:
        """Return how the labels of requests are found."""
        with reading_session(self._connection, self._sessions) as session:
            pieces = self._pieces(session)
            name = self._lookup(session, pieces, requests.num_rows)
            values = {"ids": requests["request_id"].to_pylist(), "since": since, "until": until}
            statement = load_literal_statement(_HERE / name, pieces, values)
            return access_of(session, statement, self.deployment.labels.table)

    def _lookup(self, session: Session[Any], pieces: Mapping[str, sql.Composable], count: int) -> str:
        """Return the statement's file for so many ids, and prepare the session for it.

        Bitmaps that are not exact, of a hash index or of many rows, compare each row with each id: so where an index
        finds many ids at once, none is made.
        """
        if count <= SMALL_LOOKUP_IDS or self._bulk_index is False:
            return "labels.sql"
        session.execute("SET enable_bitmapscan TO off")
        if self._bulk_index is None:
            self._bulk_index = "id" in pieces and has_bulk_index(session, pieces)
        if self._bulk_index:
            return "labels_by_index.sql"
        session.execute("SET enable_bitmapscan TO DEFAULT")
        return "labels.sql"

    @contextmanager
    def _checked_ids(self) -> Iterator[None]:
        try:
            yield
        except (errors.InvalidTextRepresentation, errors.NumericValueOutOfRange) as error:
            raise SourceError(
                f"labels.id == {self.deployment.labels.id!r}, must be of a type that the ids of requests can be read "
                f"as: {first_line(error)}"
            ) from error

    def _pieces(self, session: Session[Any]) -> dict[str, sql.Composable]:
        """Return the SQL of the table and its columns, which are looked up once."""
        if self._looked_up is None:
            table = Catalogue(session, self._connection).table(self.deployment.labels.table, "labels.table")
            self._looked_up = self._pieces_of(table)
        return self._looked_up

    def _pieces_of(self, table: Table) -> dict[str, sql.Composable]:
        labels = self.deployment.labels
        return {
            "table": table.identifier,
            "match": has_key(table, labels.id, "labels.id", "l"),
            "moment": table.known_at(labels.time, "labels.time"),
            **self._one_column(table),
            **label_pieces(table, self.deployment),
        }

    def _one_column(self, table: Table) -> dict[str, sql.Composable]:
        """Return "id" and its "type", where an index can be searched for many ids at once."""
        name = self.deployment.labels.id
        return {"id": sql.Identifier(name), "type": table.type_of(name, "labels.id")} if isinstance(name, str) else {}


def _table(
    ordinals: NDArray[np.int32],
    place: NDArray[np.int64],
    value: NDArray[Any],
    known_at: NDArray[np.int64],
    invalid: list[str | None] | None,
) -> pa.Table:
    """Return labels as LABELS; `place` counts among the ordinals from 1, `known_at` microseconds since 2000.

    `invalid` has the texts of the values that are NaN, in their order.
    """
    texts = np.full(len(place), None, object)
    texts[np.isnan(value)] = invalid or []
    columns = [ordinals[place - 1], value, known_at + YEAR_2000, texts]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, LABELS, strict=True)]
    return pa.table(arrays, schema=LABELS)
