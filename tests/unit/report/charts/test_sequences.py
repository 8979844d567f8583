"""A sequence shows its days, its interval and its decision, wherever these lie."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from shadow_deployment.report.charts.sequence import sequence
from shadow_deployment.report.views import SequenceView
from tests.unit.report import figures
from tests.unit.report.charts.reading import DAY, by_height, drawn


@pytest.mark.parametrize("which", [0, 1], ids=["wide", "narrow"])
def test_a_sequence_shows_bound_days_mean_and_interval_at_their_values(passing: SequenceView, which: int) -> None:
    facts = figures.changed(passing, bound=0.011)
    drawing = drawn(sequence(facts, 1), which)
    pixel = abs(drawing.value_at(100) - drawing.value_at(101))
    assert drawing.value_at(drawing.the("bound").y) == pytest.approx(0.011, abs=pixel)
    shown = [(drawing.day_at(x), drawing.value_at(y)) for x, y in drawing.the("daily").points]
    assert [day for day, _ in shown] == list(facts.days)
    assert [value for _, value in shown] == pytest.approx(facts.observed, abs=pixel)
    mean = [drawing.value_at(y) for _, y in drawing.the("mean").points]
    assert mean == pytest.approx(facts.mean, abs=pixel)
    known = [index for index, lower in enumerate(facts.lower) if lower is not None]
    assert len(known) == 64 - 27
    outline = drawing.the("interval").points
    below, above = outline[: len(known)], outline[len(known) :][::-1]
    for side, points in ((facts.lower, below), (facts.upper, above)):
        assert [drawing.day_at(x) for x, _ in points] == [facts.days[index] for index in known]
        assert [drawing.value_at(y) for _, y in points] == pytest.approx([side[index] for index in known], abs=pixel)


def test_a_sequence_marks_burn_in_and_the_day_of_decision(passing: SequenceView) -> None:
    drawing = drawn(sequence(passing, 1))
    assert passing.burn_in_end
    burn_in = drawing.the("burn_in")
    end = burn_in.start[0] + burn_in.box[0]
    assert drawing.day_at(end + 8) == passing.burn_in_end
    assert drawing.day_at(end - 8) == passing.burn_in_end - DAY
    assert drawing.day_at(drawing.the("decided").x) == passing.rule.finding.decided_on
    assert drawing.the("decided").colour == "pass"
    assert drawing.the("decided_words").words == f"bound cleared on {passing.rule.finding.decided_on}"
    assert {"burn-in of 28\xa0days", "bound 0: the rule holds above"} <= set(drawing.legend)
    title, words = drawing.described()
    assert title == passing.rule.text
    assert "clears the bound 0: PASS since the evidence of" in words


def test_a_sequence_in_its_burn_in_shows_days_and_no_interval() -> None:
    chart = sequence(figures.a_sequence(12), 1)
    drawing = drawn(chart)
    assert (drawing.layer("interval"), drawing.layer("decided")) == ([], [])
    assert len(drawing.the("daily").points) == 12
    assert chart.finding == "No interval yet after 12\xa0days; the first is due on day 28."
    bound = drawing.the("bound")
    assert drawing.the("burn_in").box[0] == pytest.approx(abs(bound.end[0] - bound.x), abs=1)


def test_replayed_days_are_hollow_and_named_in_legend_note_and_table(passing: SequenceView) -> None:
    chart = sequence(replace(passing, replayed=40), 1)
    drawing = drawn(chart)
    inner, outer = drawing.the("replayed"), drawing.the("daily")
    assert inner.points == outer.points[:40]
    assert inner.colour == "ground"
    widths = [float(mark.element.get("stroke-width") or 0) for mark in (inner, outer)]
    assert 2 < widths[0] < widths[1], "a ring is left of each dot"
    assert "replayed day" in drawing.legend
    assert chart.note.endswith("40\xa0days before the registration, drawn hollow, were replayed.")
    assert chart.table is not None
    assert [row[-1] for row in chart.table.rows] == ["live"] * 24 + ["replayed"] * 40
    live = sequence(passing, 1)
    assert drawn(live).layer("replayed") == []
    assert "replayed day" not in drawn(live).legend


def test_one_day_is_a_chart_too() -> None:
    drawing = drawn(sequence(figures.a_sequence(1), 1))
    assert len(drawing.the("daily").points) == 1
    assert [text.words for text in drawing.layer("axis-label") if "\xa0" in text.words] == ["1\xa0Jan\xa02013"]


def test_a_wide_sequence_ends_in_its_newest_interval_and_mean_apart_from_each_other(passing: SequenceView) -> None:
    ends = by_height(drawn(sequence(passing, 1)).layer("end"))
    assert [float(text.words) for text in ends] == pytest.approx(
        [passing.upper[-1], passing.mean[-1], passing.lower[-1]], abs=1e-4
    )
    close = replace(passing, lower=(*passing.lower[:-1], passing.mean[-1] - 1e-4))
    heights = [text.y for text in by_height(drawn(sequence(close, 1)).layer("end"))]
    assert min(after - before for before, after in pairwise(heights)) >= 15
    assert drawn(sequence(passing, 1), 1).layer("end") == []


def test_an_open_side_of_a_sequence_reaches_the_edge(passing: SequenceView) -> None:
    drawing = drawn(sequence(replace(passing, lower=(None,) * 64), 1))
    edge = drawing.the("burn_in").start[1] + drawing.the("burn_in").box[1]
    below = drawing.the("interval").points[: 64 - 27]
    assert all(y > edge for _, y in below)


def test_days_far_out_do_not_flatten_a_sequence_and_are_counted(passing: SequenceView) -> None:
    wild = replace(passing, observed=(9.0, *passing.observed[1:]))
    chart = sequence(wild, 1)
    calm, drawing = drawn(sequence(passing, 1)), drawn(chart)
    shade = drawing.the("burn_in")
    top, bottom = shade.start[1], shade.start[1] + shade.box[1]
    assert drawing.value_at(top) == pytest.approx(calm.value_at(top), rel=0.3)
    (outside,) = re.findall(r"^(\d+) of 64\xa0days lie outside the chart\.$", chart.note)
    low, high = sorted((drawing.value_at(top), drawing.value_at(bottom)))
    assert int(outside) == sum(not low <= value <= high for value in wild.observed) >= 1
    assert sequence(figures.a_sequence(12), 1).note == ""
    assert "Evidence has changed since this verdict" in sequence(replace(wild, agrees=False), 1).note


def test_a_sequence_of_weeks_and_of_shares_says_so(passing: SequenceView) -> None:
    facts = figures.changed(passing, per="week", unit="share", slice="origin=JFK", is_="at_most", bound=0.05)
    chart = sequence(facts, 1)
    drawing = drawn(chart)
    assert {"effect of one week alone (naive estimate)", "bound 5\xa0%: the rule holds below"} <= set(drawing.legend)
    assert chart.title.endswith(" in origin=JFK")
    assert any(words.startswith("+") and words.endswith("\xa0%") for words in drawing.words)
    assert chart.table
    assert chart.table.headings[0] == "week"
    assert chart.table.rows[0][0] == str(facts.days[-1])
