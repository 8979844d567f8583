"""What is shown of verdicts and evidence: as tables at a terminal, and as plain data for JSON."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from shadow_deployment.base.numbers import plain_percent, significant
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.series import MISSING
from shadow_deployment.decision.words.finding import Finding, findings_of
from shadow_deployment.decision.words.wording import interval_of, rule_of, value_of
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger import evidence as ledger_evidence
from shadow_deployment.ledger import predictions, snapshots
from shadow_deployment.ledger import verdicts as ledger_verdicts
from shadow_deployment.ledger.trials import alpha_of_next
from shadow_deployment.metrics.slices import slice_name
from shadow_deployment.models.loading import model_digest
from shadow_deployment.report.queries import days

MOST_REASONS: Final = 4
_COLOURS: Final = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
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
    newest = max((verdict.day for verdict in stored.values()), default=None)
    return {
        "deployment": deployment.name,
        "as_of": str(as_of or newest or ""),
        "next_alpha": alpha_of_next(session, deployment),
        "challengers": [_verdict(each, stored.get(each.name)) for each in deployment.challengers],
    }


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
    parts: list[RenderableType] = [f"[bold]{escape(shown['deployment'])}[/] as of {shown['as_of'] or 'no day yet'}", ""]
    for challenger in shown["challengers"]:
        outcome, reasons = challenger["outcome"], challenger["reasons"]
        since = f", first on {challenger['decided_on']}" if challenger["decided_on"] else ""
        name = f"{escape(challenger['name'])} {escape(challenger['version'])}"
        lines = [escape(reason) for reason in reasons[:MOST_REASONS]]
        lines += [f"and {more} more, see below"] if (more := len(reasons) - MOST_REASONS) > 0 else []
        lines += [f"[yellow]warning[/] {escape(warning)}" for warning in challenger["warnings"]]
        parts.append(f"[{_COLOURS[outcome]}]{outcome}[/]{since}  [bold]{name}[/]")
        parts += [Padding(line, (0, 0, 0, 2)) for line in lines]
        if challenger["findings"]:
            parts.append(_findings(findings_of(challenger["findings"])))
    return Group(*parts)


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    table.add_column("rule")
    table.add_column("slice")
    table.add_column("outcome", no_wrap=True)
    for heading in ("estimate", "interval", "days"):
        table.add_column(heading, justify="right", no_wrap=True)
    for finding in findings:
        table.add_row(
            rule_of(finding),
            escape(finding.slice),
            f"[{_COLOURS[finding.outcome]}]{finding.outcome.lower()}[/]",
            significant(finding.estimate),
            interval_of(finding),
            str(finding.observations),
        )
    return table


def evidence(session: Session[Any], deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Yield the evidence of the present challengers and design, by challenger, metric, slice and day."""
    sampled = snapshots.snapshots(session, deployment, None, None)
    for challenger in deployment.challengers:
        try:
            digest = model_digest(challenger)
        except ShadowError:
            continue
        key = predictions.find_challenger(session, deployment, challenger, digest)
        if key is None:
            continue
        for row in ledger_evidence.read(session, key, sampled, metrics=deployment.tracked):
            yield _evidence(challenger.name, row)


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


def evidence_table(rows: Iterator[dict[str, Any]]) -> Table:
    """Return evidence as a table."""
    table = _table(
        ("day", "challenger", "slice", "metric"),
        ("requests", "labelled", "pairs", "champion", "challenger", "difference"),
    )
    for row in rows:
        values = (value_of(row["metric"], row[name]) for name in ("champion", "challenger_value"))
        numbers = (*values, significant(row["difference"]))
        texts = (row["day"], row["challenger"], escape(row["slice"]), row["metric"])
        table.add_row(*texts, str(row["requests"]), str(row["labelled"]), str(row["pairs"]), *numbers)
    return table


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


def maturity_table(rows: list[dict[str, Any]]) -> Table:
    """Return the labels of each day as a table."""
    table = _table(("day",), ("sampled", "labelled", "expected", "share", "contradicted", "invalid", "early", "counts"))
    for row in rows:
        share, expected = plain_percent(row["share"]), "-" if row["expected"] is None else str(row["expected"])
        counts = "yes" if row["mature"] else "not yet"
        aside = (str(row[name]) for name in ("contradicted", "invalid", "early"))
        table.add_row(row["day"], str(row["sampled"]), str(row["labelled"]), expected, share, *aside, counts)
    return table


def _table(words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(header_style="bold")
    for heading in words:
        table.add_column(heading, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
