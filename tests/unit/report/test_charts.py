"""Charts show what the facts say, where they say it, in words too, and no name acts in them."""

import datetime as dt
import json
import re
import struct
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.ledger.page import OutcomeDay
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.catalog import MOST_SEQUENCES, catalog
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart, drawn_at_once
from shadow_deployment.report.charts.days import distances, labels, latency
from shadow_deployment.report.charts.decisions import matrices, threshold_sweep
from shadow_deployment.report.charts.drift import drift
from shadow_deployment.report.charts.history import noise, timeline
from shadow_deployment.report.charts.scores import distributions, quadrants, reliability
from shadow_deployment.report.charts.sequence import sequence
from shadow_deployment.report.charts.slices import MOST_SLICES, slices
from shadow_deployment.report.charts.theme import PALETTE, colour, resolved
from shadow_deployment.report.views import DailySeries, DeploymentView, NoiseView, SequenceView, SliceView
from tests.unit.report import examples
from tests.unit.report.drawing import Drawing, Mark

DAY = dt.timedelta(days=1)
MINUS = "\N{MINUS SIGN}"
PROJECT = Path(__file__).parents[2]


def drawn(chart: Chart, which: int = 0) -> Drawing:
    return Drawing(chart.inline()[which])


def every(facts: DeploymentView) -> list[Chart]:
    return [chart for section in catalog(facts).values() for chart in section]


def by_height(marks: list[Mark]) -> list[Mark]:
    return sorted(marks, key=lambda mark: mark.y)


@pytest.fixture(scope="module")
def passing() -> SequenceView:
    facts = examples.a_sequence(64, effect=0.03)
    assert facts.rule.finding.outcome == "PASS"
    return facts


@pytest.fixture(scope="module")
def charts() -> list[tuple[Chart, list[str]]]:
    return [(chart, chart.inline()) for chart in every(examples.a_deployment_page())]


@pytest.mark.parametrize("which", [0, 1], ids=["wide", "narrow"])
def test_a_sequence_shows_bound_days_mean_and_interval_at_their_values(passing: SequenceView, which: int) -> None:
    facts = examples.changed(passing, bound=0.011)
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
    chart = sequence(examples.a_sequence(12), 1)
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
    drawing = drawn(sequence(examples.a_sequence(1), 1))
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
    assert sequence(examples.a_sequence(12), 1).note == ""
    assert "Evidence has changed since this verdict" in sequence(replace(wild, agrees=False), 1).note


def test_a_sequence_of_weeks_and_of_shares_says_so(passing: SequenceView) -> None:
    facts = examples.changed(passing, per="week", unit="share", slice="origin=JFK", is_="at_most", bound=0.05)
    chart = sequence(facts, 1)
    drawing = drawn(chart)
    assert {"effect of one week alone (naive estimate)", "bound 5\xa0%: the rule holds below"} <= set(drawing.legend)
    assert chart.title.endswith(" in origin=JFK")
    assert any(words.startswith("+") and words.endswith("\xa0%") for words in drawing.words)
    assert chart.table
    assert chart.table.headings[0] == "week"
    assert chart.table.rows[0][0] == str(facts.days[-1])


def test_slices_are_a_row_each_with_their_requests_and_a_line_for_all_requests() -> None:
    facts = replace(examples.slices(), slices=examples.slices().slices[:24])
    drawing = drawn(slices(facts))
    shown = facts.slices
    names, estimates, requests = (by_height(drawing.layer(name)) for name in ("name", "estimate", "requests"))
    assert [text.words for text in names] == [each.name for each in shown]
    assert [text.words for text in requests] == [f"{each.requests:,}" for each in shown]
    assert [round(text.y - 4) for text in names] == [round(mark.y) for mark in estimates]
    zero = drawing.the("zero").x
    assert [mark.x > zero for mark in estimates] == [each.estimate > 0 for each in shown]
    colours = ["fail" if each.is_worse else "pass" if each.is_better else "muted" for each in shown]
    assert [mark.colour for mark in estimates] == colours
    assert any(each.is_worse for each in facts.slices)
    shapes = {(mark.colour, mark.element.get("d")) for mark in estimates}
    assert len(shapes) == len({path for _, path in shapes}) == len(set(colours)) > 1
    assert "all requests" in drawing.legend
    assert drawing.the("overall").x > zero
    assert drawn(slices(replace(facts, overall=None))).layer("overall") == []


