"""One window of a log in Postgres, read span by span so that production rests in between, and sorted here."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from psycopg import sql

from include.shadow.ledger.database import Session
from include.shadow.sampling import HASHES, Draw
from include.shadow.source.columns import cut, plain
from include.shadow.source.ordering import in_order
from include.shadow.source.pace import Pace, is_divisible
from include.shadow.statements import quoted
from include.shadow.window import Window

_SPANS: Final = 2000  # a window is read in so many at most
_HERE: Final = Path(__file__).parent


class PostgresReading:
    """One window of the log, in one transaction."""

    def __init__(
        self,
        cursor: Any,
        pieces: Mapping[str, sql.Composable],
        window: Window,
        salt: str,
        pace: Pace,
    ) -> None:
        self._cursor, self._pace = cursor, pace
        self._pieces, self._window, self._salt = pieces, window, salt

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        counted = Counter[str]()
        for strata in self._found("population.sql", {}, self._cursor.fetch_arrow_table):
            counted.update(dict(zip(strata["stratum"].to_pylist(), strata["population"].to_pylist(), strict=True)))
        return dict(counted)

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw: strata by name, in each by hash.

        Columns: request_id, requested_at, stratum, champion, champion_version, champion_latency_ms, then features,
        slices and strata under their own names. `all_candidates` sorts every row, where the shortcut fell short.
        """
        highest = [HASHES if all_candidates else draw.candidates for draw in draws]
        values = {
            "salt": self._salt,
            "strata": [draw.stratum for draw in draws],
            "candidates": highest,
            "everything": all(high == HASHES for high in highest),
        }
        is_free, cursor = self._pace.is_free, self._cursor
        found = self._found("sample.sql", values, cursor.fetch_record_batch if is_free else cursor.fetch_arrow_table)
        first = next(found)
        batches = (batch for one in chain([first], found) for batch in (one if is_free else one.to_batches()))
        rows = plain(pa.RecordBatchReader.from_batches(first.schema, batches))
        return cut(in_order(rows, draws, highest), draws)

    def _found(self, name: str, values: Mapping[str, Any], fetch: Callable[[], Any]) -> Iterator[Any]:
        """Yield what a statement finds, span by span; where nothing has to rest the window is one span."""
        for start, end in self._spans():
            statement = quoted(_HERE / name, self._pieces, {**values, "start": start, "end": end}).as_string()
            with self._pace.piece():
                self._cursor.execute(statement)
                found = fetch()
            yield found

    def _spans(self) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        start, last = self._window.start, self._window.end
        while start < last:
            seconds = min(self._pace.size, (last - start).total_seconds())
            end = min(start + max(dt.timedelta(seconds=seconds), dt.timedelta.resolution), last)
            yield start, end
            start = end


def pace_of(session: Session[Any], pieces: Mapping[str, sql.Composable], window: Window, share: float) -> Pace:
    """Return the pace at which a window is read: without rest where a part of it costs as much as the whole."""
    first_span = (window.end - window.start) / _SPANS
    if share < 1:
        middle = window.start + (window.end - window.start) / 2
        part, whole = (
            quoted(_HERE / "population.sql", pieces, {"start": start, "end": end})
            for start, end in ((middle, middle + first_span), (window.start, window.end))
        )
        share = share if is_divisible(session, part, whole) else 1.0
    return Pace(share, first_span.total_seconds())
