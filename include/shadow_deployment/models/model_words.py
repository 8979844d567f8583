"""What models and servers write about requests, without the values of those requests."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.base.redaction import without_secrets, without_values


def text_values(batch: pa.RecordBatch) -> set[str]:
    """Return the distinct texts in a batch's columns of text."""
    columns = [column for column in batch.columns if pa.types.is_string(column.type)]
    return {text for column in columns for text in pc.unique(column).to_pylist() if text}


def without_requests(text: str, batch: pa.RecordBatch, features: Sequence[str], hidden: Iterable[str] = ()) -> str:
    """Return a model's words without numbers, quotes, the batch's text values and secrets; names of features stay."""
    present = batch.select([name for name in features if name in batch.schema.names])
    return without_values(without_secrets(text, hidden), text_values(present), names=features)
