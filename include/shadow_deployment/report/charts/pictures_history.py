"""The noise of the pipe beside the challengers, and the verdicts with promotions and rollbacks as a timeline."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from shadow_deployment.base.numbers import count, number, plural
from shadow_deployment.report.charts.pictures import NARROW, SMALL, WIDE, Picture, Table
from shadow_deployment.report.charts.pictures_axes import LETTER, draw_days, draw_values, milliseconds, wrapped
from shadow_deployment.report.charts.pictures_axes import SMALL as SMALL_TEXT
from shadow_deployment.report.charts.pictures_canvas import Canvas, Shape
from shadow_deployment.report.charts.pictures_legend import Entry, draw_legend, height_of
from shadow_deployment.report.views.facts import NoiseFacts, NoiseSeries, OutcomeDay, PromotionFacts
from shadow_deployment.report.wording import measure_of, visible

_PIXELS: Final = (None, None)
_LANES: Final[tuple[tuple[str, str, Shape], ...]] = (
    ("PASS", "pass", "circle"),
    ("INCONCLUSIVE", "open", "square"),
    ("FAIL", "fail", "diamond"),
)
_KINDS: Final[dict[str, tuple[Shape, str]]] = {
    "promotion": ("triangle-up", "promotion"),
    "rollback": ("triangle-down", "rollback"),
    "forced": ("cross", "forced promotion"),
}
_MOST_SERIES: Final = 8


def noise(facts: NoiseFacts) -> Picture:
    """Return the daily differences of the A/A check and of each challenger, one row each, with mean and spread."""
    series = [*([facts.a_a_check] if facts.a_a_check else []), *facts.others][:_MOST_SERIES]
    measure = measure_of(facts.metric, "difference")
    rows = [
        (one.name, one.role, measure.say(one.mean, signed=True), measure.say(one.deviation), count(len(one.days)))
        for one in series
    ]
    return Picture(
        "noise",
        f"Noise of the pipe: {facts.title} by day",
        _noise_in_words(facts),
        lambda width: _noise(facts, series, width),
        widths=(SMALL,),
        table=Table(("challenger", "role", "mean difference", "standard deviation of a day", "days"), rows, left=2),
    )


def _noise_in_words(facts: NoiseFacts) -> str:
    if facts.a_a_check is None:
        return "There is no A/A check: enter the champion as its own challenger to see the noise of the whole pipe."
    if facts.a_a_check.deviation is None:
        return "The A/A check, the champion against itself, has too few days to tell the noise of the pipe."
    if facts.a_a_check.deviation == 0:
        return "The A/A check, the champion against itself, does not differ on any day: the pipe adds no noise."
    deviation = measure_of(facts.metric, "difference").say(facts.a_a_check.deviation)
    return f"The A/A check, the champion against itself, differs by {deviation} a day: the noise of the whole pipe."


def _noise(facts: NoiseFacts, series: Sequence[NoiseSeries], width: int) -> Canvas:
    legend = [
        Entry("dots", "champion", "one day"),
        Entry("line", "ink", "mean ± standard deviation"),
    ]
    top = height_of(legend, width - 16) + 8
    canvas = Canvas(width, top + 46 * len(series) + 50, left=12, right=14, top=top, bottom=50)
    every = sorted(one for row in series for one in row.differences)
    outer = len(every) // 100
    core = [*every[outer : len(every) - outer], 0.0]
    margin = 0.04 * (max(core) - min(core) or 1.0)
    low, high = min(core) - margin, max(core) + margin
    canvas.scale("x", low, high)
    draw_values(canvas, low, high, measure_of(facts.metric, "difference"), scale="x", most=5, signed=True)
    canvas.segments("zero", 0, 0, 0, canvas.inner_height, stroke="ink", width=1.5, dash=(6, 4), on=("x", None))
    for index, one in enumerate(series):
        y = 46 * index + 28
        colour = "other" if one.role == "a_a_check" else "challenger"
        name = f"{visible(one.name)} (A/A check)" if one.role == "a_a_check" and one.name != "a_a_check" else one.name
        canvas.text(-4, y - 18, name, name="series", most=int(width / LETTER) - 4, halo=True, on=_PIXELS)
        inside = [value for value in one.differences if low <= value <= high]
        canvas.dots("day", inside, y + 4, stroke="champion", size=4, opacity=0.35, on=("x", None))
        if one.mean is not None and one.deviation is not None:
            start, end = max(one.mean - one.deviation, low), min(one.mean + one.deviation, high)
            canvas.segments("spread", start, y + 4, end, y + 4, stroke=colour, width=3, on=("x", None))
            canvas.points("mean", one.mean, y + 4, fill=colour, shape="diamond", size=80, on=("x", None))
    draw_legend(canvas, legend)
    words = wrapped(f"champion's loss minus the challenger's, {visible(facts.title)}", width - 24, 1)[0]
    canvas.text(-4, canvas.inner_height + 36, words, fill="muted", size=SMALL_TEXT, most=200, on=_PIXELS)
    return canvas


def timeline(history: Sequence[OutcomeDay], promotions: Sequence[PromotionFacts]) -> Picture:
    """Return each day's verdict, and the changes of the champion above them."""
    tally = ", ".join(
        f"{name} on {plural(days, 'day')}"
        for name, _, _ in _LANES
        if (days := sum(one.outcome == name for one in history))
    )
    changes = plural(len(promotions), "change") + " of the champion" if promotions else "no change of the champion"
    rows = [(str(one.day), one.outcome, count(one.revisions)) for one in reversed(history)]
    return Picture(
        "timeline",
        "Verdicts by day, promotions and rollbacks",
        f"{tally or 'No day was judged'}; {changes}.",
        lambda width: _timeline(history, promotions, width),
        widths=(WIDE, NARROW),
        table=Table(("day", "verdict", "times judged"), rows, left=2),
    )


