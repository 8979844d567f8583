"""Production, read only: the champion's prediction log and the labels, each in Postgres or in Parquet files.

The same rows give the same sample, labels and evidence whichever of the two holds them.
"""

import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from shadow_deployment.config.window import Window
    from shadow_deployment.data.sampling import Draw

UNVERSIONED = "unversioned"  # what the champion's version is called where the log has none


class Reading(Protocol):
    """One window of the log: what is counted and what is drawn are the same rows."""

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        ...

    def sample(self, draws: "Sequence[Draw]", *, all_candidates: bool = False) -> "pa.RecordBatchReader":
        """Return the drawn requests in the order of the draw: strata by name, in each by hash.

        Columns: request_id, requested_at, stratum, champion, champion_version, champion_latency_ms, then features,
        slices and strata under their own names. `all_candidates` sorts every row, where the shortcut fell short.
        """
        ...


class RequestSource(Protocol):
    """Where the champion's prediction log lies."""

    def check(self) -> None:
        """Raise SourceError where a table, file or column that the deployment names is missing or of no use."""
        ...

    def reading(self, window: "Window") -> AbstractContextManager[Reading]:
        """Open the window for reading; raise SourceError, CredentialsError or TransientError."""
        ...

    def logged(self, address: str, requests: Sequence[str], window: "Window") -> dict[str, tuple[float | None, ...]]:
        """Return what `COLUMN,COLUMN` of the log, or `TABLE.COLUMN,COLUMN`, holds for these request ids.

        An id without a row is left out. Raises SourceError where a column is missing or no number.
        """
        ...

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version of the newest request since a moment, None where there is no request."""
        ...


class LabelSource(Protocol):
    """Where the ground truth arrives."""

    def check(self) -> None:
        """Raise SourceError where a table, file or column that the deployment names is missing or of no use."""
        ...

    def labels(self, requests: "pa.Table", since: dt.datetime | None, until: dt.datetime) -> "pa.Table":
        """Return ordinal, value, known_at of the labels of requests that were known in (since, until].

        Requests have ordinal (int32) and request_id (string), best in the order of their ids. Labels come in any order;
        their columns are int32, float64 and timestamp[us, UTC]. Nothing is null.
        """
        ...


@dataclass(frozen=True)
class Source:
    """One deployment's production: its requests and its labels, wherever each lies."""

    requests: RequestSource
    arriving: LabelSource

    def check(self) -> None:
        """Raise SourceError where a table, file or column that the deployment names is missing or of no use."""
        self.requests.check()
        self.arriving.check()

    def reading(self, window: "Window") -> AbstractContextManager[Reading]:
        """Open a window of the log, as `RequestSource` does."""
        return self.requests.reading(window)

    def logged(self, address: str, requests: Sequence[str], window: "Window") -> dict[str, tuple[float | None, ...]]:
        """Return predictions that were logged elsewhere, as `RequestSource` does."""
        return self.requests.logged(address, requests, window)

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version that the log says last, as `RequestSource` does."""
        return self.requests.newest_version(since)

    def labels(self, requests: "pa.Table", since: dt.datetime | None, until: dt.datetime) -> "pa.Table":
        """Return the labels that became known, as `LabelSource` does."""
        return self.arriving.labels(requests, since, until)
