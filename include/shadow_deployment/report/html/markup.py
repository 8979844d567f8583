"""Pieces of HTML that are made often: tables, times, numbers that are missing, and the policy's Markdown."""

import datetime as dt
import html
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from shadow_deployment.base.numbers import NOTHING
from shadow_deployment.report.charts.chart import Chart, ChartTable
from shadow_deployment.report.overview import UNKNOWN
from shadow_deployment.report.status import LABELS, ChallengerStatus, Stage
from shadow_deployment.report.wording import moment, shorten, visible

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_HARMLESS: Final = re.compile(r"[0-9A-Za-z .,:%+\-\N{MINUS SIGN}\N{EN DASH}\N{NO-BREAK SPACE}]*")
MARKS: Final = {"pass": "●", "fail": "◆", "open": "○", "none": "?"}
_STAGES: Final[dict[Stage, str]] = {
    "ready": "pass",
    "champion": "pass",
    "as_expected": "pass",
    "failed": "fail",
    "broken": "fail",
    "regression": "fail",
    "promoted_not_served": "fail",
    "a_a_alarm": "fail",
    "not_started": "none",
}
_BADGES: Final = {"PASS": ("pass", "●"), "FAIL": ("fail", "◆"), "INCONCLUSIVE": ("open", "○")}


def shown(value: Any) -> Any:
    """Return what a template writes for a value: an en dash for None, and no character that acts unseen."""
    if value is None:
        return NOTHING
    return visible(value) if type(value) is str else value


def table(content: ChartTable, caption: str, *, sortable: bool = False) -> Markup:
    """Return a table; the first column heads its rows, and the first `left` ones are aligned as names are.

    The rows of a `sortable` one can be ordered by each column, once the page's script has run.
    """
    headings = "".join(f'<th scope="col">{_cell(heading)}</th>' for heading in content.headings)
    rows = "".join(
        f'<tr><th scope="row">{_cell(row[0])}</th>{"".join(f"<td>{_cell(text)}</td>" for text in row[1:])}</tr>'
        for row in content.rows
    )
    look = f"left-{content.left} tail-{content.tail}{' sortable' if sortable else ''}"
    body = (
        f'<table class="{look}"><caption class="hidden">{_cell(caption)}</caption>'
        f"<thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return scrolled(Markup(body), caption)  # noqa: S704 (every cell is escaped above)


def scrolled(content: Markup, name: str) -> Markup:
    """Return a box that scrolls sideways by itself, also with the keyboard."""
    return Markup('<div class="scroll" tabindex="0" role="region" aria-label="{}">{}</div>').format(
        visible(name), content
    )


def _cell(text: str) -> str:
    if isinstance(text, Markup) or _HARMLESS.fullmatch(text):
        return text
    return html.escape(visible(text))


def name(text: str, most: int = 60) -> Markup:
    """Return a name that stays apart from the writing around it, shortened with the whole of it on hover."""
    seen = visible(text)
    if len(seen) <= most:
        return Markup("<bdi>{}</bdi>").format(seen)
    return Markup('<bdi title="{}">{}</bdi>').format(seen, shorten(seen, most))


def badge(outcome: str | None) -> Markup:
    """Return an outcome as a word with a mark of its own: colour is never alone."""
    kind, mark = _BADGES.get(outcome or "", ("none", NOTHING))
    words = outcome or "never judged"
    return Markup('<span class="badge {}"><span aria-hidden="true">{}</span> {}</span>').format(kind, mark, words)


def stage(status: ChallengerStatus | None) -> str:
    """Return how a challenger stands, as one of the kinds that colours and marks are for."""
    return _STAGES.get(status.stage, "open") if status else "none"


def state(status: ChallengerStatus | None, *, short: bool = False) -> Markup:
    """Return where a challenger stands as a badge, where it is `short` in a word or two; None: nothing is known."""
    kind = stage(status)
    words = UNKNOWN if status is None else status.label
    if status is not None and short:
        words = LABELS[status.stage].removeprefix("A/A check: ")
    return Markup('<span class="badge {}"><span aria-hidden="true">{}</span> {}</span>').format(
        kind, MARKS[kind] if status else "?", words
    )


def time(value: dt.datetime | None) -> Markup | str:
    """Return a moment in UTC; the reader's local time is its title, once the page's script has run."""
    if value is None:
        return NOTHING
    exact = value.astimezone(dt.UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}">{}</time>').format(exact, moment(value))


def missing(reason: str | None) -> Markup:
    """Return an en dash that says why there is nothing."""
    why = visible(reason or "no value")
    return Markup('<span title="{}"><span aria-hidden="true">{}</span><span class="hidden">{}</span></span>').format(
        why, NOTHING, why
    )


def drawn(chart: Chart) -> Markup:
    """Return a chart at each of its widths, of which a page shows one."""
    drawings = chart.inline()
    classes: Sequence[str] = ("wide", "narrow") if len(drawings) > 1 else ("single",)
    boxes = (f'<div class="{name}">{svg}</div>' for name, svg in zip(classes, drawings, strict=True))
    return Markup("".join(boxes))  # noqa: S704 (the SVG is written from a parsed tree, which escapes its text)


def prose(markdown: str) -> Markup:
    """Return Markdown as HTML: without images, links and HTML of its own, which have no place in a policy."""
    return Markup(_markdown().render(visible(markdown)))  # noqa: S704 (the renderer escapes all text)


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink", "reference"])
