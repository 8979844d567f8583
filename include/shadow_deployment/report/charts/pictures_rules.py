"""Every rule's interval against its bound, all on one scale: 0 is the bound, and what lies right of it holds."""

from collections.abc import Sequence
from typing import Final

from shadow_deployment.base.numbers import plural
from shadow_deployment.report.charts.pictures import NARROW, WIDE, Picture
from shadow_deployment.report.charts.pictures_axes import SMALL, wrapped
from shadow_deployment.report.charts.pictures_canvas import Canvas, Shape
from shadow_deployment.report.charts.pictures_interval import draw_interval
from shadow_deployment.report.charts.pictures_legend import Entry, draw_legend, height_of
from shadow_deployment.report.views.facts import RuleFacts
from shadow_deployment.report.wording import capitalised, shorten, visible

MOST_RULES: Final = 12
MOST_NAMED: Final = 3
_PIXELS: Final = (None, None)
_OUTCOMES: Final[dict[str, tuple[str, Shape, bool]]] = {
    "PASS": ("pass", "circle", False),
    "FAIL": ("fail", "diamond", False),
    "INCONCLUSIVE": ("open", "circle", True),
}


def rules(facts: Sequence[RuleFacts]) -> Picture:
    """Return the picture of the findings that decide first: those overall, then those in slices that do not pass."""
    ordered = [one for one in facts if one.slice == "all"]
    ordered += sorted((one for one in facts if one.slice != "all" and one.outcome != "PASS"), key=_urgency)
    shown = ordered[:MOST_RULES]
    left_out = len(facts) - len(shown)
    return Picture(
        name="rules",
        title="Each rule's interval against its bound",
        finding=" ".join(text for role in ("blocking", "advisory") if (text := _tally(role, facts))),
        draw=lambda width: _draw_rules(shown, width),
        widths=(WIDE, NARROW),
        note=f"{plural(left_out, 'more finding')} in the tables." if left_out else "",
    )


def _urgency(finding: RuleFacts) -> tuple[int, int]:
    return ("FAIL", "INCONCLUSIVE", "PASS").index(finding.outcome), ("blocking", "advisory").index(finding.role)


def _tally(role: str, facts: Sequence[RuleFacts]) -> str:
    """Say how the findings of one role stand, and which ones do not pass."""
    found = sorted((one for one in facts if one.role == role), key=_urgency)
    if not found:
        return ""
    counted = [(name, sum(one.outcome == name for one in found)) for name in ("FAIL", "INCONCLUSIVE", "PASS")]
    tally = ", ".join(f"{number} {name}" for name, number in counted if number)
    failing = [_label(one) for one in found if one.outcome != "PASS"] if role == "blocking" else []
    named = f"; not passing: {'; '.join(failing[:MOST_NAMED])}" if failing else ""
    return f"{'Gates' if role == 'blocking' else 'Monitors'}: {tally}{named}."


def _label(finding: RuleFacts) -> str:
    where = "" if finding.slice == "all" else f"{shorten(visible(finding.slice), 40)}, "
    return capitalised(f"{'advisory: ' if finding.role == 'advisory' else ''}{where}{visible(finding.text)}")


def _draw_rules(shown: Sequence[RuleFacts], width: int) -> Canvas:
    is_wide = width > 600
    row, left = (40, 400) if is_wide else (64, 12)
    legend = [
        Entry("circle", "pass", "PASS"),
        Entry("circle", "open", "INCONCLUSIVE", hollow=True),
        Entry("diamond", "fail", "FAIL"),
    ]
    top = height_of(legend, width - 16) + 30
    canvas = Canvas(width, top + row * len(shown) + 8, left=left, right=128 if is_wide else 12, top=top, bottom=8)
    canvas.scale("x", -1.06, 1.06)
    canvas.text(0, -15, "bound", fill="ink", size=SMALL, align="center", weight=600, on=("x", None))
    canvas.text(-1.06, -15, "← does not hold", fill="muted", size=SMALL, on=("x", None))
    canvas.text(1.06, -15, "holds →", fill="muted", size=SMALL, align="right", on=("x", None))
    for index, finding in enumerate(shown):
        y = row * index + (row / 2 if is_wide else row - 14)
        if index:
            canvas.segments("row", -left, row * index, width - left, row * index, stroke="grid", width=1, on=_PIXELS)
        _bound(canvas, row * index if is_wide else y - 13, row * (index + 1) - (0 if is_wide else 3))
        _rule_words(canvas, finding, row * index, y, is_wide=is_wide)
        _rule_marks(canvas, finding, y)
    draw_legend(canvas, legend)
    return canvas


def _bound(canvas: Canvas, top: float, bottom: float) -> None:
    canvas.boxes("holds", canvas.inner_width / 2, top, canvas.inner_width, bottom, fill="shade", on=_PIXELS)
    canvas.segments("bound", 0, top, 0, bottom, stroke="ink", width=1.5, dash=(6, 4), on=("x", None))


def _rule_words(canvas: Canvas, finding: RuleFacts, top: float, y: float, *, is_wide: bool) -> None:
    colour = _OUTCOMES[finding.outcome][0]
    x = 8 - canvas.left
    room = canvas.left - 24 if is_wide else canvas.width - 16 - len(finding.outcome) * 8.2 - 10
    lines = wrapped(_label(finding), room, 2)
    start = y - 8 * (len(lines) - 1) if is_wide else top + 12
    for number, line in enumerate(lines):
        canvas.text(x, start + 16 * number, line, most=200, on=_PIXELS)
    words = finding.outcome
    if is_wide:
        canvas.text(canvas.inner_width + 14, y, words, fill=colour, weight=600, on=_PIXELS)
    else:
        canvas.text(
            canvas.width - canvas.left - 8, top + 12, words, fill=colour, weight=600, align="right", size=12, on=_PIXELS
        )


def _rule_marks(canvas: Canvas, finding: RuleFacts, y: float) -> None:
    """Draw an interval and its estimate; an estimate alone says something only where a day's value is judged."""
    colour, shape, hollow = _OUTCOMES[finding.outcome]
    scaled = finding.scaled
    has_interval = scaled.lower is not None or scaled.upper is not None
    if has_interval:
        draw_interval(canvas, scaled.lower, scaled.upper, (-1.06, 1.06), y, colour, width=4)
    if scaled.estimate is not None and (has_interval or finding.is_daily):
        canvas.points("estimate", scaled.estimate, y, fill=colour, shape=shape, size=110, hollow=hollow, on=("x", None))
    else:
        canvas.text(0.04, y, "no interval yet", fill="muted", size=SMALL, on=("x", None))
