"""A chart of the page: its title, what it shows in words, its numbers, and its drawing as SVG or PNG."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shadow_deployment.report.charts import theme
from shadow_deployment.report.charts.svg import finished
from shadow_deployment.report.wording import visible

WIDE: Final = 1120
NARROW: Final = 372
SMALL: Final = 400
_SCALE: Final = 2

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ChartTable:
    """The numbers under a chart: a cell for each heading in each row.

    The first `left` columns and the last `tail` columns are words; the columns between them are numbers.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    tail: int = 0


@dataclass(frozen=True)
class Chart:
    """One chart.

    `name` is an identifier, unique on a page. `finding` says in words what the chart shows. `spec` returns the chart at
    a width in pixels as a Vega-Lite specification, in whose `datasets` alone text from outside may occur. `widths` are
    those that a page needs: one for all screens, or a wide and a narrow one. `note` stands below the chart.
    """

    name: str
    title: str
    finding: str
    spec: Callable[[int], dict[str, Any]]
    widths: tuple[int, ...] = (SMALL,)
    table: ChartTable | None = None
    note: str = ""

    def inline(self) -> list[str]:
        """Return the chart as SVG for a page, once for each of its widths."""
        return [self._svg(width, f"{self.name}-{width}", alone=False) for width in self.widths]

    def file(self) -> str:
        """Return the chart as an SVG file, for light and dark readers."""
        return self._svg(self.widths[0], self.name, alone=True)

    def png(self, colours: theme.Theme = "light") -> bytes:
        """Return the chart as a PNG file, two pixels for each one of the SVG file."""
        from vl_convert import svg_to_png

        return bytes(svg_to_png(theme.resolved(self.file(), colours), scale=_SCALE))

    def _svg(self, width: int, identity: str, *, alone: bool) -> str:
        from altair.utils.schemapi import debug_mode
        from vl_convert import vegalite_to_svg

        with debug_mode(False):  # Altair would check every part as it is made, for longer than it takes to draw
            spec = json.dumps(self.spec(width), allow_nan=False)
        drawn = vegalite_to_svg(spec, allowed_base_urls=[])
        return finished(drawn, identity, visible(self.title), visible(self.finding), alone=alone)
