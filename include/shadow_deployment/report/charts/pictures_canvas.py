"""A picture in the making: scales and marks that Vega draws as SVG, here and without a network.

Vega gets the geometry and no text. Measuring a text costs it up to 8 ms and moves nothing in a picture whose places
are given, and a name that is not in the specification cannot act there. So a text is an empty mark that carries its
number, and its words are written into the finished picture, escaped.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shadow_deployment.report.charts.pictures_finish import Frame, finished
from shadow_deployment.report.wording import shorten, visible

Value = float | int | None
Column = Sequence[Value] | float
Scales = tuple[str | None, str | None]
Align = Literal["left", "center", "right"]
Shape = Literal["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "stroke"]


@dataclass(frozen=True)
class _Words:
    shown: str
    whole: str

    @property
    def markup(self) -> str:
        """The words as SVG, with the whole of them as title where they were shortened."""
        title = f"<title>{html.escape(self.whole)}</title>" if self.shown.endswith("…") else ""
        return html.escape(self.shown) + title


@dataclass
class Canvas:
    """An area of `width` by `height` pixels with margins around it; the marks inside are drawn in their order.

    Marks that look alike become one, at the place of the first; texts lie above all others. A mark's columns are
    numbers on the scales named by `on`, by default "x" and "y", or pixels from the left upper corner of the inner area
    where a scale is None. A column that is one number holds for all entries. Colours are names of the palette.
    """

    width: int
    height: int
    left: int = 8
    right: int = 8
    top: int = 8
    bottom: int = 8
    _scales: list[dict[str, Any]] = field(default_factory=list)
    _axes: list[dict[str, Any]] = field(default_factory=list)
    _data: list[dict[str, Any]] = field(default_factory=list)
    _marks: list[dict[str, Any]] = field(default_factory=list)
    _words: list[_Words] = field(default_factory=list)
    _alike: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def inner_width(self) -> int:
        """The width between the margins."""
        return self.width - self.left - self.right

    @property
    def inner_height(self) -> int:
        """The height between the margins."""
        return self.height - self.top - self.bottom

    def scale(
        self,
        name: str,
        low: float,
        high: float,
        *,
        kind: Literal["linear", "log", "utc"] = "linear",
        span: tuple[float, float] | None = None,
    ) -> None:
        """Add a scale from numbers to pixels: over the whole width if its name begins with x, else the height."""
        whole = (0, self.inner_width) if name.startswith("x") else (self.inner_height, 0)
        self._scales.append({"name": name, "type": kind, "domain": [low, high], "range": list(span or whole)})

    def pixel(self, name: str | None, value: float) -> float:
        """Return where a value lies on a scale that is there, in pixels; the value itself for None."""
        if name is None:
            return value
        scale = next(one for one in self._scales if one["name"] == name)
        low, high = scale["domain"]
        start, end = scale["range"]
        if scale["type"] == "log":
            low, high, value = math.log(low), math.log(high), math.log(value)
        return float(start + (end - start) * (value - low) / (high - low))

    def grid(self, scale: str, values: Sequence[float], *, colour: str = "grid") -> None:
        """Draw a thin line across the inner area at each value."""
        orient = "bottom" if scale.startswith("x") else "left"
        off = {"labels": False, "ticks": False, "domain": False, "aria": False}
        line = {"grid": True, "gridColor": f"var(--{colour})", "values": list(values), "zindex": 0}
        self._axes.append({"scale": scale, "orient": orient} | off | line)

    def area(
        self, name: str, x: Column, low: Column, high: Column, *, fill: str, opacity: float = 1.0, step: bool = False
    ) -> None:
        """Fill between two columns; entries with None are gaps."""
        self._add(
            "area",
            name,
            {"x": ("x", x), "y": ("y", low), "y2": ("y", high)},
            {"fill": f"var(--{fill})", "fillOpacity": opacity} | _steps(step),
            gaps=True,
        )

    def line(
        self,
        name: str,
        x: Column,
        y: Column,
        *,
        stroke: str,
        width: float = 2.0,
        dash: Sequence[int] = (),
        step: bool = False,
        on: Scales = ("x", "y"),
    ) -> None:
        """Draw a line through points; entries with None are gaps."""
        drawn = {"stroke": f"var(--{stroke})", "strokeWidth": width, "strokeJoin": "round", **_steps(step)}
        if dash:
            drawn["strokeDash"] = list(dash)
        self._add("line", name, {"x": (on[0], x), "y": (on[1], y)}, drawn, gaps=True)

    def dots(
        self,
        name: str,
        x: Sequence[Value],
        y: Column,
        *,
        stroke: str,
        size: float = 4.0,
        opacity: float = 1.0,
        on: Scales = ("x", "y"),
    ) -> None:
        """Draw many equal dots as one path: each is a line of no length with round ends. None is no dot."""
        heights = y if isinstance(y, Sequence) else [y] * len(x)
        known = [(a, b) for a, b in zip(x, heights, strict=True) if a is not None and b is not None]
        path = "".join(f"M{self.pixel(on[0], a):.1f},{self.pixel(on[1], b):.1f}Z" for a, b in known)
        drawn = {"stroke": f"var(--{stroke})", "strokeWidth": size, "strokeCap": "round", "strokeOpacity": opacity}
        self._add("path", name, {"x": (None, 0), "y": (None, 0)}, drawn | {"path": path}, clip=True)

    def points(
        self,
        name: str,
        x: Column,
        y: Column,
        *,
        fill: str,
        shape: Shape = "circle",
        size: float = 60.0,
        hollow: bool = False,
        on: Scales = ("x", "y"),
    ) -> None:
        """Draw a symbol at each entry; `size` is its area in square pixels."""
        colour = f"var(--{fill})"
        drawn: dict[str, Any] = {"shape": shape, "size": size, "fill": "var(--ground)" if hollow else colour}
        if hollow or shape == "stroke":
            drawn |= {"stroke": colour, "strokeWidth": 2}
        self._add("symbol", name, {"x": (on[0], x), "y": (on[1], y)}, drawn)

    def segments(
        self,
        name: str,
        x: Column,
        y: Column,
        x2: Column,
        y2: Column,
        *,
        stroke: str,
        width: float = 1.5,
        dash: Sequence[int] = (),
        on: Scales = ("x", "y"),
    ) -> None:
        """Draw a straight line for each entry."""
        drawn: dict[str, Any] = {"stroke": f"var(--{stroke})", "strokeWidth": width}
        if dash:
            drawn["strokeDash"] = list(dash)
        self._add("rule", name, {"x": (on[0], x), "y": (on[1], y), "x2": (on[0], x2), "y2": (on[1], y2)}, drawn)

    def boxes(
        self,
        name: str,
        x: Column,
        y: Column,
        x2: Column,
        y2: Column,
        *,
        fill: str,
        opacity: float = 1.0,
        stroke: str | None = None,
        on: Scales = ("x", "y"),
    ) -> None:
        """Draw a rectangle between two corners for each entry."""
        drawn: dict[str, Any] = {"fill": f"var(--{fill})", "fillOpacity": opacity}
        if stroke:
            drawn |= {"stroke": f"var(--{stroke})", "strokeWidth": 1}
        self._add("rect", name, {"x": (on[0], x), "y": (on[1], y), "x2": (on[0], x2), "y2": (on[1], y2)}, drawn)

    def text(
        self,
        x: Column,
        y: Column,
        words: str | Sequence[str],
        *,
        name: str = "text",
        fill: str = "ink",
        size: int = 13,
        align: Align = "left",
        weight: int = 400,
        dx: float = 0,
        dy: float = 0,
        most: int = 60,
        halo: bool = False,
        on: Scales = ("x", "y"),
    ) -> None:
        """Write words at each entry, centred in height; longer ones than `most` are shortened, whole on hover.

        A `halo` of the ground's colour sets them off from what lies below.
        """
        lines = [words] if isinstance(words, str) else list(words)
        fonts = [f"t{len(self._words) + index}" for index in range(len(lines))]
        self._words += [_Words(shorten(visible(one), most), visible(one)) for one in lines]
        drawn: dict[str, Any] = {
            "text": "",
            "fill": f"var(--{fill})",
            "fontSize": size,
            "align": align,
            "baseline": "middle",
        }
        drawn |= {key: value for key, value in (("dx", dx), ("dy", dy)) if value}
        if halo:
            drawn |= {"stroke": "var(--ground)", "strokeWidth": 4, "strokeJoin": "round"}
        if weight != 400:
            drawn["fontWeight"] = weight
        columns: dict[str, tuple[str | None, Any]] = {"x": (on[0], x), "y": (on[1], y)}
        self._add("text", name, columns, drawn, fonts=fonts)

    def svg(self, identity: str, title: str, description: str, *, alone: bool = False) -> str:
        """Return the picture, named and described for those who cannot see it.

        `identity` begins its ids, which must be unique on a page. `alone` makes it a file: with its colours and ground.
        """
        from vl_convert import vega_to_svg

        drawn = vega_to_svg(self._specification(), allowed_base_urls=[])
        frame = Frame(identity, title, description, self.width, self.height, self.inner_width, self.inner_height)
        return finished(drawn, frame, [one.markup for one in self._words], alone=alone)

    def _specification(self) -> dict[str, Any]:
        return {
            "width": self.inner_width,
            "height": self.inner_height,
            "padding": {"left": self.left, "right": self.right, "top": self.top, "bottom": self.bottom},
            "autosize": "none",
            "background": None,
            "config": {"aria": False},
            "data": self._data,
            "scales": self._scales,
            "axes": self._axes,
            "marks": sorted(self._marks, key=lambda mark: mark["type"] == "text"),
        }

    def _add(
        self,
        kind: str,
        name: str,
        columns: Mapping[str, tuple[str | None, Column]],
        drawn: Mapping[str, Any],
        *,
        fonts: Sequence[str] | None = None,
        gaps: bool = False,
        clip: bool = False,
    ) -> None:
        lengths = [len(column) for _, column in columns.values() if isinstance(column, Sequence)]
        length = max(lengths, default=len(fonts) if fonts else 1)
        encoded: dict[str, Any] = {channel: {"value": value} for channel, value in drawn.items()}
        fields: dict[str, Sequence[Any]] = {}
        for channel, (scale, column) in columns.items():
            fields[channel] = column if isinstance(column, Sequence) else [column] * length
            encoded[channel] = {"field": channel} | ({"scale": scale} if scale else {})
        if fonts:
            fields["font"] = fonts if len(fonts) == length else [fonts[0]] * length
            encoded["font"] = {"field": "font"}
        if gaps:
            valid = " && ".join(f"isValid(datum.{channel})" for channel in columns)
            encoded["defined"] = {"signal": valid}
        keys = list(fields)
        rows = [dict(zip(keys, row, strict=True)) for row in zip(*fields.values(), strict=True)]
        self._rows_of(kind, name, encoded, alone=gaps, clip=gaps or clip).extend(rows)

    def _rows_of(
        self, kind: str, name: str, encoded: Mapping[str, Any], *, alone: bool, clip: bool
    ) -> list[dict[str, Any]]:
        """Return the rows of the mark that looks like this, a new one where there is none; a line is always new."""
        key = f"{kind} {name} {sorted(encoded.items())}"
        if not alone and key in self._alike:
            return self._alike[key]
        source = f"d{len(self._data)}"
        rows: list[dict[str, Any]] = []
        self._data.append({"name": source, "values": rows})
        mark = {"type": kind, "name": f"{name}-{source}", "aria": False, "from": {"data": source}, "clip": clip}
        self._marks.append(mark | {"encode": {"enter": encoded}})
        self._alike[key] = rows
        return rows


def _steps(step: bool) -> dict[str, str]:
    return {"interpolate": "step"} if step else {}
