"""The tables of a page: rules, disagreements, expectations, promotions and alerts, as headings and rows of texts."""

from collections.abc import Iterable, Sequence
from typing import Final

from shadow_deployment.base.numbers import NOTHING, count, percent, plural
from shadow_deployment.decision.wording import role_note
from shadow_deployment.report.charts.chart import ChartTable
from shadow_deployment.report.html.markup import badge, missing, time
from shadow_deployment.report.views.facts import (
    AlertFacts,
    DayFacts,
    DeploymentFacts,
    Disagreement,
    ExpectationFailure,
    PromotionFacts,
    QuestionFacts,
    RuleFacts,
    ValidationDay,
)
from shadow_deployment.report.wording import capitalised, measure_of

MOST_FAILURES: Final = 20
MOST_SLICES: Final = 60
_URGENCY: Final = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
_RULE_HEADINGS: Final = ("outcome", "estimate", "interval", "bound", "since", "days", "requests", "why")


def rules_overall(facts: Sequence[RuleFacts]) -> ChartTable:
    """Return the findings on all requests, in the order of the policy."""
    rows = [(_rule_name(one), *_finding(one)) for one in facts if one.slice == "all"]
    return ChartTable(("rule", *_RULE_HEADINGS), rows, left=2, tail=1)


def rules_in_slices(facts: Sequence[RuleFacts]) -> list[tuple[str, ChartTable]]:
    """Return the findings in slices, a table for each rule, those that do not pass first."""
    found: dict[str, list[RuleFacts]] = {}
    for one in facts:
        if one.slice != "all":
            found.setdefault(_rule_name(one), []).append(one)
    return [(_slices_title(name, every), _slices_table(every)) for name, every in found.items()]


def _rule_name(finding: RuleFacts) -> str:
    return capitalised(f"{finding.text}{role_note(finding.role)}")


def _slices_title(name: str, every: Sequence[RuleFacts]) -> str:
    tally = ", ".join(f"{number} {key}" for key in _URGENCY if (number := sum(one.outcome == key for one in every)))
    more = f"; {MOST_SLICES} of {len(every)} are shown" if len(every) > MOST_SLICES else ""
    return f"{name}: {plural(len(every), 'slice')}, {tally}{more}"


def _slices_table(every: Sequence[RuleFacts]) -> ChartTable:
    ordered = sorted(every, key=lambda one: (_URGENCY[one.outcome], _standing(one)))[:MOST_SLICES]
    return ChartTable(("slice", *_RULE_HEADINGS), [(one.slice, *_finding(one)) for one in ordered], left=2, tail=1)


def _standing(finding: RuleFacts) -> float:
    return 0.0 if finding.scaled.estimate is None else finding.scaled.estimate


def _finding(one: RuleFacts) -> tuple[str, ...]:
    measure = measure_of(one.metric, one.unit)
    places = measure.places([one.lower, one.estimate, one.upper], 3) if one.lower is not None else None
    reason = "judged on the day's own value" if one.is_daily else one.reason
    interval = measure.interval(one.lower, one.upper, places if places is not None else measure.places([one.upper], 3))
    return (
        badge(one.outcome),
        measure.say(one.estimate, places) if one.estimate is not None else missing(one.reason),
        interval if interval != NOTHING else missing(reason),
        measure.exact(one.bound),
        str(one.decided_on or NOTHING),
        count(one.observations),
        count(one.requests),
        one.reason,
    )


def disagreements(facts: Sequence[Disagreement]) -> ChartTable:
    """Return the requests on which the two are furthest apart."""
    rows = [
        (
            one.request_id,
            str(one.day),
            one.champion_words,
            one.challenger_words,
            one.label_words or missing("its label is not known"),
            ", ".join(f"{name}={value}" for name, value in one.slices.items()),
        )
        for one in facts
    ]
    return ChartTable(("request", "day", "champion", "challenger", "label", "slices"), rows, left=2, tail=1)


def failures(facts: Sequence[ValidationDay]) -> ChartTable:
    """Return the expectations that did not hold, newest first, with the ids of the rows that failed."""
    rows = [
        (str(day.day), day.subject, *_failure(one))
        for day in reversed(facts)
        for one in day.failures
        if not day.success
    ]
    return ChartTable(
        ("day", "of", "expectation", "column", "what was found", "requests"), rows[:MOST_FAILURES], left=6
    )


def _failure(one: ExpectationFailure) -> tuple[str, str, str, str]:
    return one.expectation, one.column or NOTHING, one.detail, ", ".join(one.requests) or NOTHING


