"""Pictures show what the facts say, where they say it, in words too, and no name acts in them."""

import datetime as dt
import re
import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.report.charts.album import MOST_SEQUENCES, album
from shadow_deployment.report.charts.palette import PALETTE, resolved
from shadow_deployment.report.charts.pictures import Picture
from shadow_deployment.report.charts.pictures_answers import distributions, quadrants, reliability
from shadow_deployment.report.charts.pictures_axes import day_ticks, powers, reach, ticks, wrapped
from shadow_deployment.report.charts.pictures_canvas import Canvas
from shadow_deployment.report.charts.pictures_days import drift, labels, latency, middles
from shadow_deployment.report.charts.pictures_history import noise, timeline
from shadow_deployment.report.charts.pictures_legend import Entry, arranged
from shadow_deployment.report.charts.pictures_rules import MOST_RULES, rules
from shadow_deployment.report.charts.pictures_sequence import apart, sequence
from shadow_deployment.report.charts.pictures_slices import MOST_SLICES, slices
from shadow_deployment.report.views.facts import DeploymentFacts, LatencyFacts, NoiseFacts, OutcomeDay, SequenceFacts
from tests.unit.report import examples
from tests.unit.report.drawing import Drawing, Mark

DAY = dt.timedelta(days=1)
MINUS = "\N{MINUS SIGN}"


def drawn(picture: Picture, which: int = 0) -> Drawing:
    return Drawing(picture.inline()[which])


def every(facts: DeploymentFacts) -> list[Picture]:
    return [picture for found in album(facts).values() for picture in found]


@pytest.fixture(scope="module")
def passing() -> SequenceFacts:
    facts = examples.a_sequence(64, effect=0.03)
    assert facts.outcome == "PASS"
    return facts


@pytest.fixture(scope="module")
def pictures() -> list[tuple[Picture, list[str]]]:
    return [(picture, picture.inline()) for picture in every(examples.a_deployment_page())]


@pytest.mark.parametrize("which", [0, 1], ids=["wide", "narrow"])
def test_a_sequence_shows_bound_days_mean_and_interval_at_their_values(passing: SequenceFacts, which: int) -> None:
    facts = replace(passing, bound=0.011)
    found = drawn(sequence(facts, 1), which)
    pixel = abs(found.value_at(100) - found.value_at(101))
    assert found.value_at(found.the("bound").y) == pytest.approx(0.011, abs=pixel)
    days = found.the("daily").points
    low, high = found.value_at(found.marks[0].y + 400), found.value_at(0)
    assert len(days) == len(facts.observed)
    shown = [(found.day_at(x), found.value_at(y)) for x, y in days]
    assert [day for day, _ in shown] == list(facts.days)
    assert [value for _, value in shown] == pytest.approx(facts.observed, abs=pixel)
    assert low < high
    mean = [found.value_at(y) for _, y in found.the("mean").points]
    assert mean == pytest.approx(facts.mean, abs=pixel)
    for side in ("lower", "upper"):
        points = found.the(side).points
        known = [(day, one) for day, one in zip(facts.days, getattr(facts, side), strict=True) if one is not None]
        assert [found.day_at(x) for x, _ in points] == [day for day, _ in known]
        assert [found.value_at(y) for _, y in points] == pytest.approx([one for _, one in known], abs=pixel)
    assert len(found.the("interval").points) == 2 * len(known)


def test_a_sequence_marks_burn_in_and_the_day_of_decision(passing: SequenceFacts) -> None:
    found = drawn(sequence(passing, 1))
    assert passing.burn_in_end
    shade = found.the("burn_in")
    width = float(re.findall(r"h([\d.]+)", shade.element.get("d", ""))[0])
    assert found.day_at(shade.x + width + 8) == passing.burn_in_end
    assert found.day_at(shade.x + width - 8) == passing.burn_in_end - DAY
    assert found.day_at(found.the("decided").x) == passing.decided_on
    assert found.the("decided").colour == "pass"
    assert found.the("decided_words").words == f"PASS since {passing.decided_on}"
    assert "burn-in of 28\xa0days" in found.words
    assert "bound 0: the rule holds above" in found.words
    title, words = found.described()
    assert title == passing.text
    assert "clears the bound 0: PASS, first on" in words


