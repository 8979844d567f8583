"""Models that live elsewhere: called in chunks, one call at a time, at a capped rate, and again where that helps.

What a call may come to:

Again       the server is busy or is not reached: the same call may succeed in a moment
Refused     the rows of the call have no answer: halving finds the row at fault
├── TooLarge    fewer rows will do
└── TimedOut    there was no answer in time: a row that takes too long, or a server that hangs
"""

import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import TransientError

logger = logging.getLogger(__name__)

ROWS = 256
CALLS_TO_FIND_BAD_ROWS = 256
LONGEST_EXCERPT = 200
_LOOKED_AT = 20_000
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|[-+]?\d(?:[\d.,_]|[eE][-+]?\d)*")

T = TypeVar("T")


class RetryLater(Exception):  # noqa: N818 (it asks for another try)
    """Not answered now; `after` are the seconds that the server asks to be left alone, `busy` that it did answer."""

    def __init__(self, text: str, *, busy: bool = False, after: float | None = None) -> None:
        super().__init__(text)
        self.busy = busy
        self.after = after


class Refused(Exception):  # noqa: N818 (it is the answer)
    """The rows of a call have no answer; the text says why."""


class TooLarge(Refused):
    """The call has too many rows."""


class TimedOut(Refused):
    """There was no answer in time."""


@dataclass(frozen=True)
class RetryLimits:
    """How long one call is worth: `attempts` where there is no answer, `seconds` of waiting in all.

    Pauses begin at `first` seconds and double up to `longest`, each shortened at random by up to a half, so that tasks
    that were turned away together do not come back together. A longer wait that the server asks for is kept.
    """

    attempts: int = 4
    seconds: float = 120.0
    first: float = 0.5
    longest: float = 30.0

    def pause(self, tries: int, asked: float | None) -> float:
        """Return how many seconds to wait after so many tries in vain."""
        backoff = min(self.first * 2.0 ** min(tries - 1, 30), self.longest) * random.uniform(0.5, 1)  # noqa: S311
        return max(backoff, asked or 0.0)


RETRY_LIMITS = RetryLimits()


class Caller:
    """Makes calls one after the other, at most `per_second` of them, and repeats one that came to `Again`."""

    def __init__(self, name: str, per_second: float | None = None, patience: RetryLimits | None = None) -> None:
        self._name = name
        self._gap = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._patience = patience or RETRY_LIMITS

    def __call__(self, attempt: Callable[[], T]) -> tuple[T, float]:
        """Return what an attempt returns and how many milliseconds that one took, without any wait before it.

        Raises TransientError where patience ends, and what the attempt raises beside Again.
        """
        waited, tries, unanswered = 0.0, 0, 0
        while True:
            self._keep_pace()
            began = time.perf_counter()
            try:
                return attempt(), (time.perf_counter() - began) * 1000
            except RetryLater as again:
                tries, unanswered = tries + 1, unanswered + (not again.busy)
                pause = self._patience.pause(tries, again.after)
                waited += pause
                if unanswered >= self._patience.attempts or waited > self._patience.seconds:
                    asked = f", and asks for {again.after:.0f} s more" if again.after else ""
                    times = "once" if tries == 1 else f"{tries} times"
                    raise TransientError(f"{self._name}: {again}, {times}{asked}") from again
            time.sleep(pause)

    def _keep_pace(self) -> None:
        """Wait until the next call may start: a bucket that holds one token."""
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._gap


class Chunks:
    """Cuts the rows of a batch into calls of at most `rows`, and finds the rows that cannot be answered by halving.

    The size shrinks for good where the server says that it is too large.
    """

    def __init__(self, name: str, rows: int | None) -> None:
        self._name = name
        self._rows = rows or ROWS

    def answer(
        self,
        errors: dict[int, str],
        shape: tuple[int, ...],
        call: Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], float]],
    ) -> Predictions:
        """Return answers of this shape: `call` takes row numbers and returns their values and milliseconds.

        Rows that `errors` names are not shown to the model. Raises TransientError where nothing answers in time.
        """
        values, latency = np.full(shape, np.nan), np.full(shape[0], np.nan)
        usable = np.array([row for row in range(shape[0]) if row not in errors], np.int64)
        waiting = [usable] if len(usable) else []
        search = _Search()
        while waiting:
            chunk = waiting.pop()
            if len(chunk) > self._rows:
                waiting += [chunk[self._rows :], chunk[: self._rows]]
                continue
            try:
                values[chunk], spent = call(chunk)
            except Refused as refused:
                search.note(refused)
                if search.is_hopeless(len(chunk), self._rows, is_last=not waiting):
                    raise TransientError(f"{self._name}: {refused}, {search.silent} times in a row") from refused
                waiting += self._after(refused, chunk, errors, search)
                continue
            latency[chunk] = spent / len(chunk)
            search.silent, search.has_spoken = 0, True
        return Predictions(values, errors, latency)

    def _after(
        self, refused: Refused, chunk: NDArray[np.int64], errors: dict[int, str], search: "_Search"
    ) -> list[NDArray[np.int64]]:
        """Return what of a refused chunk is to be tried again; the rows of one that is not become errors."""
        half = len(chunk) // 2
        if isinstance(refused, TooLarge) and half:
            self._rows = half
            return [chunk]
        search.left -= 1
        if half and search.left > 0:
            return [chunk[half:], chunk[:half]]
        logger.warning("%d rows cannot be scored: %s", len(chunk), refused)
        errors.update(dict.fromkeys(chunk.tolist(), str(refused)))
        return []


@dataclass
class _Search:
    """The search for the rows of a batch at fault: how many calls are left for it, and how long nothing was said."""

    left: int = CALLS_TO_FIND_BAD_ROWS
    silent: int = 0
    has_spoken: bool = False

    def note(self, refused: Refused) -> None:
        is_silent = isinstance(refused, TimedOut)
        self.silent = self.silent + 1 if is_silent else 0
        self.has_spoken |= not is_silent

    def is_hopeless(self, rows: int, most: int, *, is_last: bool) -> bool:
        """Whether it is the server that hangs: longer than one row would make it, or to the last of all rows."""
        return self.silent > most.bit_length() + 4 or (is_last and rows == 1 and not self.has_spoken)


def texts(batch: pa.RecordBatch) -> set[str]:
    """Return the texts among the features of a batch, as `excerpt` hides them."""
    columns = [column for column in batch.columns if pa.types.is_string(column.type)]
    return {one for column in columns for one in pc.unique(column).to_pylist() if one}


def excerpt(text: str, values: Iterable[str] = ()) -> str:
    """Return the beginning of what a server says, printable, without `values`, numbers and what stands in quotes.

    A server that refuses a row often repeats it, and what customers sent belongs into no log.
    """
    shown = text[:_LOOKED_AT]
    if hidden := sorted({one for one in values if one.strip()}, key=len, reverse=True):
        shown = re.sub("|".join(map(re.escape, hidden)), "…", shown)
    shown = _VALUES.sub("…", shown)
    printable = " ".join("".join(one if one.isprintable() else " " for one in shown).split())
    return printable if len(printable) <= LONGEST_EXCERPT else f"{printable[:LONGEST_EXCERPT]}…"
