"""A finished chart read back: its marks by layer, where they lie, and what is written where."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from xml.etree import ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"
BASELINE = 4.0  # from the middle of a small text to its line
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TRANSLATE = re.compile(r"translate\(([-\d.e]+),([-\d.e]+)\)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_GROUP = re.compile(r"mark-\w+ role-([\w-]+)(?: (\w+)_marks)?")


@dataclass(frozen=True)
class Mark:
    """One element, where its own origin lies in the chart, and its layer: of axes and legends, what they call it."""

    element: ET.Element
    x: float
    y: float
    layer: str

    @property
    def tag(self) -> str:
        return self.element.tag.removeprefix(SVG)

    @property
    def words(self) -> str:
        """What is written, its lines joined; the title of a shortened text is not."""
        lines = [self.element.text, *(line.text for line in self.element.findall(f"{SVG}tspan"))]
        return " ".join(line for line in lines if line)

    @property
    def whole(self) -> str:
        return self.element.findtext(f"{SVG}title") or self.words

    @property
    def colour(self) -> str:
        painted = [self.element.get(name) for name in ("fill", "stroke")]
        return next(value for value in painted if value and value != "none").removeprefix("var(--").removesuffix(")")

    @property
    def points(self) -> list[tuple[float, float]]:
        """The corners of a path of absolute lines, in the chart's pixels."""
        numbers = [float(number) for number in _NUMBER.findall(self.element.get("d", ""))]
        return [(self.x + a, self.y + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]

    @property
    def box(self) -> tuple[float, float]:
        """Width and height of a rectangle."""
        width, height = re.findall(r"[hv](-?[\d.]+)", self.element.get("d", ""))[:2]
        return float(width), float(height)

    @property
    def start(self) -> tuple[float, float]:
        """Where a rectangle begins: its path carries it, or its transform."""
        x, y = _NUMBER.findall(self.element.get("d", ""))[:2]
        return self.x + float(x), self.y + float(y)

    @property
    def end(self) -> tuple[float, float]:
        """Where a straight line ends."""
        return self.x + float(self.element.get("x2", "0")), self.y + float(self.element.get("y2", "0"))


class Drawing:
    """A chart as SVG."""

    def __init__(self, svg: str) -> None:
        self.svg = svg
        self.root = ET.fromstring(svg)

    @cached_property
    def marks(self) -> list[Mark]:
        return list(_marks(self.root, 0.0, 0.0, ""))

    def layer(self, name: str) -> list[Mark]:
        return [mark for mark in self.marks if mark.layer == name]

    def the(self, name: str) -> Mark:
        (mark,) = self.layer(name)
        return mark

    @property
    def texts(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.tag == "text"]

    @property
    def words(self) -> list[str]:
        return [text.words for text in self.texts]

    @property
    def legend(self) -> list[str]:
        return [text.words for text in self.layer("legend-label")]

    def described(self) -> tuple[str, str]:
        return self.root.findtext(f"{SVG}title") or "", self.root.findtext(f"{SVG}desc") or ""

    def value_at(self, y: float) -> float:
        """Return which value lies at a height, by what is written on the left axis."""
        ticks = [
            (text.y - BASELINE, _number(text.words))
            for text in self.layer("axis-label")
            if text.element.get("text-anchor") == "end"
        ]
        (y1, v1), *_, (y2, v2) = sorted((y, value) for y, value in ticks if value is not None)
        return v1 + (y - y1) * (v2 - v1) / (y2 - y1)

    def day_at(self, x: float) -> dt.date:
        """Return which day lies at a place, by the days that are written below; they must be of one year."""
        labels = self.layer("axis-label")
        texts = [text for text in labels if text.element.get("text-anchor") == "middle" and text.words]
        (x1, first), *_, (x2, last) = [(text.x, text.words.split("\xa0")) for text in texts]
        year = int(first.pop())
        d1, d2 = (
            dt.date(year, MONTHS.index(words[-1]) + 1, int(words[0]) if len(words) > 1 else 1)
            for words in (first, last)
        )
        return d1 + dt.timedelta(days=round((x - x1) * (d2 - d1).days / (x2 - x1)))


def _number(words: str) -> float | None:
    try:
        return float(words.replace("\N{MINUS SIGN}", "-").replace(",", "").replace("\xa0%", ""))
    except ValueError:
        return None


def _marks(element: ET.Element, x: float, y: float, layer: str) -> Iterator[Mark]:
    for offset in _TRANSLATE.findall(element.get("transform", "")):
        x, y = x + float(offset[0]), y + float(offset[1])
    if group := _GROUP.match(element.get("class", "")):
        layer = group[2] or group[1]
    if element.get("class") in {"background", "foreground"}:
        return
    if element.tag.removeprefix(SVG) in {"path", "line", "text", "rect"}:
        yield Mark(element, x, y, layer)
    for child in element:
        if child.tag.removeprefix(SVG) not in {"defs", "style"}:
            yield from _marks(child, x, y, layer)