def test_a_sequence_in_its_burn_in_shows_days_and_no_interval() -> None:
    facts = examples.a_sequence(12)
    picture = sequence(facts, 1)
    found = drawn(picture)
    assert (found.named("interval"), found.named("decided"), found.named("lower")) == ([], [], [])
    assert len(found.the("daily").points) == 12
    assert picture.finding == "After 12\xa0days there is no interval yet; one is given from day 28 on."
    whole = float(re.findall(r"h([\d.]+)", found.the("burn_in").element.get("d", ""))[0])
    assert whole == pytest.approx(float(found.the("bound").element.get("x2", "0")), abs=1)


def test_one_day_is_a_picture_too() -> None:
    found = drawn(sequence(examples.a_sequence(1), 1))
    assert len(found.the("daily").points) == 1


def test_days_far_out_do_not_flatten_a_sequence_and_are_counted(passing: SequenceFacts) -> None:
    wild = replace(passing, observed=(9.0, *passing.observed[1:]))
    picture = sequence(wild, 1)
    calm, found = drawn(sequence(passing, 1)), drawn(picture)
    assert found.value_at(46) == pytest.approx(calm.value_at(46), rel=0.3)
    (outside,) = re.findall(r"^(\d+) of 64\xa0days alone lie outside the picture\.$", picture.note)
    low, high = sorted((found.value_at(46), found.value_at(46 + 296)))
    assert int(outside) == sum(not low <= one <= high for one in wild.observed) >= 1
    assert sequence(examples.a_sequence(12), 1).note == ""
    changed = sequence(replace(wild, agrees=False), 1)
    assert "Evidence has changed since this verdict" in changed.note


def test_a_sequence_of_weeks_and_of_shares_says_so(passing: SequenceFacts) -> None:
    facts = replace(passing, per="week", unit="share", slice="origin=JFK", holds_above=False, bound=0.05)
    picture = sequence(facts, 1)
    found = drawn(picture)
    assert "one week alone (the naive estimate)" in found.words
    assert "bound 5\xa0%: the rule holds below" in found.words
    assert picture.title.endswith(", in origin=JFK")
    assert any(words.startswith("+") and words.endswith("\xa0%") for words in found.words)
    assert picture.table
    assert picture.table.headings[0] == "week"
    assert [row[0] for row in picture.table.rows[:1]] == [str(facts.days[-1])]


def test_rules_stand_on_one_scale_and_say_their_outcome() -> None:
    facts = examples.rules()[:4]
    found = drawn(rules(facts))
    bounds = {round(one.x) for one in found.named("bound")}
    assert len(bounds) == 1
    (bound,) = bounds
    estimates = sorted(found.named("estimate"), key=lambda one: one.y)
    assert [one.x > bound for one in estimates] == [True, True, True, False]
    assert [one.colour for one in estimates] == ["pass", "ground", "pass", "fail"]  # an open one is hollow
    half = estimates[2].x - bound
    scaled = [one.scaled.estimate for one in facts]
    assert [(one.x - bound) / half for one in estimates] == pytest.approx(scaled, abs=0.01)
    intervals = sorted(found.named("interval"), key=lambda one: one.y)
    ends = [((one.x - bound) / half, (one.x + float(one.element.get("x2", "0")) - bound) / half) for one in intervals]
    assert [end for pair in ends for end in pair] == pytest.approx([0.04, 0.75, -0.1, 0.6], abs=0.01)
    words = [one.words for one in sorted(found.texts, key=lambda one: one.y) if one.x > 1000]
    assert words == ["PASS", "INCONCLUSIVE", "PASS", "FAIL"]
    assert "Gates: 1 INCONCLUSIVE, 2 PASS; not passing: Log loss" in found.described()[1]
    assert "Monitors: 1 FAIL" in found.described()[1]


