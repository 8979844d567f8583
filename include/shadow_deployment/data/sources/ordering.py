"""Rows in the order of the draw, put in order here and not by production, in bounded memory.

The keyed hash is uniform, so that a row's place in the order is known, nearly, before the others have come. Rows that
do not fit into memory are written to disk a chunk at a time, each chunk in parts by their place; then each part is read
from all chunks and sorted by itself.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.errors import TransientError

CHUNK_BYTES: Final = 12 << 20  # a few times as much is in memory at once
_ID, _TIME, _STRATUM, _HASH = range(4)  # the columns that rows begin with
_BATCH_ROWS: Final = 8_192


def in_order(
    batches: pa.RecordBatchReader, draws: Sequence[Draw], highest: Sequence[int], *, chunk_bytes: int = CHUNK_BYTES
) -> pa.RecordBatchReader:
    """Return rows by stratum, keyed hash, id and time, without their hash.

    Rows begin with id, time, stratum and hash, which is below the `highest` of the stratum's draw; a row without an id
    has a hash of -1. Draws come in the order of their strata's bytes. What reading the batches raises is raised as it
    is, and TransientError where the disk has no room.
    """

    def rows() -> Iterator[pa.RecordBatch]:
        with closing(prefetch(_chunks(batches, chunk_bytes))) as chunks:  # before the session that they are read from
            yield from in_memory_or_apart(chunks)

    def in_memory_or_apart(chunks: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
        first = next(chunks, None)
        second = None if first is None else next(chunks, None)
        if first is None:
            return
        strata = pa.array([draw.stratum for draw in draws], pa.string())
        if second is None:
            yield from _sorted(first, strata).to_batches(_BATCH_ROWS)
            return
        place = _Place(strata, [draw.population * high for draw, high in zip(draws, highest, strict=True)], highest)
        parts = math.ceil(place.expected_rows * first.nbytes / len(first) / chunk_bytes)
        apart = _apart(chain([first, second], chunks), place, max(parts, 1))
        for part in prefetch(_sorted(one, strata) for one in apart):
            yield from part.to_batches(_BATCH_ROWS)

    return pa.RecordBatchReader.from_batches(batches.schema.remove(_HASH), rows())


class _Place:
    """Where in the whole order a row is to be expected, as a share of all rows from 0 to 1."""

    def __init__(self, strata: pa.Array, rows: Sequence[int], highest: Sequence[int]) -> None:
        expected = np.array(rows, np.float64) / HASHES
        self.expected_rows = float(expected.sum())
        self._strata, self._highest = strata, np.array(highest, np.float64)
        self._share = expected / self.expected_rows
        self._before = np.concatenate(([0.0], np.cumsum(self._share)[:-1]))

    def __call__(self, rows: pa.Table) -> NDArray[np.float64]:
        stratum, key = _keys(rows, self._strata)
        within = np.clip(key / self._highest[stratum], 0.0, 1.0)
        return np.asarray(self._before[stratum] + within * self._share[stratum])


def _chunks(batches: pa.RecordBatchReader, size: int) -> Iterator[pa.Table]:
    """Gather batches until they have `size` bytes."""
    gathered, held = list[pa.RecordBatch](), 0
    for batch in batches:
        gathered.append(batch)
        held += batch.nbytes
        if held >= size:
            yield pa.Table.from_batches(gathered)
            gathered, held = [], 0
    if held:
        yield pa.Table.from_batches(gathered)


def _apart(chunks: Iterator[pa.Table], place: _Place, parts: int) -> Iterator[pa.Table]:
    """Yield the rows of all chunks in parts that follow each other; they lie in a folder of TMPDIR meanwhile."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shadow-order-")))
        files = list[Path]()
        for chunk in chunks:
            part = np.minimum((place(chunk) * parts).astype(np.int64), parts - 1)
            ends = np.cumsum(np.bincount(part, minlength=parts)).tolist()
            files.append(folder / f"{len(files)}.arrow")
            _write(chunk.take(np.argsort(part, kind="stable")).combine_chunks(), ends, files[-1])
        written = [stack.enter_context(pa.ipc.open_file(stack.enter_context(pa.OSFile(str(one))))) for one in files]
        for number in range(parts):
            yield pa.Table.from_batches([one.get_batch(number) for one in written])


def _write(rows: pa.Table, ends: Sequence[int], path: Path) -> None:
    """Write rows as one batch for each part, which may be empty."""
    [whole] = rows.to_batches()
    try:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            for start, end in zip([0, *ends[:-1]], ends, strict=True):
                writer.write_batch(whole.slice(start, end - start))
    except OSError as error:
        raise TransientError(f"rows are put in order in {path.parent}, for which TMPDIR needs room: {error}") from error


def _sorted(rows: pa.Table, strata: pa.Array) -> pa.Table:
    stratum, key = _keys(rows, strata)
    order = np.lexsort((key, stratum))
    if _ties(stratum[order], key[order]):  # an id that is there twice, or requests without an id
        names = ("stratum", "key", "id", "time")
        keys = pa.table([stratum, key, rows[_ID], rows[_TIME]], names=names)
        order = pc.sort_indices(keys, [(name, "ascending") for name in names])  # nulls last
    return rows.remove_column(_HASH).take(order).combine_chunks()


def _keys(rows: pa.Table, strata: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's stratum, and its hash."""
    stratum = pc.index_in(rows[_STRATUM], strata).to_numpy()
    return np.asarray(stratum, np.int64), np.asarray(rows[_HASH].to_numpy(), np.int64)


def _ties(stratum: NDArray[np.int64], key: NDArray[np.int64]) -> bool:
    return bool(((stratum[1:] == stratum[:-1]) & (key[1:] == key[:-1])).any())
