"""A challenger's own features in files, joined as they were known."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.model import FeaturesFrom
from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.asof import one_each
from shadow_deployment.data.sources.columns import feature_columns, without_field_metadata
from shadow_deployment.data.sources.duckdb.files import Files
from shadow_deployment.data.sources.duckdb.formats import Parquet
from shadow_deployment.data.sources.duckdb.lake import Lake
from shadow_deployment.data.sources.duckdb.table import FileTable
from shadow_deployment.data.sources.identity import has_key

_HERE = Path(__file__).parent
_NO_REQUESTS = pa.schema([("key", pa.string()), ("requested_at", pa.timestamp("us", "UTC"))]).empty_table()


class ParquetFeatures:
    """The files of one challenger's `features_from`; `key` is the deployment's name for that."""

    def __init__(self, wanted: FeaturesFrom, key: str, lake: Lake) -> None:
        self._wanted, self._key = wanted, key
        self._files = Files(lake, Pattern.parse(wanted.table), f"{key}.table", wanted.table, Parquet(), within=1)

    def check(self) -> None:
        """Raise SourceError where there is no file, or a column is missing or of the wrong type."""
        self.features(_NO_REQUESTS)

    def features(self, requests: pa.Table) -> pa.Table:
        """Return the features of requests as they were known when these were made, as `FeatureSource` does."""
        requests = requests.append_column("place", pa.array(np.arange(len(requests))))
        newest = pc.max(requests["requested_at"]).as_py()
        with self._files.table(self._files.up_to(newest.date() if newest else dt.date.max)) as (session, table):
            session.register("requests", requests)
            statement = load_literal_statement(_HERE / "features.sql", self._pieces(table), {}).as_string()
            rows = without_field_metadata(session.sql(statement).to_arrow_reader()).read_all()
        return one_each(rows, len(requests))

    def _pieces(self, table: FileTable) -> dict[str, sql.Composable]:
        wanted, key = self._wanted, self._key
        table.key_text(wanted.id, f"{key}.id")
        return {
            "moment": table.known_at(wanted.known_at, f"{key}.known_at"),
            "match": has_key(table, wanted.id, f"{key}.id", "files"),
            **feature_columns(table, wanted, key),
        }
