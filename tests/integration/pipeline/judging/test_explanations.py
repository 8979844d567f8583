"""An explanation says each rule, slice and warning, and names requests only where it is printed."""

import json
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from shadow_deployment.config.policy import COMPARING
from shadow_deployment.decision.words.wording import claim_of, metric_in_slice
from shadow_deployment.ledger.checks import calibrations
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from tests.conftest import Invoke, declare
from tests.integration.pipeline.judging.days import LENIENT, OTHER, PASSING, RUN, judged, known
from tests.production import World, day


def test_answers_that_were_certain_and_wrong_are_counted_and_shown(
    flown: tuple[pd.DataFrame, pd.DataFrame], late: World, invoke: Invoke
) -> None:
    rows = pd.concat(known(*flown, number, RUN) for number in range(3))  # the days that are mature
    pairs = rows.dropna(subset=["label", "champion_probability", "other_probability"])
    wrong = {
        model: int((pairs[column].isin([0.0, 1.0]) & (pairs[column] != pairs.label)).sum())
        for model, column in (("champion", "champion_probability"), ("challenger", "other_probability"))
    }
    assert all(wrong.values())
    expected = [
        f"{count} predictions of the {model} were exactly 0 or 1 and wrong; log loss counts each as 36"
        for model, count in wrong.items()
    ]
    late.deploy(challengers=[OTHER])
    _, out, _ = invoke("verdict", "late", "--json")
    (challenger,) = json.loads(out)["challengers"]
    assert [warning for warning in challenger["warnings"] if "exactly 0 or 1" in warning] == expected
    assert list(judged(late, RUN - 1).warnings) == challenger["warnings"]
    assert not any("exactly 0 or 1" in warning for warning in judged(late, 2).warnings), "no day is ripe yet"


@pytest.fixture
def explained(late: World, invoke: Invoke) -> str:
    late.deploy(challengers=[OTHER])
    code, out, err = invoke("explain", "late", "--challenger", "other")
    assert code == 0, err
    return out


def section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index(title) + 1
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return lines[start:end]


def test_an_explanation_is_stored_without_requests_and_printed_with_them(explained: str, late: World) -> None:
    ((stored,),) = late.query("SELECT explanation FROM shadow.verdict WHERE day = %s", [day(RUN - 1)])
    assert explained.startswith(f"{day(RUN - 1)}: {stored}\n\nRequests on which the two disagree most\n- ")
    ids = {name for (name,) in late.query("SELECT request_id FROM shadow.request")}
    assert not [name for name in ids if name in stored]
    assert [name for name in ids if name in explained]
    assert stored == judged(late, RUN - 1).explanation


@pytest.mark.parametrize("number", [0, 3])
def test_an_explanation_of_an_earlier_day_is_that_of_its_verdict(number: int, late: World, invoke: Invoke) -> None:
    late.deploy(challengers=[OTHER])
    _, out, _ = invoke("explain", "late", "--challenger", "other", "--as-of", day(number))
    ((stored,),) = late.query("SELECT explanation FROM shadow.verdict WHERE day = %s", [day(number)])
    assert out.startswith(f"{day(number)}: {stored}\n")