def validations_in_words(facts: Sequence[ValidationDay]) -> str:
    """Say how often the expectations held."""
    failed = [one for one in facts if not one.success]
    days = len({one.day for one in facts})
    if not failed:
        return f"All expectations held on all {plural(days, 'day')}."
    named = ", ".join(f"{one.day} ({one.subject})" for one in failed[-3:][::-1])
    return f"Expectations failed in {len(failed)} of {count(len(facts))} checks on {plural(days, 'day')}: {named}."


def promotions(facts: Sequence[PromotionFacts]) -> ChartTable:
    """Return the changes of the champion, newest first."""
    rows = [
        (
            count(one.number),
            _kind(one),
            time(one.at),
            f"{one.from_name} {one.from_version}",
            f"{one.to_name} {one.to_version}",
            one.approved_by,
            "; ".join((one.reason, *(f"against: {each}" for each in one.overridden))),
        )
        for one in facts
    ]
    return ChartTable(("number", "kind", "when", "from", "to", "approved by", "why"), rows, left=7)


def _kind(one: PromotionFacts) -> str:
    of = f" of {one.undoes}" if one.undoes else ""
    return f"{one.kind}{of}{f', undone by {one.undone_by}' if one.undone_by else ''}"


def questions(facts: Iterable[QuestionFacts]) -> ChartTable:
    """Return who was asked to approve what, and the answers."""
    rows = [
        (
            f"{one.challenger} {one.version}",
            str(one.day),
            time(one.asked_at),
            one.answer or "no answer yet",
            one.answered_by or NOTHING,
            time(one.answered_at),
            one.answer_reason or NOTHING,
        )
        for one in facts
    ]
    return ChartTable(("challenger", "day", "asked", "answer", "by", "when", "why"), rows, left=7)


def alerts(facts: Iterable[AlertFacts]) -> ChartTable:
    """Return what was told, and to whom it could not be."""
    rows = [
        (
            str(one.day),
            one.kind.replace("_", " "),
            time(one.created_at),
            one.text,
            ", ".join(one.delivered) or NOTHING,
            "; ".join(f"{channel}: {error}" for channel, error in one.undelivered.items()) or NOTHING,
        )
        for one in facts
    ]
    return ChartTable(("day", "kind", "when", "what", "told to", "not told to"), rows, left=6)


def checks_of_day(facts: DayFacts) -> ChartTable:
    """Return what the expectations said of one day, a row for each that did not hold."""
    rows: list[tuple[str, ...]] = []
    for one in facts.validations:
        outcome = "not run" if one.success is None else "held" if one.success else "FAILED"
        head = (one.subject, outcome, count(one.evaluated))
        rows += [(*head, *_failure(each)) for each in one.failures] or [(*head, NOTHING, NOTHING, NOTHING, NOTHING)]
    headings = ("of", "outcome", "expectations", "failed", "column", "what was found", "requests")
    return ChartTable(headings, rows, left=7)


def scoring_of_day(facts: DayFacts) -> ChartTable:
    """Return how scoring went, and each challenger's verdict of the day."""
    rows = [
        (
            f"{one.name} {one.version}",
            one.role,
            badge(facts.judged.get(one.name)),
            count(one.rows),
            count(one.errors),
            count(one.shards),
            time(one.scored_at) if one.scored_at else "not yet",
        )
        for one in facts.scoring
    ]
    headings = ("challenger", "role", "verdict of the day", "answers", "errors", "shards", "scored")
    return ChartTable(headings, rows, left=3, tail=1)


def provenance(facts: DeploymentFacts) -> list[tuple[str, str]]:
    """Return what the verdict rests on, as names and values."""
    found = facts.provenance
    if found is None:
        return []
    window = f"{found.first_day} to {found.last_day}, {plural(found.days, 'day')}" if found.first_day else NOTHING
    share = f", {percent(found.sampled / found.population)}" if found.population else ""
    rate = "" if found.rate is None else f"; rate {found.rate:g}"
    return [
        ("Champion", found.champion_version or NOTHING),
        ("Challenger", f"{found.challenger_name} {found.challenger_version}"),
        ("Model file", found.challenger_uri or NOTHING),
        ("Digest of the model", found.challenger_digest or NOTHING),
        ("Window of evidence", window),
        ("Sample", f"{count(found.sampled)} of {count(found.population)} requests{share}{rate}"),
        ("Digest of the day's inputs", found.snapshot_digest or NOTHING),
        ("Where they lie", found.snapshot_location or NOTHING),
        ("Digest of evidence and policy", found.input_digest or NOTHING),
        ("Digest of the sampling design", found.design_digest),
        ("Code", found.code_version or NOTHING),
    ]
