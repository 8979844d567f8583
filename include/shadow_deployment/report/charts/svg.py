"""What Vega has drawn, made ready for a page or a file: named, described, with ids of its own."""

from typing import Final
from xml.etree import ElementTree as ET  # nosec B405

from shadow_deployment.report.charts.theme import FONT, declarations
from shadow_deployment.report.wording import shorten

SVG: Final = "http://www.w3.org/2000/svg"
_TITLE: Final = 32
_WHOLE: Final = "aria-label"
_DROPPED: Final = ("role", "aria-roledescription", "aria-hidden", "font-family", "pointer-events", _WHOLE)

ET.register_namespace("", SVG)


def finished(drawn: str, identity: str, title: str, description: str, *, alone: bool) -> str:
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
