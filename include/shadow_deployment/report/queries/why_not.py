"""Why a challenger does not pass: what bars it, which rules are open or failed, and what would decide each."""

import datetime as dt
from typing import Any, Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.finding import Finding, findings_of
from shadow_deployment.decision.words.wording import change_needed, rule_of
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report.queries.status import barred
from shadow_deployment.report.queries.summary import line_of, lines_of

_OF_FINDING: Final = (
    *("slice", "outcome", "reason", "estimate", "lower", "upper", "bound"),
    *("observations", "requests", "more_days"),
)
_NEVER_JUDGED: Final[dict[str, Any]] = {"champion": None, "barred": [], "passed": 0, "rules": [], "warnings": []}


def why_not(session: Session[Any], deployment: Deployment, challenger: str, day: dt.date | None) -> dict[str, Any]:
    """Return why a challenger's newest verdict up to a day is not PASS, as plain data.

    `barred` are reasons that are no rule's: waiting does not remove them. `rules` are the blocking ones that do not
    pass, each with its numbers and `what_would_decide` it. `more_days` is in how many days the last open rule would be
    decided, None where nothing is open or `waiting` says why waiting does not decide. All are empty of a PASS.

    Raises:
        NotFoundError: there is no such challenger.
    """
    verdicts, lines = lines_of(session, deployment, day)
    line = line_of(deployment, lines, challenger)
    shown = {
        "deployment": deployment.name,
        "challenger": line.name,
        "version": line.version,
        "outcome": line.outcome,
        "day": line.day and str(line.day),
        "status": line.status.content,
        "more_days": line.more_days,
        "waiting": line.waiting,
    }
    return shown | (_of_verdict(verdicts[line.name]) if line.outcome is not None else _NEVER_JUDGED)


def _of_verdict(judged: StoredVerdict) -> dict[str, Any]:
    blocking = [finding for finding in findings_of(judged.findings) if finding.is_blocking]
    missed = [finding for finding in blocking if finding.outcome != "PASS"]
    return {
        "champion": judged.champion,
        "barred": [] if judged.outcome == "PASS" else barred(judged, blocking),
        "passed": len(blocking) - len(missed),
        "rules": [_rule(finding) for finding in missed],
        "warnings": judged.warnings,
    }


def _rule(finding: Finding) -> dict[str, Any]:
    plain = finding.to_json()
    return {
        "rule": rule_of(finding),
        **{key: plain[key] for key in _OF_FINDING},
        "is_futile": finding.is_futile,
        "what_would_decide": change_needed(finding),
    }
