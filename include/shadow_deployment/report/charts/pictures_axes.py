"""Axes: where their lines lie, and what is written beside them."""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from typing import Final

from shadow_deployment.base.numbers import decimals
from shadow_deployment.report.charts.pictures_canvas import Canvas
from shadow_deployment.report.wording import Measure, shorten

LETTER: Final = 6.9  # pixels of an average letter at the usual size, rounded up
SMALL: Final = 12
_DAY: Final = 86_400_000
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def milliseconds(day: dt.date) -> int:
    """Return a day's beginning in UTC as the milliseconds that scales of time count in."""
    return (day - dt.date(1970, 1, 1)).days * _DAY


def reach(values: Iterable[float | None], *, margin: float = 0.06) -> tuple[float, float]:
    """Return the lowest and highest of values with a margin, -1 and 1 for none; never of no width."""
    known = [value for value in values if value is not None]
    if not known:
        return -1.0, 1.0
    low, high = min(known), max(known)
    width = high - low or abs(high) or 1.0
    return low - margin * width, high + margin * width


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return the round numbers between two at most `most` steps apart: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    for step in (factor * power for factor in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first <= most:
            return [index * step for index in range(first, last + 1)]
    return [low]


def powers(low: float, high: float) -> list[float]:
    """Return the round numbers of a logarithmic axis: 1, and 2 and 5 too where there are few powers of ten."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(tens) > 4 else (1, 3) if len(tens) > 3 else (1, 2, 5)
    return [factor * 10.0**ten for ten in tens for factor in factors if low <= factor * 10.0**ten <= high]


def day_ticks(first: dt.date, last: dt.date, most: int) -> list[tuple[dt.date, str]]:
    """Return at most `most` days with what is written below them: days, Mondays, or the beginnings of months."""
    length = (last - first).days + 1
    if length <= most:
        return _named([first + dt.timedelta(days=one) for one in range(length)])
    if length / 7 <= most:
        monday = first + dt.timedelta(days=-first.weekday() % 7)
        mondays = [monday + dt.timedelta(days=7 * one) for one in range(length // 7 + 1)]
        return _named([day for day in mondays if day <= last] or [first])
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    step = next((step for step in (1, 2, 3, 6, 12, 24, 60, 120) if months / step <= most), months)
    starts = [_month(first, index) for index in range(months + 1)]
    found = [day for day in starts if first <= day <= last and (day.year * 12 + day.month - 1) % step == 0]
    return _named(found, day=False) if found else _named([first])


def _month(first: dt.date, index: int) -> dt.date:
    number = first.year * 12 + first.month - 1 + index
    return dt.date(number // 12, number % 12 + 1, 1)


def _named(days: Sequence[dt.date], *, day: bool = True) -> list[tuple[dt.date, str]]:
    """Name days; the year stands beside the first and wherever it changes."""
    named, year = [], 0
    for one in days:
        words = f"{one.day}\N{NO-BREAK SPACE}{_MONTHS[one.month - 1]}" if day else _MONTHS[one.month - 1]
        named.append((one, words if one.year == year else f"{words}\N{NO-BREAK SPACE}{one.year}"))
        year = one.year
    return named


def draw_days(canvas: Canvas, first: dt.date, last: dt.date, *, scale: str = "x", grid: bool = False) -> None:
    """Write days below the inner area, whose scale of time must be there."""
    named = day_ticks(first, last, max(canvas.inner_width // 70, 2))
    places = [milliseconds(day) for day, _ in named]
    if grid:
        canvas.grid(scale, places)
    base = canvas.inner_height
    canvas.segments("tick", places, base, places, base + 5, stroke="axis", width=1, on=(scale, None))
    words = [text for _, text in named]
    canvas.text(places, base + 16, words, fill="muted", size=SMALL, align="center", on=(scale, None))


def draw_values(
    canvas: Canvas, low: float, high: float, measure: Measure, *, scale: str = "y", most: int = 6, signed: bool = False
) -> None:
    """Draw a line across at round values, and write them beside it: left of it, or below where the scale is an x."""
    found = ticks(low * measure.factor, high * measure.factor, most)
    places = decimals([found[1] - found[0]], 1) if len(found) > 1 else None
    values = [one / measure.factor for one in found]
    words = [measure.say(one, places, signed=signed and one != 0) for one in values]
    canvas.grid(scale, values)
    if scale.startswith("x"):
        canvas.text(values, canvas.inner_height + 16, words, fill="muted", size=SMALL, align="center", on=(scale, None))
    else:
        canvas.text(-7, values, words, fill="muted", size=SMALL, align="right", on=(None, scale))


def wrapped(words: str, width: float, lines: int) -> list[str]:
    """Return words on at most so many lines of a width in pixels; what does not fit is cut off for an ellipsis."""
    most = max(int(width / LETTER), 4)
    found: list[str] = [""]
    for word in words.split():
        if len(found[-1]) + len(word) + 1 <= most or not found[-1]:
            found[-1] = f"{found[-1]} {word}".strip()
        else:
            found.append(word)
    if len(found) > lines:
        found = [*found[: lines - 1], " ".join(found[lines - 1 :])]
    return [shorten(one, most) for one in found]
