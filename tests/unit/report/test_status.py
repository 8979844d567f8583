"""Where a challenger stands, in words that somebody can act on: one status for each thing that can be so."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from shadow_deployment.config.actions import FORMER_CHAMPION, PromotionPolicy
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.decision.words.finding import Finding, Outcome
from shadow_deployment.ledger.registry.promotions import CurrentChampion
from shadow_deployment.ledger.registry.serving import ServedDay
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report.queries.status import StatusFacts, not_started, status_of
from shadow_deployment.report.status import LABELS, ChallengerStatus
from tests.unit.report import examples, records

TREES = Challenger(name="trees", version="2", model="onnx:trees.onnx")
A_A_CHECK = Challenger(name="a_a_check", version="1", model="champion")
FORMER = Challenger(name=FORMER_CHAMPION, version="1", model="onnx:old.onnx")
DAY, FIRST = dt.date(2024, 5, 1), dt.date(2024, 4, 3)
CHAMPION = CurrentChampion(
    "trees", "2", "d", "onnx:trees.onnx", 1, 3, dt.datetime(2024, 4, 28, 9, tzinfo=dt.UTC), "ada"
)
PROMOTED_ON = dt.date(2024, 4, 27)


OPEN = "Brier score is not shown to be better: as the test says"


def a_finding(outcome: Outcome, metric: str = "brier_score", **changes: Any) -> Finding:
    usual = {"observations": 40, "requests": 900, "lower": 0.1, "upper": 0.3, "alpha_pass": 0.05}
    return Finding(metric, "all", "superior", "blocking", outcome, 0.0, "as the test says", **(usual | changes))


def judged(challenger: Challenger, outcome: Outcome, **changes: Any) -> StoredVerdict:
    usual = dict.fromkeys(StoredVerdict.__dataclass_fields__)
    known = {
        "name": challenger.name,
        "version": challenger.version,
        "day": DAY,
        "champion_version": "7",
        "days": {"waiting": 0},
        "outcome": outcome,
        "reasons": [],
        "policy": {"burn_in": 28, "unit": "day"},
    }
    return StoredVerdict(**(usual | known | changes))


def facts(**changes: Any) -> StatusFacts:
    return replace(StatusFacts(PromotionPolicy(), None, [], [], None), **changes)


def of(
    challenger: Challenger, outcome: Outcome, *found: Finding, known: StatusFacts | None = None, **changes: Any
) -> ChallengerStatus:
    return status_of(challenger, judged(challenger, outcome, **changes), found, known or facts())


def served(**versions: int) -> StatusFacts:
    day = ServedDay(CHAMPION, PROMOTED_ON, dt.date(2024, 4, 30), {name.strip("v"): n for name, n in versions.items()})
    return facts(champion=CHAMPION, served=day)


def every_stage() -> list[ChallengerStatus]:
    """Return a status of each stage that there is."""
    young = a_finding("INCONCLUSIVE", observations=12, lower=None, upper=None)
    open_one, passing = a_finding("INCONCLUSIVE", more_days=12), a_finding("PASS")
    alike = a_finding("INCONCLUSIVE", lower=None, upper=None)
    return [
        not_started(TREES, "it was never judged: run a day"),
        of(TREES, "INCONCLUSIVE", young, days={"waiting": 3}),
        of(TREES, "INCONCLUSIVE", open_one, reasons=[OPEN]),
        of(TREES, "INCONCLUSIVE", replace(open_one, is_futile=True), reasons=[OPEN]),
        of(TREES, "INCONCLUSIVE", passing, reasons=["12 requests have contradictory labels in flights.outcome"]),
        of(TREES, "PASS", passing, decided_on=FIRST),
        of(TREES, "PASS", passing, known=served(v1=384)),
        of(TREES, "PASS", passing, known=served(v2=384)),
        of(TREES, "FAIL", a_finding("FAIL", "log_loss"), decided_on=FIRST),
        of(FORMER, "INCONCLUSIVE", open_one),
        of(FORMER, "PASS", passing),
        of(A_A_CHECK, "INCONCLUSIVE", alike),
        of(A_A_CHECK, "INCONCLUSIVE", a_finding("FAIL", "error_rate")),
    ]


def test_every_stage_has_an_example() -> None:
    assert [status.stage for status in every_stage()] == list(LABELS)


def test_a_pass_is_ready_for_approval_and_says_since_when() -> None:
    status = of(TREES, "PASS", a_finding("PASS"), decided_on=FIRST)
    assert (status.stage, status.label, status.urgency) == ("ready", "Ready for approval", 1)
    assert status.sentence == "trees 2 passes its blocking rule against champion 7, first on 2024-04-03."
    assert status.action == "Somebody is asked to approve its promotion; nothing is served before that."


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"consecutive": 3}, "once it has passed on 3 days in a row"),
        ({"approval": "automatic"}, "promoted by the policy"),
    ],
)
def test_what_follows_a_pass_is_what_the_deployment_says(policy: dict[str, Any], words: str) -> None:
    assert words in of(TREES, "PASS", a_finding("PASS"), known=facts(policy=PromotionPolicy(**policy))).action


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "and nobody has answered in time."),
        ("approved", "and given by dana: fine."),
        ("rejected", "and rejected by dana: fine; it is requested again once the promotion request changes."),
        ("silence", "and nobody answered in time; it is requested again some days later."),
        ("changed", "but the promotion request had changed by then"),
    ],
)
def test_a_pass_says_what_approvers_were_asked_last_and_answered(answer: Any, words: str) -> None:
    newest = replace(
        records.approvals()[0],
        challenger="trees",
        version="2",
        answer=answer,
        answered_by="dana",
        reason="fine",
    )
    sooner = replace(newest, asked_at=newest.asked_at - dt.timedelta(hours=3), answer="silence")
    of_others = replace(newest, challenger="other", asked_at=newest.asked_at + dt.timedelta(hours=3), answer="rejected")
    action = of(TREES, "PASS", a_finding("PASS"), known=facts(approvals=[sooner, of_others, newest])).action
    assert action.startswith("Approval of its promotion was requested on 2013-12-31 04:00 UTC")
    assert words in action


def test_a_request_that_waits_leads_to_airflows_form() -> None:
    asked_at = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    request = replace(
        records.approvals()[0], challenger="trees", version="2", answer=None, asked_at=asked_at, run_id="run 7"
    )
    status = of(TREES, "PASS", a_finding("PASS"), known=facts(approvals=[request]))
    assert status.approval_run == "run 7"
    assert status.action.endswith("and nobody has answered yet.")
    old = replace(request, asked_at=asked_at - dt.timedelta(days=2))
    assert of(TREES, "PASS", a_finding("PASS"), known=facts(approvals=[old])).approval_run is None


def test_who_was_rolled_back_is_asked_about_by_hand() -> None:
    record = examples.a_deployment_page().promotions[0]
    undone = replace(record, kind="promotion", name="trees", version="2", number=4, undone_by=5)
    action = of(TREES, "PASS", a_finding("PASS"), known=facts(history=[undone])).action
    assert action == "Promotion 4 of it was rolled back by 5: approval is requested by hand only."


@pytest.mark.parametrize(("after_fail", "label"), [("conclude", "concluded on"), ("continue", "since")])
def test_a_fail_says_when_it_was_concluded_and_why(after_fail: str, label: str) -> None:
    policy = {"burn_in": 28, "after_fail": after_fail}
    found = a_finding("PASS"), a_finding("FAIL", "log_loss")
    status = of(TREES, "FAIL", *found, decided_on=FIRST, policy=policy)
    assert (status.stage, status.label, status.urgency) == ("failed", f"Failed: {label} 2024-04-03", 2)
    assert "since 2024-04-03: log loss is worse: as the test says" in status.sentence


def test_before_the_first_interval_it_collects_and_says_how_far_it_is_and_when_to_look_again() -> None:
    young = a_finding("INCONCLUSIVE", observations=12, lower=None, upper=None)
    status = of(TREES, "INCONCLUSIVE", young, a_finding("PASS", "error_rate"), days={"waiting": 3})
    assert (status.stage, status.label) == ("collecting", "Collecting: day 12 of 28")
    assert status.sentence.endswith(
        "has 12 of the 28 days before the first interval against champion 7; 3 days more wait for labels."
    )
    assert status.action == "Wait: the first interval is expected about 2024-05-17."


def test_on_its_first_day_it_says_when_its_first_labels_are_complete() -> None:
    none = a_finding("INCONCLUSIVE", observations=0, lower=None, upper=None, alpha_pass=None)
    reasons = [OPEN]
    known = facts(maturity=dt.timedelta(days=3))
    status = of(TREES, "INCONCLUSIVE", none, known=known, days={"waiting": 1}, reasons=reasons)
    assert status.label == "Collecting: day 0 of 28"
    assert "its first day's labels are complete about 2024-05-04" in status.sentence
    assert "2024-05-29" in status.action


def test_a_rule_that_nothing_can_be_concluded_for_is_not_young() -> None:
    alike = a_finding("INCONCLUSIVE", observations=40, lower=None, upper=None, alpha_pass=None)
    status = of(TREES, "INCONCLUSIVE", alike, reasons=[OPEN])
    assert status.stage == "undecided"


def test_weeks_are_counted_as_days() -> None:
    young = a_finding("INCONCLUSIVE", observations=2, lower=None, upper=None)
    status = of(TREES, "INCONCLUSIVE", young, policy={"burn_in": 28, "unit": "week"})
    assert status.label == "Collecting: day 14 of 56"


def test_undecided_says_about_how_many_more_days() -> None:
    found = (
        a_finding("PASS"),
        a_finding("INCONCLUSIVE", more_days=3),
        a_finding("INCONCLUSIVE", "log_loss", more_days=12),
    )
    reasons = [OPEN, OPEN.replace("Brier score", "log loss")]
    status = of(TREES, "INCONCLUSIVE", *found, reasons=reasons)
    assert (status.stage, status.label, status.urgency) == ("undecided", "Undecided: about 12 more days", 3)
    assert "1 of 3 blocking rules passed, about 12 more days would decide the rest" in status.sentence
    assert status.action.endswith("to about 2024-05-13.")


@pytest.mark.parametrize("changes", [{"observations": 12, "lower": None, "upper": None}, {"more_days": 16}])
def test_nobody_waits_for_a_day_after_the_deployments_end(changes: dict[str, Any]) -> None:
    """Either is expected on 2024-05-17, 16 days after the judged day."""
    found = a_finding("INCONCLUSIVE", **changes)
    ends, ended = (facts(end=DAY + dt.timedelta(days=days)) for days in (16, 15))
    assert of(TREES, "INCONCLUSIVE", found, known=ends, reasons=[OPEN]).action.startswith("Wait: ")
    action = of(TREES, "INCONCLUSIVE", found, known=ended, reasons=[OPEN]).action
    assert action.startswith("Set a later end than 2024-05-16, or none: ")
    assert action.endswith(" about 2024-05-17, when no day is run any more.")


def test_what_waiting_does_not_decide_is_said() -> None:
    status = of(TREES, "INCONCLUSIVE", a_finding("INCONCLUSIVE"), reasons=[OPEN])
    assert (status.stage, status.label) == ("undecided", "Undecided")
    assert status.action == f"Waiting does not decide it: {OPEN}."


def test_a_difference_that_cannot_matter_within_the_horizon_is_one_that_does_not() -> None:
    futile = a_finding("INCONCLUSIVE", more_days=900, is_futile=True)
    status = of(TREES, "INCONCLUSIVE", futile, reasons=[OPEN])
    assert (status.label, status.urgency) == ("No difference that matters", 2)


def test_what_bars_a_pass_is_for_somebody_to_mend() -> None:
    status = of(TREES, "INCONCLUSIVE", a_finding("PASS"), reasons=["its labels contradict each other"])
    assert (status.label, status.urgency) == ("Broken", 0)
    assert status.sentence == "trees 2 cannot pass against champion 7: its labels contradict each other."


def test_who_is_champion_and_served_is_settled() -> None:
    status = of(TREES, "PASS", a_finding("PASS"), known=served(v2=380, vtrees2=0))
    assert (status.label, status.urgency) == ("Promoted, not served", 0)  # 'trees2' is no name of it
    status = of(TREES, "INCONCLUSIVE", a_finding("INCONCLUSIVE"), known=served(v2=384))
    assert (status.label, status.urgency) == ("Champion", 4)
    assert "production serves it: 384 of 384 requests on 2024-04-30" in status.sentence
    unknown = of(TREES, "INCONCLUSIVE", a_finding("INCONCLUSIVE"), known=facts(champion=CHAMPION))
    assert unknown.stage == "champion"
    assert "no day has been sampled yet that began after that" in unknown.sentence


def test_promoted_but_not_served_is_an_alarm_that_counts_the_requests() -> None:
    status = of(TREES, "PASS", a_finding("PASS"), known=served(vlogistic1=300, v2=84))
    assert (status.label, status.urgency) == ("Promoted, not served", 0)
    assert status.sentence == (
        "trees 2 was promoted on 2024-04-27, production still serves logistic1: 300 of 384 requests on 2024-04-30."
    )
    assert "shadow.champion" in status.action


def test_a_former_champion_is_watched_for_so_many_days_once_its_successor_is_served() -> None:
    record = replace(examples.a_deployment_page().promotions[0], day=PROMOTED_ON)
    status = of(FORMER, "INCONCLUSIVE", a_finding("INCONCLUSIVE"), known=facts(history=[record]))
    assert (status.label, status.urgency) == ("Watching: day 4 of 60", 3)
    assert of(FORMER, "INCONCLUSIVE", known=served(v1=384)).label == "Watching: not served yet"


def test_a_former_champion_that_is_better_is_a_regression_until_somebody_has_looked() -> None:
    status = of(FORMER, "PASS", a_finding("PASS"))
    assert (status.label, status.urgency) == ("Regression", 0)
    assert "better than the one that followed it" in status.sentence
    assert of(FORMER, "PASS", a_finding("PASS"), known=facts(is_acknowledged=True)).urgency == 3


def test_an_a_a_check_is_as_expected_or_an_alarm() -> None:
    barred = ["this is the A/A check, the champion against itself"]
    same = a_finding("INCONCLUSIVE", lower=None, upper=None)
    status = of(A_A_CHECK, "INCONCLUSIVE", same, reasons=barred)
    assert (status.label, status.urgency) == ("A/A check: as expected", 4)
    for found in (
        a_finding("PASS"),
        a_finding("INCONCLUSIVE", lower=-0.3, upper=-0.1),
        a_finding("FAIL", "error_rate"),
    ):
        status = of(A_A_CHECK, "INCONCLUSIVE", found, reasons=barred)
        assert (status.label, status.urgency) == ("A/A check: alarm", 0)
        assert "Trust no verdict" in status.action


def test_who_was_never_judged_says_how_to_begin() -> None:
    status = not_started(TREES, "it was never judged: run a day")
    assert (status.label, status.sentence) == ("Not started", "trees 2: it was never judged: run a day.")
