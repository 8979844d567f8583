"""The validation report: every section is filled from the ledger, it claims nothing, opens offline and prints."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.data.db import connect
from shadow_deployment.ledger import trials
from shadow_deployment.ledger.checks import acknowledgements
from shadow_deployment.ledger.registry import approval_requests
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from shadow_deployment.report.html.sections import SECTIONS, numbered
from tests.conftest import Invoke, declare
from tests.integration.report.test_browser import CHROMIUM, QUIET, THEMES, Watched, rgb
from tests.production import World, day, unguarded

if TYPE_CHECKING:
    from playwright.sync_api import Browser

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
SETTINGS: dict[str, Any] = {
    "owner": "Operations <research>",
    "purpose": "Tells passengers how likely a delay is.",
    "sample": {"rate": 0.5, "strata": ["origin"], "minimum_per_stratum": 5},
    "challengers": [OTHER, {"name": "a_a_check", "model": "champion"}],
    "promotion": {"allow_force": True, "approvers": ["ada"]},
}
LAST = 7
WITHDRAWN = "the log was loaded twice"


@pytest.fixture(scope="module")
def whole(worlds: Callable[..., World]) -> World:
    """A week with a day withdrawn, an alarm acknowledged, an approval that was requested, a promotion, a rollback."""
    world = worlds()
    shadow = world.shadow(**SETTINGS)
    assert run_days(shadow, [day(number) for number in range(LAST)], Console(quiet=True)) == []
    with shadow.ledger() as session:
        trials.withdraw(session, shadow.deployment, day(2), by="ada", reason=WITHDRAWN)
    assert run_days(shadow, [day(LAST)], Console(quiet=True)) == []
    with shadow.ledger() as session:
        ((key,),) = session.execute("SELECT id FROM shadow.model_version WHERE name = 'other'").fetchall()
        acknowledgements.acknowledge(session, key, ["loss"], by="grace", reason="the rule decides the label")
        topic = {"challenger": key, "topic": "t", "day": day(LAST), "case_digest": "d", "run_id": "manual"}
        approval_requests.ask(session, shadow.deployment, **topic)
        session.commit()
    registry.promote(shadow, "other", approved_by="ada", reason="rehearsal of a promotion", force=True)
    registry.rollback(shadow, approved_by="ada", reason="end of the rehearsal")
    return world


@pytest.fixture
def world(whole: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(whole, monkeypatch)


@pytest.fixture
def report(world: World, invoke: Invoke, tmp_path: Path) -> Path:
    out = tmp_path / "validation.html"
    code, said, err = invoke("report", "late", "--kind", "validation", "--challenger", "other", "--out", out)
    assert (code, f"{out}: late, challenger other" in said) == (0, True), err
    return out


def section_of(html: str, name: str) -> str:
    """Return the words of a section, without its markup."""
    found = re.search(rf'<section id="section-{name}".*?</section>', html, re.DOTALL)
    assert found, f"there is no section {name}"
    return " ".join(re.sub(r"<[^>]*>", " ", found[0]).split())


def test_every_section_is_filled_from_the_ledger(report: Path, world: World) -> None:
    html = report.read_text()
    ((model, snapshot_design),) = world.query(
        "SELECT m.digest, s.design FROM shadow.model_version AS m, shadow.snapshot AS s WHERE m.name = 'other' LIMIT 1"
    )
    ((chain,),) = world.query("SELECT hash FROM shadow.chain ORDER BY number DESC LIMIT 1")
    expected = {
        "summary": ["other 1", "Days of evidence", "verified"],
        "purpose": ["Tells passengers how likely a delay is.", "Operations &lt;research&gt;", "ada"],
        "data": ["flights.prediction_log", f"{day(0)} to {day(LAST)}", "dep_hour, distance", "origin, carrier"],
        "sampling": ["Rate 0.5", "EWR", "JFK", "LGA", "inclusion probability", snapshot_design],
        "models": [model, "champion 7", "2024-01-31, as declared"],
        "labels": ["flights.outcome.is_late", "3 days after a day has ended", "Coverage", "0 contradicted"],
        "method": ["alpha", "Annals of Statistics 52(6)", "in batches", "statistics/README.md", "89.8 %"],
        "policy": ["Brier score is better", "(advisory, shown only)"],
        "results": ["Brier score is better", "confidence sequence", "Advisory rules", "origin=JFK", "(advisory)"],
        "slices": ["at once (Bonferroni", "carrier=AA"],
        "completeness": [str(day(2)), "withdrawn", WITHDRAWN, "unanswered"],
        "limits": ["asymptotically", "Warnings", "What would change the verdict"],
        "monitoring": ["Score distribution", "Calibration", "A/A check", "All expectations held"],
        "trials": ["1: other 1", "it was seen for the first time", "2: a_a_check 1"],
        "decisions": ["no answer yet", "rehearsal of a promotion", "end of the rehearsal", "grace"],
        "verification": ["all records are as they were written", f"{LAST + 1} days", chain],
        "elsewhere": ["Conceptual soundness", "Training data", "Human oversight", "to be completed"],
        "provenance": ["revision 1", "PostgreSQL", "Python 3."],
        "mapping": ["maps to", "V. Model Validation: Outcomes Analysis", "Annex IV, 2(g)", "9 Results"],
        "signatures": ["Validated by", "signature"],
    }
    assert list(expected) == list(SECTIONS)
    for name, words in expected.items():
        shown = section_of(html, name)
        assert [word for word in words if word not in shown] == [], name
    assert [number for number, _ in enumerate(SECTIONS, 1)] == [
        int(found) for found in re.findall(r'<span class="number">(\d+)</span>', html)
    ]


def test_the_sequences_are_those_of_the_days_that_count(report: Path) -> None:
    """Neither the withdrawn day is drawn, nor does the last point differ from the stored finding because of it."""
    results = section_of(report.read_text(), "results")
    assert "confidence sequence" in results
    assert "Evidence has changed since this verdict" not in results


def test_nothing_is_claimed(report: Path) -> None:
    html = report.read_text().lower()
    for word in ("complian", "fulfil", "certif", "conforms to"):
        assert word not in html, word


def test_inclusion_probabilities_are_those_of_the_draw(report: Path, world: World) -> None:
    rows = world.query(
        "SELECT c.slices->>'origin', count(*)::int, min(r.inclusion_probability), max(r.inclusion_probability) "
        "FROM shadow.request AS r JOIN shadow.cell AS c USING (snapshot_id, cell) WHERE r.day <> %s GROUP BY 1",
        [day(2)],
    )
    shown = section_of(report.read_text(), "sampling")
    for origin, drawn, least, most in rows:
        span = f"{least:.4g}" if least == most else f"{least:.4g} to {most:.4g}"
        assert re.search(rf"{origin} \d+ {drawn} {span}", shown), origin


def test_what_nobody_has_said_is_to_be_completed(
    whole: World, worlds: Callable[..., World], invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = declare(worlds(whole), monkeypatch)
    world.deploy(**{**SETTINGS, "owner": None, "purpose": None})
    assert invoke("report", "late", "--kind", "validation", "--out", tmp_path / "r.html")[0] == 0
    shown = section_of((tmp_path / "r.html").read_text(), "purpose")
    assert "Purpose to be completed Owner to be completed" in shown


def test_records_that_differ_are_named_first_and_last(
    whole: World, worlds: Callable[..., World], invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = declare(worlds(whole), monkeypatch)
    world.deploy(**SETTINGS)
    with connect(world.connection("shadow_owner")) as session, unguarded(session, "verdict"):
        session.execute("UPDATE shadow.verdict SET outcome = 'PASS' WHERE day = %s", [day(4)])
    assert invoke("report", "late", "--kind", "validation", "--out", tmp_path / "r.html")[0] == 0
    html = (tmp_path / "r.html").read_text()
    assert "DIFFER, see Verification of the records" in section_of(html, "summary")
    assert "DIFFERS: verdict" in section_of(html, "verification")


def test_there_is_nothing_to_validate_before_a_verdict(reading: World, invoke: Invoke, tmp_path: Path) -> None:
    reading.deploy()
    code, _, err = invoke("report", "late", "--kind", "validation", "--out", tmp_path / "r.html")
    assert (code, (tmp_path / "r.html").exists()) == (1, False)
    assert "there is nothing to validate yet: other 1: it was never judged" in " ".join(err.split())


def test_error_rates_are_those_of_the_statistics(report: Path) -> None:
    table = (PROJECT / "include/shadow_deployment/statistics/README.md").read_text().replace("**", "")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    method = section_of(report.read_text(), "method")
    of_two = [(row[0], " ".join(f"{row[at]} %" for at in (1, 2, 4, 5))) for row in rows if len(row) > 5]
    assert len([name for name, shares in of_two if f"{name} {shares}" in method]) == 7


def test_sections_are_named_by_number_and_none_that_there_is_not() -> None:
    assert numbered(["results", "purpose"]) == "2 Purpose and responsibility, 9 Results"
    with pytest.raises(ValueError, match="nowhere"):
        numbered(["nowhere"])


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


def test_it_opens_offline_fits_and_can_be_used_by_all(chromium: "Browser", report: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    for width in (1440, 1024, 390):
        for theme in THEMES:
            with Watched(chromium, width, theme, offline=True) as watched:
                watched.page.goto(report.as_uri())
                assert watched.ground() == rgb(theme)
                assert watched.overflow() <= 0, width
                assert [url for url in watched.requests if not url.startswith("data:")] == [report.as_uri()]
                assert watched.complaints == []
                if width == 1024:
                    found = axe.run(watched.page).response["violations"]
                    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []


def test_on_paper_it_is_light_whole_and_numbered(chromium: "Browser", report: Path) -> None:
    with Watched(chromium, 688, "dark") as watched:
        watched.page.goto(report.as_uri())
        watched.page.emulate_media(media="print", color_scheme="dark")
        assert watched.ground() == rgb("light")
        assert watched.overflow() <= 0
        assert watched.page.evaluate(
            "[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)"
        )
        assert watched.page.locator(".wide svg").first.is_visible()
        pdf = watched.page.pdf(prefer_css_page_size=True, print_background=True)
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page[^s]", pdf)) > 3
