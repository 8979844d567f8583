"""The confidence sequence over days: how it narrows towards the decision, beside what each day alone says."""

from collections.abc import Sequence
from typing import Final

from shadow_deployment.base.numbers import count, plural
from shadow_deployment.report.charts.pictures import NARROW, WIDE, Picture, Table
from shadow_deployment.report.charts.pictures_axes import SMALL, draw_days, draw_values, milliseconds, wrapped
from shadow_deployment.report.charts.pictures_canvas import Canvas
from shadow_deployment.report.charts.pictures_legend import Entry, draw_legend, height_of
from shadow_deployment.report.views.facts import SequenceFacts
from shadow_deployment.report.wording import Measure, capitalised, measure_of

COLOURS: Final = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}
_DAY_MS: Final = 86_400_000
_FEW: Final = 20  # observations, up to which there is no interval to flatten
_MANY: Final = 120  # observations, from which on the interval is narrow beside them


def sequence(facts: SequenceFacts, number: int) -> Picture:
    """Return the picture of one sequence, the `number`th of its page; it must have a day."""
    return Picture(
        name=f"sequence-{number}",
        title=f"{capitalised(facts.text)}{'' if facts.slice == 'all' else f', in {facts.slice}'}",
        finding=_finding(facts),
        draw=lambda width: _draw(facts, width),
        widths=(WIDE, NARROW),
        table=_table(facts),
        note=_note(facts),
    )


def _finding(facts: SequenceFacts) -> str:
    measure, places = _measure(facts), _places(facts)
    observed = plural(len(facts.days), facts.per)
    lower, upper = facts.lower[-1], facts.upper[-1]
    if lower is None and upper is None:
        if len(facts.days) < facts.burn_in:
            return f"After {observed} there is no interval yet; one is given from {facts.per} {facts.burn_in} on."
        return f"After {observed} there is no interval: {facts.per}s that are all alike do not say how much they vary."
    stands = {"PASS": "clears", "FAIL": "lies beyond", "INCONCLUSIVE": "holds"}[facts.outcome]
    since = f", first on {facts.decided_on}" if facts.decided_on else ""
    return (
        f"After {observed} the interval {measure.interval(lower, upper, places)} {stands} the bound "
        f"{measure.exact(facts.bound)}: {facts.outcome}{since}."
    )


def _draw(facts: SequenceFacts, width: int) -> Canvas:
    is_wide = width > 600
    entries = _entries(facts)
    unit = wrapped(facts.unit_words, width - 16, 1 if is_wide else 2)
    top = height_of(entries, width - 16) + 17 * len(unit) + 10
    canvas = Canvas(
        width,
        (330 if is_wide else 270) + top,
        left=66 if is_wide else 56,
        right=76 if is_wide else 12,
        top=top,
        bottom=34,
    )
    first, last = facts.days[0], facts.days[-1]
    canvas.scale("x", milliseconds(first) - _DAY_MS / 2, milliseconds(last) + _DAY_MS / 2, kind="utc")
    low, high = _reach(facts)
    canvas.scale("y", low, high)
    _burn_in(canvas, facts)
    draw_values(canvas, low, high, _measure(facts), signed=facts.unit != "value")
    draw_days(canvas, first, last)
    _marks(canvas, facts)
    _decision(canvas, facts)
    draw_legend(canvas, entries)
    for row, line in enumerate(unit):
        y = 17 * row + 9 + height_of(entries, width - 16) - top
        canvas.text(8 - canvas.left, y, line, fill="muted", size=SMALL, most=200, on=(None, None))
    if is_wide:
        _ends(canvas, facts, low, high)
    return canvas


def _entries(facts: SequenceFacts) -> list[Entry]:
    bound = _measure(facts).exact(facts.bound)
    return [
        Entry("dots", "champion", f"one {facts.per} alone (the naive estimate)"),
        Entry("line", "challenger", "mean so far"),
        Entry("band", "challenger", "interval that holds on all days at once"),
        Entry("dash", "ink", f"bound {bound}: the rule holds {'above' if facts.holds_above else 'below'}"),
        Entry("shade", "shade", f"burn-in of {plural(facts.burn_in, facts.per)}"),
    ]


def _marks(canvas: Canvas, facts: SequenceFacts) -> None:
    x = [milliseconds(day) for day in facts.days]
    low, high = _reach(facts)
    sides = [
        (low if lower is None else lower, high if upper is None else upper)
        if lower is not None or upper is not None
        else (None, None)
        for lower, upper in zip(facts.lower, facts.upper, strict=True)
    ]
    lower, upper = [one for one, _ in sides], [one for _, one in sides]
    if any(one is not None for one in lower):
        canvas.area("interval", x, lower, upper, fill="challenger", opacity=0.22)
        canvas.line("lower", x, list(facts.lower), stroke="challenger", width=1)
        canvas.line("upper", x, list(facts.upper), stroke="challenger", width=1)
    canvas.dots("daily", x, list(facts.observed), stroke="champion", size=_size(len(x)), opacity=0.8)
    canvas.line("mean", x, list(facts.mean), stroke="challenger", width=2.5)
    canvas.segments(
        "bound", 0, facts.bound, canvas.inner_width, facts.bound, stroke="ink", width=1.5, dash=(6, 4), on=(None, "y")
    )