def test_an_open_side_of_a_slice_ends_in_an_arrow() -> None:
    facts = examples.slices(6)
    opened = replace(facts, slices=(*facts.slices[:-1], replace(facts.slices[-1], lower=None)))
    arrows = [mark for mark in drawn(slices(opened)).layer("left") if mark.element.get("d", "").endswith("Z")]
    assert len(arrows) == sum(each.lower is None for each in opened.slices) > 0


def test_slices_stand_in_the_order_of_what_their_intervals_show() -> None:
    def a_slice(name: str, estimate: float, lower: float | None, upper: float | None, requests: int) -> SliceView:
        return SliceView(f"carrier={name}", estimate, lower, upper, 40, requests)

    few = a_slice("OO", -0.4, -1.9, 1.1, 31)  # by far the lowest estimate, of 31 requests
    none = a_slice("F9", -0.9, None, None, 5)
    harm, hint, gain = (a_slice("HA", -0.02, -0.03, -0.01, 9000), a_slice("UA", -0.01, -0.021, 0.001, 9000),
                        a_slice("AA", 0.02, 0.01, 0.03, 9000))  # fmt: skip
    ordered = sorted([none, gain, few, hint, harm], key=lambda each: each.order)
    assert ordered == [harm, hint, few, gain, none]
    facts = replace(examples.slices(), slices=tuple(ordered))
    assert f"Worst is carrier=HA: {MINUS}0.0300 to {MINUS}0.0100 on 9,000 requests." in slices(facts).finding
    harmless = replace(facts, slices=(hint, few, gain, none))
    assert slices(harmless).finding == "The challenger is worse in 0 and better in 1 of 4\xa0slices."


def test_of_many_slices_some_are_drawn_and_all_are_in_the_table() -> None:
    facts = examples.slices(50)
    chart = slices(facts)
    assert len(drawn(chart).layer("name")) == MOST_SLICES
    assert chart.table
    assert [row[0] for row in chart.table.rows] == [each.name for each in facts.slices]
    assert "26 more are in the table." in chart.note
    assert "3\xa0slices with the fewest requests are left out." in chart.note


def test_the_level_of_slices_is_that_of_all_at_once() -> None:
    note = slices(examples.slices(50)).note
    assert "95.0\xa0% confidence sequences for all 53\xa0slices at once (Bonferroni: 99.91\xa0% for each)" in note


def test_distributions_are_stairs_whose_heights_are_the_shares() -> None:
    facts = examples.scores()
    drawing = drawn(distributions(facts))
    for name in ("champion", "challenger"):
        shares = [each.share for each in getattr(facts, name)]
        heights = [drawing.value_at(y) for _, y in drawing.the(name).points[: 2 * len(shares) + 1]]
        assert heights[1::2] == pytest.approx([100 * share for share in shares], abs=0.1)
        assert heights[:-1:2] == heights[1::2]


def test_reliability_leaves_out_bins_without_a_label_and_draws_the_truth() -> None:
    facts = examples.scores()
    gone = (replace(facts.champion[0], mean_label=None), *facts.champion[1:])
    chart = reliability(replace(facts, champion=gone))
    drawing = drawn(chart)
    known = sum(each.mean_label is not None for each in facts.challenger)
    assert len(drawing.layer("champion")) == sum(each.mean_label is not None for each in gone) < 20
    assert len(drawing.layer("challenger")) == len(drawing.layer("challenger_interval")) == known
    assert chart.table
    assert len(chart.table.rows) == known + len(drawing.layer("champion"))
    assert [drawing.value_at(y) for _, y in drawing.the("truth").points] == pytest.approx([0, 100], abs=0.5)
    point = drawing.layer("challenger")[9]
    assert drawing.value_at(point.y) == pytest.approx(100 * (facts.challenger[9].mean_label or 0), abs=0.5)
    squares, circles = ({mark.element.get("d") for mark in drawing.layer(name)} for name in ("champion", "challenger"))
    assert not squares & circles


