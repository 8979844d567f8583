"""What an alert is, and what it says of a gate that is open again, a late day, a promotion.

`gate_alert` has the one of a gate that failed. What others have named is data: it becomes text of one line, so that
nobody can smuggle a header or a line into it.
"""

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.sampling import digest
from shadow_deployment.ledger.alerts import Alert, Kind
from shadow_deployment.ledger.verdicts import Stored

MOST_LINES, LONGEST_LINE, LONGEST_TITLE = 40, 500, 200


def plain(value: object, most: int = LONGEST_LINE) -> str:
    """Return a value as one line of text without control characters, cut to `most` characters."""
    text = "".join(" " if unicodedata.category(one).startswith("C") else one for one in str(value))
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def titled(deployment: Deployment, text: str) -> str:
    """Return a title that says which deployment it is about."""
    return plain(f"{deployment.name}: {text}", LONGEST_TITLE)


def cut(lines: Iterable[str]) -> tuple[str, ...]:
    """Return no more than MOST_LINES lines of plain text."""
    whole = [plain(line) for line in lines]
    more = len(whole) - MOST_LINES
    return tuple([*whole[:MOST_LINES], f"and {more} more lines"] if more > 0 else whole)


def recovered(
    deployment: Deployment, day: dt.date, *, told: Alert, verdicts: Mapping[str, Stored], link: str | None = None
) -> Alert:
    """Return the alert that the gate is open again, after what was told last."""
    outcomes = {name: one.outcome for name, one in sorted(verdicts.items()) if one.day == day}
    lines = [f"told before, of {told.day}: {told.title}"]
    lines += [f"{plain(name)}: {outcome}" for name, outcome in outcomes.items()]
    return Alert(
        "recovered",
        deployment.name,
        day,
        digest(["recovered", str(told.day), told.kind, told.signature]),
        titled(deployment, f"gate open again for {day}"),
        cut(lines),
        "Nothing is to be done.",
        str(window_of(deployment, day)),
        link,
        details={"outcomes": outcomes, "after": {"day": str(told.day), "kind": told.kind}},
    )


def late(
    deployment: Deployment,
    day: dt.date,
    *,
    due: dt.datetime,
    state: str,
    progress: Sequence[str] = (),
    link: str | None = None,
) -> Alert:
    """Return the alert of a day that is not done by `due`; `state` is the run's, `progress` what the ledger has."""
    local = due.astimezone(deployment.zone)
    return Alert(
        "late",
        deployment.name,
        day,
        digest(["late"]),
        titled(deployment, f"{day} is late: not done by {local:%H:%M} {deployment.timezone} on {local:%Y-%m-%d}"),
        cut([f"the run is {plain(state)}", *map(plain, progress)]),
        "Look at what the run waits for: a task that hangs, a pool without a free slot, a run before it that is not "
        "done, or a scheduler that was away. There is no verdict of that day until it is through.",
        str(window_of(deployment, day)),
        link,
        details={"due": due.isoformat(), "state": plain(state)},
    )


def approval_requested(
    deployment: Deployment,
    day: dt.date,
    *,
    challenger: str,
    version: str,
    case_digest: str,
    reason: str = "",
    link: str | None = None,
) -> Alert:
    """Return the alert that somebody is asked to approve a promotion, once for each case."""
    return _promotion(
        "asked",
        deployment,
        day,
        f"promote {challenger} {version}?",
        facts={"challenger": challenger, "version": version, "case": case_digest, "reason": reason},
        todo="Look at the case and approve or reject it; silence changes nothing.",
        link=link,
    )


def promoted(
    deployment: Deployment,
    day: dt.date,
    *,
    challenger: str,
    version: str,
    who: str,
    reason: str,
    case_digest: str | None = None,
    number: int | None = None,
    link: str | None = None,
) -> Alert:
    """Return the alert that a challenger is champion now; `number` is the promotion's."""
    return _promotion(
        "promoted",
        deployment,
        day,
        f"the champion is {challenger} {version}",
        facts=_changed(challenger, version, who, reason, case_digest, number),
        todo=f"Serve it, if production does not follow by itself. shadow rollback {deployment.name} takes it back.",
        link=link,
    )


def rolled_back(
    deployment: Deployment,
    day: dt.date,
    *,
    challenger: str,
    version: str,
    who: str,
    reason: str,
    case_digest: str | None = None,
    number: int | None = None,
    link: str | None = None,
) -> Alert:
    """Return the alert that `challenger`, a former champion, is champion again; `number` is the rollback's."""
    return _promotion(
        "rolled_back",
        deployment,
        day,
        f"rolled back, the champion is {challenger} {version} again",
        facts=_changed(challenger, version, who, reason, case_digest, number),
        todo="Serve it, if production does not follow by itself.",
        link=link,
    )


def _changed(
    name: str, version: str, who: str, reason: str, case_digest: str | None, number: int | None
) -> dict[str, Any]:
    return {
        "challenger": name,
        "version": version,
        "who": who,
        "reason": reason,
        "case": case_digest,
        "number": number,
    }


def _promotion(
    kind: Kind, deployment: Deployment, day: dt.date, title: str, *, facts: dict[str, Any], todo: str, link: str | None
) -> Alert:
    said = {key: plain(value) for key, value in facts.items() if value not in (None, "")}
    words = {"who": "by", "number": "promotion number"}
    lines = [f"{words.get(key, key)}: {value}" for key, value in said.items()]
    about = [facts[key] for key in ("challenger", "version", "case")] + [facts.get("number")]
    return Alert(
        kind,
        deployment.name,
        day,
        digest(about),
        titled(deployment, title),
        cut([*lines, f"on the verdict of {day}"]),
        todo,
        link=link,
        details=said,
    )