def test_rules_show_what_does_not_pass_first_and_say_how_many_are_left_out() -> None:
    facts = examples.rules()
    picture = rules(facts)
    found = drawn(picture)
    assert len(found.named("estimate")) == MOST_RULES
    assert picture.note == f"{len(facts) - MOST_RULES}\xa0more findings in the tables."
    outcomes = [one.words for one in sorted(found.texts, key=lambda one: one.y) if one.x > 1000]
    assert outcomes[5:] == ["FAIL"] * 7
    good = [examples.a_rule(slice=f"origin={one}") for one in ("EWR", "JFK")]
    assert len(drawn(rules([examples.a_rule(), *good])).named("estimate")) == 1


def test_a_rule_without_an_interval_says_so_and_an_open_side_ends_in_an_arrow() -> None:
    none = examples.a_rule(
        "INCONCLUSIVE", scaled=replace(examples.a_rule().scaled, lower=None, estimate=None, upper=None)
    )
    half = examples.a_rule(scaled=replace(examples.a_rule().scaled, lower=None))
    assert "no interval yet" in drawn(rules([none])).words
    waiting = replace(none, scaled=replace(none.scaled, estimate=1.0))
    assert "no interval yet" in drawn(rules([waiting])).words
    assert drawn(rules([waiting])).named("estimate") == []
    assert len(drawn(rules([replace(waiting, is_daily=True)])).named("estimate")) == 1
    found = drawn(rules([half]))
    assert [one.words for one in found.named("open_end")] == ["◀"]
    assert len(found.named("cap")) == 1


def test_slices_are_a_row_each_worst_first_with_their_requests() -> None:
    facts = replace(examples.slices(), slices=examples.slices().slices[:20])
    found = drawn(slices(facts))
    names = sorted(found.named("slice"), key=lambda one: one.y)
    assert [one.words for one in names] == ["all requests", *(one.name for one in facts.slices)]
    estimates = sorted(found.named("estimate"), key=lambda one: one.y)
    assert [one.x for one in estimates[1:]] == sorted(one.x for one in estimates[1:])
    zero = found.the("zero").x
    assert [one.x > zero for one in estimates[1:]] == [one.estimate > 0 for one in facts.slices]
    for mark, one in zip(estimates[1:], facts.slices, strict=True):
        assert mark.colour == ("fail" if one.worse else "pass" if one.better else "muted")
        assert f"{one.requests:,}" in [text.words for text in found.texts if abs(text.y - mark.y) < 6]
    assert len(found.named("open_end")) == sum(one.lower is None for one in facts.slices)
    assert any(one.worse for one in facts.slices)


def test_of_many_slices_the_worst_are_drawn_and_all_are_in_the_table() -> None:
    facts = examples.slices(50)
    picture = slices(facts)
    assert len(drawn(picture).named("slice")) == 1 + MOST_SLICES
    assert picture.table
    assert [row[0] for row in picture.table.rows[1:]] == [one.name for one in facts.slices]
    assert "26 better ones are in the table." in picture.note
    assert "3\xa0slices with the fewest requests are left out." in picture.note
    assert f"Worst is {facts.slices[0].name}: {MINUS}0." in picture.finding


def test_distributions_are_stairs_whose_heights_are_the_shares() -> None:
    facts = examples.scores()
    found = drawn(distributions(facts))
    for name in ("champion", "challenger_line"):
        shares = getattr(facts, name.removesuffix("_line")).share
        heights = [found.value_at(y) for _, y in found.the(name).points][::2]
        assert heights == pytest.approx([100 * share for share in shares], abs=0.1)


