"""A finished picture read back: its marks by name, where they lie, and what is written where."""

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


@dataclass(frozen=True)
class Mark:
    """One element, where its own origin lies in the picture, and the name of its group."""

    element: ET.Element
    x: float
    y: float
    group: str

    @property
    def tag(self) -> str:
        return self.element.tag.removeprefix(SVG)

    @property
    def words(self) -> str:
        """What is written; the title of a shortened text is not."""
        return self.element.text or ""

    @property
    def whole(self) -> str:
        title = self.element.find(f"{SVG}title")
        return self.words if title is None else title.text or ""

    @property
    def colour(self) -> str:
        found = self.element.get("fill") or self.element.get("stroke") or ""
        return found.removeprefix("var(--").removesuffix(")")

    @property
    def points(self) -> list[tuple[float, float]]:
        """The corners of a path of absolute lines, in the picture's pixels."""
        numbers = [float(one) for one in _NUMBER.findall(self.element.get("d", ""))]
        return [(self.x + a, self.y + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]


class Drawing:
    """A picture as SVG."""

    def __init__(self, svg: str) -> None:
        self.svg = svg
        self.root = ET.fromstring(svg)

    @cached_property
    def marks(self) -> list[Mark]:
        return list(_marks(self.root, 0.0, 0.0, ""))

    def named(self, name: str) -> list[Mark]:
        return [one for one in self.marks if one.group == name]

    def the(self, name: str) -> Mark:
        (found,) = self.named(name)
        return found

    @property
    def texts(self) -> list[Mark]:
        return [one for one in self.marks if one.tag == "text"]

    @property
    def words(self) -> list[str]:
        return [one.words for one in self.texts]

    def text(self, words: str) -> Mark:
        (found,) = [one for one in self.texts if one.words == words]
        return found

    def described(self) -> tuple[str, str]:
        return self.root.findtext(f"{SVG}title") or "", self.root.findtext(f"{SVG}desc") or ""

    def value_at(self, y: float) -> float:
        """Return which value lies at a height, by what is written on the left axis."""
        ticks = [
            (one.y - BASELINE, _number(one.words)) for one in self.texts if one.element.get("text-anchor") == "end"
        ]
        (y1, v1), *_, (y2, v2) = sorted((y, value) for y, value in ticks if value is not None)
        return v1 + (y - y1) * (v2 - v1) / (y2 - y1)

    def day_at(self, x: float) -> dt.date:
        """Return which day lies at a place, by the days that are written below; they must be of one year."""
        texts = [one for one in self.texts if one.element.get("text-anchor") == "middle"]
        (x1, first), *_, (x2, last) = [(one.x, one.words.split("\xa0")) for one in texts]
        year = int(first.pop())
        d1, d2 = (dt.date(year, MONTHS.index(one[-1]) + 1, int(one[0]) if len(one) > 1 else 1) for one in (first, last))
        return d1 + dt.timedelta(days=round((x - x1) * (d2 - d1).days / (x2 - x1)))


def _number(words: str) -> float | None:
    try:
        return float(words.replace("\N{MINUS SIGN}", "-").replace(",", "").replace("\xa0%", ""))
    except ValueError:
        return None


def _marks(element: ET.Element, x: float, y: float, group: str) -> Iterator[Mark]:
    for found in _TRANSLATE.findall(element.get("transform", "")):
        x, y = x + float(found[0]), y + float(found[1])
    group = element.get("class") or group
    tag = element.tag.removeprefix(SVG)
    if tag in {"path", "line", "text", "rect"}:
        yield Mark(element, x, y, group)
    for child in element:
        if child.tag.removeprefix(SVG) not in {"defs", "style"}:
            yield from _marks(child, x, y, group if group != "picture" else "")
