"""How numbers are written in plain text."""

import math

import pytest

from shadow_deployment.base.numbers import interval, plain_percent, quantity, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0063081, "0.006308"), (0.07220, "0.0722"), (12345.6, "1.235e+04"), (0.0, "0"), (math.inf, "unbounded"),
     (math.nan, "unbounded"), (None, "-")],
)  # fmt: skip
def test_four_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


def test_what_is_none_reads_as_the_caller_says() -> None:
    assert significant(None, none="no value") == "no value"
    assert significant(0.12345, 2) == "0.12"


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [(-1.0, 2.5, "-1 to 2.5"), (None, 2.5, "-∞ to 2.5"), (-1.0, None, "-1 to ∞"), (None, None, "-")],
)
def test_an_open_side_is_infinite(lower: float | None, upper: float | None, text: str) -> None:
    assert interval(lower, upper) == text


def test_counts_and_shares() -> None:
    assert [quantity(count, "more day") for count in (0, 1, 2)] == ["0 more days", "1 more day", "2 more days"]
    assert (plain_percent(0.4567), plain_percent(None)) == ("45.7%", "-")