def test_reliability_leaves_out_bins_without_a_label_and_draws_the_truth() -> None:
    facts = examples.scores()
    gone = replace(facts.champion, mean_label=(None, *facts.champion.mean_label[1:]))
    found = drawn(reliability(replace(facts, champion=gone)))
    known = sum(one is not None for one in facts.challenger.mean_label)
    assert len(found.named("champion")) == sum(one is not None for one in gone.mean_label) < 20
    assert len(found.named("challenger")) == len(found.named("challenger_interval")) == known
    truth = [found.value_at(y) for _, y in found.the("truth").points]
    assert truth == pytest.approx([0, 100], abs=0.5)
    point = found.named("challenger")[9]
    assert found.value_at(point.y) == pytest.approx(100 * (facts.challenger.mean_label[9] or 0), abs=0.5)


def test_values_beyond_probability_have_their_own_range() -> None:
    edges = tuple(float(10 * one) for one in range(21))
    shifted = replace(
        examples.binned(1, 0.1),
        mean_answer=tuple(float(10 * one + 5) for one in range(20)),
        mean_label=tuple(float(10 * one + 7) for one in range(20)),
    )
    facts = replace(examples.scores(), unit="value", edges=edges, champion=shifted, challenger=shifted)
    assert "answer" in drawn(distributions(facts)).words
    found = drawn(reliability(facts))
    assert found.value_at(found.named("champion")[0].y) == pytest.approx(7, abs=1)


def test_quadrants_are_areas_and_say_who_was_right() -> None:
    facts = examples.quadrants()
    picture = quadrants(facts)
    found = drawn(picture)
    sides = sorted(float(re.findall(r"h([\d.]+)", one.element.get("d", ""))[0]) for one in found.named("quadrant"))
    shares = sorted(one.share for one in facts.quadrants)
    assert [side**2 / sides[-1] ** 2 for side in sides] == pytest.approx([one / shares[-1] for one in shares], rel=0.03)
    assert picture.finding.split(". ") == [
        "They differ on 8.0\xa0% of the requests",
        "Where they do, the challenger is right in 62\xa0%, the champion in 38\xa0%.",
    ]
    yes_no = [one for one in found.texts if "challenger right" in one.words]
    assert [one.words for one in yes_no] == ["challenger right: 63\xa0%", "challenger right: 61\xa0%"]
    assert yes_no[0].x < yes_no[1].x  # only the champion says yes: left, above
    assert yes_no[0].y < yes_no[1].y


def test_labels_stand_in_layers_and_the_first_day_that_does_not_count_is_marked() -> None:
    facts = examples.labels(20)
    found = drawn(labels(facts))
    labelled = found.the("labelled").points[: 20 * 2 - 1 : -2]
    assert [found.value_at(y) for _, y in labelled] == pytest.approx([one.labelled for one in facts], abs=3)
    assert found.day_at(found.the("unripe").x + 8) == next(one.day for one in facts if not one.ripe)
    assert found.named("contradicted") == []
    marked = drawn(labels([*facts[:5], replace(facts[5], contradicted=2), *facts[6:]]))
    assert marked.day_at(marked.the("contradicted").x) == facts[5].day
    ripe = labels([replace(one, ripe=True, waiting=0) for one in facts])
    assert "20 of 20\xa0days count; 0\xa0labels expected still." in ripe.finding
    assert drawn(ripe).named("unripe") == []


def test_latency_breaks_where_a_day_has_none() -> None:
    days = examples.days_from(6)
    facts = LatencyFacts(days, {"p50": (1.0, 2.0, None, 4.0, 5.0, 6.0)}, {"p50": (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)})
    picture = latency(facts)
    found = drawn(picture)
    assert found.the("champion_p50").element.get("d", "").count("M") == 2
    assert len(found.the("champion_p50").points) == 5
    assert picture.finding == "Newest: median 0.100\xa0ms against 6.00\xa0ms of the champion."
    assert "No latency was measured." in latency(LatencyFacts(days, {}, {})).finding


def test_a_year_of_latency_is_drawn_by_weeks_and_stands_in_the_table_by_days() -> None:
    picture = latency(examples.latency())
    found = drawn(picture)
    assert len(found.the("challenger_p95").points) == 52
    assert "milliseconds, logarithmic, median of seven days" in found.words
    assert picture.table
    assert len(picture.table.rows) == 365


