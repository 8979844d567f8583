"""An interval on the scale x of a canvas, as pictures of rules and slices draw it."""

from shadow_deployment.report.charts.pictures_axes import SMALL
from shadow_deployment.report.charts.pictures_canvas import Align, Canvas


def draw_interval(
    canvas: Canvas,
    lower: float | None,
    upper: float | None,
    ends: tuple[float, float],
    y: float,
    colour: str,
    *,
    width: float,
) -> None:
    """Draw an interval; a side that is open, or lies beyond the ends, ends in an arrow head."""
    _end(canvas, lower if lower is not None and lower > ends[0] else None, ends[0], y, colour, "left")
    _end(canvas, upper if upper is not None and upper < ends[1] else None, ends[1], y, colour, "right")
    start = ends[0] if lower is None else max(lower, ends[0])
    end = ends[1] if upper is None else min(upper, ends[1])
    canvas.segments("interval", start, y, end, y, stroke=colour, width=width, on=("x", None))


def _end(canvas: Canvas, value: float | None, outermost: float, y: float, colour: str, side: Align) -> None:
    if value is None:
        words = "◀" if side == "left" else "▶"
        canvas.text(outermost, y, words, name="open_end", fill=colour, size=SMALL, align=side, on=("x", None))
    else:
        canvas.segments("cap", value, y - 5, value, y + 5, stroke=colour, width=2, on=("x", None))
