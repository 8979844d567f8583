"""Ports to production, which is only read: the champion's prediction log, the labels, and challengers' own features.

A source is three queries, run where the data lies: count the requests of a window by stratum (`Reading.population`),
draw those with the smallest keyed hashes (`Reading.sample`), and look labels up by request id (`LabelSource.labels`).
`RequestSource` also looks logged predictions and the newest champion version up.

Postgres implements `RequestSource`, `Reading`, `LabelSource` and `FeatureSource` by itself (`sources/postgres`), and
`sources/engines` does for all query engines, of which a new one is one file with a branch in `DeploymentContext`. The
same rows must give the same sample in every source:

- A stratum is the text of its columns, null as "(null)", joined by "/"; without strata it is "all".
- The keyed hash is the first 52 bits of SHA-256 of "salt:id" in UTF-8, and -1 where the id is null. Where labels.key is
  declared, it is of "salt:key", of the id where the key is null: so requests that share a label are drawn together.
- In a stratum, the requests with the smallest hashes are drawn; equal ones are ordered by id, then by time.
- A window includes its start and excludes its end. Where requests.duplicates is "first", only the day's earliest row of
  each id is counted and drawn, in the window that has it.
- Ids, strata and versions are the text that Postgres would write; an id or key of several columns is what
  `sources/identity.py` makes of them.

`sources/columns.py` builds the columns of a sample for SQL engines, and `sources/ordering.py` sorts for engines that
should not.
"""

import datetime as dt
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from shadow_deployment.config.window import Window
    from shadow_deployment.data.sampling import Draw

UNVERSIONED = "unversioned"  # the champion's version where the log has none
LABELS = pa.schema(
    [
        ("ordinal", pa.int32()),
        ("value", pa.float64()),
        ("known_at", pa.timestamp("us", "UTC")),
        ("invalid", pa.string()),
    ]
)


@dataclass(frozen=True)
class Access:
    """How production finds the rows of a statement: by an `index`, in the whole `table`, or in `files`.

    `rows` is the planner's estimate of the rows that are read; `bytes` are those of the files, or a query engine's
    estimate, which does not count files; `name` is the index's.
    """

    table: str
    how: Literal["index", "table", "files"]
    name: str | None = None
    rows: int | None = None
    files: int | None = None
    bytes: int | None = None


class Reading(Protocol):
    """One window of the log: the rows that are counted are those that are drawn from."""

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        ...

    def sample(self, draws: "Sequence[Draw]", *, all_candidates: bool = False) -> "pa.RecordBatchReader":
        """Return the drawn requests in the order of the draw: by stratum, then by hash.

        Args:
            draws: How many requests to draw from each stratum, in the order of the strata's bytes.
            all_candidates: Consider every request, and not only those with a hash below `Draw.candidates`.

        Returns:
            Columns request_id, requested_at, stratum, champion, champion_probabilities where there are classes,
            champion_version, champion_latency_ms, label_key where labels.key is declared, then features, slices and
            strata under their own names, as logged:COLUMN each column of the log that holds a challenger's
            predictions, and as key:COLUMN what its own features are looked up by.
        """
        ...

    def newest(self, most: int) -> "pa.Table":
        """Return the newest requests of the window, with the columns of a sample but without the stratum."""
        ...


class RequestSource(Protocol):
    """Where the champion's prediction log lies."""

    def check(self) -> None:
        """Raise SourceError where a table, file or column that the deployment names is missing or of the wrong type."""
        ...

    def reading(self, window: "Window") -> AbstractContextManager[Reading]:
        """Open the window for reading; raise SourceError, CredentialsError or TransientError."""
        ...

    def access(self, window: "Window") -> Access:
        """Return how the requests of a window are found, without reading them."""
        ...

    def logged(self, address: str, requests: Sequence[str], window: "Window") -> dict[str, tuple[float | None, ...]]:
        """Return predictions that were logged, by request id; ids without a row are left out.

        Args:
            address: `COLUMN,COLUMN` of the log, or `TABLE.COLUMN,COLUMN`.
            requests: Request ids.
            window: When the requests were made.

        Raises:
            SourceError: A column is missing or no number.
        """
        ...

    def newest_time(self) -> dt.datetime | None:
        """Return the time of the newest request, None where there is no request."""
        ...

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version of the newest request since a moment, None where there is no request."""
        ...


class LabelSource(Protocol):
    """Where the ground truth arrives; `seeks_ids` where ids are found one by one, best in their order."""

    seeks_ids: bool

    def check(self) -> None:
        """Raise SourceError where a table, file or column that the deployment names is missing or of the wrong type."""
        ...

    def access(self, requests: "pa.Table", since: dt.datetime, until: dt.datetime) -> Access:
        """Return how the labels of requests are found, without reading them; the requests as in `labels`."""
        ...

    def labels(
        self, requests: Iterable["pa.Table"], since: dt.datetime | None, until: dt.datetime
    ) -> Generator["pa.RecordBatch"]:
        """Yield the labels of requests that became known in (since, until], in any order.

        Args:
            requests: Columns ordinal (int32) and request_id (string), which is the key where labels.key is declared.
                They are taken in the thread that takes labels.
            since: None where nothing was collected before, or what was is to be read again.
            until: At most `labels.maturity_days` after the end of the requests' window.

        Yields:
            Columns ordinal (int32), value (float64), known_at (timestamp[us, UTC]) and invalid (string). Where what
            stands there is no label of the task, value is NaN and invalid how it begins, else invalid is null.
        """
        ...


def all_labels(source: LabelSource, requests: pa.Table, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
    """Return the labels of a few requests at once, as `LabelSource.labels` yields them."""
    return pa.Table.from_batches(source.labels([requests], since, until), LABELS)


class FeatureSource(Protocol):
    """Where one challenger's own features lie: `features_from`."""

    def check(self) -> None:
        """Raise SourceError where the table, a file or a column is missing or of the wrong type."""
        ...

    def features(self, requests: "pa.Table") -> "pa.Table":
        """Return the features of requests as they were known when these were made, a row each in their order.

        Args:
            requests: Columns key (string), which may be null, and requested_at.

        Returns:
            The columns `features`; nulls where no row of the key was known by then.
        """
        ...
