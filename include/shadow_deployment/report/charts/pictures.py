"""A picture of the page: what it is called, what it shows in words, its numbers, and how it is drawn at a width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from shadow_deployment.report.charts.palette import Theme, resolved
from shadow_deployment.report.charts.pictures_canvas import Canvas
from shadow_deployment.report.wording import visible

WIDE: Final = 1120
NARROW: Final = 372
SMALL: Final = 400
_SCALE: Final = 2


@dataclass(frozen=True)
class Table:
    """The numbers under a picture: a cell for each heading in each row.

    The first `left` columns and the last `tail` ones are words, what lies between are numbers.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    tail: int = 0


@dataclass(frozen=True)
class Picture:
    """One picture.

    `name` is an identifier, unique on a page. `finding` says in words what is to be seen. `draw` makes the picture at
    a width in pixels; `widths` are those that a page needs, the widest first: one for all screens, or a wide and a
    narrow one. `note` stands below it.
    """

    name: str
    title: str
    finding: str
    draw: Callable[[int], Canvas]
    widths: tuple[int, ...] = (SMALL,)
    table: Table | None = None
    note: str = ""

    def inline(self) -> list[str]:
        """Return the picture as SVG for a page, once for each of its widths."""
        return [
            self.draw(width).svg(f"{self.name}-{width}", visible(self.title), visible(self.finding))
            for width in self.widths
        ]

    def file(self) -> str:
        """Return the picture as an SVG file, for light and dark readers."""
        return self.draw(self.widths[0]).svg(self.name, visible(self.title), visible(self.finding), alone=True)

    def png(self, theme: Theme = "light") -> bytes:
        """Return the picture as a PNG file of two pixels each."""
        from vl_convert import svg_to_png

        return bytes(svg_to_png(resolved(self.file(), theme), scale=_SCALE))
