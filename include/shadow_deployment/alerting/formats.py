"""Formats of an alert: subject, plain text, HTML, Slack, JSON. Names from outside are text in each of them."""

import html
import json
from collections.abc import Mapping
from typing import Any

from shadow_deployment.alerting.messages import plain
from shadow_deployment.ledger.alerts import Alert

LONGEST_SUBJECT = 99  # the limit of SNS, in ASCII
LONGEST_BLOCK = 2900  # Slack allows 3000 characters
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def subject(alert: Alert) -> str:
    """Return the title as a subject: one line of ASCII, at most 99 characters."""
    text = plain(alert.title).replace("…", "...").encode("ascii", "replace").decode()
    return text if len(text) <= LONGEST_SUBJECT else f"{text[: LONGEST_SUBJECT - 3]}..."


def text(alert: Alert) -> str:
    """Return the whole alert as plain text of several lines."""
    parts = [alert.title, "", *alert.lines]
    if alert.todo:
        parts += ["", alert.todo]
    return "\n".join([*parts, "", *_footer(alert)])


def markup(alert: Alert) -> str:
    """Return the whole alert as HTML for e-mail."""
    lines = "".join(f"<li>{html.escape(line.removeprefix('- '))}</li>" for line in alert.lines)
    parts = [f"<h3>{html.escape(alert.title)}</h3>", f"<ul>{lines}</ul>" if lines else ""]
    parts += [f"<p>{html.escape(alert.todo)}</p>"] if alert.todo else []
    for line in _footer(alert):
        shown = html.escape(line)
        if alert.link and line == alert.link:
            shown = f'<a href="{html.escape(alert.link, quote=True)}">{shown}</a>'
        parts.append(f"<p>{shown}</p>")
    return "\n".join(parts)


def slack(alert: Alert) -> dict[str, Any]:
    """Return the message for an incoming webhook of Slack.

    Text from outside is in plain-text blocks or escaped: no name becomes a mention or a link.
    """
    body = "\n".join([*alert.lines, *(["", alert.todo] if alert.todo else [])])
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain_text(alert.title, 150)},
        *({"type": "section", "text": _plain_text(part, LONGEST_BLOCK)} for part in _parts(body)),
        {"type": "context", "elements": [_plain_text(line, LONGEST_BLOCK) for line in _footer(alert)]},
    ]
    return {"text": alert.title.translate(_SLACK), "mrkdwn": False, "blocks": blocks}


def payload(alert: Alert) -> Mapping[str, Any]:
    """Return the alert for machines: its content, its plain text, and the version of this format."""
    return {"version": 1, **alert.content(), "text": text(alert)}


def as_json(alert: Alert) -> str:
    """Return `payload` as JSON."""
    return json.dumps(payload(alert), allow_nan=False)


def _footer(alert: Alert) -> list[str]:
    lines = [f"day {alert.day}: {alert.window}" if alert.window else f"day {alert.day}"]
    return [*lines, alert.link] if alert.link else lines


def _plain_text(content: str, most: int) -> dict[str, Any]:
    cut = content if len(content) <= most else f"{content[: most - 1]}…"
    return {"type": "plain_text", "text": cut, "emoji": False}


def _parts(body: str) -> list[str]:
    """Split a text into parts of whole lines that each fit into one block; a block must not be empty."""
    parts: list[str] = []
    for line in body.split("\n"):
        if parts and len(parts[-1]) + len(line) < LONGEST_BLOCK:
            parts[-1] += f"\n{line}"
        else:
            parts.append(line)
    return [part for part in parts if part.strip()]
