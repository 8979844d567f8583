"""The page in a browser: nothing leaves the host, it fits both widths and both themes, and everybody can use it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from shadow_deployment.report.charts.theme import PALETTE
from shadow_deployment.report.html.rendering import deployment_page, overview_page, report
from shadow_deployment.report.html.serving import ASSETS, CONTENT_SECURITY_POLICY, Links, asset
from shadow_deployment.report.status import ChallengerStatus
from shadow_deployment.report.views import DeploymentView
from tests.unit.report import examples, test_status

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Route

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOST = "http://airflow.test"
HERE = Links("/shadow")
SANDBOX = "allow-scripts allow-same-origin allow-forms allow-downloads"  # as Airflow frames an external view
AROUND = f'<html class="dark"><body><iframe sandbox="{SANDBOX}" src="/shadow/page" width="900" height="700"></iframe>'
WIDTHS, THEMES = (1280, 390), ("light", "dark")
FEW = ("empty", "broken", "hostile")  # their colours and boxes are those of the others

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


def a_hostile_page() -> DeploymentView:
    """Return a page whose names are markup, with little else on it."""
    page = examples.a_hostile_page()
    return replace(
        page, rules=page.rules[:2], sequences=(), scores=None, quadrants=None, labels=(), latency=None, distances=None,
        validations=(), history=(),
    )  # fmt: skip


PAGES: dict[str, Callable[[], str]] = {
    "whole": lambda: report(examples.a_small_page()),
    "hostile": lambda: report(a_hostile_page()),
    "empty": lambda: report(examples.an_empty_page()),
    "broken": lambda: report(examples.a_broken_page()),
    "overview": lambda: overview_page(examples.an_overview(), Links()),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in PAGES}
    for name, path in found.items():
        path.write_text(PAGES[name](), encoding="utf-8")
    return found


class Watched:
    """A browser's page, with all that it asked for and complained of."""

    def __init__(self, browser: "Browser", width: int = 1280, theme: str = "light", **options: Any) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=theme,
            locale="en-GB",
            timezone_id="Asia/Tokyo",
            **options,
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(120_000)  # milliseconds
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def ground(self) -> str:
        return str(self.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    def overflow(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def rgb(theme: str) -> str:
    colour = PALETTE["ground"][THEMES.index(theme)]
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_asks_for_nothing_and_can_be_used_by_all(
    browser: "Browser", files: dict[str, Path], width: int, theme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    for name, path in files.items():
        if name in FEW and (width, theme) not in {(1280, "light"), (390, "dark")}:
            continue
        with Watched(browser, width, theme) as watched:
            watched.page.goto(path.as_uri())
            assert watched.ground() == rgb(theme), name
            assert watched.overflow() <= 0, name
            found = axe.run(watched.page).response["violations"]
            serious = [
                (one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}
            ]
            assert serious == [], name
            assert [url for url in watched.requests if not url.startswith("data:")] == [path.as_uri()], name
            assert watched.complaints == [], name


def test_a_page_of_a_year_fits_with_all_its_numbers_open(browser: "Browser", tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report(examples.a_deployment_page()), encoding="utf-8")
    for width in WIDTHS:
        with Watched(browser, width) as watched:
            watched.page.goto(path.as_uri())
            watched.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert watched.overflow() <= 0
            wide, narrow = (watched.page.locator(f".{name} svg") for name in ("wide", "narrow"))
            assert [wide.first.is_visible(), narrow.first.is_visible()] == [width == 1280, width == 390]


def test_what_is_written_in_charts_lies_within_them(browser: "Browser", files: dict[str, Path]) -> None:
    """As this browser's fonts have it: no text is cut by the edge of its chart."""
    outside = """() => [...document.querySelectorAll('svg.chart text')].filter(text => {
        const svg = text.closest('svg');
        if (!svg.checkVisibility()) return false;
        const box = svg.getBoundingClientRect(), own = text.getBoundingClientRect();
        return own.left < box.left - 2 || own.right > box.right + 2 || own.top < box.top - 2
            || own.bottom > box.bottom + 2;
    }).map(text => text.textContent)"""
    for width in WIDTHS:
        with Watched(browser, width) as watched:
            watched.page.goto(files["whole"].as_uri())
            assert watched.page.evaluate(outside) == []


@pytest.mark.parametrize(("width", "box"), [(1280, ".wide"), (390, ".narrow")])
def test_a_chart_says_the_values_of_the_day_at_the_pointer_and_of_the_one_that_the_keys_reach(
    browser: "Browser", files: dict[str, Path], width: int, box: str
) -> None:
    facts = examples.a_small_page().sequences[0]
    with Watched(browser, width) as watched:
        watched.page.goto(files["whole"].as_uri())
        chart = watched.page.locator(f"#section-sequences {box}")
        svg, values = chart.locator("svg"), chart.locator(".values")
        assert not values.is_visible()
        svg.scroll_into_view_if_needed()
        first, last = (one["x"] for one in svg.locator(".span_marks line").evaluate_all(
            "lines => lines.map(line => ({x: line.getBoundingClientRect().left}))"))  # fmt: skip
        area = svg.bounding_box()
        assert area
        for number in (0, 17, len(facts.days) - 1):
            x = first + (last - first) * number / (len(facts.days) - 1)
            watched.page.mouse.move(x, area["y"] + area["height"] / 2)
            said = values.inner_text().splitlines()
            assert said[0] == f"day {facts.days[number]}"
            assert said[2].startswith("cumulative effect: ")
            shown = float(said[2].removeprefix("cumulative effect: ").replace("\N{MINUS SIGN}", "-"))
            assert shown == pytest.approx(facts.mean[number], abs=1e-3)
            assert abs(chart.locator(".pointed").bounding_box()["x"] - x) < 2  # type: ignore[index]
            place = values.bounding_box()
            assert place
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= width
        watched.page.mouse.move(2, 2)
        assert not values.is_visible()
        svg.focus()
        for key, day in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", -1)):
            watched.page.keyboard.press(key)
            assert values.inner_text().startswith(f"day {facts.days[day]}"), key
        watched.page.keyboard.press("Escape")
        assert not values.is_visible()
        assert watched.overflow() <= 0
        assert watched.complaints == []


def test_disagreements_can_be_sorted_by_their_difference(browser: "Browser", tmp_path: Path) -> None:
    one = examples.a_small_page().disagreements[0]
    pairs = ((0.9, 0.2), (0.1, 0.9), (0.5, 0.45), (0.2, 0.3))
    apart = tuple(replace(one, champion=champion, challenger=challenger) for champion, challenger in pairs)
    path = tmp_path / "page.html"
    path.write_text(report(replace(examples.a_small_page(), disagreements=apart)), encoding="utf-8")
    with Watched(browser) as watched:
        watched.page.goto(path.as_uri())
        table = watched.page.locator("#section-predictions table.sortable")
        head = table.get_by_role("button", name="difference")

        def differences() -> list[str]:
            return [text.replace("\N{MINUS SIGN}", "-") for text in table.locator("td:nth-child(5)").all_inner_texts()]

        assert differences() == ["-0.700", "+0.800", "-0.0500", "+0.100"]
        head.click()
        assert differences() == ["-0.700", "-0.0500", "+0.100", "+0.800"]
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
        head.focus()
        watched.page.keyboard.press("Enter")
        assert differences() == ["+0.800", "+0.100", "-0.0500", "-0.700"]
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_times_are_local_on_hover_and_the_first_stop_skips_to_the_content(
    browser: "Browser", files: dict[str, Path]
) -> None:
    with Watched(browser) as watched:
        watched.page.goto(files["whole"].as_uri())
        time = watched.page.locator("section.verdict time")
        assert time.inner_text() == "2014-01-01 03:00 UTC"
        assert time.get_attribute("title") == "01/01/2014, 12:00:00 GMT+9, your time"
        watched.page.keyboard.press("Tab")
        focused = "document.activeElement.className + ' ' + document.activeElement.getBoundingClientRect().left"
        assert watched.page.evaluate(focused) == "skip 8"
        watched.page.keyboard.press("Enter")
        watched.page.wait_for_url("**#content")  # fails after its timeout if the link leads nowhere


def test_a_page_without_script_follows_the_readers_system(browser: "Browser", files: dict[str, Path]) -> None:
    for theme in THEMES:
        with Watched(browser, theme=theme, java_script_enabled=False) as watched:
            watched.page.goto(files["whole"].as_uri())
            assert watched.page.locator("section.verdict h2").inner_text() == "● Ready for approval"
            assert watched.ground() == rgb(theme)


@pytest.fixture
def framed(browser: "Browser") -> Iterator[Watched]:
    """The page as Airflow frames it, on the same host, under the policy that is recommended."""
    files = {"/": ("text/html", AROUND), "/shadow/page": ("text/html", deployment_page(examples.a_small_page(), HERE))}
    served = {path: (kind, text.encode()) for path, (kind, text) in files.items()}
    served |= {f"/shadow/static/{name}": (kind, asset(name)) for name, kind in ASSETS.items()}

    def answer(route: "Route", request: "Request") -> None:
        parts = urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" != HOST or parts.path not in served:
            route.abort()
            return
        kind, content = served[parts.path]
        headers = {"Content-Type": kind}
        if parts.path != "/":
            headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        route.fulfill(status=200, headers=headers, body=content)

    with Watched(browser) as watched:
        watched.page.route("**/*", answer)
        yield watched


def test_a_framed_page_takes_the_theme_of_the_page_around_it(framed: Watched) -> None:
    framed.page.goto(f"{HOST}/")
    (frame,) = framed.page.frames[1:]
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    frame.wait_for_selector("section.verdict")
    assert frame.evaluate(ground) == rgb("dark")
    framed.page.evaluate("document.documentElement.className = 'light'")
    playwright.expect(frame.locator("html")).to_have_css("background-color", rgb("light"))
    asked = [url for url in framed.requests if not url.startswith("data:")]
    assert [urlsplit(url).path for url in asked] == [
        "/",
        "/shadow/page",
        "/shadow/static/page.css",
        "/shadow/static/page.js",
    ]
    assert [one for one in framed.complaints if "can escape its sandboxing" not in one] == []  # of Airflow's own frame


def test_a_page_alone_takes_the_theme_that_airflow_has_stored(framed: Watched) -> None:
    framed.page.goto(f"{HOST}/shadow/page")
    assert framed.ground() == rgb("light")
    framed.page.evaluate("localStorage.setItem('theme', 'dark')")
    framed.page.reload()
    assert framed.ground() == rgb("dark")
    framed.page.evaluate("localStorage.setItem('theme', 'system')")
    framed.page.reload()
    assert framed.ground() == rgb("light")


def test_the_page_of_a_run_is_served_under_the_same_policy(framed: Watched) -> None:
    html = deployment_page(examples.a_run(), HERE)
    headers = {"Content-Type": "text/html", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    framed.page.route("**/shadow/run", lambda route: route.fulfill(status=200, headers=headers, body=html))
    framed.page.goto(f"{HOST}/shadow/run")
    assert "The run of 2013-06-03" in framed.page.inner_text("main")
    assert framed.complaints == []


@pytest.mark.parametrize("status", test_status.every_stage(), ids=lambda status: status.stage)
def test_the_head_of_a_page_says_its_state_in_each_width_and_theme(
    status: ChallengerStatus, browser: "Browser", tmp_path: Path
) -> None:
    """The screens are left in the test's folder, for somebody to look at."""
    page = examples.a_small_page()
    assert page.challenger is not None
    line = replace(page.challenger, status=status)
    file = tmp_path / "page.html"
    file.write_text(report(replace(page, challenger=line, next_step=status.action, scorecard=None, sequences=())))
    for width in (1440, 1024, 390):
        for theme in THEMES:
            with Watched(browser, width, theme) as watched:
                watched.page.goto(file.as_uri())
                head = watched.page.locator("section.verdict")
                head.screenshot(path=tmp_path / f"{status.stage}_{width}_{theme}.png")
                said = [head.locator(part).inner_text() for part in ("h2", ".sentence", ".next")]
                assert said[0].endswith(status.label)
                assert said[1:] == [status.sentence, f"Next: {status.action}"]
                assert watched.overflow() <= 0
                top = head.locator("h2").bounding_box()
                assert top is not None
                assert top["y"] + top["height"] < 800, "it is seen without scrolling"
