"""Requests as lines of CSV and answers as CSV or JSON, as SageMaker's own containers take and give them.

A line has the features in their order and nothing else: no header, an empty field for what is missing.
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.errors import ModelError
from shadow_deployment.models.remote.calls import Refused
from shadow_deployment.models.tensors import answer

CSV = "text/csv"
JSON = "application/json"
LINES = ("application/jsonlines", "application/json-lines", "application/x-jsonlines")


def written(batch: pa.RecordBatch, features: Sequence[str]) -> tuple[list[bytes], dict[int, str]]:
    """Return a line for each row, and errors of the rows that CSV cannot hold; raise ModelError for a type it cannot.

    Numbers are written so that they are read as the same double, true is 1, false is 0.
    """
    errors: dict[int, str] = {}
    columns = [_fields(batch, name, errors) for name in features]
    lines = []
    for row in zip(*columns, strict=True):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        lines.append(line.getvalue().encode())
    return lines, errors


def read(content_type: str, body: bytes, rows: int, classes: int) -> NDArray[np.float64]:
    """Return the values of an answer to so many rows; raise Refused where it has not one for each.

    CSV has a line for each row, or one line for all; JSON has a list, or an object with `predictions`. An object among
    them gives its `score`. Of two numbers for a row the second is taken, as of an ONNX classifier.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        found = _records(kind, body.decode())
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused(f"the answer is {kind}, but holds something else than numbers or scores") from None
    if len(found) != rows and len(found) == 1 and len(found[0]) == rows:
        found = [[one] for one in found[0]]
    if len(found) != rows:
        raise Refused(f"there are {len(found)} answers to {rows} requests")
    if len({len(record) for record in found}) != 1:
        raise Refused("the answers have different numbers of columns")
    try:
        return answer([np.array(found, np.float64)], classes, "the container")
    except ModelError as error:
        raise Refused(str(error)) from None


def _fields(batch: pa.RecordBatch, name: str, errors: dict[int, str]) -> list[object]:
    column = batch[name]
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (is_text or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ModelError(f"feature {name} is {column.type}, must be a number, a boolean or text to be written as CSV")
    fields: list[object] = ["" if one is None else one for one in column.to_pylist()]
    for row, one in enumerate(fields):
        if is_text and len(str(one).splitlines()) > 1:
            errors.setdefault(row, f"feature {name} has a line break, which a line of CSV cannot hold")
        elif isinstance(one, float) and not math.isfinite(one):
            fields[row] = ""
            if not math.isnan(one):
                errors.setdefault(row, f"feature {name} is infinite")
    return fields


def _records(kind: str, text: str) -> list[list[float]]:
    if kind == CSV:
        return [[float(one) for one in line.split(",")] for line in text.splitlines() if line.strip()]
    if kind in LINES:
        return [_numbers(json.loads(line)) for line in text.splitlines() if line.strip()]
    if kind != JSON:
        raise Refused(f"the answer is {kind or 'of no type'}, must be {CSV}, {JSON} or {LINES[0]}")
    said = json.loads(text)
    found = said["predictions"] if isinstance(said, dict) else said
    if not isinstance(found, list):
        raise TypeError("predictions")
    return [_numbers(one) for one in found]


def _numbers(said: Any) -> list[float]:
    found = said["score"] if isinstance(said, dict) else said
    each = found if isinstance(found, list) else [found]
    if not all(one is None or (isinstance(one, int | float) and not isinstance(one, bool)) for one in each):
        raise TypeError("numbers")
    return [math.nan if one is None else float(one) for one in each]
