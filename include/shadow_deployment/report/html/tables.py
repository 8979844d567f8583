"""The tables of a page: rules, disagreements, validations, promotions and alerts, as headings and rows of texts."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from shadow_deployment.base.numbers import NOTHING, count, number, percent, plural, significant
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.decision.words.wording import in_slice, role_note
from shadow_deployment.ledger.alerts import StoredAlert
from shadow_deployment.ledger.checks.validations import ValidationRow
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report.analyses.decisions import who_was_right
from shadow_deployment.report.analyses.drift import DriftView
from shadow_deployment.report.charts.chart import ChartTable
from shadow_deployment.report.html.markup import badge, missing, time
from shadow_deployment.report.views import ChallengerLine, DayView, DeploymentView, QuadrantsView, RuleView
from shadow_deployment.report.wording import ROLES, capitalised, typeset

MOST_FAILURES: Final = 20
MOST_REQUESTS: Final = 20
MOST_SLICES: Final = 20
MOST_DRIFTING: Final = 30
_RIGHT: Final = {"binary": "right at the threshold", "classes": "right", "value": "nearer to the label"}
_URGENCY: Final = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
_FAILURE_HEADINGS: Final = ("expectation", "column", "result", "requests")


def rules(every: Sequence[RuleView], written: Callable[[str], str] = str, period: str = "day") -> ChartTable:
    """Return what each rule says: on all requests in the order of the policy, then in slices where it does not pass.

    `written` is how a reason is written, `period` what evidence has one entry of.
    """
    in_slices = [rule for rule in every if not rule.is_overall and rule.finding.outcome != "PASS"]
    ordered = sorted(in_slices, key=lambda rule: _URGENCY[rule.finding.outcome])[:MOST_SLICES]
    rows = [_rule(rule, written) for rule in (*(rule for rule in every if rule.is_overall), *ordered)]
    headings = ("rule", "outcome", "since the evidence of", f"{period}s", "requests", "why")
    return ChartTable(headings, rows, left=3, tail=1)


def _rule(rule: RuleView, written: Callable[[str], str]) -> tuple[str, ...]:
    finding = rule.finding
    return (
        f"{capitalised(rule.text)}{in_slice(finding.slice)}{role_note(finding.role)}",
        badge(finding.outcome),
        str(finding.decided_on or NOTHING),
        count(finding.observations),
        count(finding.requests),
        written(finding.reason),
    )


def disagreements(
    requests: Sequence[DisagreeingRequest], classes: Sequence[str], threshold: float | None = None
) -> ChartTable:
    """Return the requests on which the two differ most, by how much, and which of the two was right.

    `classes` are the names of several classes, `threshold` is that of a binary task.
    """

    def words(value: float) -> str:
        return classes[int(value)] if classes else typeset(f"{value:.4g}")

    rows = [
        (
            request.request_id or NOTHING,
            str(request.day),
            words(request.champion),
            words(request.challenger),
            *(() if classes else (number(request.challenger - request.champion, signed=True),)),
            missing("its label is not known") if request.label is None else words(request.label),
            who_was_right(request, threshold, is_class=bool(classes)) or missing("its label is not known"),
            ", ".join(f"{name}={value}" for name, value in request.slices.items()),
        )
        for request in requests
    ]
    difference = () if classes else ("difference",)
    headings = ("request", "day", "champion", "challenger", *difference, "label", _RIGHT[_kind_of(threshold, classes)])
    return ChartTable((*headings, "slices"), rows, left=2, tail=1)


def _kind_of(threshold: float | None, classes: Sequence[str]) -> str:
    return "classes" if classes else "value" if threshold is None else "binary"


def disagreements_in_words(view: QuadrantsView) -> str:
    """Return how often which of the two was right, on the labelled requests on which they say yes and no."""
    differing = [row for row in view.rows if row.champion_yes != row.challenger_yes]
    labelled, right = sum(row.labelled for row in differing), sum(row.challenger_right for row in differing)
    at = f"at the threshold of {view.threshold:g}"
    if not labelled:
        return f"No labelled request has another decision of the two {at}."
    return (
        f"Of {plural(labelled, 'labelled request')} on which they disagree {at}, the challenger was right on "
        f"{count(right)} ({percent(right / labelled)}), the champion on {count(labelled - right)} "
        f"({percent(1 - right / labelled)})."
    )


def drift(view: DriftView) -> ChartTable:
    """Return the drift of each feature and of both models' predictions, those first that drift most."""
    rows = [
        (
            each.name,
            each.strength,
            number(each.lately, 3),
            number(next((value for value in reversed(each.values) if value is not None), None), 3),
            number(each.chance, 3),
            percent(each.reference_missing),
            percent(next((share for share in reversed(each.missing) if share is not None), None)),
            plural(sum(value is not None for value in each.values), view.period),
        )
        for each in view.series[:MOST_DRIFTING]
    ]
    headings = (
        "feature or predictions", "drift", "PSI lately", f"PSI, newest {view.period}", "PSI by chance, about",
        f"missing, first {view.period}s", f"missing, newest {view.period}", "kept",
    )  # fmt: skip
    return ChartTable(headings, rows, left=2)


