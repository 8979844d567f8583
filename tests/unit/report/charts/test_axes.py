"""Axes hold their values, and labels lie within the chart."""

import datetime as dt
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart
from tests.unit.report import figures
from tests.unit.report.charts.reading import drawn, extent


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_a_reach_holds_its_values_and_is_never_of_no_width(values: list[float]) -> None:
    low, high = parts.reach(values)
    assert low < high
    assert high - low < float("inf")
    assert all(low <= value <= high for value in values if abs(value) < 1e300)


@pytest.mark.parametrize("length", [1, 2, 5, 6, 12, 40, 64, 120, 200, 365])
def test_days_on_an_axis_lie_between_the_first_and_last_and_do_not_repeat(length: int) -> None:
    days = figures.days_from(length, dt.date(2013, 3, 9))
    for width in (WIDE, NARROW):
        chart = Chart("days", "t", "d", lambda width: a_line_of(days, width), (width,))
        labels = [text for text in drawn(chart).layer("axis-label") if text.words]
        words = [text.words for text in labels]
        assert len(set(words)) == len(words)
        assert "2013" in words[0]
        assert all(extent(before)[1] < extent(after)[0] for before, after in pairwise(labels))


def a_line_of(days: tuple[dt.date, ...], width: int) -> dict[str, Any]:
    x = parts.day_axis(days[0], days[-1], width)
    rows = parts.rows(day=[parts.milliseconds(day) for day in days])
    return parts.framed(width, 100, [parts.layer("days", parts.mark("point"), rows, x=x("day"))])


@pytest.mark.parametrize("values", [[0.2, 40.0], [4.1, 4.3], [1e-9, 1e9], [7.0]])
def test_a_logarithmic_axis_has_labels_whatever_its_reach(values: list[float]) -> None:
    y = parts.log_axis(values)
    layers = [parts.layer("values", parts.mark("point"), parts.rows(value=values), y=y("value"))]
    chart = Chart("log", "t", "d", lambda width: parts.framed(width, 200, layers))
    words = [text.words for text in drawn(chart).layer("axis-label") if text.words]
    assert len(set(words)) == len(words) >= 2


def test_small_pieces() -> None:
    assert parts.reach([]) == (-1.0, 1.0)
    assert parts.reach([2.0, None]) == pytest.approx((1.88, 2.12))
    assert parts.wrapped("one two three four five six", 60) == ["one two", "three…"]
    assert parts.wrapped("", 60) == [""]
    assert parts.rows(a=[1, 2], b="x") == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    assert parts.rows(a=[], b="x") == []


def test_a_legend_has_as_many_columns_as_its_width_has_room_for() -> None:
    entries = [parts.Entry("line", "ink", name * 20) for name in "xy"]
    for width, rows in ((WIDE, 1), (200, 2)):
        chart = Chart("legend", "t", "d", lambda width: parts.framed(width, 50, [], legend=entries), (width,))
        assert len({text.y for text in drawn(chart).layer("legend-label")}) == rows
