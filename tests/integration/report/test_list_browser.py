"""The list in a browser: searched, filtered and sorted where it is, also by keyboard; a plain table without script."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from shadow_deployment.report.html.rendering import overview_page
from shadow_deployment.report.html.serving import ASSETS, CONTENT_SECURITY_POLICY, Links, asset
from tests.integration.report.test_browser import CHROMIUM, HOST, Watched, browser  # noqa: F401 (a fixture)
from tests.unit.report import examples

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Route

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
FIRST = ["fraud", "prices", "flight_delay", "churn", "arrivals", "demand", "lost"]


def serve(page: "Page") -> None:
    html = overview_page(examples.an_overview(), Links("/shadow"))

    def answer(route: "Route", request: "Request") -> None:
        name = urlsplit(request.url).path.rsplit("/", 1)[1]
        headers = {"Content-Type": ASSETS.get(name, "text/html"), "Content-Security-Policy": CONTENT_SECURITY_POLICY}
        route.fulfill(status=200, headers=headers, body=asset(name) if name in ASSETS else html)

    page.route("**/*", answer)
    page.goto(f"{HOST}/shadow/")


@pytest.fixture
def served(browser: "Browser") -> Iterator[Watched]:  # noqa: F811
    with Watched(browser) as watched:
        serve(watched.page)
        yield watched
        assert watched.complaints == []


def names(page: "Page") -> list[str]:
    return page.locator("#deployments tbody tr:visible th").all_inner_texts()


def test_a_word_finds_names_owners_and_states_and_says_how_many(served: Watched) -> None:
    page = served.page
    assert names(page) == FIRST
    for words, found in {"sales": ["churn", "arrivals"], "promoted": ["prices"], "SALES never": ["churn"]}.items():
        page.fill("[name=search]", words)
        expect(page.locator("#hits")).to_have_text(f"{len(found)} of 7 deployments")
        assert names(page) == found
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#hits")).to_have_text(re.compile("^7 deployments"))
    assert names(page) == FIRST


def test_states_and_owners_filter_together(served: Watched) -> None:
    page = served.page
    page.select_option("[name=owner]", label="Sales (2)")
    page.select_option("[name=state]", "Failed")
    assert names(page) == ["arrivals"]
    page.select_option("[name=state]", "")
    page.select_option("[name=owner]", label="nobody named (1)")
    assert names(page) == ["fraud"]


def test_a_heading_sorts_by_keyboard_and_says_which_way(served: Watched) -> None:
    page = served.page
    head = page.locator("th[data-key=name]")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert (names(page), head.get_attribute("aria-sort")) == (sorted(FIRST), "ascending")
    page.keyboard.press("Space")
    assert (names(page), head.get_attribute("aria-sort")) == (sorted(FIRST, reverse=True), "descending")
    assert page.get_attribute("th[data-key=urgency]", "aria-sort") == "none"


def test_what_is_not_known_comes_last_whichever_way_it_is_sorted(served: Watched) -> None:
    page = served.page
    days = page.locator("th[data-key=days] button")
    for expected in (["prices", "flight_delay", "arrivals", "demand", "churn"], ["churn", "demand"]):
        days.click()
        assert names(page)[: len(expected)] == expected
        assert names(page)[-2:] == ["fraud", "lost"]


def test_what_was_looked_for_is_there_again_on_the_way_back(served: Watched) -> None:
    page = served.page
    page.fill("[name=search]", "sales")
    page.locator("th[data-key=name] button").click()
    page.locator("#deployments a").first.click()
    page.go_back()
    expect(page.locator("#hits")).to_have_text(re.compile("^2 of 7"))
    assert (names(page), page.input_value("[name=search]")) == (["arrivals", "churn"], "sales")


def test_without_script_it_is_a_sorted_table_and_nothing_else(browser: "Browser") -> None:  # noqa: F811
    with Watched(browser, java_script_enabled=False) as watched:
        serve(watched.page)
        assert names(watched.page) == FIRST
        assert not watched.page.locator("#filters").is_visible()
        assert watched.page.locator("#deployments thead button").count() == 0


def test_on_a_phone_rows_are_cards_and_a_field_sorts_them(browser: "Browser") -> None:  # noqa: F811
    with Watched(browser, 390) as watched:
        serve(watched.page)
        page = watched.page
        assert watched.overflow() <= 0
        assert not page.locator("thead").is_visible()
        boxes = [row.bounding_box() for row in page.locator("#deployments tbody tr").all()]
        assert all(box and box["width"] > 350 for box in boxes)
        page.select_option("[name=sort]", "name")
        assert names(page) == sorted(FIRST)
