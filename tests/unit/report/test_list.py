"""The list of all deployments says what needs somebody first, and is whole without its script."""

import datetime as dt
import subprocess
import sys
from dataclasses import replace
from typing import get_args

from shadow_deployment.report.html.rendering import notice_page, overview_page
from shadow_deployment.report.overview import Overview
from shadow_deployment.report.status import ChallengerStatus, Stage
from tests.unit.report import examples
from tests.unit.report.test_rendering import HERE, Page

LIST = examples.an_overview()


def test_a_row_says_who_owns_what_stands_where() -> None:
    page = Page(overview_page(LIST, HERE))
    for words in (
        "7 deployments, 3 need somebody",
        "prices ◆ Promoted, not served trees 2 was promoted on 2013-05-02, production still serves 7.",
        "still serves 7. Next: Look at it.",
        "Operations research logistic-1 2013-06-03 365",
        "1 alert not delivered",
        "fraud ◆ Broken deployment fraud: rules[1].metric == 'brier', must be brier_score (fraud.yaml:31)",
        "lost ? Unknown",
    ):
        assert words in page.text, words
    assert page.text.count("Next: Look at it.") == 3
    assert "/shadow/deployments/flight_delay" in [one["href"] for one in page.all("a")]


def test_states_and_owners_are_counted_for_the_filters() -> None:
    assert list(LIST.states.items())[:3] == [("Broken", 1), ("Promoted, not served", 1), ("Ready for approval", 1)]
    assert list(LIST.states)[-1] == "Unknown"
    assert LIST.owners == {"": 1, "Operations research": 4, "Sales": 2}
    values = [one["value"] for one in Page(overview_page(LIST, HERE)).all("option")]
    assert {"Broken", "Unknown", "-", "Sales", "days"} <= set(values)


def test_a_ledger_that_cannot_be_read_is_one_banner_with_its_remedy() -> None:
    page = Page(overview_page(LIST, HERE))
    assert len([one for one in page.all("div") if one.get("role") == "alert"]) == 1
    assert page.text.count("Connection refused") == 1
    assert "1 deployment cannot be shown. Let the database of eu_ledger run" in page.text


def test_without_the_script_nothing_is_there_that_only_it_can_use() -> None:
    page = Page(overview_page(LIST, HERE))
    (form,) = page.all("form")
    assert "hidden" in form
    heads = page.all("th")[:6]
    assert [one["aria-sort"] for one in heads] == ["none", "ascending", "none", "none", "none", "none"]
    assert [one.get("hidden") for one in page.all("tr")] == [None] * 8


def test_every_stage_has_a_badge_with_a_mark_of_its_own() -> None:
    for stage in get_args(Stage):
        row = replace(LIST.deployments[1], status=ChallengerStatus(stage, "sentence", "action"))
        assert row.state in Page(overview_page(Overview((row,)), HERE)).text
    days = replace(LIST.deployments[1], status=ChallengerStatus("collecting", "sentence", "action", "day 12 of 28"))
    assert (days.state, "Collecting: day 12 of 28" in overview_page(Overview((days,)), HERE)) == ("Collecting", True)


def test_what_draws_charts_can_be_loaded_before_a_page_is_asked_for() -> None:
    program = (
        "import sys\nfrom shadow_deployment.report.html import rendering\nassert 'vl_convert' not in sys.modules\n"
        "rendering.warm_up()\nprint('vl_convert' in sys.modules, 'altair' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True True"


def test_an_empty_list_says_how_to_begin() -> None:
    page = Page(overview_page(Overview(()), HERE))
    assert "include/deployments/" in page.text
    assert page.all("table") == []


def test_a_notice_is_a_sentence_with_links_and_no_alarm() -> None:
    page = Page(notice_page("There is no such deployment", HERE, notice="You may read these:", names=["churn"]))
    assert [one["href"] for one in page.all("a")] == ["#content", "/shadow/deployments/churn", "/shadow/"]
    assert [one for one in page.all("div") if one.get("role") == "alert"] == []


def test_dates_are_as_they_are_sorted() -> None:
    row = replace(LIST.deployments[1], last_day=dt.date(2013, 1, 9))
    cells = Page(overview_page(Overview((row,)), HERE)).all("td")
    assert [one["data-value"] for one in cells] == ["0", "Operations research", "logistic-1", "2013-01-09", "365"]