def test_an_explanation_needs_a_challenger_that_is_there_and_was_judged(
    flying: tuple[World, Any], worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world = declare(worlds(production=flying[0].production), monkeypatch)
    world.deploy(challengers=[OTHER])
    code, _, err = invoke("explain", "late", "--challenger", "others")
    assert (code, "did you mean other?" in err) == (1, True)
    code, _, err = invoke("explain", "late", "--challenger", "other")
    assert (code, "other was never judged: run a day of late first" in err) == (1, True)


def test_an_explanation_says_each_rule_as_it_was_found(explained: str, late: World) -> None:
    verdict = judged(late, RUN - 1).verdict
    lines = section(explained, "Rules")
    assert len(lines) == len(verdict.findings) > 4
    for line, finding in zip(lines, verdict.findings, strict=True):
        assert line.startswith(f"- {finding.outcome}")
        assert claim_of(finding) in line
        assert finding.reason in line
        assert ("advisory" in line) == (finding.role == "advisory")
        assert (f" in {finding.slice}" in line) == (finding.slice != "all")
        assert ("alpha" in line) == (finding.alpha_pass is not None)
    assert section(explained, "Why not PASS") == [f"- {reason}" for reason in verdict.reasons]
    for finding in verdict.findings:
        if finding.outcome == "INCONCLUSIVE":
            name = metric_in_slice(finding)
            assert any(line.startswith(f"- {name} ") for line in section(explained, "What would change the verdict"))


def test_an_explanation_lists_the_slices_and_says_worse_only_where_an_interval_does(
    explained: str, late: World
) -> None:
    evidence = late.evidence()
    ripe = evidence[(evidence.day <= day(2)) & (evidence.metric == "brier_score") & (evidence.slice_column != "all")]
    ripe = ripe[ripe.pairs > 0]
    expected = ripe.groupby(["slice_column", "slice_value"])[["difference_sum", "weight", "pairs"]].sum()
    expected["mean"] = expected.difference_sum / expected.weight
    ordered = expected.sort_values("mean")
    verdict = judged(late, RUN - 1).verdict
    compared = [each for each in verdict.findings if each.metric == "brier_score" and each.is_ in COMPARING]
    with_interval = {each.slice for each in compared if each.has_interval}
    lines = section(explained, "Slices, by mean difference")
    assert len(lines) == len(ordered) > 3
    for line, ((column, value), row) in zip(lines, ordered.iterrows(), strict=True):
        assert line.startswith(f"- {column}={value}: mean difference in Brier score {row['mean']:.4g} over ")
        assert f", {int(row.pairs)} requests" in line
        has_interval = f"{column}={value}" in with_interval
        assert line.endswith(", without an interval of its own") != has_interval
        assert "worse than the champion" not in line or has_interval


def test_an_explanation_lists_twenty_requests_on_which_the_two_disagree_most(
    explained: str, flown: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    rows = pd.concat(known(*flown, number, RUN).assign(day=day(number)) for number in range(RUN))
    rows["apart"] = (rows.champion_probability - rows.other_probability).abs().astype(float)
    most = rows.sort_values("apart", ascending=False).head(20)
    lines = section(explained, "Requests on which the two disagree most")
    assert len(lines) == 20
    assert [line.split(": ")[0] for line in lines] == [f"- {row.day} {row.request_id}" for row in most.itertuples()]
    for line, row in zip(lines, most.itertuples(), strict=True):
        label = "no label yet" if pd.isna(row.label) else f"label {row.label:g}"
        assert f"champion {row.champion_probability:.4g}, challenger {row.other_probability:.4g}, {label}" in line
        assert f"origin={row.origin}" in line
    assert {"no label yet", "label 0"} <= {line.split(", ")[2].split(" (")[0] for line in lines}


def test_an_explanation_shows_no_value_of_a_feature(explained: str) -> None:
    assert not re.findall(r"[78]000\d\d", explained)
    assert "dep_hour" not in explained


def keep_calibration(world: World, warning: str | None, **changes: Any) -> None:
    shadow = world.shadow(**{"challengers": [OTHER], **changes})
    with shadow.ledger() as session:
        (key,) = challenger_keys(shadow, session).values()
        calibrations.store(session, shadow.deployment, key, warning, {"runs": 100})


def test_a_calibration_warns_of_the_policy_that_it_was_made_for_and_of_no_other(
    continued: World, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world = declare(continued, monkeypatch)
    keep_calibration(world, "it promotes 12 % of equals", policy=PASSING)
    assert "it promotes 12 % of equals" in judged(world, RUN - 1, policy=PASSING).warnings
    for policy in (PASSING | {"alpha": 0.01}, PASSING | {"rules": [LENIENT | {"value": 0.4}]}, {}):
        assert "it promotes 12 % of equals" not in judged(world, RUN - 1, policy=policy).warnings
    shadow = world.shadow(challengers=[OTHER], policy=PASSING)
    steps.judge(shadow, day(RUN - 1), "other")
    _, out, _ = invoke("verdict", "late", "--json")
    (challenger,) = json.loads(out)["challengers"]
    assert challenger["outcome"] == "PASS"
    assert "it promotes 12 % of equals" in challenger["warnings"]
    _, out, _ = invoke("explain", "late", "--challenger", "other")
    assert "- it promotes 12 % of equals" in section(out, "Warnings")


def test_only_the_newest_calibration_warns(continued: World) -> None:
    for warning in ("first", "second"):
        keep_calibration(continued, warning, policy=PASSING)
    assert [one for one in judged(continued, RUN - 1, policy=PASSING).warnings if one in ("first", "second")] == [
        "second"
    ]
    keep_calibration(continued, None, policy=PASSING)
    assert "second" not in judged(continued, RUN - 1, policy=PASSING).warnings
