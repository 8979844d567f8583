"""Rows in the order of the draw, sorted here and not by production: DuckDB sorts what does not fit into memory."""

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

MEMORY = "128MB"
_BATCH_ROWS = 8_192


def in_order(
    session: duckdb.DuckDBPyConnection, batches: pa.RecordBatchReader, keys: Sequence[str], left_out: str
) -> pa.RecordBatchReader:
    """Return the rows sorted by the first columns of these names, without the one that is left out.

    The least bytes and numbers come first, nulls last. What reading the batches raises is raised as it is.
    """
    names = batches.schema.names
    numbered = pa.schema([pa.field(f"c{place}", field.type) for place, field in enumerate(batches.schema)])
    failures: list[Exception] = []

    def supplied() -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=numbered)
        except Exception as error:  # noqa: BLE001 (DuckDB would make it an error of its own)
            failures.append(error)

    kept = [place for place in range(len(names)) if place != names.index(left_out)]
    schema = pa.schema([batches.schema.field(place) for place in kept])
    ordered = (
        session.from_arrow(pa.RecordBatchReader.from_batches(numbered, supplied()))
        .order(", ".join(f"c{names.index(key)} NULLS LAST" for key in keys))
        .project(", ".join(f"c{place}" for place in kept))
    )

    def restored() -> Iterator[pa.RecordBatch]:
        for batch in ordered.to_arrow_reader(_BATCH_ROWS):
            if failures:
                break
            yield pa.RecordBatch.from_arrays(batch.columns, names=schema.names).cast(schema)
        if failures:
            raise failures[0]

    return pa.RecordBatchReader.from_batches(schema, restored())
