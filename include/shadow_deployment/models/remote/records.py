"""Requests as lines of CSV and predictions as CSV or JSON, as SageMaker's own containers read and write them.

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
from shadow_deployment.models.remote.calls import RowsRefused
from shadow_deployment.models.tensors import read_predictions

CSV = "text/csv"
JSON = "application/json"
LINES = ("application/jsonlines", "application/json-lines", "application/x-jsonlines")


def csv_lines(batch: pa.RecordBatch, features: Sequence[str]) -> tuple[list[bytes], dict[int, str]]:
    """Return a line for each row, and errors of the rows that CSV cannot hold; raise ModelError for a type it cannot.

    A number is read as the same double that was written; true is 1, false is 0.
    """
    errors: dict[int, str] = {}
    columns = [_fields(batch, name, errors) for name in features]
    lines = []
    for row in zip(*columns, strict=True):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        lines.append(line.getvalue().encode())
    return lines, errors


def parse_predictions(content_type: str, body: bytes, rows: int, classes: int) -> NDArray[np.float64]:
    """Return the predictions in a response.

    CSV has a line for each row, or one line for all; JSON has a list, or an object with `predictions`. An object in it
    gives its `score`. Of two numbers for a row the second is taken, as with an ONNX classifier.

    Returns:
        An array of shape (rows,), or (rows, classes) with classes.

    Raises:
        RowsRefused: The response does not have a prediction for each row.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        records = _records(kind, body.decode())
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RowsRefused(f"the response is {kind}, but holds something else than numbers or scores") from None
    if len(records) != rows and len(records) == 1 and len(records[0]) == rows:
        records = [[number] for number in records[0]]
    if len(records) != rows:
        raise RowsRefused(f"there are {len(records)} predictions for {rows} requests")
    if len({len(record) for record in records}) != 1:
        raise RowsRefused("the predictions have different numbers of columns")
    try:
        return read_predictions([np.array(records, np.float64)], classes, "the container")
    except ModelError as error:
        raise RowsRefused(str(error)) from None


def _fields(batch: pa.RecordBatch, name: str, errors: dict[int, str]) -> list[object]:
    column = batch[name]
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (is_text or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ModelError(f"feature {name} is {column.type}, must be a number, a boolean or text to be written as CSV")
    fields: list[object] = ["" if value is None else value for value in column.to_pylist()]
    for row, value in enumerate(fields):
        if is_text and len(str(value).splitlines()) > 1:
            errors.setdefault(row, f"feature {name} has a line break, which a line of CSV cannot hold")
        elif isinstance(value, float) and not math.isfinite(value):
            fields[row] = ""
            if not math.isnan(value):
                errors.setdefault(row, f"feature {name} is infinite")
    return fields


def _records(kind: str, text: str) -> list[list[float]]:
    if kind == CSV:
        return [[float(field) for field in line.split(",")] for line in text.splitlines() if line.strip()]
    if kind in LINES:
        return [_numbers(json.loads(line)) for line in text.splitlines() if line.strip()]
    if kind != JSON:
        raise RowsRefused(f"the response is {kind or 'of no type'}, must be {CSV}, {JSON} or {LINES[0]}")
    content = json.loads(text)
    records = content["predictions"] if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise TypeError("predictions")
    return [_numbers(record) for record in records]


def _numbers(record: Any) -> list[float]:
    score = record["score"] if isinstance(record, dict) else record
    numbers = score if isinstance(score, list) else [score]
    if not all(number is None or (isinstance(number, int | float) and type(number) is not bool) for number in numbers):
        raise TypeError("numbers")
    return [math.nan if number is None else float(number) for number in numbers]