def test_values_beyond_probability_have_their_own_range() -> None:
    edges = tuple(float(10 * index) for index in range(21))
    shifted = tuple(
        replace(each, mean_prediction=10.0 * index + 5, mean_label=10.0 * index + 7)
        for index, each in enumerate(examples.binned(1, 0.1))
    )
    facts = replace(examples.scores(), unit="value", edges=edges, champion=shifted, challenger=shifted)
    assert {"share of requests, weighted", "predicted value"} <= set(drawn(distributions(facts)).words)
    drawing = drawn(reliability(facts))
    assert drawing.value_at(drawing.layer("champion")[0].y) == pytest.approx(7, abs=1)


def test_quadrants_are_the_darker_the_larger_and_say_who_was_right() -> None:
    facts = examples.quadrants()
    chart = quadrants(facts)
    drawing = drawn(chart)
    cells = drawing.layer("quadrant")
    depths = [float(cell.element.get("fill-opacity", "")) for cell in cells]
    shares = [facts.share(row) for row in facts.rows]
    assert sorted(range(4), key=lambda index: depths[index]) == sorted(range(4), key=lambda index: shares[index])
    assert [cell.colour for cell in cells] == ["muted", "challenger", "challenger", "muted"]
    assert chart.finding == "They differ on 8.0\xa0% of the requests."
    says = [(text.words, text.x, text.y) for text in drawing.layer("right")]
    assert [words for words, _, _ in says] == [
        "both right: 68\xa0%",
        "challenger right: 63\xa0%",
        "challenger right: 61\xa0%",
        "both right: 87\xa0%",
    ]
    (_, x1, y1), (_, x2, y2), (_, x3, y3), (_, x4, y4) = says
    assert (x1, x2) == (x3, x4)  # the challenger's yes: right
    assert x1 > x2
    assert (y1, y3) == (y2, y4)  # the champion's yes: above
    assert y1 < y3
    assert [text.words for text in by_height(drawing.layer("axis-label")) if text.words.startswith("champion")] == [
        "champion yes",
        "champion no",
    ]


def test_labels_stand_in_layers_and_the_first_immature_day_is_marked() -> None:
    facts = examples.labels(20)
    drawing = drawn(labels(facts))
    steps = drawing.the("labelled").points[1 : 2 * 20 : 2]
    assert [drawing.value_at(y) for _, y in steps] == pytest.approx([day.labelled for day in facts], abs=3)
    immature = next(day.day for day in facts if not day.mature)
    assert drawing.day_at(drawing.the("immature").x + 8) == immature
    assert drawing.day_at(drawing.the("immature").x - 8) == immature - DAY
    assert drawing.layer("contradicted") == []
    marked = drawn(labels([*facts[:5], replace(facts[5], contradicted=2), *facts[6:]]))
    assert marked.day_at(marked.the("contradicted").x) == facts[5].day
    assert "contradicted" in marked.legend
    mature = labels([replace(day, mature=True, expected=day.labelled) for day in facts])
    assert mature.finding == "20 of 20\xa0days count; 0\xa0labels still expected."
    assert drawn(mature).layer("immature") == []
    assert "first immature day" not in drawn(mature).legend


def test_latency_breaks_where_a_day_has_none() -> None:
    days = examples.days_from(6)
    facts = DailySeries(
        days, {"champion p50": (1.0, 2.0, None, 4.0, 5.0, 6.0), "challenger p50": (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)}
    )
    chart = latency(facts)
    line = drawn(chart).the("champion_p50")
    assert line.element.get("d", "").count("M") == 2
    assert len(line.points) == 5
    assert chart.finding == "Newest: p50 0.100\xa0ms against 6.00\xa0ms of the champion."
    assert chart.note.startswith("Not like with like: serving one request against batch scoring")
    assert "No latency was measured." in latency(DailySeries(days, {})).finding
    assert drawn(latency(DailySeries(days, {}))).layer("axis-label")


