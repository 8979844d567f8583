"""Rows of intervals on one scale, as the charts of rules and of slices draw them."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import Rows


def ends(lower: float | None, upper: float | None, reach: parts.Reach) -> Mapping[str, Any]:
    """Return where an interval is drawn and the shapes of its ends: an arrow where a side is open or out of reach."""
    low, high = reach
    start = low if lower is None else max(lower, low)
    end = high if upper is None else min(upper, high)
    shapes = {
        "left": "triangle-left" if start == low else "M0,-1V1",
        "right": "triangle-right" if end == high else "M0,-1V1",
    }
    return shapes | ({"start": None, "end": None} if lower is None and upper is None else {"start": start, "end": end})


def layers(rows: Rows, x: parts.Channel, y: Any, *, thickness: float, size: int) -> list[parts.Layer]:
    """Return the layers of intervals and estimates, in the colour and shape of each row."""
    tint = {"fill": parts.raw(alt.Fill, "colour"), "stroke": parts.raw(alt.Stroke, "colour"), "y": y}
    shape, fill = parts.raw(alt.Shape, "shape"), parts.raw(alt.Fill, "fill")
    line, end, estimate = (
        parts.mark("rule", strokeWidth=thickness),
        parts.mark("point", size=90),
        parts.mark("point", size=size),
    )
    return [
        parts.layer("interval", line, rows, x=x("start"), x2=alt.X2("end"), y=y, color=parts.raw(alt.Color, "colour")),
        parts.layer("left", end, rows, x=x("start"), shape=parts.raw(alt.Shape, "left"), **tint),
        parts.layer("right", end, rows, x=x("end"), shape=parts.raw(alt.Shape, "right"), **tint),
        parts.layer("estimate", estimate, rows, x=x("estimate"), shape=shape, **(tint | {"fill": fill})),
    ]
