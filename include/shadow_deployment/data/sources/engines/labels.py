"""Labels that a query engine looks up where they lie."""

import datetime as dt
from collections.abc import Generator, Iterable, Iterator
from itertools import chain

import pyarrow as pa
from psycopg import sql

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.ports import LABELS, Access
from shadow_deployment.data.sources.columns import label_pieces
from shadow_deployment.data.sources.engines.port import STATEMENTS, QueryEngine, require_newest
from shadow_deployment.data.sources.engines.table import EngineTable
from shadow_deployment.data.sources.identity import has_key

_IDS = ("ordinal", "request_id")
_CLOCK_CHANGE = dt.timedelta(hours=1)


class EngineLabels:
    """One deployment's labels, read by a query engine."""

    seeks_ids = False

    def __init__(self, deployment: Deployment, engine: QueryEngine) -> None:
        self.deployment = deployment
        self._engine = engine

    def check(self) -> None:
        """Raise SourceError where there are no rows, or the newest lack a column or have one of the wrong type."""
        require_newest(self._engine, self._pieces, "labels.time", self.deployment.labels.time)

    def labels(
        self, requests: Iterable[pa.Table], since: dt.datetime | None, until: dt.datetime
    ) -> Generator[pa.RecordBatch]:
        """Yield the labels of requests that became known in (since, until], as `LabelSource` does.

        `since` is None where nothing was collected before: then since the requests' window began, as `until` is at most
        `labels.maturity_days` after its end. All ids are joined at once, or a table of them where more do not fit.
        """
        labels = self.deployment.labels
        longest = labels.maturity_days + self.deployment.policy.days_per_period
        since = since or until - dt.timedelta(days=longest) - _CLOCK_CHANGE
        ids = (part.select(_IDS) for part in requests if part.num_rows)
        for parts in [ids] if self._engine.holds_many else (iter([part]) for part in ids):
            yield from self._joined(parts, since, until)

    def _joined(self, ids: Iterator[pa.Table], since: dt.datetime, until: dt.datetime) -> Iterator[pa.RecordBatch]:
        with self._engine.open_between(since, until, self.deployment.labels.time, "labels.time") as opened:
            first = next(ids, None)
            if opened is None or first is None:
                return
            opened.session.bring("requests", chain([first], ids))
            values = {"start": since, "end": until}
            for batch in opened.session.stream(STATEMENTS / "labels.sql", self._pieces(opened.table), values):
                yield batch.cast(LABELS)

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
