"""How much of the time production's server works for a deployment: small pieces of work, and a rest after each."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from psycopg import sql

from shadow_deployment.data.db import Session

FREE_SECONDS: Final = 0.002  # what is read first does not rest: a small day takes no longer
PIECE_SECONDS: Final = 0.00025  # whoever works for production meanwhile waits that long
REST_SECONDS: Final = 30.0  # no session is idle for longer, whatever the last piece took
_WORTH_IT: Final = 1.5  # a piece takes at least that many times what the smallest one has taken
_GROWTH: Final = 4.0
FEW_IDS: Final = 100
MOST_IDS: Final = 131_072  # so that what is looked up fits into the memory that production's server has for it
_TICK: Final = 1e-9
_TRIPS: Final = 5
_NARROWER: Final = 2  # how many times the whole costs what a part costs that is worth dividing


class Throttle:
    """Work in pieces that take `share` of the time, the first FREE_SECONDS of it aside; in the rest is rest.

    `size` is what the next piece should comprise, in whatever unit the work has: a piece should take PIECE_SECONDS, and
    the last one tells how much that is, never less than the first. Where even the smallest takes long, larger ones do
    less work in all. A share of 1 knows no rest, and its one piece is everything; no piece is larger than `most`.
    The server does not work while we compute, nor while a piece is on its way there and back, which takes `away`.
    """

    def __init__(self, share: float, first_size: float, most: float = math.inf, away: float = 0.0) -> None:
        self.size = self._least_size = most if share >= 1 else first_size
        self._share, self._most, self._away = share, most, away
        self._least_seconds = math.inf
        self._worked = self._rested = 0.0

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Do one piece of work in the block, and rest after it as long as is due."""
        began, idle = time.perf_counter(), _idle()
        yield
        elapsed = time.perf_counter() - began
        took = max(_idle() - idle - self._away, _TICK)
        self._worked += took
        self._rested += max(elapsed - took, 0.0)
        self._least_seconds = min(self._least_seconds, took)
        wanted = max(PIECE_SECONDS, _WORTH_IT * self._least_seconds)
        size = self.size * min(max(wanted / took, 1 / _GROWTH), _GROWTH)
        self.size = min(max(size, self._least_size), self._most)
        due = max(self._worked - FREE_SECONDS, 0.0) * (1 / self._share - 1) - self._rested
        if due > 0:
            self._rested += due  # all of it, though the rest be shorter: one long piece is not made up for
            time.sleep(min(due, REST_SECONDS))

    def pieces(self, whole: Any) -> Iterator[Any]:
        """Yield a sequence or a table in parts of the size that is wanted by then; `piece` is to be done with each."""
        first = 0
        while first < len(whole):
            size = min(max(int(min(self.size, len(whole))), 1), len(whole) - first)
            yield whole[first : first + size]
            first += size


def throttle_of_lookups(
    session: Session[Any],
    table: sql.Composable,
    key: sql.Composable,
    type_: sql.Composable,
    ids: Sequence[Any],
    share: float,
) -> Throttle:
    """Return the pace at which ids are looked up: without rest where one of them costs as much as the whole table."""
    if share < 1 and len(ids) > FEW_IDS:
        whole = sql.SQL("SELECT FROM {}").format(table)
        part = sql.SQL("{} WHERE {} = CAST({} AS {})").format(whole, key, str(ids[0]), type_)
        share = share if is_divisible(session, part, whole) else 1.0
    return Throttle(share, FEW_IDS, MOST_IDS, 0.0 if share >= 1 else trip(lambda: session.execute("SELECT 1")))


def trip(nothing: Callable[[], object]) -> float:
    """Return the seconds in which we wait for a server that is asked for nothing."""
    took = []
    for _ in range(_TRIPS):
        idle = _idle()
        nothing()
        took.append(_idle() - idle)
    return max(min(took), 0.0)


def _idle() -> float:
    """Return a clock that stands still while this thread computes."""
    return time.perf_counter() - time.thread_time()


def finds_many(session: Session[Any], table: sql.Composable, key: sql.Composable, type_: sql.Composable) -> bool:
    """Say whether the planner finds many ids by an index: without one each row is compared with each of them."""
    whole = sql.SQL("SELECT FROM {}").format(table)
    ids = sql.SQL("CAST((SELECT '{{}}'::text[]) AS {}[])").format(type_)  # how many there are is not seen
    return is_divisible(session, sql.SQL("{} WHERE {} = ANY ({})").format(whole, key, ids), whole)


def is_divisible(session: Session[Any], part: sql.Composable, whole: sql.Composable) -> bool:
    """Say whether the planner finds a part cheaper than the whole: without an index it reads everything for each."""
    return _cost(session, part) * _NARROWER < _cost(session, whole)


def _cost(session: Session[Any], statement: sql.Composable) -> float:
    row = session.execute(sql.SQL("EXPLAIN (FORMAT json) {}").format(statement)).fetchone()
    return float(row[0][0]["Plan"]["Total Cost"]) if row else 0.0
