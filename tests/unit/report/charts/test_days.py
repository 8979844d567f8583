"""Labels, latency, distances, noise, timeline and drift show each day where it lies."""

from dataclasses import replace

import pytest

from shadow_deployment.ledger.page import OutcomeDay
from shadow_deployment.report.charts.days import distances, labels, latency
from shadow_deployment.report.charts.drift import drift
from shadow_deployment.report.charts.history import noise, timeline
from shadow_deployment.report.views import DailySeries, NoiseView
from tests.unit.report import figures, records
from tests.unit.report.charts.reading import DAY, by_height, drawn


def test_labels_stand_in_layers_and_the_first_immature_day_is_marked() -> None:
    facts = figures.labels(20)
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
    days = figures.days_from(6)
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
    chart = latency(figures.latency())
    drawing = drawn(chart)
    known = [value is not None for value in figures.latency().values["challenger p95"]]
    assert len(drawing.the("challenger_p95").points) == sum(known) > 360
    assert "milliseconds by day, logarithmic" in drawing.words
    (first, *_) = distances(figures.distances(365))
    assert len(drawn(first).the("line").points) == 365
    dashes = {drawing.the(f"champion_{key}").element.get("stroke-dasharray") for key in ("p50", "p95", "p99")}
    assert len(dashes) == 3
    assert chart.table
    assert len(chart.table.rows) == 365


def test_a_distance_is_held_against_its_bound_where_there_is_one() -> None:
    facts = figures.distances(30)
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
    facts = figures.noise()
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
    history = records.history()
    drawing = drawn(timeline(history, records.promotions()))
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
    days = [change.created_at.date() for change in reversed(records.promotions())]
    assert [abs((drawing.day_at(mark.x) - day).days) <= 1 for mark, day in zip(changes, days, strict=True)] == [
        True
    ] * 3
    assert set(drawing.legend) == {"promotion", "rollback", "forced promotion"}
    assert [text.words for text in sorted(drawing.layer("number"), key=lambda text: text.x)] == ["1", "2", "3"]


def test_a_timeline_of_few_days_or_of_none_is_drawn_too() -> None:
    short = timeline([OutcomeDay(day, "FAIL", 1) for day in figures.days_from(5)], ())
    (bar,) = drawn(short).layer("verdicts")
    assert bar.colour == "fail"
    assert short.finding == "FAIL on 5\xa0days; no change of the champion."
    assert len(drawn(timeline((), records.promotions())).layer("kind")) == 3


def test_drift_names_what_moves_and_draws_a_row_for_it() -> None:
    facts = figures.drift()
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
    noisy = replace(figures.drift(20).series[2], lately=0.7, chance=0.4)
    facts = replace(figures.drift(20), series=(noisy,), unknown=3)
    assert drift(facts).finding == "Nothing drifts lately, of 1\xa0feature and of the predictions of both models."
    assert "first half of the sampled days up to it" in drift(facts).note
    assert "after a week" in drift(replace(facts, series=(replace(noisy, lately=None),))).finding
    assert "The inputs of 3\xa0days were sampled before this was kept." in drift(facts).note
