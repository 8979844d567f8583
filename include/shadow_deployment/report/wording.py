"""Numbers, days and names as people read them: sensible digits, units, and nothing that acts instead of being shown."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shadow_deployment.base.numbers import MINUS, NOTHING, decimals, number, typographic

ROLES: Final = {"promotable": "challenger", "a_a_check": "A/A check", "watched": "former champion"}
KINDS: Final = {"a_a_check": "A/A check", "former_champion": "former champion"}  # of trials that are no challenger's
LATENCY_NOTE: Final = (
    "not like with like: serving one request against batch scoring, where a call's time is divided by its rows"
)
_HYPHEN_AS_MINUS: Final = re.compile(r"(?<![\w.\-])-(?=\.?\d)")
_ACTING: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\uffff\ud800-\udfff\ue000-\uf8ff]"
)
_SPACES: Final = re.compile(r"[ \t\r\n]+")
_SHARES: Final = frozenset(
    {"error_rate", "agreement", "accuracy", "precision", "recall", "pairing_loss", "label_coverage"}
)


def visible(text: str) -> str:
    """Return a text in which control characters, and those that turn the direction of writing, stand as their code."""
    return _ACTING.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def typeset(text: str) -> str:
    """Return a sentence with a real minus sign before its negative numbers; dates and names keep theirs."""
    return _HYPHEN_AS_MINUS.sub(MINUS, text)


def shorten(text: str, most: int) -> str:
    """Return a text of at most `most` characters on one line, its end cut off for an ellipsis."""
    line = _SPACES.sub(" ", text).strip()
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def capitalised(text: str) -> str:
    """Return a text whose first letter is a capital one."""
    return text[:1].upper() + text[1:]


def moment(value: dt.datetime) -> str:
    """Return a moment to the minute, in UTC."""
    return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Measure:
    """How values of one metric are written: multiplied by `factor`, with `suffix` behind them."""

    factor: float = 1.0
    suffix: str = ""

    def say(self, value: float | None, places: int | None = None, *, signed: bool = False, bare: bool = False) -> str:
        """Return a value with its unit, without where it is `bare`; an en dash for None."""
        if value is None:
            return NOTHING
        return number(value * self.factor, places, signed=signed) + ("" if bare else self.suffix)

    def exact(self, value: float) -> str:
        """Return a value that somebody has written down, as it was written, with its unit."""
        return typographic(f"{value * self.factor:.6g}", signed=False) + self.suffix

    def places(self, values: Iterable[float | None], digits: int = 2) -> int:
        """Return how many decimals tell values apart."""
        return decimals([None if value is None else value * self.factor for value in values], digits)

    def interval(self, lower: float | None, upper: float | None, places: int) -> str:
        """Return an interval; a side that is open is infinite, and an en dash stands for none at all."""
        if lower is None and upper is None:
            return NOTHING
        low = f"{MINUS}∞" if lower is None else self.say(lower, places, bare=True)
        high = "∞" if upper is None else self.say(upper, places, bare=True)
        return f"{low} to {high}{self.suffix}"


def measure_of(metric: str, unit: str = "value") -> Measure:
    """Return how a metric is written; `unit` is "value", "difference", "change" or "share", as of a rule."""
    if unit == "share":
        return Measure(100.0, "\N{NO-BREAK SPACE}%")
    if metric.startswith("latency_ratio"):
        return Measure(1.0, "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}")
    if metric.startswith("latency_"):
        return Measure(1.0, "\N{NO-BREAK SPACE}ms")
    if metric in _SHARES:
        return Measure(100.0, "\N{NO-BREAK SPACE}%" if unit == "value" else "\N{NO-BREAK SPACE}points")
    return Measure()
