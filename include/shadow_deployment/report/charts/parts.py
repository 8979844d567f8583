"""What charts are made of: rows, layers of marks, axes, a legend and a caption."""

import datetime as dt
import json
import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from shadow_deployment.report.charts.chart import Rows
from shadow_deployment.report.charts.theme import CONFIG, colour
from shadow_deployment.report.wording import Measure, visible

DAY: Final = 86_400_000  # milliseconds, which scales of time count in
DASH: Final = (6, 4)
LINE: Final = 16  # pixels from one line of text to the next
TEXT: Final = alt.Text("words:N")
# What a text says, perhaps shortened, and the whole of it, which a reader sees on hover.
WORDS: Final = {"text": TEXT, "description": alt.Description("whole:N")}
HALO: Final[dict[str, Any]] = {"stroke": colour("ground"), "strokeWidth": 4, "strokeJoin": "round"}  # around a text
_LETTER: Final = 6.9  # pixels of an average small letter in a wide font, which some readers have
_ENTRY: Final = 17  # pixels of a line of the legend
_EXTENT: Final = 36  # pixels of an axis's labels, at least
_LARGEST: Final = sys.float_info.max / 1e8  # beyond it, differences overflow
_SYMBOLS: Final = {
    "line": "M-1.7,0H1.7",
    "box": "M-1.6,-.9H1.6V.9H-1.6Z",
    "dots": "M.4,0A.4,.4,0,1,1,-.4,0A.4,.4,0,1,1,.4,0Z",
}

Channel = Callable[[str], Any]
Reach = tuple[float, float]
Layer = tuple[alt.UnitSpec, Rows]


@dataclass(frozen=True)
class Entry:
    """A legend's entry: a mark, its colour and what it stands for.

    `mark` is "line", "box", "dots" or a symbol that Vega knows by name; a `dash` is of pixels drawn and left out.
    """

    mark: str
    colour: str
    words: str
    hollow: bool = False
    dash: Sequence[int] = (1, 0)


def layer(name: str, mark: alt.MarkDef, rows: Rows, **channels: Any) -> Layer:
    """Return marks that are called `name` in the SVG, one for each row or one through all, and the rows."""
    return alt.UnitSpec(name=name, mark=mark, encoding=alt.Encoding(**channels)), rows


def rows(**columns: Any) -> Rows:
    """Return columns as rows; a column that is one value holds for every row."""
    length = max((len(column) for column in columns.values() if isinstance(column, list | tuple)), default=1)
    even = [column if isinstance(column, list | tuple) else [column] * length for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*even, strict=True)]


def dots(name: str, size: float, tint: str, points: Rows, x: Any, y: Any, *, opacity: float = 1.0, gap: str) -> Layer:
    """Return a layer of many equal dots: a line with round ends and a gap in one field after each row, so one path."""
    dot = mark("line", tint, strokeCap="round", strokeWidth=size, opacity=opacity, clip=True)
    broken = [row for point in points for row in (point, {**point, gap: None})]
    return layer(name, dot, broken, x=x, y=y, order=at(0))


def mark(kind: Any, tint: str | None = None, /, **style: Any) -> alt.MarkDef:
    """Return a kind of mark, in a colour of the palette where one is named."""
    return alt.MarkDef(kind, **(style if tint is None else {"color": colour(tint), **style}))


def at(value: float | str) -> dict[str, Any]:
    """Return a channel that has one value: a number or an expression."""
    return {"value": {"expr": value} if isinstance(value, str) else value}


def rule(tint: str = "ink", width: float = 1.5, dash: Sequence[int] = DASH) -> alt.MarkDef:
    """Return the mark of a straight line: of a bound, by default."""
    return mark("rule", tint, strokeWidth=width, strokeDash=list(dash))


def small(**style: Any) -> alt.MarkDef:
    """Return the mark of text that explains other marks."""
    return mark("text", **{"color": colour("muted"), "fontSize": 12, **style})


def raw(channel: type[Any], field: str) -> Any:
    """Return a channel that takes a field's values as they are."""
    return channel(f"{field}:N", scale=None)


def interval_ends(lower: float | None, upper: float | None, span: Reach) -> Mapping[str, Any]:
    """Return where an interval is drawn and the shapes of its ends: an arrow where a side is open or out of reach."""
    low, high = span
    start = low if lower is None else max(lower, low)
    end = high if upper is None else min(upper, high)
    shapes = {
        "left": "triangle-left" if start == low else "M0,-1V1",
        "right": "triangle-right" if end == high else "M0,-1V1",
    }
    return shapes | ({"start": None, "end": None} if lower is None and upper is None else {"start": start, "end": end})


