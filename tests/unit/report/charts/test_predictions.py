"""Slices, distributions, reliability, quadrants, matrices and sweeps show what the facts say."""

from dataclasses import replace

import pytest

from shadow_deployment.report.charts.decisions import matrices, threshold_sweep
from shadow_deployment.report.charts.scores import distributions, quadrants, reliability
from shadow_deployment.report.charts.slices import MOST_SLICES, slices
from shadow_deployment.report.views import SliceView
from tests.unit.report import figures
from tests.unit.report.charts.reading import MINUS, by_height, drawn


def test_slices_are_a_row_each_with_their_requests_and_a_line_for_all_requests() -> None:
    facts = replace(figures.slices(), slices=figures.slices().slices[:24])
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
    facts = figures.slices(6)
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
    facts = replace(figures.slices(), slices=tuple(ordered))
    assert f"Worst is carrier=HA: {MINUS}0.0300 to {MINUS}0.0100 on 9,000 requests." in slices(facts).finding
    harmless = replace(facts, slices=(hint, few, gain, none))
    assert slices(harmless).finding == "The challenger is worse in 0 and better in 1 of 4\xa0slices."


def test_of_many_slices_some_are_drawn_and_all_are_in_the_table() -> None:
    facts = figures.slices(50)
    chart = slices(facts)
    assert len(drawn(chart).layer("name")) == MOST_SLICES
    assert chart.table
    assert [row[0] for row in chart.table.rows] == [each.name for each in facts.slices]
    assert "26 more are in the table." in chart.note
    assert "3\xa0slices with the fewest requests are left out." in chart.note


def test_the_level_of_slices_is_that_of_all_at_once() -> None:
    note = slices(figures.slices(50)).note
    assert "95.0\xa0% confidence sequences for all 53\xa0slices at once (Bonferroni: 99.91\xa0% for each)" in note


def test_distributions_are_stairs_whose_heights_are_the_shares() -> None:
    facts = figures.scores()
    drawing = drawn(distributions(facts))
    for name in ("champion", "challenger"):
        shares = [each.share for each in getattr(facts, name)]
        heights = [drawing.value_at(y) for _, y in drawing.the(name).points[: 2 * len(shares) + 1]]
        assert heights[1::2] == pytest.approx([100 * share for share in shares], abs=0.1)
        assert heights[:-1:2] == heights[1::2]


def test_reliability_leaves_out_bins_without_a_label_and_draws_the_truth() -> None:
    facts = figures.scores()
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
        for index, each in enumerate(figures.binned(1, 0.1))
    )
    facts = replace(figures.scores(), unit="value", edges=edges, champion=shifted, challenger=shifted)
    assert {"share of requests, weighted", "predicted value"} <= set(drawn(distributions(facts)).words)
    drawing = drawn(reliability(facts))
    assert drawing.value_at(drawing.layer("champion")[0].y) == pytest.approx(7, abs=1)


def test_quadrants_are_the_darker_the_larger_and_say_who_was_right() -> None:
    facts = figures.quadrants()
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


def test_confusion_matrices_stand_beside_each_other_right_and_wrong_apart() -> None:
    facts = figures.quadrants()
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
    facts = figures.scores()
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
