"""Labels that a query engine looks up where they lie."""

import datetime as dt

import pyarrow as pa
from psycopg import sql

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.ports import LABELS, Access
from shadow_deployment.data.sources.columns import label_pieces
from shadow_deployment.data.sources.engines.port import STATEMENTS, QueryEngine, require_newest
from shadow_deployment.data.sources.engines.table import EngineTable
from shadow_deployment.data.sources.identity import has_key

_CLOCK_CHANGE = dt.timedelta(hours=1)


class EngineLabels:
    """One deployment's labels, read by a query engine."""

    def __init__(self, deployment: Deployment, engine: QueryEngine) -> None:
        self.deployment = deployment
        self._engine = engine

    def check(self) -> None:
        """Raise SourceError where there are no rows, or the newest lack a column or have one of the wrong type."""
        require_newest(self._engine, self._pieces, "labels.time", self.deployment.labels.time)

    def labels(self, requests: pa.Table, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Return the labels of requests that became known in (since, until], as `LabelSource` does.

        `since` is None where nothing was collected before: then since the requests' window began, as `until` is at most
        `labels.maturity_days` after its end.
        """
        labels = self.deployment.labels
        longest = labels.maturity_days + self.deployment.policy.days_per_period
        since = since or until - dt.timedelta(days=longest) - _CLOCK_CHANGE
        with self._engine.open_between(since, until, labels.time, "labels.time") as opened:
            if opened is None or not requests.num_rows:
                return LABELS.empty_table()
            opened.session.bring("requests", requests)
            values = {"start": since, "end": until}
            rows = opened.session.stream(STATEMENTS / "labels.sql", self._pieces(opened.table), values).read_all()
        return rows.cast(LABELS)

    def access(self, requests: pa.Table, since: dt.datetime, until: dt.datetime) -> Access:  # noqa: ARG002 (no index)
        """Return what holds the labels that became known in between."""
        return self._engine.access(since, until, self.deployment.labels.time, "labels.time")

    def _pieces(self, table: EngineTable) -> dict[str, sql.Composable]:
        labels = self.deployment.labels
        text = table.key_text(labels.id, "labels.id")
        times = table.time_pieces(labels.time, "labels.time")
        if table.require(labels.time, "labels.time").type == "date":
            times |= dict.fromkeys(("moment", "time"), table.known_at(labels.time, "labels.time"))
        return (
            times
            | label_pieces(table, self.deployment)
            | {
                "text": text,
                "match": has_key(table, labels.id, "labels.id", "files"),
            }
        )
