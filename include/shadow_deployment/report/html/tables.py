"""The tables of a page: rules, disagreements, validations, promotions and alerts, as headings and rows of texts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from shadow_deployment.base.numbers import NOTHING, count, percent, plural
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.decision.words.wording import role_note
from shadow_deployment.ledger.alerts import StoredAlert
from shadow_deployment.ledger.page import ValidationRow
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.report.charts.chart import ChartTable
from shadow_deployment.report.html.markup import badge, missing, time
from shadow_deployment.report.views import ChallengerLine, DayView, DeploymentView, RuleView
from shadow_deployment.report.wording import ROLES, capitalised

MOST_FAILURES: Final = 20
MOST_REQUESTS: Final = 20
MOST_SLICES: Final = 60
_URGENCY: Final = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
_RULE_HEADINGS: Final = ("outcome", "estimate", "interval", "bound", "since", "days", "requests", "why")
_FAILURE_HEADINGS: Final = ("expectation", "column", "result", "requests")


def rules_overall(rules: Sequence[RuleView]) -> ChartTable:
    """Return the findings on all requests, in the order of the policy."""
    rows = [(_rule_name(rule), *_finding(rule)) for rule in rules if rule.is_overall]
    return ChartTable(("rule", *_RULE_HEADINGS), rows, left=2, tail=1)


def rules_in_slices(rules: Sequence[RuleView]) -> Iterator[tuple[str, ChartTable]]:
    """Yield the findings in slices, a title and a table for each rule, those that do not pass first."""
    by_rule: dict[str, list[RuleView]] = {}
    for rule in rules:
        if not rule.is_overall:
            by_rule.setdefault(_rule_name(rule), []).append(rule)
    for name, every in by_rule.items():
        outcomes = [rule.finding.outcome for rule in every]
        tally = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in _URGENCY if outcome in outcomes)
        more = f"; {MOST_SLICES} of {len(every)} are shown" if len(every) > MOST_SLICES else ""
        ordered = sorted(every, key=lambda rule: (_URGENCY[rule.finding.outcome], rule.scaled[1] or 0.0))[:MOST_SLICES]
        rows = [(rule.finding.slice, *_finding(rule)) for rule in ordered]
        table = ChartTable(("slice", *_RULE_HEADINGS), rows, left=2, tail=1)
        yield f"{name}: {plural(len(every), 'slice')}, {tally}{more}", table


def _rule_name(rule: RuleView) -> str:
    return capitalised(f"{rule.text}{role_note(rule.finding.role)}")


def _finding(rule: RuleView) -> tuple[str, ...]:
    finding, measure = rule.finding, rule.measure
    places = None if finding.lower is None else measure.places([finding.lower, finding.estimate, finding.upper], 3)
    reason = "judged on the day's own value" if rule.is_daily else finding.reason
    of_upper = measure.places([finding.upper], 3) if places is None else places
    interval = measure.interval(finding.lower, finding.upper, of_upper)
    return (
        badge(finding.outcome),
        missing(finding.reason) if finding.estimate is None else measure.say(finding.estimate, places),
        missing(reason) if interval == NOTHING else interval,
        " and ".join(map(measure.exact, finding.bounds)),
        str(finding.decided_on or NOTHING),
        count(finding.observations),
        count(finding.requests),
        finding.reason,
    )


def disagreements(requests: Sequence[DisagreeingRequest], classes: Sequence[str]) -> ChartTable:
    """Return the requests on which the two differ most; `classes` are the names of several classes."""

    def words(value: float) -> str:
        return classes[int(value)] if classes else f"{value:.4g}"

    rows = [
        (
            request.request_id or NOTHING,
            str(request.day),
            words(request.champion),
            words(request.challenger),
            missing("its label is not known") if request.label is None else words(request.label),
            ", ".join(f"{name}={value}" for name, value in request.slices.items()),
        )
        for request in requests
    ]
    return ChartTable(("request", "day", "champion", "challenger", "label", "slices"), rows, left=2, tail=1)


def failures(validations: Sequence[ValidationRow]) -> ChartTable:
    """Return the expectations that did not hold, newest first, with the ids of the rows that failed."""
    failed = [row for row in reversed(validations) if not row.success]
    rows = [(str(row.day), row.subject, *_failure(each)) for row in failed for each in row.failures or ()]
    return ChartTable(("day", "of", *_FAILURE_HEADINGS), rows[:MOST_FAILURES], left=6)


def _failure(failure: dict[str, Any]) -> tuple[str, str, str, str]:
    requests = ", ".join(failure.get("requests", ())[:MOST_REQUESTS])
    return failure["expectation"], failure.get("column") or NOTHING, failure["detail"], requests or NOTHING


def validations_in_words(validations: Sequence[ValidationRow]) -> str:
    """Return how often the expectations held."""
    failed = [row for row in validations if not row.success]
    days = plural(len({row.day for row in validations}), "day")
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
    window = f"{compared[0].day} to {compared[-1].day}, {plural(len(compared), 'day')}" if compared else NOTHING
    rate = f", {percent(sampled / population)}; rate {sampled / population:g}" if population else ""
    return [
        ("Compared with", verdict.champion),
        ("Challenger", f"{verdict.name} {verdict.version}"),
        ("Model file", verdict.uri or NOTHING),
        ("Digest of the model", verdict.model_digest or NOTHING),
        ("Window of evidence", window),
        ("Sample", f"{count(sampled)} of {count(population)} requests{rate}"),
        ("Digest of the day's inputs", snapshot.digest if snapshot else NOTHING),
        ("Snapshot of the day's inputs", snapshot.location if snapshot else NOTHING),
        ("Digest of evidence and policy", verdict.input_digest),
        ("Hash chain", f"row {verdict.chain_number}, {verdict.chain_hash}"),
        ("Digest of the sampling design", verdict.design),
        ("Code", verdict.code_version),
    ]
