"""What models and servers write about requests, without the values of those requests."""

import re
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.base.redaction import without_secrets, without_values

_MISSING = re.compile(r"(?:columns are missing: |missing inputs )[\[{](.*?)[\]}]")  # of scikit-learn and MLflow
_QUOTED = re.compile(r"'([^']*)'")


def without_columns(text: str, absent: Sequence[str], batch: pa.RecordBatch) -> str | None:
    """Return which columns a model needs and is not given, by what it looked up or wrote; None where it is not that.

    A name that is also a value of the batch is not repeated.
    """
    match = _MISSING.search(text)
    names = [*absent, *(_QUOTED.findall(match[1]) if match else [])]
    if not names or set(names) & text_values(batch):
        return None
    many, given = "columns" if len(names) > 1 else "column", ", ".join(batch.schema.names)
    return f"the model needs the {many} {', '.join(names)}, which requests.features ({given}) does not list"


def text_values(batch: pa.RecordBatch) -> set[str]:
    """Return the distinct texts in a batch's columns of text."""
    columns = [column for column in batch.columns if pa.types.is_string(column.type)]
    return {text for column in columns for text in pc.unique(column).to_pylist() if text}


def without_requests(text: str, batch: pa.RecordBatch, features: Sequence[str], hidden: Iterable[str] = ()) -> str:
    """Return a model's words without numbers, quotes, the batch's text values and secrets; names of features stay."""
    present = batch.select([name for name in features if name in batch.schema.names])
    return without_values(without_secrets(text, hidden), text_values(present), names=features)
