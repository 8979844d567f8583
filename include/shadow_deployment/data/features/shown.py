"""Requests as a challenger is shown them: with features of its own."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq


class PartWithFeatures:
    """One part of a sample as a challenger is shown it: with its own features, which replace logged ones."""

    def __init__(self, sampled: pq.ParquetFile, own: pq.ParquetFile) -> None:
        self._sampled, self._own = sampled, own

    @property
    def schema_arrow(self) -> pa.Schema:
        """The schema of all columns."""
        return shown(self._sampled.schema_arrow.empty_table(), self._own.schema_arrow.empty_table()).schema

    def iter_batches(self, batch_size: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield some columns, as a ParquetFile does."""
        own = self._own.schema_arrow.names
        sampled = self._sampled.iter_batches(batch_size, columns=[name for name in columns if name not in own])
        for sample, features in zip(sampled, self._own.iter_batches(batch_size), strict=True):
            tables = (pa.Table.from_batches([batch]) for batch in (sample, features))
            yield from shown(*tables).select(columns).to_batches()


def shown(requests: pa.Table, features: pa.Table) -> pa.Table:
    """Return requests with a challenger's own features; one that is logged too is replaced."""
    kept = requests.select([name for name in requests.column_names if name not in features.column_names])
    for name in features.column_names:
        kept = kept.append_column(name, features[name])
    return kept
