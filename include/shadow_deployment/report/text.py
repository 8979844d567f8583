"""What is shown of verdicts and evidence: as tables at a terminal, and as plain data for JSON."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape

from shadow_deployment.base.numbers import plain_percent, significant
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision.series import MISSING
from shadow_deployment.decision.words import explanation
from shadow_deployment.decision.words.finding import Finding, findings_of
from shadow_deployment.decision.words.wording import interval_of, rule_of, value_of
from shadow_deployment.errors import LedgerError, ShadowError
from shadow_deployment.ledger import evidence as ledger_evidence
from shadow_deployment.ledger import predictions, snapshots
from shadow_deployment.ledger import verdicts as ledger_verdicts
from shadow_deployment.ledger.trials import alpha_of_next
from shadow_deployment.metrics.slices import slice_name
from shadow_deployment.models.loading import model_digest
from shadow_deployment.report.queries import days
from shadow_deployment.report.queries import predictions as predictions_of_page
from shadow_deployment.report.queries.scorecard.evidence import EvidenceReader
from shadow_deployment.report.queries.summary import lines_of, summarise
from shadow_deployment.report.terminal import Listing, Prose

MOST_REASONS: Final = 4
_COLOURS: Final = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
_LEGEND: Final = (
    "[dim]estimate: the champion's loss minus the challenger's, above 0 the challenger is better; of at_most and "
    "at_least the challenger's own value. interval: a confidence sequence, which holds however often it is looked at. "
    "all: every request.[/]"
)
_EVIDENCE_LEGEND: Final = (
    "[dim]pairs: requests that count, with what the metric needs of both models. champion, challenger: weighted means "
    "over the day's sample; difference: as losses, champion minus challenger, above 0 the challenger is better.[/]"
)
_LABELS_LEGEND: Final = (
    "[dim]expected: how many labels there will be in the end; share: of the sample. set aside: contradicted (differs "
    "from the first label), invalid (no label of the task), early (known before the request). counts: all labels are "
    "known or no longer expected.[/]"
)
_NEVER_JUDGED: Final[dict[str, Any]] = {
    "outcome": "INCONCLUSIVE",
    "day": None,
    "decided_on": None,
    "reasons": ["it was never judged: run a day"],
    "warnings": [],
    "findings": [],
}


def verdicts(session: Session[Any], deployment: Deployment, as_of: dt.date | None) -> dict[str, Any]:
    """Return the newest verdict of each challenger of a deployment, up to a day."""
    stored = ledger_verdicts.latest(session, deployment, as_of)
    _, lines = lines_of(session, deployment, as_of)
    statuses = {line.name: line.status for line in lines}
    newest = max((verdict.day for verdict in stored.values()), default=None)
    return {
        "deployment": deployment.name,
        "as_of": str(as_of or newest or ""),
        "next_alpha": alpha_of_next(session, deployment),
        "challengers": [
            _verdict(each, stored.get(each.name)) | {"status": statuses[each.name].content}
            for each in deployment.challengers
        ],
    }


def explained(
    session: Session[Any], deployment: Deployment, challenger: str, as_of: dt.date | None
) -> ledger_verdicts.StoredVerdict:
    """Return a challenger's newest verdict up to a day, with its explanation; raise LedgerError where it has none."""
    wanted = deployment.challenger(challenger)
    stored = ledger_verdicts.latest(session, deployment, as_of).get(wanted.name)
    if stored is None:
        raise LedgerError(f"challenger {wanted.name} was never judged: run a day of {deployment.name} first")
    return stored


def disagreements(session: Session[Any], deployment: Deployment, stored: ledger_verdicts.StoredVerdict) -> list[str]:
    """Return the lines that name the requests on which the two disagree most; only the ledger has them."""
    known = summarise(session, deployment, stored.day)
    compared = EvidenceReader(session, deployment, known).compared(known.verdicts[stored.name])
    requests = predictions_of_page.disagreements(session, compared, window_of(deployment, stored.day).end)
    return list(explanation.disagreements(deployment, requests))


def _verdict(challenger: Challenger, stored: ledger_verdicts.StoredVerdict | None) -> dict[str, Any]:
    names = {"name": challenger.name, "version": challenger.version}
    if stored is None or stored.version != challenger.version:
        return names | _NEVER_JUDGED
    return names | {
        "outcome": stored.outcome,
        "day": str(stored.day),
        "decided_on": str(stored.decided_on) if stored.decided_on else None,
        "champion_version": stored.champion_version,
        "trial": _trial(stored),
        "days": stored.days,
        "chain": {"number": stored.chain_number, "hash": stored.chain_hash},
        "reasons": stored.reasons,
        "warnings": stored.warnings,
        "findings": [finding.to_json() for finding in findings_of(stored.findings)],
    }


def _trial(stored: ledger_verdicts.StoredVerdict) -> dict[str, Any] | None:
    if stored.trial is None or stored.opened_at is None:
        return None
    return {
        "number": stored.trial,
        "opened": stored.opened_at.isoformat(),
        "opened_because": stored.opened_because,
        "batch": stored.batch,
        "place": stored.place,
        "alpha": stored.alpha,
        "rules": stored.rules_digest,
    }


def text(shown: dict[str, Any]) -> Group:
    """Return the verdicts for a terminal: each challenger's outcome, why, and a line for each finding."""
    name, day = escape(shown["deployment"]), shown["as_of"] or "no day yet"
    parts: list[RenderableType] = [Prose(f"[bold]{name}[/] as of {day}\n")]
    for challenger in shown["challengers"]:
        parts += _challenger(challenger)
    if any(challenger["findings"] for challenger in shown["challengers"]):
        parts.append(Prose(_LEGEND))
    return Group(*parts)


