"""A challenger's own features in Postgres, looked up by key as they were known."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.sources.tables import FeaturesFrom
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, Sessions
from shadow_deployment.data.sources.asof import one_each
from shadow_deployment.data.sources.columns import feature_columns, without_field_metadata
from shadow_deployment.data.sources.identity import has_key
from shadow_deployment.data.sources.postgres.catalogue import Catalogue
from shadow_deployment.data.sources.postgres.requests import arrow_cursor, reading_session
from shadow_deployment.data.sources.postgres.throttle import MAX_CHUNK_IDS, Throttle, finds_id, lookup_throttle

_HERE = Path(__file__).parent


class PostgresFeatures:
    """The table of one challenger's `features_from`; `key` is the deployment's name for that."""

    def __init__(
        self, wanted: FeaturesFrom, key: str, connection: Connection, sessions: Sessions, share: float
    ) -> None:
        self._wanted, self._key, self._share = wanted, key, share
        self._connection, self._sessions = connection, sessions

    def check(self) -> None:
        """Raise SourceError where the table or a column is missing or has the wrong type."""
        with reading_session(self._connection, self._sessions) as session:
            self._pieces(session)

    def features(self, requests: pa.Table) -> pa.Table:
        """Return the features of requests as they were known when these were made, as `FeatureSource` does."""
        ids = requests["key"].drop_null()
        with reading_session(self._connection, self._sessions) as session:
            pieces = self._pieces(session)
            is_indexed = len(ids) > 0 and finds_id(session, pieces, str(ids[0]))
            throttle = lookup_throttle(session, pieces, ids, self._share) if is_indexed else Throttle(1, MAX_CHUNK_IDS)
        statement = _HERE / ("features.sql" if is_indexed else "features_by_scan.sql")
        parts = list[pa.Table]()
        with arrow_cursor(self._connection, self._sessions) as cursor:
            for chunk in throttle.split(requests) if len(requests) else [requests]:
                values = {"ids": chunk["key"].to_pylist(), "times": chunk["requested_at"].to_pylist()}
                with throttle.chunk():
                    cursor.execute(load_literal_statement(statement, pieces, values).as_string())
                    rows = without_field_metadata(cursor.fetch_record_batch()).read_all()
                parts.append(one_each(rows, len(chunk)))
        return pa.concat_tables(parts)

    def _pieces(self, session: Session[Any]) -> dict[str, sql.Composable]:
        wanted, key = self._wanted, self._key
        table = Catalogue(session, self._connection).table(wanted.table, f"{key}.table")
        table.require_time(wanted.known_at, f"{key}.known_at")
        is_date = table.columns[wanted.known_at].type == "date"  # known at its end
        return {
            "table": table.identifier,
            "match": has_key(table, wanted.id, f"{key}.id", "l"),
            "known_at": sql.Identifier(wanted.known_at),
            "moment": sql.SQL("\"requested at\" - interval '1 day'" if is_date else '"requested at"'),
            **feature_columns(table, wanted, key),
        }
