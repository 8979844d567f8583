"""Rows in the order of the draw, sorted here and not by production, in bounded memory.

The keyed hash is uniform, so a row's place in the order is nearly known before all rows have come. Rows that do not fit
into memory are written to disk in chunks, each chunk divided into parts by place; then each part is read from all
chunks and sorted by itself.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.base.parts import parts_on_disk
from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.data.sampling import HASHES, Draw

CHUNK_BYTES: Final = 12 << 20  # a few times as much is in memory at once
_ID, _TIME, _STRATUM, _HASH = range(4)  # the columns that rows begin with
_BATCH_ROWS: Final = 8_192


def sort_by_draw(
    batches: pa.RecordBatchReader, draws: Sequence[Draw], highest: Sequence[int], *, chunk_bytes: int = CHUNK_BYTES
) -> pa.RecordBatchReader:
    """Return rows sorted by stratum, keyed hash, id and time, without their hash.

    Args:
        batches: Rows that begin with id, time, stratum and hash; a row without an id has a hash of -1.
        draws: The draw of each stratum, in the order of the strata's bytes.
        highest: For each draw, a hash that none of its rows reaches.
        chunk_bytes: How many bytes of rows are sorted in memory.

    Raises:
        TransientError: The disk has no room. What reading the batches raises passes unchanged.
    """

    def rows() -> Iterator[pa.RecordBatch]:
        with closing(prefetch(_chunks(batches, chunk_bytes))) as chunks:  # before the session that they are read from
            yield from sort(chunks)

    def sort(chunks: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
        first, second = next(chunks, None), next(chunks, None)
        if first is None:
            return
        strata = pa.array([draw.stratum for draw in draws], pa.string())
        if second is None:
            yield from _sorted(first, strata).to_batches(_BATCH_ROWS)
            return
        place = _Place(strata, [draw.population * hash_ for draw, hash_ in zip(draws, highest, strict=True)], highest)
        count = max(math.ceil(place.expected_rows * first.nbytes / len(first) / chunk_bytes), 1)
        parts = parts_on_disk(chain([first, second], chunks), lambda rows: place.part_of(rows, count), count)
        for part in prefetch(_sorted(part, strata) for part in parts):
            yield from part.to_batches(_BATCH_ROWS)

    return pa.RecordBatchReader.from_batches(batches.schema.remove(_HASH), rows())


class _Place:
    """Where in the whole order a row is expected, as a share of all rows from 0 to 1."""

    def __init__(self, strata: pa.Array, rows: Sequence[int], highest: Sequence[int]) -> None:
        expected = np.array(rows, np.float64) / HASHES
        self.expected_rows = float(expected.sum())
        self._strata, self._highest = strata, np.array(highest, np.float64)
        self._share = expected / self.expected_rows
        self._before = np.concatenate(([0.0], np.cumsum(self._share)[:-1]))

    def part_of(self, rows: pa.Table, count: int) -> NDArray[np.int64]:
        """Return the number of each row's part, of so many parts of one size."""
        stratum, hash_ = _keys(rows, self._strata)
        within = np.clip(hash_ / self._highest[stratum], 0.0, 1.0)
        place = self._before[stratum] + within * self._share[stratum]
        return np.minimum((place * count).astype(np.int64), count - 1)


def _chunks(batches: pa.RecordBatchReader, size: int) -> Iterator[pa.Table]:
    """Join batches until they have `size` bytes."""
    chunk, held = list[pa.RecordBatch](), 0
    for batch in batches:
        chunk.append(batch)
        held += batch.nbytes
        if held >= size:
            yield pa.Table.from_batches(chunk)
            chunk, held = [], 0
    if held:
        yield pa.Table.from_batches(chunk)


def _sorted(rows: pa.Table, strata: pa.Array) -> pa.Table:
    stratum, hash_ = _keys(rows, strata)
    order = np.lexsort((hash_, stratum))
    ties = (np.diff(stratum[order]) == 0) & (np.diff(hash_[order]) == 0)
    if ties.any():  # an id that is there twice, or requests without an id
        names = ("stratum", "hash", "id", "time")
        keys = pa.table([stratum, hash_, rows[_ID], rows[_TIME]], names=names)
        order = pc.sort_indices(keys, [(name, "ascending") for name in names])  # nulls last
    return rows.remove_column(_HASH).take(order).combine_chunks()


def _keys(rows: pa.Table, strata: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's stratum, and its hash."""
    stratum = pc.index_in(rows[_STRATUM], strata).to_numpy()
    return np.asarray(stratum, np.int64), np.asarray(rows[_HASH].to_numpy(), np.int64)
