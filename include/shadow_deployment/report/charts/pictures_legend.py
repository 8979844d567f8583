"""The legend above a picture: one entry for each kind of mark, on as many lines as its width needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shadow_deployment.report.charts.pictures_axes import LETTER, SMALL
from shadow_deployment.report.charts.pictures_canvas import Canvas, Shape
from shadow_deployment.report.wording import shorten, visible

LINE: Final = 19
_SWATCH, _GAP = 26, 18
Kind = Literal["line", "dash", "dots", "band", "box", "shade"] | Shape
_PIXELS: tuple[None, None] = (None, None)


@dataclass(frozen=True)
class Entry:
    """One kind of mark, its colour and what it stands for."""

    kind: Kind
    colour: str
    words: str
    hollow: bool = False

    @property
    def breadth(self) -> float:
        """About how many pixels it takes."""
        return _SWATCH + len(visible(self.words)) * LETTER * SMALL / 13 + _GAP


def arranged(entries: Sequence[Entry], width: float) -> list[list[Entry]]:
    """Return the entries line by line, in their order; one that is longer than a line is shortened."""
    lines: list[list[Entry]] = [[]]
    used = 0.0
    for entry in entries:
        if lines[-1] and used + entry.breadth - _GAP > width:
            lines.append([])
            used = 0.0
        lines[-1].append(_fitting(entry, width))
        used += entry.breadth
    return lines


def _fitting(entry: Entry, width: float) -> Entry:
    most = int((width - _SWATCH) / (LETTER * SMALL / 13))
    return Entry(entry.kind, entry.colour, shorten(visible(entry.words), most), entry.hollow)


def height_of(entries: Sequence[Entry], width: float) -> int:
    """Return how many pixels a legend takes."""
    return LINE * len(arranged(entries, width))


def draw_legend(canvas: Canvas, entries: Sequence[Entry]) -> None:
    """Draw a legend at the top of a canvas, whose upper margin must have room for it."""
    width = canvas.width - 16
    for row, line in enumerate(arranged(entries, width)):
        x, y = 8.0 - canvas.left, row * LINE + 9.5 - canvas.top
        for entry in line:
            _swatch(canvas, entry, x, y)
            canvas.text(x + _SWATCH - 4, y, entry.words, name="legend", fill="muted", size=SMALL, most=200, on=_PIXELS)
            x += entry.breadth


def _swatch(canvas: Canvas, entry: Entry, x: float, y: float) -> None:
    colour = entry.colour
    if entry.kind in {"line", "dash"}:
        dash = (5, 3) if entry.kind == "dash" else ()
        canvas.segments("legend", x, y, x + 18, y, stroke=colour, width=2, dash=dash, on=_PIXELS)
    elif entry.kind in {"band", "box", "shade"}:
        opacity, stroke = (0.25 if entry.kind == "band" else 1.0), ("axis" if entry.kind == "shade" else None)
        canvas.boxes("legend", x, y - 5, x + 18, y + 5, fill=colour, opacity=opacity, stroke=stroke, on=_PIXELS)
    else:
        shape: Shape = "circle" if entry.kind == "dots" else entry.kind  # type: ignore[assignment]
        size = 20 if entry.kind == "dots" else 60
        canvas.points("legend", x + 9, y, fill=colour, shape=shape, size=size, hollow=entry.hollow, on=_PIXELS)
