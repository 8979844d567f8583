"""What each day brought: labels as they ripen, latency, and the distance between the two models' answers."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from shadow_deployment.base.numbers import count, number, plural
from shadow_deployment.report.charts.pictures import Picture, Table
from shadow_deployment.report.charts.pictures_axes import SMALL, draw_days, draw_values, milliseconds, powers, wrapped
from shadow_deployment.report.charts.pictures_canvas import Canvas
from shadow_deployment.report.charts.pictures_legend import Entry, draw_legend, height_of
from shadow_deployment.report.views.facts import DriftFacts, LabelDay, LatencyFacts
from shadow_deployment.report.wording import Measure, capitalised, measure_of, visible

_PIXELS: Final = (None, None)
_HALF_DAY: Final = 43_200_000
_HEIGHT: Final = 300
_MOST_DAYS: Final = 90
WEEK: Final = 7
_DASHES: Final[dict[str, tuple[int, ...]]] = {"p50": (), "p95": (6, 3), "p99": (2, 3)}
_PERCENTILES: Final = {"p50": "median", "p95": "95 %", "p99": "99 %"}


def labels(facts: Sequence[LabelDay]) -> Picture:
    """Return how many of each day's sampled requests have a label, wait for one, or are contradicted."""
    ripe = sum(one.ripe for one in facts)
    waiting = sum(one.waiting or 0 for one in facts)
    contradicted = sum(one.contradicted for one in facts)
    finding = f"{count(ripe)} of {plural(len(facts), 'day')} count; {plural(waiting, 'label')} expected still"
    finding += f", {count(contradicted)} contradicted." if contradicted else "."
    table = Table(
        ("day", "sampled", "labelled", "expected", "waiting", "contradicted", "counts"),
        [
            (
                str(one.day),
                count(one.sampled),
                count(one.labelled),
                count(one.expected),
                count(one.waiting),
                count(one.contradicted),
                "yes" if one.ripe else "not yet",
            )
            for one in reversed(facts)
        ],
    )
    return Picture("labels", "Labels by day", finding, lambda width: _labels(facts, width), table=table)


def _labels(facts: Sequence[LabelDay], width: int) -> Canvas:
    legend = [
        Entry("box", "challenger", "labelled"),
        Entry("band", "challenger", "still expected"),
        Entry("band", "champion", "sampled"),
    ]
    if any(one.contradicted for one in facts):
        legend.append(Entry("diamond", "fail", "contradicted"))
    if not all(one.ripe for one in facts):
        legend.append(Entry("dash", "ink", "first day that does not count yet"))
    canvas = _by_day(width, legend, facts[0].day, facts[-1].day)
    highest = max([one.sampled for one in facts] + [1]) * 1.06
    canvas.scale("y", 0, highest)
    draw_values(canvas, 0, highest, Measure(), most=5)
    sides = (0,) if _step([one.day for one in facts]) > 1 else (-_HALF_DAY, _HALF_DAY)
    edges = [milliseconds(one.day) + side for one in facts for side in sides]
    sampled = [one.sampled for one in facts for _ in sides]
    known = [one.labelled for one in facts for _ in sides]
    expected = [one.labelled + (one.waiting or 0) for one in facts for _ in sides]
    canvas.area("sampled", edges, 0, sampled, fill="champion", opacity=0.3)
    canvas.area("expected", edges, known, expected, fill="challenger", opacity=0.45)
    canvas.area("labelled", edges, 0, known, fill="challenger", opacity=0.8)
    against = [milliseconds(one.day) for one in facts if one.contradicted]
    if against:
        canvas.points("contradicted", against, 6, fill="fail", shape="diamond", size=50, on=("x", None))
    unripe = [milliseconds(one.day) - _HALF_DAY for one in facts if not one.ripe]
    if unripe:
        canvas.segments(
            "unripe", unripe[0], 0, unripe[0], canvas.inner_height, stroke="ink", dash=(3, 3), on=("x", None)
        )
    return canvas


def latency(facts: LatencyFacts) -> Picture:
    """Return the percentiles of both models' latency by day, on a logarithmic axis."""
    parts = []
    for key, words in _PERCENTILES.items():
        champion, challenger = _newest(facts.champion.get(key, ())), _newest(facts.challenger.get(key, ()))
        if challenger is not None:
            against = f" against {_ms(champion)}" if champion is not None else ""
            parts.append(f"{words} {_ms(challenger)}{against}")
    finding = f"Newest: {', '.join(parts)} of the champion." if parts else "No latency was measured."
    return Picture(
        "latency", "Latency by day", finding, lambda width: _latency(facts, width), table=_latency_table(facts)
    )


def _ms(value: float | None) -> str:
    return measure_of("latency_p50").say(value)


def _newest(values: Sequence[float | None]) -> float | None:
    return next((one for one in reversed(values) if one is not None), None)


