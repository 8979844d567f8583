"""How numbers are written: in plain text with four significant digits, on a page with typographic signs."""

import math
from collections.abc import Iterable
from typing import Final

MINUS: Final = "\N{MINUS SIGN}"
NOTHING: Final = "\N{EN DASH}"
_MOST_DECIMALS: Final = 6


def significant(value: float | None, digits: int = 4, *, none: str = "-") -> str:
    """Return a number for plain text, with some significant digits; `none` stands for None."""
    if value is None:
        return none
    return f"{value:.{digits}g}" if math.isfinite(value) else "unbounded"


def interval(lower: float | None, upper: float | None, *, none: str = "-") -> str:
    """Return an interval for plain text; an open side is infinite, and `none` stands for no interval."""
    if lower is None and upper is None:
        return none
    return f"{significant(lower, none='-∞')} to {significant(upper, none='∞')}"


def quantity(value: int, noun: str) -> str:
    """Return how many of what, for plain text."""
    return f"{value} {noun}{'' if value == 1 else 's'}"


def plain_percent(share: float | None, *, none: str = "-") -> str:
    """Return a share for plain text, in percent with one decimal."""
    return none if share is None else f"{share:.1%}"


def decimals(values: Iterable[float | None], digits: int = 2) -> int:
    """Return how many decimals show the largest distance among values, and from 0, with some digits; 0 to 6."""
    known = [value for value in values if value is not None]
    spread = max(known, default=0.0) - min(known, default=0.0) or max((abs(value) for value in known), default=0.0)
    if spread == 0:
        return 0
    return min(max(digits - 1 - math.floor(math.log10(spread)), 0), _MOST_DECIMALS)


def number(value: float | None, places: int | None = None, *, signed: bool = False) -> str:
    """Return a number with `places` decimals, three significant digits by default, and an en dash for None."""
    if value is None:
        return NOTHING
    if places is None:
        places = decimals([value], 3)
    if value and abs(value) < 10**-_MOST_DECIMALS / 2:
        return typographic(f"{value:.1e}", signed=signed)
    shown = f"{value:,.{places}f}"
    if float(shown.replace(",", "")) == 0:
        shown = shown.lstrip("-")
    return typographic(shown, signed=signed and value > 0)


def typographic(shown: str, *, signed: bool) -> str:
    """Return a number with a real minus sign, and a plus sign where it is `signed`."""
    return (f"+{shown}" if signed and not shown.startswith("-") else shown).replace("-", MINUS)


def percent(share: float | None, places: int | None = None) -> str:
    """Return a share in percent, with one decimal below 10 % and above 90 %."""
    if share is None:
        return NOTHING
    if places is None:
        places = 0 if share in {0, 1} or 0.1 <= share <= 0.9 else 1 if abs(share) >= 0.001 else 2
    return f"{number(100 * share, places)}\N{NO-BREAK SPACE}%"


def count(value: int | None) -> str:
    """Return how many, with a comma between thousands."""
    return NOTHING if value is None else f"{value:,}"


def plural(value: int, noun: str) -> str:
    """Return how many of what."""
    return f"{value:,}\N{NO-BREAK SPACE}{noun}{'' if value == 1 else 's'}"
