"""What is shown of verdicts and evidence: as tables at a terminal, and as plain data for JSON."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from shadow_deployment.base.numbers import plain_percent, significant
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.finding import Finding, findings_of
from shadow_deployment.decision.wording import interval_of, rule_of
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger import evidence as ledger_evidence
from shadow_deployment.ledger import predictions, snapshots
from shadow_deployment.ledger import verdicts as ledger_verdicts
from shadow_deployment.metrics.slices import slice_name
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.basis import labels_on

_COLOURS = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
MOST_REASONS = 4


def verdicts(session: Session[Any], deployment: Deployment, as_of: dt.date | None) -> dict[str, Any]:
    """Return the newest verdict of each challenger of a deployment, up to a day."""
    stored = ledger_verdicts.latest(session, deployment, as_of)
    newest = max((one.day for one in stored.values()), default=None)
    return {
        "deployment": deployment.name,
        "as_of": str(as_of or newest or ""),
        "challengers": [_verdict(name, version, stored.get(name)) for name, version in _versions(deployment)],
    }


def _versions(deployment: Deployment) -> list[tuple[str, str]]:
    return [(one.name, one.version) for one in deployment.challengers]


def _verdict(name: str, version: str, stored: ledger_verdicts.StoredVerdict | None) -> dict[str, Any]:
    if stored is None or stored.version != version:
        reason = "it was never judged: run a day"
        empty = {
            "outcome": "INCONCLUSIVE",
            "day": None,
            "decided_on": None,
            "trial": None,
            "days": None,
            "reasons": [reason],
            "warnings": [],
            "findings": [],
        }
        return {"name": name, "version": version, **empty}
    return {
        "name": stored.name,
        "version": stored.version,
        "outcome": stored.outcome,
        "day": str(stored.day),
        "decided_on": str(stored.decided_on) if stored.decided_on else None,
        "champion_version": stored.champion_version,
        "trial": _trial(stored),
        "days": stored.days,
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
        "alpha": stored.alpha,
        "rules": stored.rules_digest,
    }


def text(found: dict[str, Any]) -> Group:
    """Return the verdicts for a terminal: each challenger's outcome, why, and a line for each finding."""
    parts: list[RenderableType] = [f"[bold]{escape(found['deployment'])}[/] as of {found['as_of'] or 'no day yet'}", ""]
    for challenger in found["challengers"]:
        colour = _COLOURS[challenger["outcome"]]
        since = f", first on {challenger['decided_on']}" if challenger["decided_on"] else ""
        name = f"{escape(challenger['name'])} {escape(challenger['version'])}"
        parts.append(f"[{colour}]{challenger['outcome']}[/]{since}  [bold]{name}[/]")
        parts += [Padding(escape(reason), (0, 0, 0, 2)) for reason in _shown(challenger["reasons"])]
        parts += [Padding(f"[yellow]warning[/] {escape(one)}", (0, 0, 0, 2)) for one in challenger["warnings"]]
        if challenger["findings"]:
            parts.append(_findings(findings_of(challenger["findings"])))
    return Group(*parts)


def _shown(reasons: list[str]) -> list[str]:
    more = len(reasons) - MOST_REASONS
    return [*reasons[:MOST_REASONS], *([f"and {more} more, see below"] if more > 0 else [])]


def _findings(findings: list[Finding]) -> Table:
    shown = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    shown.add_column("rule")
    shown.add_column("slice")
    shown.add_column("outcome", no_wrap=True)
    for heading in ("estimate", "interval", "days"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for finding in findings:
        shown.add_row(
            rule_of(finding),
            escape(finding.slice),
            f"[{_COLOURS[finding.outcome]}]{finding.outcome.lower()}[/]",
            significant(finding.estimate),
            interval_of(finding),
            str(finding.observations),
        )
    return shown


def evidence(session: Session[Any], deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Yield the evidence of the present challengers and design, by challenger, metric, slice and day."""
    taken = snapshots.snapshots(session, deployment, None, None)
    for challenger in deployment.challengers:
        try:
            digest = model_digest(challenger)
        except ShadowError:
            continue
        key = predictions.find_challenger(session, deployment, challenger, digest)
        if key is None:
            continue
        for row in ledger_evidence.read(session, key, taken, metrics=deployment.tracked):
            yield _evidence(challenger.name, row)


def _evidence(challenger: str, row: dict[str, Any]) -> dict[str, Any]:
    weight = row["weight"]

    def mean(key: str) -> float | None:
        return row[key] / weight if weight else None

    return {
        "day": str(row["day"]),
        "challenger": challenger,
        "slice": slice_name(row["slice_column"], row["slice_value"]),
        "metric": row["metric"],
        "requests": row["requests"],
        "labelled": row["labelled"],
        "pairs": row["pairs"],
        "weight": weight,
        "champion": mean("champion_sum"),
        "challenger_value": mean("challenger_sum"),
        "difference": mean("difference_sum"),
        "champion_version": row["champion_version"],
    }


def evidence_table(rows: Iterator[dict[str, Any]]) -> Table:
    """Return evidence as a table."""
    shown = Table(header_style="bold")
    for heading in ("day", "challenger", "slice", "metric"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("requests", "labelled", "pairs", "champion", "challenger", "difference"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        numbers = (significant(row["champion"]), significant(row["challenger_value"]), significant(row["difference"]))
        texts = (row["day"], row["challenger"], escape(row["slice"]), row["metric"])
        shown.add_row(*texts, str(row["requests"]), str(row["labelled"]), str(row["pairs"]), *numbers)
    return shown


def maturity(session: Session[Any], deployment: Deployment) -> list[dict[str, Any]]:
    """Return the labels of each day: sampled, labelled, expected, share, contradicted, and whether the day counts.

    `expected` is how many will have come in the end if the day is like those whose labels are complete; None before
    there are any.
    """
    taken = snapshots.snapshots(session, deployment, None, None)
    if not taken:
        return []
    progress = labels_on(session, deployment, taken, taken[-1].day)
    return [
        {
            "day": str(one.day),
            "sampled": one.rows,
            "labelled": progress[one.day].labelled,
            "expected": progress[one.day].expected,
            "share": progress[one.day].labelled / one.rows if one.rows else None,
            "contradicted": one.contradicted,
            "collected_until": one.labels_until.isoformat() if one.labels_until else None,
            "ripe": progress[one.day].counts,
        }
        for one in taken
    ]


def maturity_table(rows: list[dict[str, Any]]) -> Table:
    """Return the labels of each day as a table."""
    shown = Table(header_style="bold")
    shown.add_column("day", no_wrap=True)
    for heading in ("sampled", "labelled", "expected", "share", "contradicted", "counts"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        share, expected = plain_percent(row["share"]), "-" if row["expected"] is None else str(row["expected"])
        counts = "yes" if row["ripe"] else "not yet"
        texts = (str(row["sampled"]), str(row["labelled"]), expected, share, str(row["contradicted"]), counts)
        shown.add_row(row["day"], *texts)
    return shown
