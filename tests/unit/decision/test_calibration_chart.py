"""What calibration leaves is plain data and a chart."""

from dataclasses import replace

import pytest
from numpy.testing import assert_allclose

from shadow_deployment.decision.calibration import calibrate
from shadow_deployment.report.charts.calibration import calibration_chart
from tests.unit.decision.histories import SUPERIOR, calibrated, evidence, normal, policy, series
from tests.unit.report.drawing import Drawing


def test_the_chart_names_what_it_shows_and_follows_the_page() -> None:
    calibration = calibrated()
    drawing = Drawing(calibration_chart(calibration).file())
    assert drawing.legend == [f"{row.policy} {row.false_promotion:.1%}" for row in calibration.rows]
    assert "% of runs promoted, by days of evidence: brier_score superior" in drawing.words
    assert "alpha 5.00%" in drawing.words
    assert "prefers-color-scheme:dark" in drawing.svg
    assert "http" not in drawing.svg.replace("http://www.w3.org/2000/svg", "")
    for row in calibration.rows:
        assert f"{row.policy} {row.false_promotion:.1%}" in drawing.described()[1]


def test_the_lines_of_the_chart_show_the_share_of_each_day() -> None:
    calibration = calibrated()
    drawing = Drawing(calibration_chart(calibration).file())
    for number, row in enumerate(calibration.rows):
        heights = [drawing.value_at(y) for _, y in drawing.the(f"policy_{number}").points][::2]
        assert_allclose(heights, [0.0, *(100 * share for share in row.by_day)], atol=0.2)  # half a pixel
    assert drawing.value_at(drawing.the("alpha").y) == pytest.approx(100 * calibration.alpha, abs=0.2)
    assert len({drawing.the(f"policy_{number}").element.get("stroke-dasharray") for number in range(3)}) == 3


def test_the_chart_of_no_promotion_at_all_is_drawn_too() -> None:
    none = tuple(replace(row, by_day=(0.0,) * 28, false_promotion=0.0) for row in calibrated().rows)
    drawing = Drawing(calibration_chart(replace(calibrated(), rows=none, days=28)).file())
    assert len(drawing.the("policy_0").points) == 2 * 29 - 1


def test_names_in_the_chart_are_escaped() -> None:
    name = "origin=<script>alert('&\"')</script>\x0b"
    known = evidence(series(normal(60)), series(normal(60), name=name))
    calibration = calibrate(policy(SUPERIOR | {"slices": ["origin"]}), known, runs=2)
    drawing = Drawing(calibration_chart(calibration).file())
    assert "<script>" not in drawing.svg
    assert any("<script>alert('&\"')</script>⟨U+000B⟩" in text.whole for text in drawing.layer("caption"))