def _latency(facts: LatencyFacts, width: int) -> Canvas:
    legend = [Entry("line", "champion", "champion"), Entry("line", "challenger", "challenger")]
    legend += [Entry("dash" if dash else "line", "ink", _PERCENTILES[key]) for key, dash in _DASHES.items()]
    canvas = _by_day(width, legend, facts.days[0], facts.days[-1], unit=_often("milliseconds, logarithmic", facts.days))
    known = [one for series in (facts.champion, facts.challenger) for row in series.values() for one in row if one]
    low, high = (min(known) / 1.15, max(known) * 1.15) if known else (0.1, 10.0)
    canvas.scale("y", low, high, kind="log")
    values = powers(low, high)
    canvas.grid("y", values)
    words = [f"{one:g}" for one in values]
    canvas.text(-7, values, words, fill="muted", size=SMALL, align="right", on=(None, "y"))
    step = _step(facts.days)
    x = [milliseconds(day) for day in facts.days[::step]]
    for model, series in (("champion", facts.champion), ("challenger", facts.challenger)):
        for key, row in series.items():
            shown = middles([one or None for one in row], step)
            canvas.line(f"{model}_{key}", x, shown, stroke=model, width=1.5, dash=_DASHES.get(key, ()))
    return canvas


def _step(days: Sequence[dt.date]) -> int:
    """Return of how many days the middle one is drawn: of one, and of seven where single days would be a blur."""
    return WEEK if len(days) > _MOST_DAYS else 1


def _often(words: str, days: Sequence[dt.date]) -> str:
    return f"{words}, median of seven days" if _step(days) > 1 else words


def middles(values: Sequence[float | None], step: int) -> list[float | None]:
    """Return the median of each `step` values in a row, None where most of them are missing."""
    parts = [[one for one in values[at : at + step] if one is not None] for at in range(0, len(values), step)]
    return [sorted(part)[len(part) // 2] if 2 * len(part) > step else None for part in parts]


def _latency_table(facts: LatencyFacts) -> Table:
    columns = [
        (model, key) for key in _PERCENTILES for model in ("champion", "challenger") if key in getattr(facts, model)
    ]
    headings = ("day", *(f"{model} {_PERCENTILES[key]}, ms" for model, key in columns))
    rows = [
        (str(day), *(number(getattr(facts, model)[key][index]) for model, key in columns))
        for index, day in enumerate(facts.days)
    ]
    return Table(headings, rows[::-1])


def drift(facts: DriftFacts) -> list[Picture]:
    """Return a picture for each distance between the two models' answers, with the bound that a rule gives it."""
    return [_drift(facts, name, index) for index, name in enumerate(facts.values)]


def _drift(facts: DriftFacts, name: str, index: int) -> Picture:
    values, bound, measure = facts.values[name], facts.bounds.get(name), measure_of(name)
    newest = next((index for index in reversed(range(len(values))) if values[index] is not None), None)
    finding = "No day has a value" if newest is None else f"{measure.say(values[newest])} on {facts.days[newest]}"
    if bound is not None:
        beyond = sum(one is not None and one > bound for one in values)
        finding += f", bound {measure.exact(bound)}; above it on {plural(beyond, 'day')} of {count(len(values))}"
    rows = [(str(day), measure.say(value)) for day, value in zip(facts.days, values, strict=True)]
    title = facts.titles.get(name, name)
    return Picture(
        f"drift-{index + 1}",
        capitalised(title),
        f"{finding}.",
        lambda width: _distance(facts.days, values, bound, measure, width),
        table=Table(("day", "value"), rows[::-1]),
    )


def _distance(
    days: Sequence[dt.date], values: Sequence[float | None], bound: float | None, measure: Measure, width: int
) -> Canvas:
    legend = [Entry("dots", "champion", "one day"), Entry("line", "challenger", "median of seven days")]
    if _step(days) == 1:
        legend = [Entry("line", "challenger", "one day")]
    if bound is not None:
        legend.append(Entry("dash", "ink", f"bound {measure.exact(bound)}"))
    canvas = _by_day(width, legend, days[0], days[-1])
    known = [one for one in (*values, bound) if one is not None]
    highest = max([*known, 0.0]) * 1.08 or 1.0
    canvas.scale("y", min([*known, 0.0]), highest)
    draw_values(canvas, min([*known, 0.0]), highest, measure, most=5)
    x = [milliseconds(day) for day in days]
    step = _step(days)
    canvas.dots("distance", x, list(values), stroke="champion" if step > 1 else "challenger", size=3.5)
    canvas.line("middle", x[::step], middles(values, step), stroke="challenger", width=1.5)
    if bound is not None:
        canvas.segments(
            "bound", 0, bound, canvas.inner_width, bound, stroke="ink", width=1.5, dash=(6, 4), on=(None, "y")
        )
    return canvas


def _by_day(width: int, legend: Sequence[Entry], first: dt.date, last: dt.date, *, unit: str = "") -> Canvas:
    """Return a canvas with a legend, a scale of time from the first day to the last, and its axis."""
    lines = wrapped(visible(unit), width - 16, 1) if unit else []
    head = height_of(legend, width - 16)
    top = head + 17 * len(lines) + 8
    canvas = Canvas(width, _HEIGHT, left=52, right=14, top=top, bottom=32)
    canvas.scale("x", milliseconds(first) - _HALF_DAY, milliseconds(last) + _HALF_DAY, kind="utc")
    draw_days(canvas, first, last)
    draw_legend(canvas, legend)
    for row, line in enumerate(lines):
        canvas.text(8 - canvas.left, head + 17 * row + 9 - top, line, fill="muted", size=SMALL, most=200, on=_PIXELS)
    return canvas
