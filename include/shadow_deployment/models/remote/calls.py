"""Calls to a model that is served elsewhere: in chunks, one at a time, at a capped rate, with retries.

What a call may raise:

RetryLater      the server is busy or out of reach: the same call may succeed in a moment
RowsRefused     the rows of the call get no prediction: bisection finds the row at fault
├── TooLarge    fewer rows will do
└── TimedOut    no response in time: one slow row, or a server that hangs
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import TransientError
from shadow_deployment.models.bisection import CALLS_TO_FIND_BAD_ROWS, Bisection

logger = logging.getLogger(__name__)

ROWS = 256

T = TypeVar("T")


class RetryLater(Exception):  # noqa: N818 (it asks for another try)
    """The call failed for now.

    `busy` says that the server did respond, `after` how many seconds it asks to wait (Retry-After).
    """

    def __init__(self, text: str, *, busy: bool = False, after: float | None = None) -> None:
        super().__init__(text)
        self.busy = busy
        self.after = after


class RowsRefused(Exception):  # noqa: N818 (a result, not a failure)
    """The rows of a call get no prediction; the text says why."""


class TooLarge(RowsRefused):
    """The call has too many rows."""


class TimedOut(RowsRefused):
    """No response in time."""


@dataclass(frozen=True)
class RetryLimits:
    """When to give up one call: after `attempts` without a response, or `seconds` of pauses in all.

    Pauses start at `first` seconds and double up to `longest`, each shortened at random by up to half so that tasks do
    not return in step. A longer pause that the server asks for is honoured.
    """

    attempts: int = 4
    seconds: float = 120.0
    first: float = 0.5
    longest: float = 30.0

    def pause(self, state: RetryCallState) -> float:
        """Return the seconds to wait before the next attempt."""
        backoff = wait_exponential(multiplier=self.first, max=self.longest)(state)
        return max(backoff * random.uniform(0.5, 1), _failure(state).after or 0.0)  # noqa: S311 (no secret)


RETRY_LIMITS = RetryLimits()


class Caller:
    """Makes calls one after the other, at most `per_second` of them, and repeats those that raise RetryLater."""

    def __init__(self, name: str, per_second: float | None = None, limits: RetryLimits | None = None) -> None:
        self._name = name
        self._gap = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._limits = limits or RETRY_LIMITS

    def __call__(self, call: Callable[[], T]) -> tuple[T, float]:
        """Return the call's result and the milliseconds that the successful attempt took, without pauses.

        Raises TransientError once the limits are reached, and whatever the call raises besides RetryLater.
        """
        limits, unanswered = self._limits, 0

        def is_over(state: RetryCallState) -> bool:
            nonlocal unanswered
            unanswered += not _failure(state).busy
            return unanswered >= limits.attempts or state.idle_for + state.upcoming_sleep > limits.seconds

        retrying = Retrying(
            retry=retry_if_exception_type(RetryLater),
            wait=limits.pause,
            stop=is_over,
            retry_error_callback=self._give_up,
        )
        return retrying(self._timed, call)

    def _timed(self, call: Callable[[], T]) -> tuple[T, float]:
        self._keep_pace()
        began = time.perf_counter()
        return call(), (time.perf_counter() - began) * 1000

    def _keep_pace(self) -> None:
        """Wait until the next call may start: a bucket that holds one token."""
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._gap

    def _give_up(self, state: RetryCallState) -> NoReturn:
        failure, tries = _failure(state), state.attempt_number
        wish = f", and asks for {failure.after:.0f} s more" if failure.after else ""
        times = "once" if tries == 1 else f"{tries} times"
        raise TransientError(f"{self._name}: {failure}, {times}{wish}") from failure


def _failure(state: RetryCallState) -> RetryLater:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, RetryLater)  # noqa: S101 (nothing else is retried)
    return error


class ChunkedCalls:
    """Cuts the rows of a batch into calls of at most `rows`, and bisects a call whose rows are refused.

    The size shrinks for good where the server calls it too large.
    """

    def __init__(self, name: str, rows: int | None) -> None:
        self._name = name
        self._rows = rows or ROWS

    def predict(
        self,
        errors: dict[int, str],
        shape: tuple[int, ...],
        call: Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], float]],
    ) -> Predictions:
        """Return predictions of a batch.

        Args:
            errors: Errors by row number; these rows are not sent. Rows that are refused are added.
            shape: (rows,), or (rows, classes).
            call: Takes row numbers; returns their values and how many milliseconds the call took.

        Raises:
            TransientError: The server hangs, or `call` gave up on it.
        """
        values, latency = np.full(shape, np.nan), np.full(shape[0], np.nan)
        usable = np.array([row for row in range(shape[0]) if row not in errors], np.int64)
        search, timeouts = Bisection(usable, self._rows, refusals=CALLS_TO_FIND_BAD_ROWS), _Timeouts()
        for chunk in search:
            try:
                values[chunk], spent = call(chunk)
            except RowsRefused as refused:
                timeouts.add(refused)
                if timeouts.is_hang(len(chunk), self._rows, is_last=search.is_last):
                    raise TransientError(f"{self._name}: {refused}, {timeouts.in_a_row} times in a row") from refused
                if isinstance(refused, TooLarge) and len(chunk) > 1:
                    self._rows = search.most_rows = len(chunk) // 2
                    search.retry(chunk)
                elif not search.split(chunk):
                    logger.warning("%d rows cannot be scored: %s", len(chunk), refused)
                    errors.update(dict.fromkeys(chunk.tolist(), str(refused)))
                continue
            latency[chunk] = spent / len(chunk)
            timeouts.in_a_row, timeouts.has_responded = 0, True
        return Predictions(values, errors, latency)


@dataclass
class _Timeouts:
    """How many calls in a row timed out, and whether any call got a response."""

    in_a_row: int = 0
    has_responded: bool = False

    def add(self, refused: RowsRefused) -> None:
        is_timeout = isinstance(refused, TimedOut)
        self.in_a_row = self.in_a_row + 1 if is_timeout else 0
        self.has_responded |= not is_timeout

    def is_hang(self, rows: int, most_rows: int, *, is_last: bool) -> bool:
        """Whether the server hangs: it is silent for longer than one slow row explains, or to the very last row."""
        return self.in_a_row > most_rows.bit_length() + 4 or (is_last and rows == 1 and not self.has_responded)
