"""`report` keeps a deployment's page as one file, and its charts as files of their own."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from shadow_deployment.pipeline.run import run_days
from tests.conftest import Invoke, declare
from tests.production import World, day


@pytest.fixture(scope="module")
def three_days(worlds: Callable[..., World]) -> World:
    world = worlds()
    assert run_days(world.shadow(), [day(0), day(1), day(2)], Console(quiet=True)) == []
    return world


@pytest.fixture
def shadowed(three_days: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(three_days, monkeypatch)


def test_a_report_is_one_file_with_its_charts_beside(shadowed: World, invoke: Invoke, tmp_path: Path) -> None:
    out, folder = tmp_path / "new" / "report.html", tmp_path / "charts"
    code, said, err = invoke("report", "late", "--out", out, "--charts", folder)
    assert code == 0, err
    assert f"{out}: late, challenger" in said.replace("\n", "")
    html = out.read_text()
    assert html.startswith("<!doctype html>")
    assert "<h1><bdi>late</bdi></h1>" in html
    assert "INCONCLUSIVE</span>" in html
    drawn = {path.stem for path in folder.glob("*.svg")}
    assert {"labels", "timeline", "distributions"} <= drawn
    assert 'id="section-scorecard"' in html
    for path in folder.iterdir():
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert f"{len(drawn)} charts as svg" in said


def test_a_report_is_of_the_challenger_and_day_that_are_asked_for(
    shadowed: World, invoke: Invoke, tmp_path: Path
) -> None:
    out, folder = tmp_path / "report.html", tmp_path / "charts"
    arguments = ("--challenger", "a_a_check", "--day", day(1), "--out", out, "--charts", folder, "--format", "png")
    code, _, err = invoke("report", "late", *arguments)
    assert code == 0, err
    assert "<title>late, a_a_check: shadow deployment</title>" in out.read_text()
    assert f"<dt>Day</dt><dd>{day(1)}</dd>" in out.read_text()
    assert {path.suffix for path in folder.iterdir()} == {".png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())


def test_what_cannot_be_reported_is_one_message_and_leaves_no_file(
    shadowed: World, invoke: Invoke, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    code, _, err = invoke("report", "late", "--challenger", "nobody", "--out", out)
    assert (code, out.exists()) == (1, False)
    assert "challenger == 'nobody', must be one of" in err.replace("\n", " ")
    code, _, err = invoke("report", "late", "--day", "yesterday", "--out", out)
    assert (code, out.exists()) == (2, False)
    assert "must be a day as YYYY-MM-DD" in err
