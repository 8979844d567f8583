"""The noise of the pipeline beside the challengers, and the verdicts with promotions and rollbacks as a timeline."""

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, plural
from shadow_deployment.ledger.page import OutcomeDay
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart, ChartTable, Rows
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views import NoiseSeries, NoiseView
from shadow_deployment.report.wording import measure_of

_LANES: Final = {"PASS": "pass", "INCONCLUSIVE": "open", "FAIL": "fail"}
_KINDS: Final = {
    "promotion": ("triangle-up", "promotion"),
    "rollback": ("triangle-down", "rollback"),
    "forced": ("cross", "forced promotion"),
}
_MOST_SERIES: Final = 8
_LEFT: Final = 112  # pixels of the lanes' names


def noise(view: NoiseView, period: str = "day") -> Chart:
    """Return the daily differences of the A/A check and of each challenger, one row each, with mean and spread."""
    series = [*([view.a_a_check] if view.a_a_check else []), *view.others][:_MOST_SERIES]
    measure, numbers = measure_of(view.metric, "difference"), []
    for each in series:
        mean, deviation = measure.say(each.mean, signed=True), measure.say(each.deviation)
        numbers.append((each.name, each.role, mean, deviation, count(len(each.days))))
    table = ChartTable(
        ("challenger", "role", "mean difference", f"standard deviation of a {period}", f"{period}s"), numbers, left=2
    )
    title = f"A/A noise: {view.title} by {period}"
    return Chart(
        "noise", title, _noise_in_words(view, period), lambda width: _noise(view, series, period, width), table=table
    )


def _noise_in_words(view: NoiseView, period: str) -> str:
    if view.a_a_check is None:
        return "There is no A/A check: enter the champion as its own challenger to see the noise of the pipeline."
    check, deviation = "The A/A check, the champion against itself,", view.a_a_check.deviation
    if deviation is None:
        return f"{check} has too few {period}s to show the noise of the pipeline."
    if deviation == 0:
        return f"{check} differs on no {period}: the pipeline adds no noise."
    differs = measure_of(view.metric, "difference").say(deviation)
    return f"{check} differs by {differs} a {period}: the noise of the pipeline."


def _noise(view: NoiseView, series: Sequence[NoiseSeries], period: str, width: int) -> dict[str, Any]:
    every = sorted(difference for each in series for difference in each.differences)
    outer = len(every) // 100
    reach = parts.reach([*every[outer : len(every) - outer], 0.0], 0.04)
    x = parts.value_axis(alt.X, reach, measure_of(view.metric, "difference"), signed=True, count=4)
    y, tint = parts.row_axis(0.7), parts.raw(alt.Color, "colour")
    rows = [{"row": row, **_spread(each, reach)} for row, each in enumerate(series)]
    daily = [{"row": row, "value": value} for row, each in enumerate(series) for value in each.differences]
    name = parts.mark("text", limit=0.8 * width, aria=True, **parts.HALO)
    line, diamond = parts.mark("rule", strokeWidth=3), parts.mark("point", shape="diamond", size=80)
    layers = [
        parts.layer("zero", parts.rule(), parts.rows(value=0.0), x=x("value")),
        parts.dots("day", 4, "champion", daily, x=x("value"), y=y, opacity=0.35, gap="value"),
        parts.layer("spread", line, rows, x=x("low"), x2=alt.X2("high"), y=y, color=tint),
        parts.layer("mean", diamond, rows, x=x("mean"), y=y, color=tint),
        parts.layer("series", name, rows, x=parts.at(0), y=parts.row_axis(0.3), **parts.WORDS),
    ]
    legend = [parts.Entry("dots", "champion", f"one {period}"), parts.Entry("line", "ink", "mean ± standard deviation")]
    caption = f"champion's loss minus the challenger's, {view.title}"
    return parts.framed(width, alt.Step(46), layers, legend=legend, caption=caption, left=0)


def _spread(each: NoiseSeries, reach: parts.Reach) -> Mapping[str, Any]:
    """Return where a series lies, and its name."""
    is_a_a_check = each.role == "a_a_check"
    name = f"{each.name} (A/A check)" if is_a_a_check and each.name != "a_a_check" else each.name
    row = {"words": name, "whole": name, "colour": colour("other" if is_a_a_check else "challenger")}
    if each.mean is None or each.deviation is None:
        return row
    low, high = max(each.mean - each.deviation, reach[0]), min(each.mean + each.deviation, reach[1])
    return row | {"low": low, "mean": each.mean, "high": high}