def failures(validations: Sequence[ValidationRow]) -> ChartTable:
    """Return the expectations that did not hold, newest first, with the ids of the rows that failed."""
    failed = [row for row in reversed(validations) if not row.success]
    rows = [(str(row.day), row.subject, *_failure(each)) for row in failed for each in row.failures or ()]
    return ChartTable(("day", "of", *_FAILURE_HEADINGS), rows[:MOST_FAILURES], left=6)


def _failure(failure: dict[str, Any]) -> tuple[str, str, str, str]:
    requests = ", ".join(failure.get("requests", ())[:MOST_REQUESTS])
    return failure["expectation"], failure.get("column") or NOTHING, failure["detail"], requests or NOTHING


def validations_in_words(validations: Sequence[ValidationRow], period: str = "day") -> str:
    """Return how often the expectations held."""
    failed = [row for row in validations if not row.success]
    days = plural(len({row.day for row in validations}), period)
    if not failed:
        return f"All expectations held on all {days}."
    named = ", ".join(f"{row.day} ({row.subject})" for row in failed[-3:][::-1])
    return f"Expectations failed in {len(failed)} of {count(len(validations))} checks on {days}: {named}."


def promotions(records: Sequence[PromotionRecord]) -> ChartTable:
    """Return the changes of the champion, newest first."""
    rows = [
        (
            count(record.number),
            _kind(record),
            time(record.created_at),
            f"{record.from_name} {record.from_version}",
            f"{record.name} {record.version}",
            record.approved_by,
            "; ".join((record.reason, *(f"against: {reason}" for reason in record.overridden))),
        )
        for record in records
    ]
    return ChartTable(("number", "kind", "when", "from", "to", "approved by", "why"), rows, left=7)


def _kind(record: PromotionRecord) -> str:
    of = f" of {record.undoes}" if record.undoes else ""
    return f"{record.kind}{of}{f', undone by {record.undone_by}' if record.undone_by else ''}"


def approvals(requests: Iterable[ApprovalRequest]) -> ChartTable:
    """Return the approval requests and the answers to them."""
    rows = [
        (
            f"{request.challenger} {request.version}",
            str(request.day),
            time(request.asked_at),
            request.answer or "no answer yet",
            request.answered_by or NOTHING,
            time(request.answered_at),
            request.reason or NOTHING,
        )
        for request in requests
    ]
    return ChartTable(("challenger", "day", "requested", "answer", "by", "when", "why"), rows, left=7)