def test_drift_is_held_against_its_bound_where_there_is_one() -> None:
    facts = examples.drift(30)
    first, second = drift(facts)
    found = drawn(first)
    assert found.value_at(found.the("bound").y) == pytest.approx(0.2, abs=0.005)
    assert [found.value_at(y) for _, y in found.the("middle").points] == pytest.approx(
        facts.values["population_stability_index"], abs=0.01
    )
    assert drawn(second).named("bound") == []
    assert "bound 0.2; above it on" in first.finding
    assert "bound" not in second.finding


def test_noise_shows_the_control_beside_the_challengers() -> None:
    facts = examples.noise()
    picture = noise(facts)
    found = drawn(picture)
    series = sorted(found.named("series"), key=lambda one: one.y)
    assert [one.words for one in series] == ["a_a_check", *(one.name for one in facts.others)]
    spreads = sorted(found.named("spread"), key=lambda one: one.y)
    assert [one.colour for one in spreads] == ["other", *["challenger"] * 4]
    assert float(spreads[0].element.get("x2", "")) < 0.05 * float(spreads[1].element.get("x2", ""))
    assert "noise of the whole pipe" in picture.finding
    alone = noise(NoiseFacts(facts.metric, facts.title, None, facts.others))
    assert alone.finding.startswith("There is no A/A check: enter the champion")


def test_the_timeline_has_a_lane_for_each_outcome_and_the_changes_of_the_champion() -> None:
    found = drawn(timeline(examples.history(), examples.promotions()))
    assert [len(found.named(name)) for name in ("pass", "inconclusive", "fail")] == [2, 2, 0]
    changes = sorted(found.named("change"), key=lambda one: one.x)
    days = [one.at.date() for one in reversed(examples.promotions())]
    assert [abs((found.day_at(one.x) - day).days) <= 1 for one, day in zip(changes, days, strict=True)] == [True] * 3
    assert {"promotion", "rollback", "forced promotion"} <= set(found.words)
    short = timeline([OutcomeDay(day, "FAIL", 1) for day in examples.days_from(5)], ())
    assert len(drawn(short).named("fail")) == 5
    assert short.finding == "FAIL on 5\xa0days; no change of the champion."
    assert drawn(timeline((), examples.promotions())).named("change_kind")


def test_every_picture_is_named_described_and_small(pictures: list[tuple[Picture, list[str]]]) -> None:
    assert len(pictures) >= 13
    for picture, drawings in pictures:
        assert len(drawings) == len(picture.widths)
        for svg in drawings:
            found = Drawing(svg)
            assert found.root.get("role") == "img"
            title, words = found.described()
            assert title == picture.title
            assert words == picture.finding
            assert len(words) > 20
            assert len(svg.encode()) < 40_000, picture.name


def test_ids_are_unique_on_a_page(pictures: list[tuple[Picture, list[str]]]) -> None:
    svgs = "".join(svg for _, drawings in pictures for svg in drawings)
    ids = re.findall(r' id="([^"]+)"', svgs)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"\(#([^)]+)\)", svgs)) <= set(ids)
    assert {one for found in re.findall(r'aria-labelledby="([^"]+)"', svgs) for one in found.split()} <= set(ids)