def _timeline(history: Sequence[OutcomeDay], promotions: Sequence[PromotionFacts], width: int) -> Canvas:
    days = [one.day for one in history] + [_day_of(one, history) for one in promotions]
    kinds = list(dict.fromkeys(one.kind for one in promotions))
    legend = [Entry(_KINDS[kind][0], "other", _KINDS[kind][1]) for kind in kinds]
    top = (height_of(legend, width - 16) if legend else 0) + (34 if promotions else 8)
    canvas = Canvas(width, top + 28 * len(_LANES) + 34, left=122, right=18, top=top, bottom=34)
    half = 43_200_000
    canvas.scale("x", milliseconds(min(days)) - half, milliseconds(max(days)) + half, kind="utc")
    draw_days(canvas, min(days), max(days), grid=True)
    for index, (name, colour, shape) in enumerate(_LANES):
        y = 28 * index + 14
        canvas.segments("lane", 0, y, canvas.inner_width, y, stroke="grid", width=1, on=_PIXELS)
        canvas.text(8 - canvas.left, y, name, fill=colour, weight=600, size=12, on=_PIXELS)
        judged = [milliseconds(one.day) for one in history if one.outcome == name]
        if len(history) <= 45:
            canvas.points(name.lower(), judged, y, fill=colour, shape=shape, size=55, on=("x", None))
        else:
            _runs(canvas, name.lower(), judged, y, colour)
    _changes(canvas, promotions, history)
    if legend:
        draw_legend(canvas, legend)
    return canvas


def _runs(canvas: Canvas, name: str, places: Sequence[int], y: float, colour: str) -> None:
    """Draw days in a row as one bar."""
    day, starts, ends = 86_400_000, list[float](), list[float]()
    for place in places:
        if ends and place - day / 2 <= ends[-1]:
            ends[-1] = place + day / 2
        else:
            starts.append(place - day / 2)
            ends.append(place + day / 2)
    canvas.boxes(name, starts, y - 6, ends, y + 6, fill=colour, on=("x", None))


def _day_of(one: PromotionFacts, history: Sequence[OutcomeDay]) -> dt.date:
    """Return where a change stands among the days: on the one that it rests on, else not after the newest verdict."""
    made = one.day or one.at.astimezone(dt.UTC).date()
    return min(made, history[-1].day) if history else made


def _changes(canvas: Canvas, promotions: Sequence[PromotionFacts], history: Sequence[OutcomeDay]) -> None:
    """Draw each change with its number, which is left out where the next one is too near."""
    ordered = sorted(promotions, key=lambda one: one.at)
    places = [milliseconds(_day_of(one, history)) for one in ordered]
    pixels = [canvas.pixel("x", one) for one in places] + [canvas.inner_width + 40.0]
    for index, (one, x) in enumerate(zip(ordered, places, strict=True)):
        canvas.segments("change", x, -8, x, canvas.inner_height, stroke="other", width=1, dash=(2, 2), on=("x", None))
        canvas.points("change_kind", x, -12, fill="other", shape=_KINDS[one.kind][0], size=90, on=("x", None))
        if pixels[index + 1] - pixels[index] > 26:
            canvas.text(x, -12, number(one.number, 0), size=12, dx=10, fill="other", on=("x", None))