def interval_layers(data: Rows, x: Channel, y: Any, *, thickness: float, size: int) -> list[Layer]:
    """Return the layers of intervals and estimates, in the colour and shape of each row."""
    tint = {"fill": raw(alt.Fill, "colour"), "stroke": raw(alt.Stroke, "colour"), "y": y}
    shape, fill = raw(alt.Shape, "shape"), raw(alt.Fill, "fill")
    line, end, estimate = (
        mark("rule", strokeWidth=thickness),
        mark("point", size=90),
        mark("point", size=size),
    )
    return [
        layer("interval", line, data, x=x("start"), x2=alt.X2("end"), y=y, color=raw(alt.Color, "colour")),
        layer("left", end, data, x=x("start"), shape=raw(alt.Shape, "left"), **tint),
        layer("right", end, data, x=x("end"), shape=raw(alt.Shape, "right"), **tint),
        layer("estimate", estimate, data, x=x("estimate"), shape=shape, **(tint | {"fill": fill})),
    ]


def milliseconds(day: dt.date) -> int:
    """Return a day's beginning in UTC as milliseconds."""
    return (day - dt.date(1970, 1, 1)).days * DAY


def reach(values: Iterable[float | None], margin: float = 0.06) -> Reach:
    """Return the lowest and highest of values with a margin, -1 and 1 for none; never of no width."""
    known = [min(max(value, -_LARGEST), _LARGEST) for value in values if value is not None]
    if not known:
        return -1.0, 1.0
    low, high = min(known), max(known)
    width = max(high - low or abs(high) or 1.0, 1e-300)  # a share of less can be zero
    return low - margin * width, high + margin * width


def ends(x: Channel, first: float, last: float) -> Layer:
    """Return a layer that is not seen: where the first and last place of a chart's table lie, for the page's script."""
    return layer("span", mark("rule", "ink", opacity=0), rows(at=[first, last]), x=x("at"))


def days_ends(x: Channel, days: Sequence[dt.date]) -> Layer:
    """Return that layer of days in order."""
    return ends(x, milliseconds(days[0]), milliseconds(days[-1]))


