"""Which rows hold a text that is not theirs alone, found without keeping the texts.

Equal texts have equal hashes: a row whose hash no other row has cannot repeat. The others are shown to Great
Expectations in buckets by their hash, so that equal texts come together and a bucket is about eight parts in size.
"""

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.data.rows import FrameReader

if TYPE_CHECKING:
    import pandas as pd

Hashes = NDArray[np.int64]

BUCKET_PARTS: Final = 8  # every bucket reads the column once more


class TextHashes:
    """The hashes of one column's texts, eight bytes a row, gathered part by part."""

    def __init__(self, column: str) -> None:
        self.column = column
        self._gathered = array("q")  # it grows where it lies, without a second copy of itself

    def see(self, frame: "pd.DataFrame") -> None:
        """Take in one part; nulls are passed over."""
        texts = frame[self.column]
        self._gathered.frombytes(_hashes(texts.dropna() if texts.hasnans else texts).tobytes())

    @property
    def considered(self) -> int:
        """How many rows hold a text."""
        return len(self._gathered)

    def repeated(self, frames: FrameReader) -> "Iterator[pd.DataFrame]":
        """Yield the rows whose hash another row has too: the same hash, so the same text, in the same frame."""
        import pandas as pd

        hashes = np.frombuffer(self._gathered, np.int64)
        hashes.sort()
        again = hashes[1:] == hashes[:-1]
        suspects = np.unique(hashes[1:][again])
        rows = int(np.count_nonzero(again)) + len(suspects)
        del hashes, again
        self._gathered = array("q")
        buckets = -(-rows // (BUCKET_PARTS * frames.part_rows))
        for bucket in range(buckets):
            mine = suspects[suspects % buckets == bucket]
            if len(mine):
                yield pd.concat([_among(frame, self.column, mine) for frame in frames.parts([self.column])])


def _among(frame: "pd.DataFrame", column: str, wanted: Hashes) -> "pd.DataFrame":
    present = frame.dropna()
    hashes = _hashes(present[column])
    place = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
    return present[wanted[place] == hashes]


def _hashes(texts: "pd.Series[str]") -> Hashes:
    return np.fromiter(map(hash, texts.to_numpy(object)), np.int64, len(texts))
