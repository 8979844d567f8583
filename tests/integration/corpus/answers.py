"""A function as a model that answers each request as the request's text asks."""

import ctypes
import os
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

_kept: list[bytearray] = []


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def answer(frame: pd.DataFrame) -> Any:
    """Answer one request."""
    return globals()[frame["s"].iloc[0]](frame)


def half(frame: pd.DataFrame) -> Any:
    return np.full(len(frame), 0.5)


def half_in_a_list(frame: pd.DataFrame) -> Any:
    return [0.5] * len(frame)


def half_in_a_column(frame: pd.DataFrame) -> Any:
    return pd.DataFrame({"p": [0.5] * len(frame)})


def half_as_true(frame: pd.DataFrame) -> Any:
    return [True] * len(frame)


def half_as_decimal(frame: pd.DataFrame) -> Any:
    return [Decimal("0.5")] * len(frame)


def half_of_two_columns(frame: pd.DataFrame) -> Any:
    return np.full((len(frame), 2), 0.5)


def nothing(frame: pd.DataFrame) -> Any:
    return None


def not_a_number(frame: pd.DataFrame) -> Any:
    return [float("nan")] * len(frame)


def without_end(frame: pd.DataFrame) -> Any:
    return [float("inf")] * len(frame)


def missing(frame: pd.DataFrame) -> Any:
    return [None] * len(frame)


def missing_in_pandas(frame: pd.DataFrame) -> Any:
    return pd.Series([pd.NA] * len(frame), dtype="Float64")


def too_few(frame: pd.DataFrame) -> Any:
    return half(frame)[:-1]


def too_many(frame: pd.DataFrame) -> Any:
    return [0.5] * (len(frame) + 1)


def one_for_all(frame: pd.DataFrame) -> Any:
    return 0.5


def three_columns(frame: pd.DataFrame) -> Any:
    return np.full((len(frame), 3), 1 / 3)


def ragged(frame: pd.DataFrame) -> Any:
    return [[0.5], [0.5, 0.5]]


def text(frame: pd.DataFrame) -> Any:
    return ["0.5"] * len(frame)


def text_of_objects(frame: pd.DataFrame) -> Any:
    return pd.Series(["0.5"] * len(frame), dtype=object)


def some_bytes(frame: pd.DataFrame) -> Any:
    return [b"0.5"] * len(frame)


def complex_number(frame: pd.DataFrame) -> Any:
    return [0.5 + 0j] * len(frame)


def a_moment(frame: pd.DataFrame) -> Any:
    return np.array(["2024-03-01"] * len(frame), "datetime64[us]")


def a_mapping(frame: pd.DataFrame) -> Any:
    return {"p": 0.5}


def a_generator(frame: pd.DataFrame) -> Any:
    return (0.5 for _ in range(len(frame)))


def itself(frame: pd.DataFrame) -> Any:
    return itself


def raises(frame: pd.DataFrame) -> Any:
    raise ValueError("no such airport")


def raises_at_length(frame: pd.DataFrame) -> Any:
    raise ValueError("x" * 1_000_000)


def raises_without_text(frame: pd.DataFrame) -> Any:
    raise UnreadableError


def raises_in_two_lines(frame: pd.DataFrame) -> Any:
    raise ValueError("one\n\x00two")


def lacks_memory(frame: pd.DataFrame) -> Any:
    raise MemoryError


def recurses(frame: pd.DataFrame) -> Any:
    return recurses(frame)


def exits(frame: pd.DataFrame) -> Any:
    sys.exit(3)


def interrupts(frame: pd.DataFrame) -> Any:
    raise KeyboardInterrupt


def prints_bytes(frame: pd.DataFrame) -> Any:
    os.write(1, b"\xff\x00" * 5000)
    return half(frame)


def changes_the_frame(frame: pd.DataFrame) -> Any:
    frame.drop(frame.index, inplace=True)
    return [0.5]


def leaves(frame: pd.DataFrame) -> Any:
    os._exit(7)


def crashes(frame: pd.DataFrame) -> Any:
    ctypes.string_at(0)


def hangs(frame: pd.DataFrame) -> Any:
    while True:
        pass


def takes_memory(frame: pd.DataFrame) -> Any:
    while True:
        _kept.append(bytearray(b"x" * (16 << 20)))


def asks_for_wind(rows: pd.DataFrame) -> pd.Series:
    """Ask for a column that is no feature."""
    return rows["wind"] / 100


def asks_for_wind_and_rain(rows: pd.DataFrame) -> pd.Series:
    """Ask for several columns, of which two are no features."""
    return rows[["distance", "wind", "rain"]].sum(axis=1)


def sorted_by_value(rows: pd.DataFrame) -> pd.Series:
    """Return what each row says, in another order than the rows: only the index tells which is whose."""
    return (rows["distance"] / 1000).sort_values()