def test_all_days_of_a_year_are_drawn() -> None:
    chart = latency(examples.latency())
    drawing = drawn(chart)
    known = [value is not None for value in examples.latency().values["challenger p95"]]
    assert len(drawing.the("challenger_p95").points) == sum(known) > 360
    assert "milliseconds by day, logarithmic" in drawing.words
    (first, *_) = distances(examples.distances(365))
    assert len(drawn(first).the("line").points) == 365
    dashes = {drawing.the(f"champion_{key}").element.get("stroke-dasharray") for key in ("p50", "p95", "p99")}
    assert len(dashes) == 3
    assert chart.table
    assert len(chart.table.rows) == 365


def test_a_distance_is_held_against_its_bound_where_there_is_one() -> None:
    facts = examples.distances(30)
    first, second = distances(facts)
    drawing = drawn(first)
    assert drawing.value_at(drawing.the("bound").y) == pytest.approx(0.2, abs=0.005)
    assert [drawing.value_at(y) for _, y in drawing.the("line").points] == pytest.approx(
        facts.values["population_stability_index"], abs=0.01
    )
    assert drawn(second).layer("bound") == []
    assert "bound 0.2; above it on" in first.finding
    assert "bound" not in second.finding


def test_noise_shows_the_control_beside_the_challengers() -> None:
    facts = examples.noise()
    chart = noise(facts)
    drawing = drawn(chart)
    assert [text.words for text in by_height(drawing.layer("series"))] == [
        "a_a_check",
        *(series.name for series in facts.others),
    ]
    spreads = by_height(drawing.layer("spread"))
    assert [mark.colour for mark in spreads] == ["other", *["challenger"] * 4]
    lengths = [mark.end[0] - mark.x for mark in spreads]
    assert lengths[0] < 0.05 * lengths[1]
    assert len(drawing.the("day").points) > 0.97 * 5 * 365
    assert "the noise of the pipeline" in chart.finding
    alone = noise(NoiseView(facts.metric, facts.title, None, facts.others))
    assert alone.finding.startswith("There is no A/A check: enter the champion")


def test_the_timeline_has_a_lane_for_each_outcome_and_the_changes_of_the_champion() -> None:
    history = examples.history()
    drawing = drawn(timeline(history, examples.promotions()))
    lanes = {text.words: text.y - 4 for text in drawing.layer("lane")}
    runs = [
        (drawing.day_at(bar.start[0] + 1), drawing.day_at(bar.start[0] + bar.box[0] - 2), bar.colour)
        for bar in sorted(drawing.layer("verdicts"), key=lambda bar: bar.start[0])
    ]
    first = history[0].day
    expected = [(0, 89, "open"), (90, 120, "pass"), (121, 139, "open"), (140, 364, "pass")]
    for (start, end, tint), (since, until, outcome) in zip(runs, expected, strict=True):
        assert abs(start - (first + since * DAY)) <= DAY
        assert abs(end - (first + until * DAY)) <= DAY
        assert tint == outcome
    for bar in drawing.layer("verdicts"):
        middle = bar.start[1] + bar.box[1] / 2
        assert middle == pytest.approx(lanes["PASS" if bar.colour == "pass" else "INCONCLUSIVE"], abs=1)
    changes = sorted(drawing.layer("change"), key=lambda mark: mark.x)
    days = [change.created_at.date() for change in reversed(examples.promotions())]
    assert [abs((drawing.day_at(mark.x) - day).days) <= 1 for mark, day in zip(changes, days, strict=True)] == [
        True
    ] * 3
    assert set(drawing.legend) == {"promotion", "rollback", "forced promotion"}
    assert [text.words for text in sorted(drawing.layer("number"), key=lambda text: text.x)] == ["1", "2", "3"]


def test_a_timeline_of_few_days_or_of_none_is_drawn_too() -> None:
    short = timeline([OutcomeDay(day, "FAIL", 1) for day in examples.days_from(5)], ())
    (bar,) = drawn(short).layer("verdicts")
    assert bar.colour == "fail"
    assert short.finding == "FAIL on 5\xa0days; no change of the champion."
    assert len(drawn(timeline((), examples.promotions())).layer("kind")) == 3


