"""The small picture of a rule's interval: on the scale of its row, with 0 and the bounds labelled."""

import math
from collections.abc import Iterator
from typing import Final

from markupsafe import Markup

from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.report.scorecard import ScoreRow

WIDTH: Final = 190  # pixels
_HEIGHT: Final = 44
_EDGE: Final = 12  # pixels that the scale keeps free on both sides
_LINE, _AXIS, _FOOT, _HEAD = 21, 30, 42, 9  # pixels from the top: interval, axis, its labels, the bounds' labels
_LETTER: Final = 5.6  # pixels of an average character
_KINDS: Final = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}


def picture(row: ScoreRow, finding: Finding) -> Markup:
    """Return a finding's interval as SVG; nothing where it has none."""
    if not finding.has_interval or row.reach is None or not math.isfinite(row.reach[1] - row.reach[0]):
        return Markup("")
    scale = _Scale(*row.reach)
    parts = [*_axis(row, scale), *_bounds(row, finding, scale), *_interval(finding, scale)]
    body = "".join(parts)
    return Markup(  # noqa: S704 (all of it is numbers and words of our own)
        f'<svg class="picture {_KINDS[finding.outcome]}" width="{WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {_HEIGHT}" aria-hidden="true">{body}</svg>'
    )


class _Scale:
    """Where values lie, in pixels, and which ones are labelled."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.span = (high - low) or abs(high) or 1.0

    def at(self, value: float) -> float:
        return round(_EDGE + (value - self.low) / self.span * (WIDTH - 2 * _EDGE), 1)

    @property
    def ticks(self) -> list[float]:
        """Two to four round values, 0 among them where it is on the scale."""
        rough = self.span / 2.5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [step * number for number in range(first, math.floor((self.low + self.span) / step + 1e-9) + 1)]


def _axis(row: ScoreRow, scale: _Scale) -> Iterator[str]:
    yield f'<path class="axis" d="M{_EDGE / 2},{_AXIS}H{WIDTH - _EDGE / 2}"/>'
    ticks = scale.ticks
    places = row.interval_measure.places(ticks, 1)
    for tick in ticks:
        x = scale.at(tick)
        top = 12 if tick == 0 else _AXIS
        words = row.interval_measure.say(tick, places)
        yield f'<path class="{"zero" if tick == 0 else "axis"}" d="M{x},{top}V{_AXIS + 3}"/>'
        yield _label(x, _FOOT, words)


def _bounds(row: ScoreRow, finding: Finding, scale: _Scale) -> Iterator[str]:
    """Draw each bound; the label of one alone says what it is."""
    for bound in finding.bounds:
        word = row.interval_measure.exact(bound)
        x = scale.at(bound)
        yield f'<path class="bound" d="M{x},11V{_AXIS}"/>'
        yield _label(x, _HEAD, f"bound {word}" if len(finding.bounds) == 1 else word)


def _label(x: float, y: float, words: str) -> str:
    """Return a text in the middle below or above a place, moved to where it is not cut off."""
    half = len(words) * _LETTER / 2
    return f'<text x="{min(max(x, half), WIDTH - half):.1f}" y="{y}">{words}</text>'


def _interval(finding: Finding, scale: _Scale) -> Iterator[str]:
    """Draw the interval, an open side as an arrow, and the estimate in the shape of its outcome."""
    left = 3.0 if finding.lower is None else scale.at(finding.lower)
    right = WIDTH - 3.0 if finding.upper is None else scale.at(finding.upper)
    yield f'<path class="interval" d="M{left},{_LINE}H{right}"/>'
    for x, side, inwards in ((left, finding.lower, 5), (right, finding.upper, -5)):
        end = f"M{x},{_LINE - 4}v8" if side is not None else f"M{x + inwards},{_LINE - 4}L{x},{_LINE}l{inwards},4"
        yield f'<path class="interval end" d="{end}"/>'
    if finding.estimate is not None:
        x = scale.at(finding.estimate)
        if finding.outcome == "FAIL":
            yield f'<path class="estimate" d="M{x - 5},{_LINE}l5,-5l5,5l-5,5z"/>'
        else:
            yield f'<circle class="estimate" cx="{x}" cy="{_LINE}" r="4"/>'
