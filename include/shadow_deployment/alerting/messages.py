"""Texts of alerts: recovery, missed deadline, approval request, change of champion. gate_alert.py has the failed gate.

Names from outside become text on one line, so that none can inject a header or a line.
"""

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.sampling import digest
from shadow_deployment.ledger.alerts import Alert, Kind
from shadow_deployment.ledger.registry.serving import ServedDay
from shadow_deployment.ledger.verdicts import StoredVerdict

MOST_LINES, LONGEST_LINE, LONGEST_TITLE = 40, 500, 200
_LABELS = {"case": "promotion request", "who": "approved by", "number": "promotion number"}


def plain(value: object, most: int = LONGEST_LINE) -> str:
    """Return a value as one line of text without control characters, cut to `most` characters."""
    text = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in str(value))
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def titled(deployment: Deployment, text: str) -> str:
    """Return a title with the deployment's name."""
    return plain(f"{deployment.name}: {text}", LONGEST_TITLE)


def cut(lines: Iterable[str]) -> tuple[str, ...]:
    """Return at most MOST_LINES lines of plain text, and how many more there were."""
    whole = [plain(line) for line in lines]
    more = len(whole) - MOST_LINES
    return tuple([*whole[:MOST_LINES], f"and {more} more lines"] if more > 0 else whole)


def recovered(
    deployment: Deployment,
    day: dt.date,
    *,
    previous: Alert,
    verdicts: Mapping[str, StoredVerdict],
    link: str | None = None,
) -> Alert:
    """Return the alert that the gate is open again after the `previous` alert."""
    outcomes = {name: verdict.outcome for name, verdict in sorted(verdicts.items()) if verdict.day == day}
    lines = [f"previous alert, of {previous.day}: {previous.title}"]
    lines += [f"{plain(name)}: {outcome}" for name, outcome in outcomes.items()]
    return Alert(
        "recovered",
        deployment.name,
        day,
        digest(["recovered", str(previous.day), previous.kind, previous.signature]),
        titled(deployment, f"gate open again for {day}"),
        cut(lines),
        "No action needed.",
        str(window_of(deployment, day)),
        link,
        details={"outcomes": outcomes, "after": {"day": str(previous.day), "kind": previous.kind}},
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
    """Return the alert of a day that is not done by `due`; `state` is the run's, `progress` the ledger's."""
    local = due.astimezone(deployment.zone)
    return Alert(
        "late",
        deployment.name,
        day,
        digest(["late"]),
        titled(deployment, f"{day} is late: not done by {local:%H:%M} {deployment.timezone} on {local:%Y-%m-%d}"),
        cut([f"the run is {plain(state)}", *map(plain, progress)]),
        "Check what the run waits for: a hanging task, a full pool, an earlier run that is not done, or a scheduler "
        "that was down. The day has no verdict until its run is done.",
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
    request_digest: str,
    link: str | None = None,
) -> Alert:
    """Return the alert that a promotion waits for approval, once per promotion request."""
    return _promotion_alert(
        "asked",
        deployment,
        day,
        f"promote {challenger} {version}?",
        details={"challenger": challenger, "version": version, "case": request_digest},
        todo="Review the promotion request, then approve or reject it. Without an answer nothing changes.",
        link=link,
    )


def champion_changed(
    deployment: Deployment,
    day: dt.date,
    *,
    kind: Literal["promoted", "rolled_back"],
    name: str,
    version: str,
    approved_by: str,
    reason: str,
    request_digest: str | None = None,
    number: int | None = None,
    link: str | None = None,
) -> Alert:
    """Return the alert that a model is champion, by the promotion or rollback of this `number`.

    `day` is that of the verdict that the change rests on, `request_digest` is of the approved promotion request.
    """
    if kind == "promoted":
        title, undo = f"the champion is {name} {version}", f" To undo: shadow rollback {deployment.name}."
    else:
        title, undo = f"rolled back, the champion is {name} {version} again", ""
    details = {"challenger": name, "version": version, "who": approved_by, "reason": reason}
    return _promotion_alert(
        kind,
        deployment,
        day,
        title,
        details=details | {"case": request_digest, "number": number},
        todo=f"Serve it, unless production follows automatically.{undo}",
        link=link,
    )


def not_served(deployment: Deployment, served: ServedDay, *, link: str | None = None) -> Alert:
    """Return the alert that production serves another model than the newest promotion says, once per promotion."""
    champion = served.champion
    return Alert(
        "not_served",
        deployment.name,
        served.day,
        digest(["not_served", champion.number]),
        titled(deployment, f"{champion.name} {champion.version} is champion and not served"),
        cut([str(served), *(f"{version}: {count} requests" for version, count in served.versions.items())]),
        "Let production serve the champion, as the view shadow.champion says, or roll back with shadow rollback "
        f"{deployment.name}. Until then no day compares challengers with it.",
        link=link,
        details={"number": champion.number, "versions": dict(served.versions)},
    )


def _promotion_alert(
    kind: Kind,
    deployment: Deployment,
    day: dt.date,
    title: str,
    *,
    details: dict[str, Any],
    todo: str,
    link: str | None,
) -> Alert:
    texts = {key: plain(value) for key, value in details.items() if value not in (None, "")}
    lines = [f"{_LABELS.get(key, key)}: {text}" for key, text in texts.items()]
    return Alert(
        kind,
        deployment.name,
        day,
        digest([details[key] for key in ("challenger", "version", "case")] + [details.get("number")]),
        titled(deployment, title),
        cut([*lines, f"verdict of {day}"]),
        todo,
        link=link,
        details=texts,
    )
