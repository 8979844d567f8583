"""The scorecard: all models side by side, one writing of a number, and no word that no interval bears out."""

import re
from dataclasses import replace

import pytest

from shadow_deployment.base.numbers import MINUS
from shadow_deployment.report.html import cells
from shadow_deployment.report.html.intervals import WIDTH, picture
from shadow_deployment.report.html.rendering import report
from shadow_deployment.report.scorecard import ModelScore, ScoreRow
from tests.unit.report import examples, figures, records
from tests.unit.report.test_rendering import Page


@pytest.fixture(scope="module")
def html() -> str:
    return report(examples.a_small_page())


def cell_texts(html: str, title: str) -> list[str]:
    """Return what stands in the cells of a row of the scorecard."""
    row = html[html.index(f">{title}</bdi>") :]
    cells_of_row = re.findall(r"<td.*?</td>", row[: row.index("</tr>")], re.DOTALL)
    return [Page(f"<table><tr>{cell}</tr></table>").text for cell in cells_of_row]


def test_a_row_has_each_models_value_change_interval_and_outcome(html: str) -> None:
    champion, better, worse = cell_texts(html, "Brier score is better")
    assert champion == "0.1814"
    assert better.startswith(
        f"0.1627 {MINUS}10.3\xa0% better 0.0012 to 0.0234 97.5\xa0% confidence sequence".replace("\xa0", " ")
    )
    assert better.endswith("PASS")
    assert worse.startswith(f"0.2920 +61.0 % worse {MINUS}0.1858 to {MINUS}0.0121 97.5 % confidence sequence")
    assert worse.endswith("FAIL")


def test_metrics_of_no_rule_are_there_and_nothing_is_said_of_them(html: str) -> None:
    assert cell_texts(html, "ROC AUC") == ["0.6418", "0.6691 +4.3 %", f"0.6344 {MINUS}1.2 %"]
    assert "Other kept metrics, of no rule" in html


def test_latency_of_serving_is_not_compared_with_that_of_batch_scoring(html: str) -> None:
    start = html.index(">Latency p50</bdi>")
    row = html[start : html.index("</tr>", start)]
    assert "not like with like: serving one request against batch scoring" in row
    assert cell_texts(html, "Latency p50")[:2] == ["4.200 ms", "0.600 ms"], "both values, and no change"


def test_better_and_worse_are_said_only_where_the_interval_shows_it() -> None:
    rule = figures.a_rule("INCONCLUSIVE", lower=-0.001)
    assert ModelScore(0.1, 0.2, rule.finding).shown == ""
    assert ModelScore(0.1, 0.2, None).shown == ""
    assert ModelScore(0.1, 0.2, figures.a_rule().finding).shown == "better"
    assert ModelScore(0.3, 0.2, figures.a_rule("FAIL", lower=-0.2, upper=-0.1).finding).shown == "worse"
    bounded = figures.a_rule(is_="at_least", lower=0.7, upper=0.8)
    assert ModelScore(0.1, 0.2, bounded.finding).shown == "", "the interval of a value is none of a difference"
    assert ModelScore(0.1, 0.0).change is None


def test_a_rule_has_its_spelling_as_a_tooltip_and_its_slices_below_it(html: str) -> None:
    assert 'title="{metric: brier_score, is: superior}"' in html
    assert "2\xa0slices, all pass" in html
    assert "origin=A" in html


def test_columns_are_the_champion_and_all_challengers_the_shown_one_marked(html: str) -> None:
    head = html[html.index('<table class="scorecard">') :]
    head = head[: head.index("</thead>")]
    assert re.findall(r"<bdi>([^<]*)</bdi>", head) == [
        "logistic-1", "gradient_boosting", "1", "gradient_boosting_percent", "1",
    ]  # fmt: skip
    assert head.count('class="current"') == 1
    assert "gradient_boosting_percent: judged on other days" in html


def test_an_interval_is_drawn_in_its_picture_and_nowhere_else(html: str) -> None:
    assert html.count('class="picture ') == 2, "one for each challenger of the one rule that has intervals"
    assert "interval against its bound" not in html


def numbers_at(svg: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'class="{kind}" d="M([\d.]+),', svg)]


def test_a_picture_has_0_and_the_bound_labelled_and_lies_on_the_rows_scale() -> None:
    rule = figures.a_rule(metric="log_loss", is_="non_inferior", bound=-0.005, lower=-0.004, estimate=0.01, upper=0.03)
    row = records.a_score_row(rule)
    svg = picture(row, rule.finding)
    words = re.findall(r">([^<>]+)</text>", svg)
    assert f"bound {MINUS}0.005" in words
    assert any(float(word.replace(MINUS, "-")) == 0 for word in words if not word.startswith("bound"))
    (zero,), (bound,), (start,) = (numbers_at(svg, kind) for kind in ("zero", "bound", "interval"))
    assert bound < start < zero
    scale = (zero - bound) / 0.005
    assert start - bound == pytest.approx(0.001 * scale, abs=0.2)
    assert re.search(r'class="interval" d="M[\d.]+,21H([\d.]+)"', svg)
    assert all(0 <= float(x) <= WIDTH for x in re.findall(r'<text x="([\d.]+)"', svg))