def test_every_chart_is_named_described_and_small(charts: list[tuple[Chart, list[str]]]) -> None:
    assert len(charts) >= 12
    for chart, drawings in charts:
        assert len(drawings) == len(chart.widths)
        for width, svg in zip(chart.widths, drawings, strict=True):
            drawing = Drawing(svg)
            assert drawing.root.get("role") == "img"
            assert drawing.root.get("viewBox", "").startswith(f"0 0 {width} ")
            title, words = drawing.described()
            assert (title, words) == (chart.title, chart.finding)
            assert len(words) > 20
            assert len(svg.encode()) < 40_000, chart.name


def test_ids_are_unique_on_a_page(charts: list[tuple[Chart, list[str]]]) -> None:
    svgs = "".join(svg for _, drawings in charts for svg in drawings)
    ids = re.findall(r' id="([^"]+)"', svgs)
    assert len(ids) == len(set(ids))
    clips = set(re.findall(r"\(#([^)]+)\)", svgs))
    assert clips
    assert clips <= set(ids)
    assert {name for names in re.findall(r'aria-labelledby="([^"]+)"', svgs) for name in names.split()} <= set(ids)


def test_colours_are_the_themes_and_nothing_is_loaded(charts: list[tuple[Chart, list[str]]]) -> None:
    for _, drawings in charts:
        for svg in drawings:
            assert set(re.findall(r"var\(--([a-z]+)\)", svg)) <= set(PALETTE)
            painted = re.findall(r'(?:fill|stroke)="([^"]+)"', svg)
            assert all(paint == "none" or paint.startswith("var(--") for paint in painted)
            assert set(re.findall(r"https?:[^\"]+", svg)) == {"http://www.w3.org/2000/svg"}
            assert not re.search(r"<(?:image|script|style|a|foreignObject|use)\b| on\w+=| href=| style=", svg)


def test_texts_lie_within_the_chart(charts: list[tuple[Chart, list[str]]]) -> None:
    """By an average letter, since fonts differ: nothing that is written begins or ends far outside."""
    for chart, drawings in charts:
        for svg in drawings:
            drawing = Drawing(svg)
            width, height = (float(side) for side in drawing.root.get("viewBox", "").split()[2:])
            for text in drawing.texts:
                start, end = extent(text)
                assert start > -4, (chart.name, text.words)
                assert end < width + 4, (chart.name, text.words)
                assert 0 < text.y < height + 2, (chart.name, text.words)


def extent(text: Mark) -> tuple[float, float]:
    lines = [line.text or "" for line in text.element if line.tag.endswith("tspan")] or [text.words]
    size = float(text.element.get("font-size", "13").removesuffix("px"))
    width = max(map(len, lines)) * 0.5 * size
    shift = {"middle": width / 2, "end": width}.get(text.element.get("text-anchor", ""), 0.0)
    return text.x - shift, text.x - shift + width


def test_the_same_facts_give_the_same_chart() -> None:
    facts = examples.a_sequence(40)
    first = sequence(facts, 1).inline()
    quadrants(examples.quadrants()).inline()
    assert sequence(facts, 1).inline() == first


@pytest.mark.parametrize("page", [examples.a_small_page, examples.a_hostile_page])
def test_every_specification_is_valid_vega_lite(page: Any) -> None:
    for chart in every(page()):
        for width in chart.widths:
            alt.LayerChart.validate(chart.spec(width))


def test_hostile_names_are_text_in_every_chart() -> None:
    drawings = [Drawing(svg) for chart in every(examples.a_hostile_page()) for svg in chart.inline()]
    for drawing in drawings:
        tags = {element.tag.split("}")[-1] for element in drawing.root.iter()}
        assert not tags & {"script", "img", "image", "b"}
        assert "\u202e" not in drawing.svg
        assert "\x00" not in drawing.svg
        assert "49" not in drawing.words  # {{ 7 * 7 }} is not computed
    forest = next(drawing for drawing in drawings if len(drawing.layer("requests")) > 1)
    names = {text.whole for text in forest.layer("name")}
    assert f"airport={examples.HOSTILE}" in names
    assert {"airport=$x^2$", "airport=datum.x + 1", "airport=⟨U+202E⟩gnitsoob⟨U+202C⟩ {{ 7 * 7 }}"} <= names
    long = next(text for text in forest.layer("name") if text.whole == "airport=" + "x" * 300)
    assert long.words.endswith("…")
    assert len(long.words) < 40


