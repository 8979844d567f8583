"""Finds the rows whose text another row has too, without keeping the texts: eight bytes a row.

Equal texts have equal hashes, so a row with a hash of its own cannot repeat. The others are shown to Great Expectations
in buckets by their hash, so that equal texts come together and a bucket has the size of about eight parts.
"""

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.data.rows import FrameReader

if TYPE_CHECKING:
    import pandas as pd

BUCKET_PARTS: Final = 8  # every bucket reads the column once more


class TextHashes:
    """The hashes of one column's texts, added part by part."""

    def __init__(self, column: str) -> None:
        self.column = column
        self._hashes = array("q")  # it grows in place, without a second copy of itself

    def add(self, frame: "pd.DataFrame") -> None:
        """Add one part; nulls are left out."""
        self._hashes.frombytes(_hashes(frame[self.column].dropna()).tobytes())

    @property
    def considered(self) -> int:
        """How many rows hold a text."""
        return len(self._hashes)

    def repeated(self, frames: FrameReader) -> "Iterator[pd.DataFrame]":
        """Yield the rows whose hash another row has too, those of one hash in one frame; forget the hashes."""
        import pandas as pd

        hashes = np.frombuffer(self._hashes, np.int64)
        hashes.sort()
        is_repeated = hashes[1:] == hashes[:-1]
        suspects = np.unique(hashes[1:][is_repeated])
        rows = int(np.count_nonzero(is_repeated)) + len(suspects)
        del hashes, is_repeated
        self._hashes = array("q")
        buckets = -(-rows // (BUCKET_PARTS * frames.part_rows))
        for bucket in range(buckets):
            in_bucket = suspects[suspects % buckets == bucket]
            if len(in_bucket):
                yield pd.concat([_with_hash(frame, self.column, in_bucket) for frame in frames.parts([self.column])])


def _with_hash(frame: "pd.DataFrame", column: str, suspects: NDArray[np.int64]) -> "pd.DataFrame":
    present = frame.dropna()
    return present[np.isin(_hashes(present[column]), suspects)]


def _hashes(texts: "pd.Series[str]") -> NDArray[np.int64]:
    return np.fromiter(map(hash, texts.to_numpy(object)), np.int64, len(texts))