def _size(days: int) -> float:
    return 5.0 if days <= 70 else 4.0 if days <= 200 else 3.2


def _burn_in(canvas: Canvas, facts: SequenceFacts) -> None:
    """Shade the observations before a bound may be given, which is all of them where there is none yet."""
    start = milliseconds(facts.days[0]) - _DAY_MS / 2
    end = milliseconds(facts.burn_in_end or facts.days[-1]) + (-_DAY_MS / 2 if facts.burn_in_end else _DAY_MS / 2)
    canvas.boxes("burn_in", start, 0, end, canvas.inner_height, fill="shade", opacity=0.7, on=("x", None))


def _decision(canvas: Canvas, facts: SequenceFacts) -> None:
    if facts.decided_on is None or not facts.days[0] <= facts.decided_on <= facts.days[-1]:
        return
    x, colour = milliseconds(facts.decided_on), COLOURS[facts.outcome]
    canvas.segments("decided", x, 0, x, canvas.inner_height, stroke=colour, width=2, on=("x", None))
    share = (x - milliseconds(facts.days[0])) / max(milliseconds(facts.days[-1]) - milliseconds(facts.days[0]), 1)
    canvas.points("decided_day", x, canvas.inner_height, fill=colour, shape="triangle-up", size=90, on=("x", None))
    canvas.text(
        x,
        canvas.inner_height - 14,
        f"{facts.outcome} since {facts.decided_on}",
        name="decided_words",
        fill=colour,
        weight=600,
        align="right" if share > 0.5 else "left",
        dx=-8 if share > 0.5 else 8,
        halo=True,
        on=("x", None),
    )


def _ends(canvas: Canvas, facts: SequenceFacts, low: float, high: float) -> None:
    """Write the newest interval and mean at the right end, apart from each other."""
    measure, places = _measure(facts), _places(facts)
    found = [
        (value, weight) for value, weight in ((facts.lower[-1], 400), (facts.mean[-1], 600), (facts.upper[-1], 400))
    ]
    known = [(value, weight) for value, weight in found if value is not None and low <= value <= high]
    pixels = [canvas.pixel("y", value) for value, _ in known]
    for (value, weight), y in zip(known, apart(pixels, 15), strict=True):
        words = measure.say(value, places, signed=facts.unit != "value")
        x = canvas.inner_width + 6
        canvas.text(x, y, words, name="end", fill="challenger", size=SMALL, weight=weight, on=(None, None))


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Return places moved as little as is needed to lie `gap` apart, in the order of their values."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [places[index] for index in order]
    for _ in range(8 * len(moved)):
        for index in range(len(moved) - 1):
            lacking = gap - (moved[index + 1] - moved[index])
            if lacking > 1e-6:
                moved[index] -= lacking / 2
                moved[index + 1] += lacking / 2
    found = [0.0] * len(places)
    for index, place in zip(order, moved, strict=True):
        found[index] = place
    return found


def _reach(facts: SequenceFacts) -> tuple[float, float]:
    """Return what is shown: the bound, the newest interval, and all but days far out and the earliest bounds."""
    core = [*_near(facts.observed), *facts.mean[facts.burn_in - 1 :], facts.bound]
    newest = [one for one in (facts.lower[-1], facts.upper[-1]) if one is not None]
    spread = max(*core, *newest) - min(*core, *newest)
    early = [one for side in (facts.lower, facts.upper) for one in side if one is not None]
    middle = (max(*core, *newest) + min(*core, *newest)) / 2
    kept = [one for one in early if abs(one - middle) <= 0.75 * spread]
    low, high = min(*core, *newest, *kept), max(*core, *newest, *kept)
    margin = 0.06 * (high - low or abs(high) or 1.0)
    return low - margin, high + margin


def _near(values: Sequence[float]) -> list[float]:
    """Return the values that lie not far outside the middle half, so that a bad day does not flatten the interval."""
    ordered = sorted(values)
    if len(ordered) < _FEW:
        return ordered
    low, high = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    beyond = (high - low) * (0.75 if len(ordered) > _MANY else 1.5)
    return [one for one in ordered if low - beyond <= one <= high + beyond]


def _table(facts: SequenceFacts) -> Table:
    measure = _measure(facts)
    places = _places(facts)
    rows = [
        (str(day), *(measure.say(one, places) for one in (observed, mean, lower, upper)))
        for day, observed, mean, lower, upper in zip(
            facts.days, facts.observed, facts.mean, facts.lower, facts.upper, strict=True
        )
    ]
    return Table((f"{facts.per}", "alone", "mean so far", "interval from", "to"), rows[::-1])


def _measure(facts: SequenceFacts) -> Measure:
    return measure_of(facts.metric, facts.unit)


def _places(facts: SequenceFacts) -> int:
    return _measure(facts).places([facts.lower[-1], facts.mean[-1], facts.upper[-1]], 3)


def _note(facts: SequenceFacts) -> str:
    low, high = _reach(facts)
    outside = sum(not low <= value <= high for value in facts.observed)
    notes = []
    if outside:
        notes.append(f"{count(outside)} of {plural(len(facts.days), facts.per)} alone lie outside the picture.")
    if not facts.agrees:
        notes.append("Evidence has changed since this verdict: the last day is not what was judged.")
    return " ".join(notes)
