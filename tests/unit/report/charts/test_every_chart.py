"""Every chart is named, described, readable and small, in words too, and no name acts in it."""

import json
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from shadow_deployment.report.charts.catalog import MOST_SEQUENCES, catalog
from shadow_deployment.report.charts.chart import WIDE, Chart, drawn_at_once
from shadow_deployment.report.charts.scores import quadrants
from shadow_deployment.report.charts.sequence import sequence
from shadow_deployment.report.charts.slices import slices
from shadow_deployment.report.charts.theme import PALETTE, colour, resolved
from shadow_deployment.report.views import SequenceView
from tests.unit.report import examples, figures
from tests.unit.report.charts.reading import drawn, every, extent
from tests.unit.report.drawing import Drawing

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def charts() -> list[tuple[Chart, list[str]]]:
    return [(chart, chart.inline()) for chart in every(examples.a_deployment_page())]


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


def test_the_same_facts_give_the_same_chart() -> None:
    facts = figures.a_sequence(40)
    first = sequence(facts, 1).inline()
    quadrants(figures.quadrants()).inline()
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
    svg = sequence(figures.a_sequence(40), 1).file()
    assert svg.startswith("<svg ")
    assert "prefers-color-scheme:dark" in svg
    assert all(f"--{name}:" in svg for name in PALETTE)
    assert re.search(r'<svg [^>]*width="1120" height="\d+"', svg)
    assert set(re.findall(r"url\(#(\S+?)\d+\)", svg)) == {"sequence-1-"}
    assert title_of(svg) == "Brier score is better"
    hostile = sequence(figures.a_sequence(40, text=examples.HOSTILE), 1).file()
    assert title_of(hostile) == examples.HOSTILE
    assert "<script" not in hostile


def title_of(svg: str) -> str:
    (title,) = [text for text in Drawing(svg).texts if text.element.get("class") == "title"]
    return title.words


def test_a_chart_is_a_png_of_two_pixels_each_in_either_theme() -> None:
    chart = sequence(figures.a_sequence(40), 1)
    light, dark = chart.png("light"), chart.png("dark")
    assert light[:8] == b"\x89PNG\r\n\x1a\n"
    height = int(re.findall(r'height="(\d+)"', chart.file())[0])
    assert struct.unpack(">II", light[16:24]) == (2 * WIDE, 2 * height)
    assert light != dark
    assert "var(" not in re.sub(r"<style>.*</style>", "", resolved(chart.file(), "dark"))


def test_what_has_nothing_to_show_has_no_chart() -> None:
    assert every(examples.an_empty_page()) == []
    assert every(examples.a_broken_page()) == []
    bare = replace(examples.a_deployment_page(), sequences=(replace(figures.a_sequence(3), days=()),))
    assert catalog(bare)["sequences"] == []
    unlabelled = replace(
        examples.a_deployment_page(),
        scores=replace(
            figures.scores(),
            champion=tuple(replace(each, labelled=0) for each in figures.binned(1, 0.15)),
        ),
    )
    assert [chart.name for chart in catalog(unlabelled)["scores"]] == ["distributions"]
    many = replace(examples.a_deployment_page(), sequences=(figures.a_sequence(3),) * 9)
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
    pictured = figures.slices(3)
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