def test_names_are_data_and_never_part_of_a_specification() -> None:
    hostile = examples.a_hostile_page()
    said = 0
    for chart in every(hostile):
        for width in chart.widths:
            spec = chart.spec(width)
            rows = json.dumps(spec.pop("datasets"), ensure_ascii=False)
            said += "alert(1)" in rows
            for name in ("alert", "datum.x + 1", "7 * 7", "x^2", "boldest", "xxx"):
                assert name not in json.dumps(spec), (chart.name, name)
    assert said >= 5


def test_a_chart_is_a_file_of_its_own_for_light_and_dark() -> None:
    svg = sequence(examples.a_sequence(40), 1).file()
    assert svg.startswith("<svg ")
    assert "prefers-color-scheme:dark" in svg
    assert all(f"--{name}:" in svg for name in PALETTE)
    assert re.search(r'<svg [^>]*width="1120" height="\d+"', svg)
    assert set(re.findall(r"url\(#(\S+?)\d+\)", svg)) == {"sequence-1-"}
    assert title_of(svg) == "Brier score is better"
    hostile = sequence(examples.a_sequence(40, text=examples.HOSTILE), 1).file()
    assert title_of(hostile) == examples.HOSTILE
    assert "<script" not in hostile


def title_of(svg: str) -> str:
    (title,) = [text for text in Drawing(svg).texts if text.element.get("class") == "title"]
    return title.words


def test_a_chart_is_a_png_of_two_pixels_each_in_either_theme() -> None:
    chart = sequence(examples.a_sequence(40), 1)
    light, dark = chart.png("light"), chart.png("dark")
    assert light[:8] == b"\x89PNG\r\n\x1a\n"
    height = int(re.findall(r'height="(\d+)"', chart.file())[0])
    assert struct.unpack(">II", light[16:24]) == (2 * WIDE, 2 * height)
    assert light != dark
    assert "var(" not in re.sub(r"<style>.*</style>", "", resolved(chart.file(), "dark"))


def test_what_has_nothing_to_show_has_no_chart() -> None:
    assert every(examples.an_empty_page()) == []
    assert every(examples.a_broken_page()) == []
    bare = replace(examples.a_deployment_page(), sequences=(replace(examples.a_sequence(3), days=()),))
    assert catalog(bare)["sequences"] == []
    unlabelled = replace(
        examples.a_deployment_page(),
        scores=replace(
            examples.scores(), champion=tuple(replace(each, labelled=0) for each in examples.binned(1, 0.15))
        ),
    )
    assert [chart.name for chart in catalog(unlabelled)["scores"]] == ["distributions"]
    many = replace(examples.a_deployment_page(), sequences=(examples.a_sequence(3),) * 9)
    assert len(catalog(many)["sequences"]) == MOST_SEQUENCES


@pytest.mark.parametrize("scale", [1e300, 1e-300, 0.0])
def test_extreme_numbers_and_no_difference_at_all_are_drawn(passing: SequenceView, scale: float) -> None:
    def scaled(values: tuple[float | None, ...]) -> tuple[Any, ...]:
        return tuple(None if value is None else value * scale for value in values)

    facts = replace(
        passing, **{name: scaled(getattr(passing, name)) for name in ("observed", "mean", "lower", "upper")}
    )
    drawing = drawn(sequence(facts, 1))
    assert len(drawing.the("mean").points) == 64
    labels = [text.words for text in drawing.layer("axis-label")]
    assert max(map(len, labels)) < 14
    pictured = examples.slices(3)
    far = replace(pictured, slices=tuple(replace(each, estimate=each.estimate * scale) for each in pictured.slices))
    assert len(drawn(slices(far)).layer("estimate")) == 3


