"""Labels in Parquet files, partitioned by the day on which they became known, or in files without a day."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from psycopg import sql

from include.shadow.deployment import Deployment
from include.shadow.source import Arrived
from include.shadow.source.columns import label_value
from include.shadow.source.lake import Lake
from include.shadow.source.parquet_files import ParquetFiles
from include.shadow.source.parquet_table import ParquetTable
from include.shadow.source.partitions import Pattern
from include.shadow.statements import quoted

_HERE = Path(__file__).parent
_LONGEST_WINDOW = dt.timedelta(hours=25)


class ParquetLabels:
    """One deployment's labels in Parquet files."""

    def __init__(self, deployment: Deployment, lake: Lake, pattern: Pattern) -> None:
        self.deployment = deployment
        self._files = ParquetFiles(lake, pattern, "labels.table", deployment.labels.table)

    def check(self) -> None:
        """Raise SourceError where there is no file, or the newest lack a column or have one that is of no use."""
        files = self._files.newest(dt.date.min)
        if not files:
            self._files.require_some()
        with self._files.table(files) as (_, table):
            self._pieces(table)

    def labels(self, requests: Mapping[int, str], since: dt.datetime | None, until: dt.datetime) -> Arrived:
        """Return (ordinal, label, known at) of the given requests, ordinal to id, known in (since, until].

        Where nothing was collected before, `since` is None, that is since the requests' window began: `until` is at
        most `labels.maturity_days` behind its end.
        """
        labels = self.deployment.labels
        since = since or until - dt.timedelta(days=labels.maturity_days) - _LONGEST_WINDOW
        files = self._files.between(since, until, labels.time, "labels.time")
        if not files:
            return []
        values = {
            "files": [one.path for one in files],
            "ordinals": list(requests),
            "ids": list(requests.values()),
            "start": since,
            "end": until,
        }
        with self._files.table(files) as (session, table):
            statement = quoted(_HERE / "parquet_labels.sql", self._pieces(table), {}).as_string()
            rows = session.execute(statement, values).fetchall()
        return [(int(ordinal), float(value), known_at) for ordinal, value, known_at in rows]

    def _pieces(self, table: ParquetTable) -> dict[str, sql.Composable]:
        labels = self.deployment.labels
        table.identity(labels.id, "labels.id")
        moment = table.moment(labels.time, "labels.time")
        column, start = table.comparable(labels.time, "start")
        _, end = table.comparable(labels.time, "end")
        return {
            "id": sql.Identifier(labels.id),
            "type": table.type_of(labels.id, "labels.id"),
            "moment": moment,
            "time": column,
            "start": start,
            "end": end,
            "value": label_value(table, self.deployment),
        }
