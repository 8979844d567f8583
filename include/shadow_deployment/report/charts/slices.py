"""The slices as a forest plot, in the order of what their intervals show, with their numbers of requests."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, percent, plural
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart, ChartTable
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views import SlicesView, SliceView
from shadow_deployment.report.wording import measure_of

MOST_SLICES: Final = 24
_STEP: Final = 22  # pixels of a row
_OVERALL: Final = (2, 3)  # the dashes of the line of all requests
_SHORT: Final = 15  # letters that a narrow chart has room for


def slices(view: SlicesView, period: str = "day") -> Chart:
    """Return the forest plot of the slices, each with its interval and number of requests."""
    shown = view.slices[:MOST_SLICES]
    more = len(view.slices) - MOST_SLICES
    notes = [f"{count(more)} more are in the table."] if more > 0 else []
    notes += [f"{plural(view.left_out, 'slice')} with the fewest requests are left out."] if view.left_out else []
    notes.append(_level(view))
    note, widths = " ".join(notes), (WIDE, NARROW)
    title = f"Slices by what their interval shows: {view.title}"
    return Chart(
        "slices", title, _finding(view), lambda width: _plot(view, shown, width), widths, _table(view, period), note
    )


def _level(view: SlicesView) -> str:
    """Return at which level the intervals hold, for all slices and for each."""
    every, each = percent(view.level), percent(1 - view.alpha.to_pass - view.alpha.to_fail, 2)
    slices = plural(len(view.slices) + view.left_out, "slice")
    return (
        f"{every} confidence sequences for all {slices} at once (Bonferroni: {each} for each); first the slices whose "
        "interval lies furthest below 0, last those without an interval."
    )


def _finding(view: SlicesView) -> str:
    worse, better = sum(each.is_worse for each in view.slices), sum(each.is_better for each in view.slices)
    finding = f"The challenger is worse in {worse} and better in {better} of {plural(len(view.slices), 'slice')}."
    if not worse:
        return finding
    worst, measure = view.slices[0], measure_of(view.metric, "difference")
    interval = measure.interval(worst.lower, worst.upper, measure.places([worst.lower, worst.upper], 3))
    return f"{finding} Worst is {worst.name}: {interval} on {count(worst.requests)} requests."


def _table(view: SlicesView, period: str) -> ChartTable:
    every, measure = view.slices, measure_of(view.metric, "difference")
    places = measure.places([each.estimate for each in every], 3)
    numbers = []
    for each in every:
        stands = "worse" if each.is_worse else "better" if each.is_better else "undecided"
        interval = measure.interval(each.lower, each.upper, places)
        estimate = measure.say(each.estimate, places, signed=True)
        numbers.append((each.name, stands, estimate, interval, count(each.requests), count(each.days)))
    return ChartTable(("slice", "challenger", "estimate", "interval", "requests", f"{period}s"), numbers, left=2)


def _plot(view: SlicesView, shown: Sequence[SliceView], width: int) -> dict[str, Any]:
    is_wide = width > NARROW
    left, right = (262, 196) if is_wide else (104, 58)
    reach, measure = _reach(view, shown), measure_of(view.metric, "difference")
    x = parts.value_axis(alt.X, reach, measure, signed=True, count=8 if is_wide else 3)
    y, end = parts.row_axis(), parts.at("width")
    places = measure.places([each.estimate for each in shown])
    rows = [
        {
            **_look(each),
            **parts.interval_ends(each.lower, each.upper, reach),
            "row": row,
            "words": each.name if is_wide or len(each.name) < _SHORT else each.value,
            "whole": each.name,
            "estimate": each.estimate,
            "estimates": measure.say(each.estimate, places, signed=True),
            "requests": count(each.requests),
        }
        for row, each in enumerate(shown)
    ]
    name = parts.mark("text", limit=0.86 * left - 16, aria=True)
    overall = [] if view.overall is None else parts.rows(value=view.overall)
    layers = [
        parts.layer("overall", parts.rule("challenger", dash=_OVERALL), overall, x=x("value")),
        parts.layer("zero", parts.rule(), parts.rows(value=0.0), x=x("value")),
        *parts.interval_layers(rows, x, y, thickness=2.5, size=70),
        parts.layer("name", name, rows, x=parts.at(8 - left), y=y, **parts.WORDS),
    ]
    for column, dx in (("estimates", right - 108), ("requests", right - 8))[0 if is_wide else 1 :]:
        mark, head = parts.small(align="right", dx=dx), parts.rows(words=column)
        layers.append(parts.layer(f"{column}_head", mark, head, x=end, y=parts.at(-12), text=parts.TEXT))
        layers.append(parts.layer(column, mark, rows, x=end, y=y, text=alt.Text(f"{column}:N")))
    look: dict[str, Any] = {"legend": _legend(view), "caption": view.unit_words, "left": left - 8, "head": 24}
    return parts.framed(width, alt.Step(_STEP), layers, **look)


def _look(each: SliceView) -> dict[str, str]:
    """Return the colour and shape that say how a slice stands."""
    tint = colour("fail" if each.is_worse else "pass" if each.is_better else "muted")
    shape = "triangle-down" if each.is_worse else "triangle-up" if each.is_better else "circle"
    return {"colour": tint, "fill": tint, "shape": shape}


def _legend(view: SlicesView) -> list[parts.Entry]:
    return [
        parts.Entry("triangle-down", "fail", "challenger worse"),
        parts.Entry("triangle-up", "pass", "challenger better"),
        parts.Entry("circle", "muted", "undecided"),
        *([] if view.overall is None else [parts.Entry("line", "challenger", "all requests", dash=_OVERALL)]),
    ]


def _reach(view: SlicesView, shown: Sequence[SliceView]) -> parts.Reach:
    """Return what is shown: every estimate, and intervals up to three times as far out as the widest estimate."""
    estimates = [0.0, *(each.estimate for each in shown), *([] if view.overall is None else [view.overall])]
    low, high = min(estimates), max(estimates)
    spread = high - low or 1.0
    sides = [side for each in shown for side in (each.lower, each.upper) if side is not None]
    return parts.reach([*estimates, *(side for side in sides if low - spread <= side <= high + spread)])