def _challenger(challenger: dict[str, Any]) -> Iterator[RenderableType]:
    outcome, reasons = challenger["outcome"], challenger["reasons"]
    since = f", first on {challenger['decided_on']}" if challenger["decided_on"] else ""
    name = f"{escape(challenger['name'])} {escape(challenger['version'])}"
    status = challenger["status"]
    yield Prose(_heading(f"{outcome}{since}", name, status))
    lines = [escape(reason) for reason in reasons[:MOST_REASONS]]
    lines += [f"and {more} more, see below"] if (more := len(reasons) - MOST_REASONS) > 0 else []
    lines = [escape(status["sentence"])] if status["stage"] == "as_expected" else lines
    lines += [f"[yellow]warning[/] {escape(warning)}" for warning in challenger["warnings"]]
    lines += [f"[dim]next[/] {escape(status['action'])}"]
    yield from (Prose(line, indent=2) for line in lines)
    if challenger["findings"]:
        yield _findings(findings_of(challenger["findings"]), f"{challenger['days'].get('period', 'day')}s")


def _heading(outcome: str, name: str, status: dict[str, Any]) -> str:
    """Return outcome, name and status; of the A/A check no outcome, which would say that something is open."""
    label = escape(status["label"])
    if status["stage"] in ("as_expected", "a_a_alarm"):
        return f"[{'green' if status['stage'] == 'as_expected' else 'bold red'}]{label}[/]  [bold]{name}[/]"
    return f"[{_COLOURS[outcome.partition(',')[0]]}]{outcome}[/]  [bold]{name}[/]  [dim]{label}[/]"


def _findings(findings: Sequence[Finding], days: str) -> Listing:
    listing = Listing(
        *("rule", "slice", "outcome", "estimate", "interval", days),
        prose=("rule",),
        right=("estimate", "interval", days),
    )
    for finding in findings:
        listing.add_row(
            escape(rule_of(finding)),
            escape(finding.slice),
            f"[{_COLOURS[finding.outcome]}]{finding.outcome.lower()}[/]",
            significant(finding.estimate),
            interval_of(finding),
            str(finding.observations),
        )
    return listing


def evidence(
    session: Session[Any], deployment: Deployment, challenger: str | None = None, metrics: Collection[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the evidence of the present challengers and design, by challenger, metric, slice and day.

    Of one challenger, and of some metrics, where these are given.
    """
    sampled = snapshots.snapshots(session, deployment, None, None)
    wanted = deployment.tracked if metrics is None else metrics
    for model in [deployment.challenger(challenger)] if challenger else deployment.challengers:
        try:
            digest = model_digest(model)
        except ShadowError:
            continue
        key = predictions.find_challenger(session, deployment, model, digest)
        if key is None:
            continue
        for row in ledger_evidence.read(session, key, sampled, metrics=wanted):
            yield _evidence(model.name, row)


def _evidence(challenger: str, row: dict[str, Any]) -> dict[str, Any]:
    weight = row["weight"]

    def mean(key: str) -> float | None:
        return row[key] / weight if weight else None

    return {
        "day": str(row["day"]),
        "challenger": challenger,
        "slice": slice_name(row["slice_column"], row["slice_value"]),
        **{key: row[key] for key in ("metric", "requests", "labelled", *MISSING, "pairs", "weight")},
        "champion": mean("champion_sum"),
        "challenger_value": mean("challenger_sum"),
        "difference": mean("difference_sum"),
        "champion_version": row["champion_version"],
    }


def evidence_table(rows: Iterable[dict[str, Any]]) -> Group:
    """Return evidence as tables, one a challenger, metric and slice."""
    numbers = ("requests", "labelled", "pairs", "champion", "challenger", "difference")
    parts: list[RenderableType] = []
    for (challenger, metric, name), of_days in groupby(rows, itemgetter("challenger", "metric", "slice")):
        listing = Listing("day", *numbers, right=numbers)
        for row in of_days:
            values = (value_of(metric, row[key]) for key in ("champion", "challenger_value"))
            counts = (str(row[key]) for key in numbers[:3])
            listing.add_row(row["day"], *counts, *values, significant(row["difference"]))
        parts += [Prose(f"[bold]{escape(challenger)}[/], {escape(metric)}, {escape(name)}"), listing]
    parts.append(Prose(_EVIDENCE_LEGEND if parts else "there is no evidence yet: run a day"))
    return Group(*parts)


def maturity(session: Session[Any], deployment: Deployment) -> list[dict[str, Any]]:
    """Return the labels of each day: how many there are, are expected and are set aside, and whether the day is mature.

    `expected` is how many will have come in the end if the day is like those whose labels are complete; None before
    there are any.
    """
    sampled = snapshots.snapshots(session, deployment, None, None)
    if not sampled:
        return []
    return [
        asdict(label)
        | {
            "day": str(label.day),
            "share": label.labelled / label.sampled if label.sampled else None,
            "collected_until": label.collected_until and label.collected_until.isoformat(),
        }
        for label in days.labels(session, deployment, sampled, sampled[-1].day)
    ]


def maturity_table(rows: list[dict[str, Any]]) -> Group:
    """Return the labels of each day as a table."""
    numbers = ("sampled", "labelled", "expected", "share")
    listing = Listing("day", *numbers, "set aside", "counts", prose=("set aside",), right=numbers)
    for row in rows:
        share, expected = plain_percent(row["share"]), "-" if row["expected"] is None else str(row["expected"])
        aside = ", ".join(f"{row[name]} {name}" for name in ("contradicted", "invalid", "early") if row[name])
        counts = "yes" if row["mature"] else "not yet"
        listing.add_row(row["day"], str(row["sampled"]), str(row["labelled"]), expected, share, aside or "-", counts)
    return Group(listing, Prose(_LABELS_LEGEND))
