"""Pages say what the facts say, whole, empty or broken; nothing in them acts, and nothing is loaded from elsewhere."""

import datetime as dt
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import cast

import pytest

from shadow_deployment.report.charts.theme import PALETTE
from shadow_deployment.report.html.rendering import deployment_page, error_page, notice_page, overview_page, report
from shadow_deployment.report.html.serving import ASSETS, CONTENT_SECURITY_POLICY, Cache, Links, asset
from shadow_deployment.report.overview import Overview, UnreadableLedger
from shadow_deployment.report.status import ChallengerStatus, Stage
from tests.unit.report import examples, records

HERE = Links("/shadow")
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """A page as a reader meets it: its elements and attributes, and the text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._parts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == [], f"elements are not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self._open and "style" not in self._open:
            self._parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._parts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def whole() -> str:
    return report(examples.a_deployment_page())


@pytest.fixture(scope="module")
def served() -> str:
    return deployment_page(examples.a_deployment_page(), HERE)


@pytest.fixture(scope="module")
def hostile() -> str:
    return report(examples.a_hostile_page())


def test_a_page_shows_verdict_next_step_and_every_section(whole: str) -> None:
    page = Page(whole)
    assert (
        whole.index("</span> Ready for approval</h2>")
        < whole.index("Approval of its promotion was requested")
        < whole.index('id="section-scorecard"')
        < whole.index('id="section-health"')
        < whole.index('id="section-rules"')
    )
    for words in (
        "gradient_boosting 1 passes all 3 blocking rules against champion logistic-1, first on 2013-04-02",
        "Warning: labels that never come depend",
        "Slices by what their interval shows: Brier score",
        "Score distribution",
        "Calibration",
        "Where they differ, at a threshold of 0.5",
        "Requests on which they differ most",
        "Labels by day",
        "Latency by day",
        "Population stability index (PSI) between champion and challenger",
        "A/A noise: Brier score by day",
        "Expectations failed in 1 of 730 checks on 365 days: 2013-06-03 (inputs).",
        "2013-06-01-EWR-UA-1, 2013-06-02-EWR-UA-2",
        "Verdicts by day, promotions and rollbacks",
        "rollback of 1",
        "against: its newest verdict is INCONCLUSIVE, must be PASS",
        "nobody has answered yet",
        "email: refused",
        "A challenger passes when every blocking rule holds",
        "sha256:" + "9f" * 32,
        "182,500 of 365,000 requests, 50 %; rate 0.5",
    ):
        assert words in page.text, words
    assert len(page.all("svg")) == 22
    sections = {one["id"] for one in page.all("section") if one.get("id", "").startswith("section-")}
    assert {one["href"].removeprefix("#") for one in page.all("a") if one["href"].startswith("#section")} == sections


def test_a_page_of_a_year_five_challengers_and_fifty_slices_is_light(whole: str, served: str) -> None:
    assert len(whole.encode()) < 1_000_000
    assert len(served.encode()) < 1_000_000


def test_ids_are_unique_and_what_is_referred_to_is_there(whole: str) -> None:
    page = Page(whole)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {one for _, attributes in page.elements for one in attributes.get("aria-labelledby", "").split()}
    targets = {one["href"][1:] for one in page.all("a") if one["href"].startswith("#")}
    assert named | targets <= set(ids)


def test_headings_descend_one_by_one(whole: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(whole).elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_file_loads_nothing_and_links_nowhere(whole: str) -> None:
    page = Page(whole)
    assert [one["href"] for one in page.all("a") if not one["href"].startswith("#")] == []
    assert page.all("link") == [{"rel": "icon", "href": "data:,"}]
    assert page.all("form") == []
    assert [one.get("src") for one in page.all("script")] == [None]
    assert set(re.findall(r"\w+://[^\s\"'<>/]*", whole)) <= {
        "http://www.w3.org",
        "file://",
    }  # a namespace, a provenance
    assert not re.search(r"@import|url\((?!#)", whole)
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_a_served_page_loads_its_own_style_and_script_only(served: str) -> None:
    page = Page(served)
    sheets = [one["href"] for one in page.all("link") if one["rel"] == "stylesheet"]
    scripts = [one["src"] for one in page.all("script")]
    assert [re.sub(r"\?v=[0-9a-f]{12}$", "", one) for one in (*sheets, *scripts)] == [
        "/shadow/static/page.css",
        "/shadow/static/page.js",
    ]
    assert page.all("style") == []
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("href", "src", "action"):
            assert attributes.get(name, "#").startswith(("#", "/shadow/", "data:,")), attributes


def test_challengers_and_days_are_linked(served: str) -> None:
    facts = examples.a_small_page(day=dt.date(2013, 6, 3))
    page = Page(deployment_page(facts, HERE))
    addresses = [one["href"] for one in page.all("a")]
    assert "/shadow/" in addresses
    assert "/shadow/deployments/flight_delay?challenger=neural&day=2013-06-03" in addresses
    assert "/shadow/deployments/flight_delay?challenger=gradient_boosting&day=2013-06-02" in addresses
    assert "/shadow/deployments/flight_delay?challenger=gradient_boosting&day=2013-06-04" in addresses
    (current,) = [one for one in page.all("a") if one.get("aria-current") == "page"]
    assert "challenger=gradient_boosting&" in current["href"]
    (asked,) = [one for one in page.all("input") if one.get("type") == "date"]
    assert (asked["value"], asked["min"], asked["max"]) == ("2013-06-03", "2013-01-01", "2013-12-31")
    newest = Page(served)
    assert "/shadow/deployments/flight_delay?challenger=neural" in [one["href"] for one in newest.all("a")]


def test_addresses_hold_any_name() -> None:
    address = HERE.deployment("a/b?c", 'x"&y=1', dt.date(2013, 1, 1))
    assert address == "/shadow/deployments/a%2Fb%3Fc?challenger=x%22%26y%3D1&day=2013-01-01"
    assert (Links().deployment("a"), Links().overview(), Links().asset("page.css")) == (None, None, None)


def test_hostile_names_are_text_everywhere(hostile: str) -> None:
    page = Page(hostile)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert not {"img", "image", "b", "iframe", "foreignobject"} & set(tags)
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], attributes
    assert page.text.count("<script>alert(1)</script>") > 15
    assert 'the "best" & <b>boldest</b>' in page.text
    assert "⟨U+202E⟩gnitsoob⟨U+202C⟩ {{ 7 * 7 }}" in page.text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", hostile)
    assert "nnnnn…" in page.text
    titles = [one.get("title") for one in page.all("bdi")]
    assert "n" * 300 in titles


def test_hostile_names_are_text_in_the_list_and_in_a_run() -> None:
    rows = examples.an_overview().deployments
    status = ChallengerStatus("ready", examples.HOSTILE, examples.HOSTILE, examples.HOSTILE)
    hostile = replace(
        rows[2], name=examples.HOSTILE, owner=examples.HOSTILE, status=status, champion=replace(
            records.champion(), version=examples.HOSTILE
        ),
    )  # fmt: skip
    away = UnreadableLedger(examples.HOSTILE, examples.HOSTILE, ("lost",))
    run = examples.a_run()
    assert run.run
    assert run.run.snapshot
    day = replace(
        run.run,
        validations={examples.HOSTILE: run.run.validations["inputs"]},
        snapshot=replace(run.run.snapshot, champion_versions=[examples.HOSTILE]),
    )
    for html in (
        overview_page(Overview((hostile,), (away,)), HERE),
        notice_page(examples.HOSTILE, HERE, notice=examples.HOSTILE, names=[examples.HOSTILE]),
        deployment_page(replace(run, run=day), HERE),
        error_page(examples.HOSTILE, HERE),
    ):
        page = Page(html)
        assert [tag for tag, _ in page.elements if tag in {"img", "b"}] == []
        assert len(page.all("script")) == (2 if "list.js" in html else 1)
        assert "<script>alert(1)</script>" in page.text


def test_the_policy_is_prose_without_html_images_or_links(hostile: str) -> None:
    prose = re.findall(r'<div class="prose">(.*?)</div>', hostile, re.DOTALL)[0]
    assert "<strong>x</strong>" in prose
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in prose
    assert "<img" not in prose
    link = report(examples.a_small_page(policy_words="[x](javascript:alert(1)) <http://example.org>"))
    assert "<a" not in re.findall(r'<div class="prose">(.*?)</div>', link, re.DOTALL)[0]


def test_an_empty_deployment_says_what_to_do_next() -> None:
    facts = examples.an_empty_page()
    page = Page(report(facts))
    assert "Nothing to show yet" in page.text
    assert f"Next: {facts.next_step}" in page.text
    assert "Rules" not in page.text
    assert "A challenger passes when every blocking rule holds" in page.text
    assert page.all("svg") == []


def test_a_broken_deployment_says_what_broke() -> None:
    page = Page(report(examples.a_broken_page()))
    assert "connection shadow_db is not declared: set AIRFLOW_CONN_SHADOW_DB" in page.text
    assert {"role": "alert", "class": "broken"} in page.all("div")
    assert "Policy" not in page.text


def test_a_challenger_that_was_never_judged_has_a_page() -> None:
    line = records.a_line("linear", None)
    bare = replace(
        examples.a_deployment_page(), challenger=line, verdict=None, rules=(), sequences=(), slices=None, scores=None,
        quadrants=None, disagreements=(), latency=None, validations=(), distances=None, noise=None,
        scorecard=None, health=(), history=(), labels=(), drift=None,
        promotions=(), compared=(), snapshot=None, day=None, days=(), next_step="Run a day.",
        missing=dict.fromkeys(
            ("rules", "sequences", "slices", "scores", "latency", "noise", "verdict"), "it was never judged"
        ),
    )  # fmt: skip
    page = Page(deployment_page(bare, HERE))
    assert "Next: Run a day." in page.text
    assert page.text.count("it was never judged") >= 8  # seven sections, and its badge says never judged
    assert page.all("svg") == []


def test_what_is_missing_says_why() -> None:
    facts = replace(examples.a_small_page(), latency=None, missing={"latency": "requests.latency is not declared"})
    assert facts.scorecard
    row = replace(facts.scorecard.rows[0], champion=None)
    facts = replace(facts, scorecard=replace(facts.scorecard, rows=(row,)))
    page = Page(report(facts))
    assert "requests.latency is not declared" in page.text
    assert "Latency by day" not in page.text
    reasons = [one["title"] for one in page.all("span") if "title" in one]
    assert "the champion has no value of its own in this metric" in reasons


def test_a_run_shows_what_it_did_on_its_day() -> None:
    page = Page(deployment_page(examples.a_run(), HERE))
    for words in (
        "The run of 2013-06-03",
        "2013-06-03 00:00 UTC to 2013-06-04 00:00 UTC",
        "512 of 1,000, 51 %",
        "FAILED 13 expect_column_values_to_be_between distance 3 of 512 r1, r2",
        "not run",
        "does not count yet",
    ):
        assert words in page.text, words
    run = examples.a_run()
    assert run.run
    unsampled = replace(run, run=replace(run.run, snapshot=None))
    assert "This day was not sampled" in Page(deployment_page(unsampled, HERE)).text


def test_rules_say_why_those_in_slices_only_where_they_do_not_pass_worst_first(whole: str) -> None:
    start = whole.index("What each rule says, and why</caption>")
    table = whole[start : whole.index("</table>", start)]
    outcomes = re.findall(r"</span> (FAIL|INCONCLUSIVE|PASS)</span>", table)
    assert outcomes[:5] == ["PASS", "INCONCLUSIVE", "PASS", "FAIL", "FAIL"]
    assert outcomes[5:] == ["FAIL"] * 7 + ["INCONCLUSIVE"] * 13
    assert "interval" not in re.findall(r"<thead>.*?</thead>", table)[0], "it stands in the scorecard"


def test_served_pages_lead_to_airflows_own_and_files_nowhere(whole: str) -> None:
    view = examples.a_deployment_page()
    assert view.challenger is not None

    def served(stage: Stage, run: str | None = None) -> set[str]:
        line = replace(view.challenger, status=ChallengerStatus(stage, "so", "do", approval_run=run))
        page = deployment_page(replace(view, challenger=line, scorecard=None), Links("/af/shadow", "/af"))
        return set(re.findall(f'<a href="/af/dags/shadow_{view.name}([^"]*)" data-airflow>', page))

    assert served("undecided") == {""}
    assert served("ready") == {"", "_promotion"}
    assert served("ready", "run 7") == {"", "_promotion/runs/run%207/tasks/approve/required_actions"}
    for stage in ("champion", "promoted_not_served", "regression", "watching"):
        assert served(cast(Stage, stage)) == {"", "_rollback"}
    assert "data-airflow>" not in whole


def test_a_cache_forgets_what_was_asked_for_longest_ago() -> None:
    kept = Cache(most=2)
    for key in ("a", "b", "a", "c"):
        kept.get(key, lambda key=key: key)
    assert kept.get("a", lambda: "again") == "a"
    assert kept.get("b", lambda: "again") == "again"
    assert len(kept) == 2


def test_a_failure_is_not_kept() -> None:
    kept = Cache()
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: str(1 / 0))
    assert kept.get("a", lambda: "page") == "page"


def test_assets_are_ours_and_complete() -> None:
    sheet = asset("page.css").decode()
    used = set(re.findall(r"var\(--([a-z]+)\)", sheet))
    assert used <= set(PALETTE)
    assert all(f"--{name}:" in sheet for name in PALETTE)
    assert '[data-theme="dark"]' in sheet
    assert "http" not in sheet
    assert set(ASSETS) == {"page.css", "page.js", "list.css", "list.js"}
    assert "</script" not in asset("page.js").decode()
    assert "'unsafe" not in CONTENT_SECURITY_POLICY
    with pytest.raises(KeyError):
        asset("../rendering.py")