def test_colours_are_the_themes_and_nothing_is_loaded(pictures: list[tuple[Picture, list[str]]]) -> None:
    for _, drawings in pictures:
        for svg in drawings:
            assert set(re.findall(r"var\(--([a-z]+)\)", svg)) <= set(PALETTE)
            painted = re.findall(r'(?:fill|stroke)="([^"]+)"', svg)
            assert all(one == "none" or one.startswith("var(--") for one in painted)
            assert re.findall(r"https?:[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
            assert not re.search(r"<(?:image|script|style|a|foreignObject|use)\b| on\w+=| href=", svg)


def test_texts_lie_within_the_picture(pictures: list[tuple[Picture, list[str]]]) -> None:
    """By an average letter, since fonts differ: nothing that is written begins or ends far outside."""
    for picture, drawings in pictures:
        for svg in drawings:
            found = Drawing(svg)
            width, height = (float(one) for one in found.root.get("viewBox", "").split()[2:])
            for one in found.texts:
                start, end = extent(one)
                assert start > -4, (picture.name, one.words)
                assert end < width + 4, (picture.name, one.words)
                assert 0 < one.y < height + 2, (picture.name, one.words)


def extent(text: Mark) -> tuple[float, float]:
    width = len(text.words) * 0.5 * float(text.element.get("font-size", "13"))
    shift = {"middle": width / 2, "end": width}.get(text.element.get("text-anchor", ""), 0.0)
    return text.x - shift, text.x - shift + width


def test_the_same_facts_give_the_same_picture() -> None:
    facts = examples.a_sequence(40)
    assert sequence(facts, 1).inline() == sequence(facts, 1).inline()


def test_hostile_names_are_text_in_every_picture() -> None:
    found = [Drawing(svg) for picture in every(examples.a_hostile_page()) for svg in picture.inline()]
    for one in found:
        assert not [each for each in one.root.iter() if each.tag.split("}")[-1] in {"script", "img", "image", "b"}]
        assert "\u202e" not in one.svg
        assert "\x00" not in one.svg
        assert "49" not in one.words  # {{ 7 * 7 }} is not computed
    forest = next(one for one in found if one.named("slice"))
    names = {one.whole for one in forest.named("slice")}
    assert f"airport={examples.HOSTILE}" in names
    assert {"airport=$x^2$", "airport=datum.x + 1", "airport=⟨U+202E⟩gnitsoob⟨U+202C⟩ {{ 7 * 7 }}"} <= names
    assert "airport=" + "x" * 300 in names
    shown = next(one for one in forest.named("slice") if one.whole == "airport=" + "x" * 300)
    assert shown.words.endswith("…")
    assert len(shown.words) < 40


def test_a_picture_is_a_file_of_its_own_for_light_and_dark() -> None:
    svg = sequence(examples.a_sequence(40), 1).file()
    assert svg.startswith("<svg ")
    assert "prefers-color-scheme:dark" in svg
    assert all(f"--{name}:" in svg for name in PALETTE)
    assert re.search(r'<svg [^>]*width="1120" height="\d+"', svg)
    assert "url(#sequence-1-clip)" in svg
    title = Drawing(svg).the("title")
    assert title.words == "Brier score: superior to the champion"
    hostile = sequence(examples.a_sequence(40, text=examples.HOSTILE), 1).file()
    assert Drawing(hostile).the("title").words == examples.HOSTILE
    assert "<script" not in hostile


def test_a_picture_is_a_png_of_two_pixels_each_in_either_theme() -> None:
    picture = sequence(examples.a_sequence(40), 1)
    light, dark = picture.png("light"), picture.png("dark")
    assert light[:8] == b"\x89PNG\r\n\x1a\n"
    height = int(re.findall(r'height="(\d+)"', picture.file())[0])
    assert struct.unpack(">II", light[16:24]) == (2 * 1120, 2 * height)
    assert light != dark
    assert "var(" not in re.sub(r"<style>.*</style>", "", resolved(picture.file(), "dark"))


def test_what_has_nothing_to_show_has_no_picture() -> None:
    assert every(examples.an_empty_page()) == []
    assert every(examples.a_broken_page()) == []
    bare = replace(examples.a_deployment_page(), sequences=(replace(examples.a_sequence(3), days=()),))
    assert album(bare)["sequences"] == []
    unlabelled = replace(examples.a_deployment_page(), scores=replace(examples.scores(), labelled=0))
    assert [one.name for one in album(unlabelled)["scores"]] == ["distributions"]
    many = replace(examples.a_deployment_page(), sequences=(examples.a_sequence(3),) * 9)
    assert len(album(many)["sequences"]) == MOST_SEQUENCES


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_contrast_in_both_themes(theme: int) -> None:
    colours = {name: pair[theme] for name, pair in PALETTE.items()}
    for behind in ("ground", "panel", "shade"):
        for text in ("ink", "muted", "challenger", "champion", "pass", "fail", "open", "other", "link"):
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)
        assert contrast(colours["axis"], colours[behind]) >= 3, behind


