"""Bisection: a chunk of rows that a model refuses is halved until the rows at fault are found."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

CALLS_TO_FIND_BAD_ROWS: Final = 256


class Bisection:
    """The chunks of a batch that are still to be scored, and how many refusals the search for bad rows may cost.

    Iterate over it, and call `split` with each chunk that was refused; its halves come next, the first one first.
    """

    def __init__(
        self, rows: NDArray[np.int64], most_rows: int | None = None, *, refusals: int = CALLS_TO_FIND_BAD_ROWS
    ) -> None:
        """Start with row numbers; `most_rows` bounds a chunk and may change while the search runs."""
        self.most_rows = most_rows
        self._waiting = [rows]
        self._refusals_left = refusals

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        while self._waiting:
            rows = self._waiting.pop()
            most = self.most_rows or len(rows)
            if len(rows) > most:
                self._waiting.append(rows[most:])
            if len(rows):
                yield rows[:most]

    @property
    def is_last(self) -> bool:
        """Whether no chunk follows the current one."""
        return not self._waiting

    def split(self, chunk: NDArray[np.int64]) -> bool:
        """Queue the halves of a refused chunk; return False for one that is not halved: all its rows are errors.

        That is a single row, or any chunk once the search has cost as many refusals as it may.
        """
        self._refusals_left -= 1
        half = len(chunk) // 2
        if not half or self._refusals_left <= 0:
            return False
        self._waiting += [chunk[half:], chunk[:half]]
        return True

    def retry(self, chunk: NDArray[np.int64]) -> None:
        """Queue a chunk that says nothing about its rows; it is cut to `most_rows`."""
        self._waiting.append(chunk)