def luminance(hexadecimal: str) -> float:
    shares = [int(hexadecimal[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, other: str) -> float:
    light, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_contrast_in_both_themes(theme: int) -> None:
    colours = {name: pair[theme] for name, pair in PALETTE.items()}
    for behind in ("ground", "panel", "shade"):
        for text in ("ink", "muted", "challenger", "champion", "pass", "fail", "open", "other", "link"):
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)
        assert contrast(colours["axis"], colours[behind]) >= 3, behind


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_darkest_quadrant_leaves_its_numbers_readable(theme: int) -> None:
    colours = {name: pair[theme] for name, pair in PALETTE.items()}
    for tint in ("muted", "challenger"):
        mixed = [
            (int(colours[tint][at : at + 2], 16) + int(colours["ground"][at : at + 2], 16)) // 2 for at in (1, 3, 5)
        ]
        assert contrast(colours["ink"], "#" + "".join(f"{share:02x}" for share in mixed)) >= 4.5


def test_a_colour_that_is_no_colour_of_the_palette_is_refused() -> None:
    assert colour("pass") == "var(--pass)"
    with pytest.raises(KeyError, match="colour 'green', must be one of ground, panel"):
        colour("green")


def test_what_a_page_is_made_of_loads_neither_altair_nor_pandas_before_it_draws() -> None:
    program = (
        "import sys\n"
        "from shadow_deployment.report import publishing\n"
        "from shadow_deployment.report.html import rendering\n"
        "print([name for name in ('altair', 'vl_convert', 'pandas') if name in sys.modules])\n"
        "from tests.unit.report import examples\n"
        "rendering.report(examples.a_small_page())\n"
        "print([name for name in ('altair', 'vl_convert', 'pandas') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['altair', 'vl_convert']"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_a_reach_holds_its_values_and_is_never_of_no_width(values: list[float]) -> None:
    low, high = parts.reach(values)
    assert low < high
    assert high - low < float("inf")
    assert all(low <= value <= high for value in values if abs(value) < 1e300)


@pytest.mark.parametrize("length", [1, 2, 5, 6, 12, 40, 64, 120, 200, 365])
def test_days_on_an_axis_lie_between_the_first_and_last_and_do_not_repeat(length: int) -> None:
    days = examples.days_from(length, dt.date(2013, 3, 9))
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


def test_charts_drawn_at_once_are_those_drawn_one_after_the_other() -> None:
    made = catalog(examples.a_small_page())
    for section, charts in drawn_at_once(made).items():
        assert [chart.name for chart in charts] == [chart.name for chart in made[section]]
        assert [list(chart.inline()) for chart in charts] == [list(chart.inline()) for chart in made[section]]


def test_a_chart_that_cannot_be_drawn_is_an_error_and_no_gap() -> None:
    def broken(width: int) -> dict[str, object]:
        raise ValueError(f"no chart of {width} pixels")

    with pytest.raises(ValueError, match="no chart of 400 pixels"):
        drawn_at_once({"rules": [Chart("broken", "title", "finding", broken)]})


def test_confusion_matrices_stand_beside_each_other_right_and_wrong_apart() -> None:
    facts = examples.quadrants()
    chart = matrices(facts)
    drawing = drawn(chart)
    shares, requests = drawing.layer("share"), drawing.layer("requests")
    champion = {"21,100", "17,300", "127,000", "12,100"}  # summed by hand over the quadrants
    assert {text.words for text in requests if text.x < 230} == champion
    assert [cell.colour for cell in drawing.layer("cell")] == ["challenger", "fail", "fail", "challenger"] * 2
    assert max(text.x for text in shares if text.x < 230) < min(text.x for text in shares if text.x > 230)
    assert {text.y for text in shares if text.x < 230} == {text.y for text in shares if text.x > 230}
    hits = next(text for text in requests if text.words == "17,300")
    assert all(text.x <= hits.x and text.y >= hits.y for text in requests if text.words in champion), "yes, yes: above"
    assert "precision 59\xa0% for the champion and 67\xa0% for the challenger" in chart.finding.lower()
    assert chart.table
    assert ("champion", "false positive", "6.8\xa0%", "12,100") in chart.table.rows


def test_a_sweep_has_a_line_for_each_model_and_measure_and_marks_the_threshold() -> None:
    facts = examples.scores()
    chart = threshold_sweep(facts, 0.3)
    drawing = drawn(chart)
    labelled = [(each.labelled_weight, each.mean_label or 0.0) for each in facts.champion]
    at_six = sum(weight * mean for weight, mean in labelled[6:])
    recall = at_six / sum(weight * mean for weight, mean in labelled)
    precision = at_six / sum(weight for weight, _ in labelled[6:])
    _, y = drawing.the("champion_recall").points[6]
    assert drawing.value_at(y) == pytest.approx(100 * recall, abs=0.5)
    x, y = drawing.the("champion_precision").points[6]
    assert drawing.value_at(y) == pytest.approx(100 * precision, abs=0.5)
    assert drawing.the("threshold").x == pytest.approx(x, abs=0.2)
    assert drawing.the("threshold_words").words == "threshold 0.3"
    assert set(drawing.legend) == {"champion", "challenger", "precision", "recall", "accuracy"}
    assert chart.table
    assert chart.table.rows[6][:2] == ("0.30", f"{100 * precision:.1f}\xa0%")
    assert "Resolution 0.05" in chart.note


def test_drift_names_what_moves_and_draws_a_row_for_it() -> None:
    facts = examples.drift()
    drawing, chart = drawn(drift(facts)), drift(facts)
    rows = by_height(drawing.layer("name"))
    assert [text.words for text in rows][:2] == ["distance", "carrier"]
    assert [text.words for text in rows][-2:] == ["champion's predictions", "challenger's predictions"]
    assert "distance (0.605, large), carrier (0.158, moderate)" in chart.finding
    assert [text.colour for text in by_height(drawing.layer("lately"))] == ["fail", "open", *["ink"] * 4]
    feet = sorted(mark.y for mark in drawing.layer("foot"))
    large, moderate = sorted(mark.y for mark in drawing.layer("large")), sorted(
        mark.y for mark in drawing.layer("moderate"))  # fmt: skip
    assert (feet[0] - large[0]) / (feet[0] - moderate[0]) == pytest.approx(2.5, abs=0.01)
    carrier = drawing.the("index_1").points[-1][1]
    index = 0.1 * (feet[1] - carrier) / (feet[1] - moderate[1])
    assert index == pytest.approx(facts.series[1].values[-1], abs=0.003)
    assert "2013-01-01 to 2013-01-14" in chart.note
    assert "conventions" in chart.note


def test_what_small_samples_differ_by_is_not_called_drift() -> None:
    noisy = replace(examples.drift(20).series[2], lately=0.7, chance=0.4)
    facts = replace(examples.drift(20), series=(noisy,), unknown=3)
    assert drift(facts).finding == "Nothing drifts lately, of 1\xa0feature and of the predictions of both models."
    assert "first half of the sampled days up to it" in drift(facts).note
    assert "after a week" in drift(replace(facts, series=(replace(noisy, lately=None),))).finding
    assert "The inputs of 3\xa0days were sampled before this was kept." in drift(facts).note


def test_every_chart_of_days_says_where_its_first_and_last_day_lie(charts: list[tuple[Chart, list[str]]]) -> None:
    by_day = {"labels", "latency", "distance-1", "distance-2", "drift", "timeline", "sequence-1", "sequence-2"}
    assert {chart.name for chart, _ in charts if chart.table and chart.table.headings[0] == "day"} == by_day
    for chart, drawings in charts:
        if chart.name not in by_day:
            continue
        assert chart.table
        days = sorted(row[0] for row in chart.table.rows)
        for svg in drawings:
            drawing = Drawing(svg)
            assert (drawing.root.get("data-from"), drawing.root.get("data-to")) == (days[0], days[-1])
            first, last = sorted(mark.x for mark in drawing.layer("span"))
            assert 0 < first < last < int(drawing.root.get("viewBox", "").split()[2])
    assert "data-from" not in charts[0][0].file()
