"""Labels in Parquet files, partitioned by the day on which they became known, or in files without a day."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.ports import LABELS, Access
from shadow_deployment.data.sources.columns import label_pieces
from shadow_deployment.data.sources.duckdb.files import Files
from shadow_deployment.data.sources.duckdb.lake import Lake
from shadow_deployment.data.sources.duckdb.table import FileTable
from shadow_deployment.data.sources.identity import has_key

_HERE = Path(__file__).parent
_LONGEST_WINDOW = dt.timedelta(hours=25)


class FileLabels:
    """One deployment's labels in Parquet files."""

    def __init__(self, deployment: Deployment, lake: Lake, pattern: Pattern) -> None:
        self.deployment = deployment
        self._files = Files(lake, pattern, "labels.table", deployment.labels.table)

    def check(self) -> None:
        """Raise SourceError where there is no file, or the newest lack a column or have one of the wrong type."""
        files = self._files.newest(dt.date.min)
        if not files:
            self._files.require_some()
        with self._files.table(files) as (_, table):
            self._pieces(table)

    def labels(self, requests: pa.Table, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Return the labels of requests that became known in (since, until], as `LabelSource` does.

        `since` is None where nothing was collected before: then since the requests' window began, as `until` is at most
        `labels.maturity_days` after its end.
        """
        labels = self.deployment.labels
        since = since or until - dt.timedelta(days=labels.maturity_days) - _LONGEST_WINDOW
        files = self._files.between(since, until, labels.time, "labels.time")
        if not files:
            return LABELS.empty_table()
        with self._files.table(files) as (session, table):
            statement = load_literal_statement(_HERE / "labels.sql", self._pieces(table), {}).as_string()
            session.register("requests", requests)
            rows: pa.Table = session.sql(statement, params={"start": since, "end": until}).to_arrow_table()
        return rows.cast(LABELS)

    def access(self, requests: pa.Table, since: dt.datetime, until: dt.datetime) -> Access:  # noqa: ARG002 (no index)
        """Return which files hold the labels that became known in between."""
        return self._files.access(self._files.between(since, until, self.deployment.labels.time, "labels.time"))

    def _pieces(self, table: FileTable) -> dict[str, sql.Composable]:
        labels = self.deployment.labels
        table.key_text(labels.id, "labels.id")
        times = table.time_pieces(labels.time, "labels.time")
        if table.require(labels.time, "labels.time").type == "date":
            times |= dict.fromkeys(("moment", "time"), table.known_at(labels.time, "labels.time"))
        return (
            times
            | label_pieces(table, self.deployment)
            | {
                "match": has_key(table, labels.id, "labels.id", "files"),
            }
        )