def test_an_open_side_is_an_arrow_and_no_interval_is_no_picture() -> None:
    closed, opened = figures.a_rule(), figures.a_rule(lower=None)
    assert picture(records.a_score_row(closed), closed.finding) != picture(records.a_score_row(opened), opened.finding)
    none = figures.a_rule("INCONCLUSIVE", lower=None, estimate=None, upper=None)
    assert picture(records.a_score_row(none), none.finding) == ""
    assert cells.no_interval(none.finding) == "no interval yet"
    assert cells.no_interval(replace(none.finding, estimate=0.0)) == "no difference on any day"


def test_the_a_a_check_is_as_expected_unless_its_interval_shows_a_difference() -> None:
    check = records.a_line("a_a_check", "INCONCLUSIVE", "a_a_check")
    alike = figures.a_rule("INCONCLUSIVE", lower=None, upper=None, estimate=0.0)
    assert "as expected" in cells.outcome(check, records.a_score(alike))
    assert "INCONCLUSIVE" in cells.outcome(records.a_line("trees"), records.a_score(alike))
    differs = figures.a_rule("INCONCLUSIVE", lower=0.1, upper=0.2)
    assert "INCONCLUSIVE" in cells.outcome(check, records.a_score(differs))
    assert "FAIL" in cells.outcome(check, records.a_score(figures.a_rule("FAIL")))


def test_a_number_is_written_the_same_in_a_reason_and_in_the_scorecard() -> None:
    reason = "after 365 days the interval -0.1858 to -0.01214 is entirely below 0 on 2013-05-12"
    rule = figures.a_rule("FAIL", estimate=-0.1, lower=-0.1858, upper=-0.012139, reason=reason)
    usual = records.a_line("gradient_boosting", "FAIL")
    line = replace(usual, status=replace(usual.status, sentence=f"gradient-boosting 1 fails: {reason}."))
    card = replace(records.a_scorecard((line,)), rows=(records.a_score_row(rule),))
    page = Page(report(examples.a_small_page(challengers=(line,), challenger=line, scorecard=card, rules=(rule,))))
    written = f"the interval {MINUS}0.186 to {MINUS}0.012 is entirely below 0 on 2013-05-12"
    assert page.text.count(written) == 2, "in the head, and in the table of rules"
    assert "gradient-boosting 1 fails" in page.text, "a name keeps its hyphen"
    assert "0.01214" not in page.text


def test_a_reason_has_the_numbers_of_its_own_rule_and_not_another_rules_unit() -> None:
    view = examples.a_deployment_page()
    written = cells.writer(view)
    assert {written(rule.finding.reason) for rule in view.rules if "0.001" in rule.finding.reason} == {
        "after 365 days the interval 0.001 to 0.02 clears 0",
        "0 is at most 0.1\xa0%",
    }


def test_places_are_those_that_the_narrowest_interval_needs() -> None:
    wide = figures.a_rule("FAIL", lower=-5.0, estimate=-3.0, upper=-1.0)
    narrow = figures.a_rule(lower=0.00123, estimate=0.0123, upper=0.0234)
    row = records.a_score_row(wide, narrow)
    assert row.interval_places == records.a_score_row(narrow).interval_places == 4
    assert row.reach == (-5.0, 0.0234)


def test_a_row_without_any_value_has_no_places() -> None:
    empty = ScoreRow("roc_auc", "ROC AUC", "other", (ModelScore(None, None), None), None)
    assert empty.places is None
    assert empty.reach is None


def test_health_is_a_word_for_each_item_and_leads_to_its_section(html: str) -> None:
    page = Page(html)
    ids = {attributes.get("id") for _, attributes in page.elements}
    start = html.index('<ul class="health">')
    items = html[start : html.index("</ul>", start)]
    assert re.findall(r'<li class="(\w+)"><a href="#([\w-]+)">([^<]+)<', items) == [
        ("good", "section-operation", "A/A check"),
        ("attention", "section-history", "Alerts go to"),
        ("alarm", "section-provenance", "Ledger"),
    ]
    assert {"section-operation", "section-history", "section-provenance"} <= ids
    assert [re.sub(r"<.*?>", "", word).strip() for word in re.findall(r'class="word">(.*?)</span><span', items)] == [
        "● as expected", "▲ nobody", "◆ differs",
    ]  # fmt: skip
