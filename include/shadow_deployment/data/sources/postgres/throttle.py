"""Throttling of what production's server does for a deployment: short chunks of work, and a pause after each."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from psycopg import sql

from shadow_deployment.data.db import Session

FREE_SECONDS: Final = 0.002  # work without pauses, so that a small day takes no longer
CHUNK_SECONDS: Final = 0.00025  # other queries of production wait that long for one chunk
MAX_PAUSE_SECONDS: Final = 30.0  # production ends a session that is idle for much longer
SMALL_LOOKUP_IDS: Final = 100
MAX_CHUNK_IDS: Final = 131_072  # so that a look-up fits into the memory that production's server has for it
_MIN_OVERHEAD_RATIO: Final = 1.5  # a chunk takes at least that many times what the fastest one took
_MAX_GROWTH: Final = 4.0
_MIN_SECONDS: Final = 1e-9
_ROUND_TRIPS: Final = 5
_WORTH_DIVIDING: Final = 2  # how many times the cost of a part the whole must cost


class Throttle:
    """Divides work into chunks and pauses after each, so that the server works for `share` of the time.

    FREE_SECONDS of work have no pauses. `size` is what the next chunk should comprise, in the unit of the work: it
    follows the time of the last chunk towards CHUNK_SECONDS, between `first_size` and `max_size`. Where even the
    smallest chunk takes long, larger ones are less work in all. With a share of 1, everything is one chunk.

    The server does not work while this thread computes, nor during the `round_trip` seconds of each chunk.
    """

    def __init__(self, share: float, first_size: float, max_size: float = math.inf, round_trip: float = 0.0) -> None:
        self.size = self._min_size = max_size if share >= 1 else first_size
        self._share, self._max_size, self._round_trip = share, max_size, round_trip
        self._fastest = math.inf
        self._busy = self._idle = 0.0

    @contextmanager
    def chunk(self) -> Iterator[None]:
        """Time the chunk of work in the block, then pause for as long as is due."""
        start, start_waiting = time.perf_counter(), _waiting_clock()
        yield
        elapsed = time.perf_counter() - start
        busy = max(_waiting_clock() - start_waiting - self._round_trip, _MIN_SECONDS)
        self._busy += busy
        self._idle += max(elapsed - busy, 0.0)
        self._fastest = min(self._fastest, busy)
        target = max(CHUNK_SECONDS, _MIN_OVERHEAD_RATIO * self._fastest)
        size = self.size * min(max(target / busy, 1 / _MAX_GROWTH), _MAX_GROWTH)
        self.size = min(max(size, self._min_size), self._max_size)
        pause = max(self._busy - FREE_SECONDS, 0.0) * (1 / self._share - 1) - self._idle
        if pause > 0:
            self._idle += pause  # all of it, though the pause be cut short: one long chunk is not made up for
            time.sleep(min(pause, MAX_PAUSE_SECONDS))

    def split(self, work: Any) -> Iterator[Any]:
        """Yield slices of a sequence or a table, each of the `size` due by then, to be worked on in a `chunk`."""
        start = 0
        while start < len(work):
            size = max(int(min(self.size, len(work) - start)), 1)
            yield work[start : start + size]
            start += size


def lookup_throttle(
    session: Session[Any], pieces: Mapping[str, sql.Composable], ids: Sequence[Any], share: float
) -> Throttle:
    """Return the throttle for looking ids up: without pauses where one look-up costs as much as the whole table.

    `pieces` are the SQL of the "table", and "match": that its row `l` has the "request id".
    """
    if share < 1 and len(ids) > SMALL_LOOKUP_IDS and not finds_id(session, pieces, str(ids[0])):
        share = 1.0
    round_trip = 0.0 if share >= 1 else round_trip_seconds(lambda: session.execute("SELECT 1"))
    return Throttle(share, SMALL_LOOKUP_IDS, MAX_CHUNK_IDS, round_trip)


def finds_id(session: Session[Any], pieces: Mapping[str, sql.Composable], id_: str) -> bool:
    """Return whether the planner finds the rows of an id without reading the whole table; `pieces` as above."""
    whole = sql.SQL("SELECT FROM {table}").format(**pieces)
    look_up = sql.SQL('SELECT FROM {table} AS l, (SELECT {}::text AS "request id") AS r WHERE {match}')
    return is_cheaper(session, look_up.format(id_, **pieces), whole)


def has_bulk_index(session: Session[Any], pieces: Mapping[str, sql.Composable]) -> bool:
    """Return whether the planner looks many ids up in an index: if not, each row is compared with each of them.

    `pieces` are the SQL of the table, its id column and that column's type: "table", "id", "type".
    """
    whole = sql.SQL("SELECT FROM {table}").format(**pieces)
    ids = sql.SQL("CAST((SELECT '{{}}'::text[]) AS {type}[])").format(**pieces)  # hides how many there are
    return is_cheaper(session, sql.SQL("{} WHERE {id} = ANY ({})").format(whole, ids, **pieces), whole)


def is_cheaper(session: Session[Any], part: sql.Composable, whole: sql.Composable) -> bool:
    """Return whether the planner reads a part for less than half the cost of the whole: it does with an index."""
    return _cost(session, part) * _WORTH_DIVIDING < _cost(session, whole)


def round_trip_seconds(query: Callable[[], object]) -> float:
    """Return the seconds that a query without work takes, the fastest of five."""
    seconds = []
    for _ in range(_ROUND_TRIPS):
        start = _waiting_clock()
        query()
        seconds.append(_waiting_clock() - start)
    return max(min(seconds), 0.0)


def _cost(session: Session[Any], statement: sql.Composable) -> float:
    row = session.execute(sql.SQL("EXPLAIN (FORMAT json) {}").format(statement)).fetchone()
    return float(row[0][0]["Plan"]["Total Cost"]) if row else 0.0


def _waiting_clock() -> float:
    """Return a clock that stands still while this thread computes."""
    return time.perf_counter() - time.thread_time()