def day_axis(first: dt.date, last: dt.date, width: int, *, grid: bool = False) -> Channel:
    """Return the x channel of a field of days; half a day is left free on both sides."""
    length = (last - first).days + 1
    day = "" if length > 150 else "%-d\N{NO-BREAK SPACE}"
    is_new = "datum.index === 0 || (utcmonth(datum.value) === 0 && utcdate(datum.value) === 1)"
    axis = alt.Axis(
        grid=grid,
        ticks=True,
        tickCount=min(max(width // 90, 4), length),
        labelExpr=f"utcFormat(datum.value, {is_new} ? '{day}%b\N{NO-BREAK SPACE}%Y' : '{day}%b')",
    )
    domain = [milliseconds(first) - DAY / 2, milliseconds(last) + DAY / 2]
    return lambda field: alt.X(f"{field}:T", scale=alt.Scale(type="utc", domain=domain, nice=False), axis=axis)


def value_axis(
    channel: type[alt.X] | type[alt.Y],
    reach: Reach,
    measure: Measure,
    *,
    signed: bool = False,
    count: int = 6,
    title: str = "",
) -> Channel:
    """Return the x or y channel of a field of values, whose labels are written as their measure is.

    `title` stands below an x axis; what a y axis shows is the chart's caption, which needs no head to be turned.
    """
    is_percent = measure.factor == 100
    label = "slice(datum.label, 0, -1)" if is_percent else "datum.label"
    label = f"(length(datum.label) < 12 ? {label} : format(datum.value * {measure.factor}, '~g'))"
    plus = "(datum.value > 0 ? '+' : '') + " if signed else ""
    label = f"{plus}{label} + {json.dumps(measure.suffix)}"
    form, extent = "%" if is_percent else alt.Undefined, _EXTENT if channel is alt.Y else 0
    axis = alt.Axis(grid=True, tickCount=count, format=form, labelExpr=label, minExtent=extent, title=title or None)
    return lambda field: channel(f"{field}:Q", scale=alt.Scale(domain=list(reach), nice=False, zero=False), axis=axis)


def log_axis(values: Sequence[float]) -> Channel:
    """Return the y channel of a field of positive values, on a logarithmic scale with a few round labels."""
    low, high = (min(values) / 1.15, max(values) * 1.15) if values else (0.1, 10.0)
    powers = [value for power in range(-12, 13) for value in (10.0**power, 3 * 10.0**power) if low <= value <= high]
    few = powers if len(powers) > 2 else alt.Undefined
    axis = alt.Axis(grid=True, values=few, minExtent=_EXTENT, labelExpr="format(datum.value, '~r')")
    return lambda field: alt.Y(f"{field}:Q", scale=alt.Scale(type="log", domain=[low, high], nice=False), axis=axis)


def row_axis(position: float = 0.5) -> alt.Y:
    """Return the y channel of rows below each other; `position` is a share of a row's height."""
    return alt.Y("row:O", axis=None, scale=alt.Scale(padding=0), bandPosition=position)


def wrapped(text: str, width: float, lines: int = 2) -> list[str]:
    """Return text on at most so many lines of a width in pixels."""
    most = max(int(width / _LETTER), 4)
    return textwrap.wrap(visible(text), most, max_lines=lines, placeholder="…") or [""]


def framed(
    width: int,
    height: int | alt.Step,
    layers: Sequence[Layer],
    *,
    legend: Sequence[Entry] = (),
    caption: str = "",
    left: int = _EXTENT + 6,
    head: int = 0,
) -> dict[str, Any]:
    """Return the specification of layers with a legend and a caption above them.

    Args:
        width: Of the whole chart, in pixels.
        height: Of the whole chart, in pixels, or of one of its rows.
        layers: In the order in which they are drawn.
        legend: The legend's entries.
        caption: What the axes show, from outside.
        left: How many pixels lie between the chart's edge and the layers.
        head: How many pixels the layers themselves need above them.
    """
    lines = wrapped(caption, width - 16) if caption else []
    bottom, every = -head - LINE * len(lines) - 8, [*layers]
    if lines:
        text = small(baseline="top", lineHeight=LINE, aria=True)
        words = [{"words": lines, "whole": caption}]
        every.append(layer("caption", text, words, x=at(-left), y=at(bottom), **WORDS))
    if legend:
        every.append(_legend(legend, width - 16, -left, bottom - 4))
    # Rows go beside the layers, by name: Altair would copy them with every layer.
    names = {id(rows): f"rows-{number}" for number, (_, rows) in enumerate(every)}
    for marks, rows in every:
        marks.data = alt.NamedData(name=names[id(rows)])
    spec = alt.LayerSpec(layer=[marks for marks, _ in every], height=height).to_dict(validate=False)
    datasets = {names[id(rows)]: [_shown(row) for row in rows] for _, rows in every}
    fit = {"type": "fit" if isinstance(height, int) else "fit-x", "contains": "padding"}
    return spec | {"width": width, "autosize": fit, "padding": 8, "config": CONFIG, "datasets": datasets}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without characters that act unseen."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in row.items()}


def _legend(entries: Sequence[Entry], width: int, left: int, bottom: int) -> Layer:
    """Return a layer whose scales give Altair a legend with a symbol for each kind of mark.

    It draws nothing but a point of no size, where the legend begins: so there is room for it.
    """
    breadths = [len(entry.words) * _LETTER + 40 for entry in entries]
    columns = len(entries) if sum(breadths) < width else max(int(width / max(breadths)), 1)
    top = bottom - _ENTRY * math.ceil(len(entries) / columns)
    legend = alt.Legend(orient="none", legendX=left, legendY=top, columns=columns, labelLimit=width - 40)
    words = [entry.words for entry in entries]

    def of(channel: type[Any], values: list[Any]) -> Any:
        return channel("entry:N", scale=alt.Scale(domain=words, range=values), legend=legend)

    return layer(
        "legend",
        mark("point", size=0),
        rows(entry=words),
        x=at(left),
        y=at(top),
        shape=of(alt.Shape, [_SYMBOLS.get(entry.mark, entry.mark) for entry in entries]),
        fill=of(alt.Fill, [colour("ground" if entry.hollow else entry.colour) for entry in entries]),
        stroke=of(alt.Stroke, [colour("axis" if entry.colour == "shade" else entry.colour) for entry in entries]),
        strokeDash=of(alt.StrokeDash, [list(entry.dash) for entry in entries]),
    )
