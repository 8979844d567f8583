"""The slices as a forest plot, worst first, with their numbers of requests."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, plural
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart, ChartTable
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views import SlicesView, SliceView
from shadow_deployment.report.wording import measure_of

MOST_SLICES: Final = 24
_STEP: Final = 22  # pixels of a row
_SHORT: Final = 15  # letters that a narrow chart has room for


def slices(view: SlicesView) -> Chart:
    """Return the forest plot: all requests, then the slices, worst first, each with its number of requests."""
    shown = [*_overall(view), *view.slices[:MOST_SLICES]]
    more = len(view.slices) - MOST_SLICES
    notes = [f"{count(more)} better ones are in the table."] if more > 0 else []
    notes += [f"{plural(view.left_out, 'slice')} with the fewest requests are left out."] if view.left_out else []
    notes.append("Each interval has the overall rule's error rate by itself: of many slices some look odd by chance.")
    title, widths, table, note = (
        f"Slices, worst first: {view.title}",
        (WIDE, NARROW),
        _table(view),
        " ".join(notes),
    )
    return Chart("slices", title, _finding(view), lambda width: _plot(view, shown, width), widths, table, note)


def _overall(view: SlicesView) -> list[SliceView]:
    return [view.overall] if view.overall else []


def _finding(view: SlicesView) -> str:
    worse, better = sum(each.is_worse for each in view.slices), sum(each.is_better for each in view.slices)
    finding = f"The challenger is worse in {worse} and better in {better} of {plural(len(view.slices), 'slice')}."
    if not view.slices:
        return finding
    worst = view.slices[0]
    estimate = measure_of(view.metric, "difference").say(worst.estimate, signed=True)
    return f"{finding} Worst is {worst.name}: {estimate} on {count(worst.requests)} requests."


def _table(view: SlicesView) -> ChartTable:
    every, measure = [*_overall(view), *view.slices], measure_of(view.metric, "difference")
    places = measure.places([each.estimate for each in every], 3)
    numbers = []
    for each in every:
        stands = "worse" if each.is_worse else "better" if each.is_better else "undecided"
        interval = measure.interval(each.lower, each.upper, places)
        estimate = measure.say(each.estimate, places, signed=True)
        numbers.append((_name(each), stands, estimate, interval, count(each.requests), count(each.days)))
    return ChartTable(("slice", "challenger", "estimate", "interval", "requests", "days"), numbers, left=2)


def _name(each: SliceView) -> str:
    return "all requests" if each.name == ALL else each.name


def _plot(view: SlicesView, shown: Sequence[SliceView], width: int) -> dict[str, Any]:
    is_wide = width > NARROW
    left, right = (262, 196) if is_wide else (104, 58)
    reach, measure = _reach(shown), measure_of(view.metric, "difference")
    x = parts.value_axis(alt.X, reach, measure, signed=True, count=8 if is_wide else 3)
    y, end, edge = parts.row_axis(), parts.at("width"), parts.at(f"width + {right}")
    places = measure.places([each.estimate for each in shown])
    rows = [
        {
            **_look(each, is_overall=each is view.overall),
            **parts.interval_ends(each.lower, each.upper, reach),
            "row": row,
            "words": _name(each) if is_wide or len(each.name) < _SHORT else each.value,
            "whole": _name(each),
            "estimate": each.estimate,
            "estimates": measure.say(each.estimate, places, signed=True),
            "requests": count(each.requests),
        }
        for row, each in enumerate(shown)
    ]
    name, shade = parts.mark("text", limit=0.86 * left - 16, aria=True), parts.mark("rect", "shade")
    overall = parts.rows(row=0) if view.overall else []
    layers = [
        parts.layer("overall", shade, overall, x=parts.at(-left), x2=edge, y=y),
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


def _look(each: SliceView, *, is_overall: bool) -> dict[str, str]:
    """Return the colour and shape that say how a slice stands."""
    tint = colour("fail" if each.is_worse else "pass" if each.is_better else "muted")
    shape = "triangle-down" if each.is_worse else "triangle-up" if each.is_better else "circle"
    return {"colour": tint, "fill": tint, "shape": "diamond" if is_overall else shape}


def _legend(view: SlicesView) -> list[parts.Entry]:
    return [
        *([parts.Entry("diamond", "ink", "all requests")] if view.overall else []),
        parts.Entry("triangle-down", "fail", "challenger worse"),
        parts.Entry("triangle-up", "pass", "challenger better"),
        parts.Entry("circle", "muted", "undecided"),
    ]


def _reach(shown: Sequence[SliceView]) -> parts.Reach:
    """Return what is shown: every estimate, and intervals up to three times as far out as the widest estimate."""
    estimates = [0.0, *(each.estimate for each in shown)]
    low, high = min(estimates), max(estimates)
    spread = high - low or 1.0
    sides = [side for each in shown for side in (each.lower, each.upper) if side is not None]
    return parts.reach([*estimates, *(side for side in sides if low - spread <= side <= high + spread)])
