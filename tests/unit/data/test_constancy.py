"""A column that disappeared and a model that is dead are found; a rare flag and one value a day are neither."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shadow_deployment.data.quality.constancy import dead, vanished, varying
from tests.rows import TableRows

GUSTY_DAYS = [(388, 90), (272, 132), (249, 186), (78, 414), (359, 125)]  # New York in March 2013: null is calm


def rows(values: Sequence[Any], type_: pa.DataType | None = None) -> TableRows:
    return TableRows(pa.table({"value": pa.array(values, type_)}))


def flags(count: int, ones: int) -> TableRows:
    return rows([1.0] * ones + [0.0] * (count - ones))


DRAWN = [rows(np.random.default_rng(day).normal(size=150).tolist()) for day in range(3)]
LETTERS = [rows(["a", "b"] * 75)] * 5
GUSTS = [rows([None] * none + list(range(gusts)), pa.float64()) for none, gusts in GUSTY_DAYS]
WEEKDAYS = [rows([float(day % 7)] * 150) for day in range(3)]


@pytest.mark.parametrize(
    ("today", "earlier", "says"),
    [
        (rows([None] * 150, pa.float64()), DRAWN, "all 150 requests have no value, and none of 3 earlier days was so"),
        (rows([-1.0] * 150), DRAWN, "all 150 requests have the same value, and none of 3 earlier days was so"),
        (rows(["n/a"] * 150), LETTERS, "all 150 requests have the same value, and none of 5 earlier days was so"),
        (rows(["n/a"] * 150), LETTERS[:1], None),  # one day does not say how much days differ
        (
            rows([None] * 150, pa.float64()),
            DRAWN[:1],
            "all 150 requests have no value, and none of 1 earlier day was so",
        ),
        (rows([None] * 460, pa.float64()), GUSTS, None),  # a calm day
        (rows([None] * 460, pa.float64()), GUSTS[:3], None),
        (
            rows([1.0] * 150),
            [rows([1.0] * 149 + [2.0]), rows([float(n) for n in range(150)])],
            None,
        ),  # some days are so
        (rows([None] * 149 + [2.0]), DRAWN, None),
        (rows([None] * 99, pa.float64()), DRAWN, None),  # too few to say
        (rows([None] * 150, pa.float64()), [], None),  # nor is there any day to compare with
        (rows([3.0] * 150), WEEKDAYS, None),  # one value a day
        (rows([None] * 150, pa.float64()), [*DRAWN, rows([None] * 150, pa.float64())], None),  # it was so before
        (flags(300, 0), [flags(300, 6)] * 14, None),  # 2 % of a flag
        (
            flags(3000, 0),
            [flags(300, 45)] * 14,
            "all 3000 requests have the same value, and none of 14 earlier days was so",
        ),
    ],
)
def test_a_column_that_disappeared(today: TableRows, earlier: list[TableRows], says: str | None) -> None:
    assert vanished(today, "value", earlier) == says


@pytest.mark.parametrize(
    ("today", "earlier", "says"),
    [
        (rows([0.5] * 2137), DRAWN, "all 2137 predictions are the same"),
        (rows([0.5] * 2137), [], "all 2137 predictions are the same"),
        (rows([0.5] * 150 + [None] * 20), DRAWN, "all 150 predictions are the same"),  # of those that it answered
        (rows([0.5] * 150), [*DRAWN, rows([0.5] * 150)], "all 150 predictions are the same"),  # as on the day before
        (rows([0.5] * 150), [], None),  # a new model that may say few things
        (rows([0.5] * 2136 + [0.6]), DRAWN, None),
        (flags(300, 0), [flags(300, 6)], None),  # a rule with two outcomes
        (rows([None] * 2137, pa.float64()), DRAWN, None),  # that is another failure
    ],
)
def test_a_model_that_is_dead(today: TableRows, earlier: list[TableRows], says: str | None) -> None:
    assert dead(today, ["value"], earlier) == says


def test_a_model_of_several_classes_is_dead_where_all_probabilities_are_the_same() -> None:
    def predicted(probabilities: list[list[float] | None]) -> TableRows:
        return TableRows(pa.table({"champion": [0.0] * len(probabilities), "each": probabilities}))

    alive: list[list[float] | None] = [[0.5 + n / 4096, 0.3, 0.2 - n / 4096] for n in range(600)]
    assert dead(predicted(alive), ["champion", "each"], []) is None
    same = predicted([[0.5, 0.3, 0.2], None] * 1000)
    assert dead(same, ["champion", "each"], []) == "all 1000 predictions are the same"


def test_what_varies_is_known_by_its_name() -> None:
    table = pa.table({"a": [1, 1, 2], "b": [1, 1, None], "c": ["x"] * 3, "d": pa.nulls(3)})
    assert varying(TableRows(table), ["a", "b", "c", "d", "gone"]) == {"a", "b"}
