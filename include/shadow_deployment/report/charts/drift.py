"""The drift of inputs and predictions by day: a row for each of those that drift most, all on one scale."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, number, plural
from shadow_deployment.report.analyses.drift import LARGE, MODERATE, DriftSeries, DriftView
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart, ChartTable
from shadow_deployment.report.charts.theme import colour

_MOST_FEATURES: Final = 4
_HIGHEST: Final = 0.5  # beyond it an index is drawn at the row's top
_ROW: Final = 62  # pixels
_PART: Final = 0.62  # of a row that its values take; the rest holds its name
_TINTS: Final = {"none": "champion", "moderate": "open", "large": "fail"}


def drift(view: DriftView) -> Chart:
    """Return the index by day of both models' predictions and of the features that drift most."""
    shown = _shown(view)
    columns = [map(str, view.days), *(map(_say, each.values) for each in shown)]
    rows = list(zip(*columns, strict=True))[::-1]
    table = ChartTable((view.period, *(f"PSI, {each.name}" for each in shown)), rows)
    title, widths = f"Population stability index against the first {view.period}s", (WIDE, NARROW)
    span = (str(view.days[0]), str(view.days[-1]))
    return Chart("drift", title, _in_words(view), lambda width: _plot(view, width), widths, table, _note(view), span)


def _say(value: float | None) -> str:
    return number(value, 3)


def _shown(view: DriftView) -> list[DriftSeries]:
    features = [each for each in view.series if each.kind == "feature"][:_MOST_FEATURES]
    return [*features, *(each for each in view.series if each.kind == "predictions")]


def _in_words(view: DriftView) -> str:
    if not view.is_rated:
        return "What drifts is said after a week that was compared with the same first 14 days."
    if not view.drifting:
        features = sum(each.kind == "feature" for each in view.series)
        return f"Nothing drifts lately, of {plural(features, 'feature')} and of the predictions of both models."
    most = ", ".join(f"{each.name} ({_say(each.lately)}, {each.strength})" for each in view.drifting[:5])
    more = f" and {count(len(view.drifting) - 5)} more" if len(view.drifting) > 5 else ""
    return f"Drifting lately: {most}{more}. The numbers are of the {view.newest} taken together."


def _note(view: DriftView) -> str:
    reference = f"the first {plural(view.reference_days, f'sampled {view.period}')}, {view.first} to {view.last}"
    growing = "before there are 28 days, with the first half of those so far"
    notes = [
        f"Each {view.period} is compared with {reference}; {growing}." if view.is_settled else f"{_growing(view)}."
    ]
    alone = " A single day differs more." if view.period == "day" else ""
    notes.append(
        f"{MODERATE:g} (moderate) and {LARGE:g} (large) are conventions, not tests; what samples of this size differ "
        f"by without any drift is not called drift.{alone} Nothing is judged on it."
    )
    if any(value is not None and value > _HIGHEST for each in _shown(view) for value in each.values):
        notes.append(f"Values above {_HIGHEST:g} are drawn at {_HIGHEST:g}.")
    if view.unknown:
        notes.append(f"The inputs of {plural(view.unknown, view.period)} were sampled before this was kept.")
    return " ".join(notes)


def _growing(view: DriftView) -> str:
    return (
        f"Each {view.period} is compared with the first half of the sampled {view.period}s up to it, now "
        f"{view.first} to {view.last}; from 28 days on with the first 14"
    )


def _plot(view: DriftView, width: int) -> dict[str, Any]:
    shown = _shown(view)
    x = parts.day_axis(view.days[0], view.days[-1], width)
    scale = alt.Scale(domain=[0.0, float(len(shown))], reverse=True, nice=False, zero=False)
    layers = [*_lines(shown, scale)]
    for number_, each in enumerate(shown):
        layers.append(_line(number_, each, view.days, x, scale))
    layers += [*_names(shown, scale, is_wide=width > NARROW), parts.days_ends(x, view.days)]
    legend = [
        parts.Entry("line", "ink", f"{LARGE:g}, large", dash=parts.DASH),
        parts.Entry("line", "ink", f"{MODERATE:g}, moderate", dash=(2, 3)),
    ]
    caption = f"population stability index (no unit), 0 to {_HIGHEST:g} in each row, by {view.period}"
    return parts.framed(width, _ROW * len(shown) + 84, layers, legend=legend, caption=caption, left=8)


def _height(row: int, value: float) -> float:
    """Return where an index lies: a row's foot is 0."""
    return row + 1 - _PART * min(value, _HIGHEST) / _HIGHEST


def _lines(shown: Sequence[DriftSeries], scale: alt.Scale) -> list[parts.Layer]:
    feet, y = range(len(shown)), alt.Y("y:Q", scale=scale, axis=None)
    marks = ((0.0, "foot", parts.rule("axis", 1, (1, 0))), (MODERATE, "moderate", parts.rule("ink", 1, (2, 3))),
             (LARGE, "large", parts.rule("ink", 1)))  # fmt: skip
    return [parts.layer(name, mark, parts.rows(y=[_height(row, at) for row in feet]), y=y) for at, name, mark in marks]


def _line(row: int, each: DriftSeries, days: Sequence[dt.date], x: parts.Channel, scale: alt.Scale) -> parts.Layer:
    tint = colour(_TINTS[each.strength])
    line = parts.mark("line", color=tint, strokeWidth=1.5)
    heights = [None if value is None else _height(row, value) for value in each.values]
    points = parts.rows(day=[parts.milliseconds(day) for day in days], value=heights)
    return parts.layer(f"index_{row}", line, points, x=x("day"), y=alt.Y("value:Q", scale=scale, axis=None))


def _names(shown: Sequence[DriftSeries], scale: alt.Scale, *, is_wide: bool) -> list[parts.Layer]:
    y = alt.Y("y:Q", scale=scale, axis=None)
    rows = [
        {
            "y": row + 0.2,
            "words": each.name,
            "whole": each.name,
            "lately": f"{_say(each.lately)} lately{'' if each.strength == 'none' else ', ' + each.strength}",
            "colour": colour("ink" if each.strength == "none" else _TINTS[each.strength]),
        }
        for row, each in enumerate(shown)
    ]
    name = parts.mark("text", limit=700 if is_wide else 200, aria=True, **parts.HALO)
    lately = parts.mark("text", align="right", fontWeight=600, **parts.HALO)
    tint = parts.raw(alt.Color, "colour")
    return [
        parts.layer("name", name, rows, x=parts.at(0), y=y, **parts.WORDS),
        parts.layer("lately", lately, rows, x=parts.at("width"), y=y, color=tint, text=alt.Text("lately:N")),
    ]