def alerts(stored: Iterable[StoredAlert]) -> ChartTable:
    """Return the alerts, and to whom they could not be delivered."""
    rows = [
        (
            str(alert.day),
            alert.kind.replace("_", " "),
            time(alert.created_at),
            alert.content.get("title") or alert.kind.replace("_", " "),
            ", ".join(alert.delivered) or NOTHING,
            "; ".join(f"{channel}: {error}" for channel, error in alert.undelivered.items()) or NOTHING,
        )
        for alert in stored
    ]
    return ChartTable(("day", "kind", "when", "what", "delivered to", "not delivered to"), rows, left=6)


def checks_of_day(run: DayView) -> ChartTable:
    """Return the validations of one day, a row for each expectation that did not hold."""
    rows: list[tuple[str, ...]] = []
    for subject, row in run.validations.items():
        outcome = "not run" if row is None else "held" if row.success else "FAILED"
        head = (subject, outcome, count(row.evaluated if row else 0))
        failed: list[tuple[str, ...]] = [_failure(failure) for failure in (row.failures if row else None) or ()]
        rows += [(*head, *each) for each in failed or [(NOTHING,) * len(_FAILURE_HEADINGS)]]
    return ChartTable(("of", "outcome", "expectations", *_FAILURE_HEADINGS), rows, left=7)


def scoring_of_day(run: DayView, challengers: Sequence[ChallengerLine]) -> ChartTable:
    """Return how scoring went, and each challenger's verdict of the day."""
    rows = []
    for line in challengers:
        row = run.scoring.get(line.name)
        counts = (row.rows, row.errors, row.shards) if row else (0, 0, 0)
        head = (f"{line.name} {line.version}", ROLES[line.role], badge(run.judged.get(line.name)))
        rows.append((*head, *map(count, counts), time(row.scored_at) if row else "not yet"))
    headings = ("challenger", "role", "verdict of the day", "predictions", "errors", "shards", "scored")
    return ChartTable(headings, rows, left=3, tail=1)


def provenance(view: DeploymentView) -> list[tuple[str, str]]:
    """Return what the verdict rests on, as names and values."""
    verdict, compared, snapshot = view.verdict, view.compared, view.snapshot
    if verdict is None:
        return []
    sampled, population = (sum(getattr(each, name) for each in compared) for name in ("rows", "population"))
    window = f"{compared[0].day} to {compared[-1].day}, {plural(len(compared), view.period)}" if compared else NOTHING
    rate = f", {percent(sampled / population)}; rate {sampled / population:g}" if population else ""
    return [
        ("Compared with", verdict.champion),
        ("Challenger", f"{verdict.name} {verdict.version}"),
        ("Trial", _trial(verdict, view.next_alpha)),
        ("Model file", verdict.uri or NOTHING),
        ("Digest of the model", verdict.model_digest or NOTHING),
        ("Window of evidence", window),
        (f"{view.period.capitalize()}s left out", _left_out(verdict)),
        ("Sample", f"{count(sampled)} of {count(population)} requests{rate}"),
        ("Digest of the day's inputs", snapshot.digest if snapshot else NOTHING),
        ("Snapshot of the day's inputs", snapshot.location if snapshot else NOTHING),
        ("Digest of evidence and policy", verdict.input_digest),
        ("Hash chain", f"row {verdict.chain_number}, {verdict.chain_hash}"),
        ("Digest of the sampling design", verdict.design),
        ("Code", verdict.code_version),
    ]


def _left_out(verdict: StoredVerdict) -> str:
    return ", ".join(f"{each['day']} ({each['why']})" for each in verdict.days.get("left_out", [])) or "none"


def _trial(verdict: StoredVerdict, next_alpha: float | None) -> str:
    if verdict.trial is None or verdict.opened_at is None:
        return NOTHING
    spent = f"in batch {verdict.batch}, alpha {significant(verdict.alpha, 3)} toward PASS"
    following = f"; one that is opened next has {significant(next_alpha, 3)}"
    alpha = "spends no alpha" if verdict.batch is None else spent + following
    return f"{verdict.trial}, opened on {verdict.opened_at.date()}, {alpha}"
