"""A chart of the page: its title, what it shows in words, its numbers, and its drawing as SVG or PNG."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final
from xml.etree import ElementTree as ET  # nosec B405

from shadow_deployment.report.charts.theme import FONT, Theme, declarations, resolved
from shadow_deployment.report.wording import shorten, visible

WIDE: Final = 1120
NARROW: Final = 372
SMALL: Final = 400
_SCALE: Final = 2
_DRAWING: Final = min(4, os.cpu_count() or 1)
SVG: Final = "http://www.w3.org/2000/svg"
_TITLE: Final = 32
_WHOLE: Final = "aria-label"
_HUNDREDTHS: Final = re.compile(r"(\.\d)\d+(?!\d*e)")  # of a pixel, which nobody sees
_DROPPED: Final = ("role", "aria-roledescription", "aria-hidden", "font-family", "pointer-events", _WHOLE)

Rows = Sequence[Mapping[str, Any]]

ET.register_namespace("", SVG)


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
    those that a page needs: one for all screens, or a wide and a narrow one. `note` stands below the chart. `span` is
    the first and last place on the x axis of a chart whose table has a row for each place, days or numbers: the page's
    script shows the values at the pointer. `drawings` are what `inline` returns, where they were made before.
    """

    name: str
    title: str
    finding: str
    spec: Callable[[int], dict[str, Any]]
    widths: tuple[int, ...] = (SMALL,)
    table: ChartTable | None = None
    note: str = ""
    span: tuple[str, str] | None = None
    drawings: Sequence[str] = ()

    def inline(self) -> Sequence[str]:
        """Return the chart as SVG for a page, once for each of its widths."""
        return self.drawings or [self._svg(width, f"{self.name}-{width}", alone=False) for width in self.widths]

    def file(self) -> str:
        """Return the chart as an SVG file, for light and dark readers."""
        return self._svg(self.widths[0], self.name, alone=True)

    def png(self, colours: Theme = "light") -> bytes:
        """Return the chart as a PNG file, two pixels for each one of the SVG file."""
        from vl_convert import svg_to_png

        return bytes(svg_to_png(resolved(self.file(), colours), scale=_SCALE))

    def _svg(self, width: int, identity: str, *, alone: bool) -> str:
        from altair.utils.schemapi import debug_mode
        from vl_convert import vegalite_to_svg

        with debug_mode(False):  # Altair would check every part as it is made, for longer than it takes to draw
            spec = json.dumps(self.spec(width), allow_nan=False)
        drawn = vegalite_to_svg(spec, allowed_base_urls=[])
        finished = _finished(drawn, identity, visible(self.title), visible(self.finding), alone=alone)
        if alone or self.span is None:
            return finished
        return finished.replace("<svg ", '<svg data-from="{}" data-to="{}" '.format(*self.span), 1)


def drawn_at_once(catalog: Mapping[str, Sequence[Chart]]) -> dict[str, list[Chart]]:
    """Return the charts of each section with their drawings, made on several cores: Vega lets Python go on."""
    from altair.utils.schemapi import debug_mode

    def drawn(chart: Chart) -> Chart:
        return replace(chart, drawings=tuple(chart.inline()))

    with debug_mode(False), ThreadPoolExecutor(_DRAWING) as pool:  # around all: leaving it in one thread is for all
        begun = {section: [pool.submit(drawn, chart) for chart in charts] for section, charts in catalog.items()}
        return {section: [chart.result() for chart in charts] for section, charts in begun.items()}


def _finished(drawn: str, identity: str, title: str, description: str, *, alone: bool) -> str:
    """Return a chart as SVG that says what it shows to those who cannot see it.

    Args:
        drawn: Vega's SVG.
        identity: Begins every id, so that charts can share a page.
        title: The chart's name; written above it where it stands `alone`.
        description: What it shows, in words.
        alone: As a file, with its colours, ground and title; else as part of a page.
    """
    root = ET.fromstring(drawn)  # noqa: S314 (Vega wrote it, a moment ago)  # nosec B314
    width, height = (int(root.get(side, "0")) for side in ("width", "height"))
    marks = [child for child in root if child.tag != _tag("rect")]
    _own(root, identity)
    height += _TITLE if alone else 0
    head = {"class": "chart", "viewBox": f"0 0 {width} {height}", "role": "img", "font-family": FONT}
    head |= {"width": str(width), "height": str(height)} if alone else {}
    chart = ET.Element(_tag("svg"), head | {"aria-labelledby": f"{identity}-title {identity}-desc"})
    _add(chart, "title", title, id=f"{identity}-title")
    _add(chart, "desc", description, id=f"{identity}-desc")
    if alone:
        _add(chart, "style", declarations("svg"))
        _add(chart, "rect", width=str(width), height=str(height), fill="var(--ground)")
        shown = {"class": "title", "x": "8", "y": "20", "font-size": "15", "font-weight": "600", "fill": "var(--ink)"}
        _add(chart, "text", shorten(title, width // 9), **shown)
    body = _add(chart, "g", transform=f"translate(0,{_TITLE})") if alone else chart
    body.extend(marks)
    return ET.tostring(chart, encoding="unicode")


def _own(root: ET.Element, identity: str) -> None:
    """Give a chart ids of its own, and a text that Vega cut off its whole as title; drop what a page does not need."""
    ids: dict[str, str] = {}  # Vega counts them through all charts that it ever drew
    for node in list(root.iter()):
        lines = [node, *node] if node.tag == _tag("text") else []
        if lines and (lines[-1].text or "").endswith("…"):
            _add(node, "title", node.get(_WHOLE, ""))
        if lines and "stroke" in node.attrib:
            node.set("paint-order", "stroke")
        for name in _DROPPED:
            node.attrib.pop(name, None)
        if "d" in node.attrib:
            node.set("d", _HUNDREDTHS.sub(r"\1", node.attrib["d"]))
        if "id" in node.attrib:
            node.set("id", _renamed(node.attrib["id"], ids, identity))
        if "clip-path" in node.attrib:
            clip = node.attrib["clip-path"].removeprefix("url(#").removesuffix(")")
            node.set("clip-path", f"url(#{_renamed(clip, ids, identity)})")


def _renamed(name: str, ids: dict[str, str], identity: str) -> str:
    return ids.setdefault(name, f"{identity}-{len(ids)}")


def _add(parent: ET.Element, tag: str, words: str | None = None, /, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, _tag(tag), attributes)
    child.text = words
    return child


def _tag(name: str) -> str:
    return f"{{{SVG}}}{name}"