@given(
    st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 12)
)  # fmt: skip
def test_round_numbers_lie_between_and_are_not_many(low: float, width: float, most: int) -> None:
    found = ticks(low, low + width, most)
    assert 1 <= len(found) <= most + 1
    slack = 1e-6 * max(abs(low), width)
    assert all(low - slack <= one <= low + width + slack for one in found) or len(found) == 1
    assert found == sorted(found)


@given(st.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1)), st.integers(0, 4000), st.integers(2, 15))
def test_days_on_an_axis_lie_between_and_are_not_many(first: dt.date, length: int, most: int) -> None:
    last = first + dt.timedelta(days=length)
    found = day_ticks(first, last, most)
    assert 1 <= len(found) <= most + 1
    assert all(first <= day <= last for day, _ in found)
    assert all(one != other for (_, one), (_, other) in pairwise(found))
    assert str(found[0][0].year) in found[0][1]


def test_axes_have_words_for_days_weeks_and_months() -> None:
    assert [words for _, words in day_ticks(dt.date(2013, 3, 1), dt.date(2013, 3, 3), 4)] == [
        "1\xa0Mar\xa02013",
        "2\xa0Mar",
        "3\xa0Mar",
    ]
    assert [day.weekday() for day, _ in day_ticks(dt.date(2013, 3, 1), dt.date(2013, 4, 3), 6)] == [0] * 5
    months = [words for _, words in day_ticks(dt.date(2013, 11, 5), dt.date(2014, 3, 3), 6)]
    assert months == ["Dec\xa02013", "Jan\xa02014", "Feb", "Mar"]


@given(st.floats(1e-3, 1e3), st.floats(1.5, 1e4))
def test_powers_lie_between(low: float, factor: float) -> None:
    found = powers(low, low * factor)
    assert all(low <= one <= low * factor * 1.0000001 for one in found)
    assert len(found) < 16


@given(st.lists(st.floats(0, 300), min_size=1, max_size=5))
def test_labels_at_the_end_keep_their_order_and_distance(places: list[float]) -> None:
    moved = apart(places, 15)
    order = sorted(range(len(places)), key=lambda index: places[index])
    gaps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(gap > 14 for gap in gaps)
    assert sum(moved) == pytest.approx(sum(places), abs=1e-3)


def test_small_pieces() -> None:
    assert middles([1, None, 3, None, None, None, None], 7) == [None]
    assert middles([5, 1, 3], 1) == [5, 1, 3]
    assert middles([5, 1, 3, 9], 3) == [3, None]
    assert reach([]) == (-1.0, 1.0)
    assert reach([2.0, None]) == pytest.approx((1.88, 2.12))
    assert wrapped("one two three four five six", 60, 2) == ["one two", "three f…"]
    lines = arranged([Entry("line", "ink", "x" * 20), Entry("line", "ink", "y" * 20)], 200)
    assert [len(line) for line in lines] == [1, 1]


def test_marks_that_look_alike_are_one_and_texts_lie_on_top() -> None:
    canvas = Canvas(100, 50)
    canvas.text(1, 1, "first", on=(None, None))
    canvas.points("point", [1, 2], [3, 4], fill="pass", on=(None, None))
    canvas.points("point", [5], [6], fill="pass", on=(None, None))
    canvas.points("point", 7, 8, fill="fail", on=(None, None))
    svg = canvas.svg("a", "b", "c")
    found = Drawing(svg)
    assert svg.count('class="point"') == 2
    assert [(one.x - 8, one.y - 8, one.colour) for one in found.named("point")] == [
        (1, 3, "pass"), (2, 4, "pass"), (5, 6, "pass"), (7, 8, "fail"),
    ]  # fmt: skip
    assert found.marks[-1].words == "first"
