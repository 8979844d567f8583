"""Every rule's interval against its bound, all on one scale: 0 is the bound, and what lies right of it holds."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import plural
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views import RuleView
from shadow_deployment.report.wording import capitalised, shorten, visible

MOST_RULES: Final = 12
MOST_NAMED: Final = 3
_URGENCY: Final = ("FAIL", "INCONCLUSIVE", "PASS")
_LOOKS: Final = {"PASS": ("pass", "circle"), "INCONCLUSIVE": ("open", "circle"), "FAIL": ("fail", "diamond")}
_REACH: Final = (-1.06, 1.06)
_NAMES: Final = 392  # pixels of names beside the intervals


def rules(views: Sequence[RuleView]) -> Chart:
    """Return the chart of the findings that decide first: those overall, then those in slices that do not pass."""
    overall = [view for view in views if view.is_overall]
    in_slices = [view for view in views if not view.is_overall and view.finding.outcome != "PASS"]
    shown = [*overall, *sorted(in_slices, key=_urgency)][:MOST_RULES]
    left_out = len(views) - len(shown)
    finding = " ".join(text for role in ("blocking", "advisory") if (text := _tally(role, views)))
    note = f"{plural(left_out, 'more finding')} in the tables." if left_out else ""
    title, widths = "Each rule's interval against its bound", (WIDE, NARROW)
    return Chart("rules", title, finding, lambda width: _plot(shown, width), widths, note=note)


def _urgency(view: RuleView) -> tuple[int, bool]:
    return _URGENCY.index(view.finding.outcome), not view.finding.is_blocking


def _tally(role: str, views: Sequence[RuleView]) -> str:
    """Count the outcomes of the rules of one role, and name blocking ones that do not pass."""
    of_role = sorted((view for view in views if view.finding.role == role), key=_urgency)
    outcomes = [view.finding.outcome for view in of_role]
    tally = ", ".join(f"{outcomes.count(name)} {name}" for name in _URGENCY if name in outcomes)
    failing = [_label(view) for view in of_role if view.finding.outcome != "PASS"] if role == "blocking" else []
    named = f"; not passing: {'; '.join(failing[:MOST_NAMED])}" if failing else ""
    return f"{capitalised(role)} rules: {tally}{named}." if of_role else ""


def _label(view: RuleView) -> str:
    text = visible(view.text)
    label = text if view.is_overall else f"{shorten(visible(view.finding.slice), 40)}, {text}"
    if not view.finding.is_blocking:
        return f"Advisory: {label}"
    return capitalised(label) if view.is_overall else label


def _plot(shown: Sequence[RuleView], width: int) -> dict[str, Any]:
    is_wide = width > NARROW
    # Names and outcomes stand beside the intervals where there is room, else above them: in shares of a row's height.
    middle, top, beside = (0.5, 0.0, 0.5) if is_wide else (0.74, 0.58, 0.18)
    left, right, step = (_NAMES, 120, 40) if is_wide else (0, 0, 68)
    rows = [_row(index, view, width, is_wide=is_wide) for index, view in enumerate(shown)]
    heads = parts.rows(place=[-0.8, 0.0, 0.8], words=["← does not hold", "bound", "holds →"])
    centred = {"baseline": "middle", "dy": alt.expr(f"{parts.LINE / 2} * (1 - datum.words.length)")}
    name = parts.mark("text", lineHeight=parts.LINE, aria=True, **(centred if is_wide else {"baseline": "top"}))
    outcome = parts.mark("text", align="right", dx=right, fontWeight=600, fontSize=13 if is_wide else 12)
    edge, end, tint = parts.at(f"width + {right}"), parts.at("width"), parts.raw(alt.Color, "colour")
    spot, start = parts.row_axis(0.5 if is_wide else 0.08), parts.at(-left)
    part = {"x": _x("bound"), "y": parts.row_axis(top), "y2": alt.Y2("row", bandPosition=1 if is_wide else 0.9)}
    layers = [
        parts.layer("holds", parts.mark("rect", "shade"), rows, x2=alt.X2("most"), **part),
        parts.layer("row", parts.rule("grid", 1, (1, 0)), rows, x=start, x2=edge, y=parts.row_axis(1)),
        parts.layer("bound", parts.rule(), rows, **part),
        parts.layer("name", name, rows, x=start, y=spot, **parts.WORDS),
        parts.layer("outcome", outcome, rows, x=end, y=parts.row_axis(beside), color=tint, text=alt.Text("outcome:N")),
        parts.layer("none", parts.small(dx=8), rows, x=_x("bound"), y=parts.row_axis(middle), text=alt.Text("none:N")),
        parts.layer("head", parts.small(align="center"), heads, x=_x("place"), y=parts.at(-12), text=parts.TEXT),
        *parts.interval_layers(rows, _x, parts.row_axis(middle), thickness=4, size=110),
    ]
    legend = [parts.Entry(shape, tint, name, name == "INCONCLUSIVE") for name, (tint, shape) in _LOOKS.items()]
    return parts.framed(width, alt.Step(step), layers, legend=legend, left=left, head=24)


def _x(field: str) -> alt.X:
    return alt.X(f"{field}:Q", axis=None, scale=alt.Scale(domain=list(_REACH), nice=False))


def _row(index: int, view: RuleView, width: int, *, is_wide: bool) -> Mapping[str, Any]:
    """Return a rule's row; an estimate alone means something only where a day's value is judged."""
    (lower, estimate, upper), outcome, label = view.scaled, view.finding.outcome, _label(view)
    has_interval = lower is not None or upper is not None
    is_shown = estimate is not None and (has_interval or view.is_daily)
    tint, shape = _LOOKS[outcome]
    return {
        "row": index,
        "bound": 0.0,
        "most": min(_REACH[1], view.scaled_width),
        "estimate": estimate if is_shown else None,
        "words": parts.wrapped(label, _NAMES - 16 if is_wide else width - 36 - 9 * len(outcome)),
        "whole": label,
        "outcome": outcome,
        "none": "" if is_shown else "no interval yet",
        "colour": colour(tint),
        "fill": colour("ground" if outcome == "INCONCLUSIVE" else tint),
        "shape": shape,
        **parts.interval_ends(lower, upper, _REACH),
    }
