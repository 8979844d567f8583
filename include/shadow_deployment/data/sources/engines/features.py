"""A challenger's own features that a query engine joins where they lie, as they were known."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shadow_deployment.config.sources.tables import FeaturesFrom
from shadow_deployment.data.sources.asof import one_each
from shadow_deployment.data.sources.columns import feature_columns, without_field_metadata
from shadow_deployment.data.sources.engines.port import STATEMENTS, QueryEngine, require_newest
from shadow_deployment.data.sources.engines.table import EngineTable
from shadow_deployment.data.sources.identity import columns_of_key, has_key

_NOBODY = pa.table({  # of whom there is nothing but the types of features: Spark takes no rows that are none
    "key": pa.array([None], pa.string()),
    "requested_at": pa.array([dt.datetime(1970, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
})  # fmt: skip
_ONCE = (
    "QUALIFY {moment} > $start::timestamptz OR rank() OVER "
    "(PARTITION BY {ids}, {moment} > $start::timestamptz ORDER BY {moment} DESC) = 1"
)


class EngineFeatures:
    """The table of one challenger's `features_from`; `key` is the deployment's name for that."""

    def __init__(self, wanted: FeaturesFrom, key: str, engine: QueryEngine) -> None:
        self._wanted, self._key, self._engine = wanted, key, engine

    def check(self) -> None:
        """Raise SourceError where there are no rows, or the newest lack a column or have one of the wrong type."""
        require_newest(self._engine, self._pieces, f"{self._key}.known_at", self._wanted.known_at)

    def features(self, requests: pa.Table) -> pa.Table:
        """Return the features of requests as they were known when these were made, as `FeatureSource` does."""
        asked = (requests if len(requests) else _NOBODY).select(["key", "requested_at"])
        asked = asked.rename_columns(["request_id", "requested_at"])
        asked = asked.append_column("ordinal", pa.array(np.arange(len(asked))))
        bounds = dict(zip(("start", "end"), pc.min_max(asked["requested_at"]).as_py().values(), strict=True))
        with self._engine.open_until(bounds["end"]) as opened:
            opened.session.bring("requests", [asked])
            rows = opened.session.stream(STATEMENTS / "features.sql", self._pieces(opened.table), bounds)
            return one_each(without_field_metadata(rows).read_all(), len(requests))

    def _pieces(self, table: EngineTable) -> dict[str, sql.Composable]:
        wanted, key = self._wanted, self._key
        pieces = {
            "text": table.key_text(wanted.id, f"{key}.id"),
            "ids": sql.SQL(", ").join(map(sql.Identifier, columns_of_key(wanted.id))),
            "match": has_key(table, wanted.id, f"{key}.id", "files"),
            "moment": table.known_at(wanted.known_at, f"{key}.known_at"),
            **feature_columns(table, wanted, key),
        }
        return pieces | {"once": sql.SQL(_ONCE).format(**pieces)}
