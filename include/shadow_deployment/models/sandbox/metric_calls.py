"""What the worker does with a custom metric's function: its arguments from a batch, and a look at its values."""

import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

CHECKED_ROWS: Final = 16  # of a call, at most half of them, which are given to the function once more

Converted = Callable[[Any, int, dict[str, Any]], Any]


def checked(
    function: Callable[..., Any], task: dict[str, Any], converted: Converted, refusal: type[Exception]
) -> Callable[[pa.RecordBatch], tuple[Any, dict[int, str]]]:
    """Return a function of a batch whose first columns are the prediction, then the label, then the features.

    Some of its rows are shown once more, the last one first: a value that is then another one depends on other rows,
    on their order or on chance.

    Args:
        function: the metric's function.
        task: what the worker was asked to load; `arguments` are the names of what the function takes.
        converted: makes float64 of shape (n,) of its output, or raises `refusal`.
        refusal: raised here too, with text of our own; whatever else is raised is the function's.
    """
    try:
        inspect.signature(function).bind(*task["arguments"])
    except (TypeError, ValueError) as error:
        raise refusal(f"{task['function']} must take ({', '.join(task['arguments'])}): {error}") from None

    def values(batch: pa.RecordBatch) -> Any:
        return converted(function(*_inputs(batch, task)), batch.num_rows, {**task, "classes": []})

    def evaluate(batch: pa.RecordBatch) -> tuple[Any, dict[int, str]]:
        results, count = values(batch), min(CHECKED_ROWS, max(batch.num_rows // 2, 1))
        some = np.linspace(batch.num_rows - 1, 0, count).astype(int)
        if not np.allclose(values(batch.take(pa.array(some))), results[some], rtol=1e-9, atol=1e-12, equal_nan=True):
            raise refusal(
                "the function returned another value for the same request among others, must depend on nothing but "
                "its own prediction, label and features"
            )
        return results, {}

    return evaluate


def _inputs(batch: pa.RecordBatch, task: dict[str, Any]) -> list[Any]:
    """Return the arguments: arrays of shape (n,), or with classes a DataFrame and their names, and the features."""
    classes, frame = task["classes"], batch.to_pandas()
    width = len(classes) or 1
    count = width + len(task["arguments"]) - 2  # of columns that are no features
    arrays = [frame.iloc[:, place].to_numpy(np.float64, copy=True) for place in range(count)]
    prediction = frame.iloc[:, :width].set_axis(classes, axis=1) if classes else arrays[0]
    labels = arrays[width:]
    if classes:
        labels = [np.array(classes, object)[label.astype(int)] for label in labels]
    return [prediction, *labels, frame.iloc[:, count:]]