def timeline(history: Sequence[OutcomeDay], promotions: Sequence[PromotionRecord], period: str = "day") -> Chart:
    """Return each day's or week's verdict, and the changes of the champion above them."""
    outcomes = [day.outcome for day in history]
    tally = ", ".join(f"{name} on {plural(outcomes.count(name), period)}" for name in _LANES if name in outcomes)
    changes = plural(len(promotions), "change") + " of the champion" if promotions else "no change of the champion"
    finding = f"{tally or f'No {period} was judged'}; {changes}."
    numbers = [(str(day.day), day.outcome, count(day.revision)) for day in reversed(history)]
    title, table = (
        f"Verdicts by {period}, promotions and rollbacks",
        ChartTable((period, "verdict", "times judged"), numbers, left=2),
    )
    span = (str(history[0].day), str(history[-1].day)) if history else None
    return Chart(
        "timeline", title, finding, lambda width: _timeline(history, promotions, width), (WIDE, NARROW), table,
        span=span,
    )  # fmt: skip


def _timeline(history: Sequence[OutcomeDay], promotions: Sequence[PromotionRecord], width: int) -> dict[str, Any]:
    changes = sorted(promotions, key=lambda change: change.created_at)
    days = [_day_of(change, history) for change in changes]
    every = [*days, *(day.day for day in history)]
    x = parts.day_axis(min(every), max(every), width - _LEFT, grid=True)
    y, top, tint = parts.row_axis(), parts.at(-12), parts.raw(alt.Color, "colour")
    lanes = [{"row": row, "words": name, "colour": colour(look)} for row, (name, look) in enumerate(_LANES.items())]
    marks = parts.rows(
        day=[parts.milliseconds(day) for day in days],
        shape=[_KINDS[change.kind][0] for change in changes],
        words=_apart(
            [change.number for change in changes], days, (max(every) - min(every)).days * 26 / (width - _LEFT)
        ),
    )
    lane, bar = parts.mark("text", fontWeight=600, fontSize=12), parts.mark("bar", height=12)
    symbol = parts.mark("point", "other", size=90)
    layers = [
        parts.layer("lane", lane, lanes, x=parts.at(-_LEFT), y=y, color=tint, text=parts.TEXT),
        parts.layer("verdicts", bar, _runs(history), x=x("start"), x2=alt.X2("end"), y=y, color=tint),
        parts.layer("change", parts.rule("other", 1, (2, 2)), marks, x=x("day"), y=parts.at(-8), y2=parts.at("height")),
        parts.layer("kind", symbol, marks, x=x("day"), y=top, shape=parts.raw(alt.Shape, "shape")),
        parts.layer("number", parts.small(color=colour("other"), dx=10), marks, x=x("day"), y=top, text=parts.TEXT),
    ]
    if history:
        layers.append(parts.days_ends(x, [day.day for day in history]))
    kinds = dict.fromkeys(change.kind for change in promotions)
    legend = [parts.Entry(_KINDS[kind][0], "other", _KINDS[kind][1]) for kind in kinds]
    return parts.framed(width, alt.Step(28), layers, legend=legend, left=_LEFT, head=26 if promotions else 0)


def _apart(numbers: Sequence[int], days: Sequence[dt.date], least: float) -> list[str]:
    """Return numbers as text, without those whose next one is nearer than so many days."""
    gaps = [(later - day).days for day, later in pairwise([*days, dt.date.max])]
    return [str(number) if gap > least else "" for number, gap in zip(numbers, gaps, strict=True)]


def _runs(history: Sequence[OutcomeDay]) -> Rows:
    """Return days in a row with one outcome as one bar."""
    bars = []
    for row, (name, tint) in enumerate(_LANES.items()):
        days = [day.day.toordinal() for day in history if day.outcome == name]
        for _, run in groupby(enumerate(days), key=lambda pair: pair[1] - pair[0]):
            first, *_, last = [day for _, day in run] * 2
            start, end = (parts.milliseconds(dt.date.fromordinal(day)) for day in (first, last))
            bars.append(
                {"row": row, "start": start - parts.DAY / 2, "end": end + parts.DAY / 2, "colour": colour(tint)}
            )
    return bars


def _day_of(change: PromotionRecord, history: Sequence[OutcomeDay]) -> dt.date:
    """Return where a change stands among the days: on the one that it rests on, else not after the newest verdict."""
    made = change.day or change.created_at.astimezone(dt.UTC).date()
    return min(made, history[-1].day) if history else made
