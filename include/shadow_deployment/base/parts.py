"""Rows in tables of one size, or divided into parts on disk: each is read by itself, in bounded memory."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.errors import TransientError


def parts_on_disk(
    chunks: Iterable[pa.Table], part_of: Callable[[pa.Table], NDArray[np.int64]], count: int
) -> Iterator[pa.Table]:
    """Yield the rows of all chunks in parts, each in the order in which its rows came.

    Meanwhile they lie in a folder of TMPDIR, which goes with the last part, or when the generator is closed.

    Args:
        chunks: Tables of one schema.
        part_of: The part of each row of a chunk, from 0.
        count: How many parts there are.

    Raises:
        TransientError: The disk has no room.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shadow-parts-")))
        paths = list[Path]()
        for chunk in chunks:
            if chunk.num_rows:
                paths.append(folder / f"{len(paths)}.arrow")
                _write(chunk, part_of(chunk), count, paths[-1])
        files = [stack.enter_context(pa.ipc.open_file(stack.enter_context(pa.OSFile(str(path))))) for path in paths]
        for number in range(count if files else 0):
            yield pa.Table.from_batches([file.get_batch(number) for file in files])


def tables_of_one_size(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Yield tables of so many rows, the last with the rest."""
    slices, missing = list[pa.RecordBatch](), rows
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            slices.append(batch.slice(start, missing))
            start += slices[-1].num_rows
            missing -= slices[-1].num_rows
            if not missing:
                yield pa.Table.from_batches(slices)
                slices, missing = [], rows
    if slices:
        yield pa.Table.from_batches(slices)


def places_among(values: pa.ChunkedArray, bounds: pa.Array) -> NDArray[np.int64]:
    """Return how many of the bounds each value is not below: a binary search of all at once.

    Args:
        values: Texts without nulls.
        bounds: 2^k - 1 texts in the order of their bytes.
    """
    place = np.zeros(len(values), np.int64)
    step = (len(bounds) + 1) // 2
    while step:
        is_behind = pc.greater_equal(values, bounds.take(pa.array(place + step - 1)))
        place += step * is_behind.to_numpy()
        step //= 2
    return place


def _write(rows: pa.Table, part: NDArray[np.int64], count: int, path: Path) -> None:
    """Write one batch for each part, which may be empty."""
    ends: Sequence[int] = np.cumsum(np.bincount(part, minlength=count)).tolist()
    [batch] = rows.take(np.argsort(part, kind="stable")).combine_chunks().to_batches()
    try:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            for start, end in zip([0, *ends[:-1]], ends, strict=True):
                writer.write_batch(batch.slice(start, end - start))
    except OSError as error:
        raise TransientError(f"rows are divided in {path.parent}, for which TMPDIR needs room: {error}") from error
