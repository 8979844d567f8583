"""The confidence sequence over days: how it narrows towards the decision, beside what each day alone says."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, plural
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart, ChartTable, Rows
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views.facts import SequenceFacts
from shadow_deployment.report.wording import Measure, capitalised, measure_of

_COLOURS: Final = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}
_HALF: Final = parts.DAY / 2
_HEIGHTS: Final = {WIDE: 370, NARROW: 410}
_FEW: Final = 20  # observations, up to which there is no interval to flatten
_MANY: Final = 120  # observations, from which on the interval is narrow beside them


def sequence(facts: SequenceFacts, number: int) -> Chart:
    """Return the chart of one sequence, the `number`th of its page; it must have a day."""
    measure, places = _measure(facts), _places(facts)
    columns = zip(facts.days, facts.observed, facts.mean, facts.lower, facts.upper, strict=True)
    numbers = [(str(day), *(measure.say(value, places) for value in values)) for day, *values in columns]
    table = ChartTable((facts.per, "alone", "mean so far", "interval from", "to"), numbers[::-1])
    title = f"{capitalised(facts.text)}{'' if facts.slice == 'all' else f', in {facts.slice}'}"
    widths, note = (WIDE, NARROW), _note(facts)
    return Chart(f"sequence-{number}", title, _finding(facts), lambda width: _plot(facts, width), widths, table, note)


def _measure(facts: SequenceFacts) -> Measure:
    return measure_of(facts.metric, facts.unit)


def _places(facts: SequenceFacts) -> int:
    return _measure(facts).places([facts.lower[-1], facts.mean[-1], facts.upper[-1]], 3)


def _finding(facts: SequenceFacts) -> str:
    measure, observed = _measure(facts), plural(len(facts.days), facts.per)
    lower, upper = facts.lower[-1], facts.upper[-1]
    if lower is None and upper is None:
        if len(facts.days) < facts.burn_in:
            return f"No interval yet after {observed}; the first is due on {facts.per} {facts.burn_in}."
        return f"No interval after {observed}: {facts.per}s that are all alike do not show how much they vary."
    stands = {"PASS": "clears", "FAIL": "misses", "INCONCLUSIVE": "contains"}[facts.outcome]
    since = f", first on {facts.decided_on}" if facts.decided_on else ""
    return (
        f"After {observed} the interval {measure.interval(lower, upper, _places(facts))} {stands} the bound "
        f"{measure.exact(facts.bound)}: {facts.outcome}{since}."
    )


def _note(facts: SequenceFacts) -> str:
    low, high = _reach(facts)
    outside = sum(not low <= value <= high for value in facts.observed)
    of_all = f"{count(outside)} of {plural(len(facts.days), facts.per)}"
    notes = [f"{of_all} lie outside the chart."] if outside else []
    if not facts.agrees:
        notes.append("Evidence has changed since this verdict: the last day is not the one judged.")
    return " ".join(notes)


def _plot(facts: SequenceFacts, width: int) -> dict[str, Any]:
    reach, days = _reach(facts), [parts.milliseconds(day) for day in facts.days]
    x = parts.day_axis(facts.days[0], facts.days[-1], width)
    y = parts.value_axis(alt.Y, reach, _measure(facts), signed=facts.unit != "value")
    blue, dot = colour("challenger"), 5.0 if len(days) <= 70 else 4.0 if len(days) <= 200 else 3.2
    burn_in = parts.rows(start=days[0] - _HALF, end=_burn_in_end(facts))
    shade = parts.mark("rect", "shade")
    band = parts.mark("area", color=blue, fillOpacity=0.22, stroke=blue, strokeWidth=1, clip=True)
    line, mean = parts.mark("line", color=blue, strokeWidth=2.5, clip=True), parts.rows(day=days, value=facts.mean)
    daily = parts.rows(day=days, value=facts.observed)
    layers = [
        parts.layer("burn_in", shade, burn_in, x=x("start"), x2=alt.X2("end")),
        parts.layer("interval", band, _interval(facts, days), x=x("day"), y=y("lower"), y2=alt.Y2("upper")),
        parts.dots("daily", dot, "champion", daily, x=x("day"), y=y("value"), gap="value"),
        parts.layer("mean", line, mean, x=x("day"), y=y("value")),
        parts.layer("bound", parts.rule(), parts.rows(value=facts.bound), y=y("value")),
        *_decision(facts, x),
    ]
    if width > NARROW:
        end = parts.small(color=blue, dx=6)
        layers.append(parts.layer("end", end, _end(facts, reach), x=parts.at("width"), y=y("y"), text=parts.TEXT))
    return parts.framed(width, _HEIGHTS[width], layers, legend=_legend(facts), caption=facts.unit_words)


def _burn_in_end(facts: SequenceFacts) -> float:
    """Return where the observations end before which no bound may be given: all of them where there is none yet."""
    if facts.burn_in_end:
        return parts.milliseconds(facts.burn_in_end) - _HALF
    return parts.milliseconds(facts.days[-1]) + _HALF


def _interval(facts: SequenceFacts, days: Sequence[int]) -> Rows:
    """Return the interval by day, where there is one; an open side ends out of sight."""
    low, high = parts.reach(_reach(facts), 1.0)
    return [
        {"day": day, "lower": low if lower is None else lower, "upper": high if upper is None else upper}
        for day, lower, upper in zip(days, facts.lower, facts.upper, strict=True)
        if lower is not None or upper is not None
    ]


def _decision(facts: SequenceFacts, x: parts.Channel) -> list[parts.Layer]:
    """Return the marks of the day of decision, and what was decided, on the side that has more room."""
    day, tint = facts.decided_on, _COLOURS[facts.outcome]
    if day is None or not facts.days[0] <= day <= facts.days[-1]:
        return []
    side = {"align": "right", "dx": -8} if day > facts.days[len(facts.days) // 2] else {"align": "left", "dx": 8}
    halo = {"stroke": colour("ground"), "strokeWidth": 4, "strokeJoin": "round"}
    words = parts.mark("text", tint, fontWeight=600, dy=-14, **side, **halo)
    point = parts.mark("point", tint, shape="triangle-up", size=90)
    rows, foot = parts.rows(day=parts.milliseconds(day), words=f"{facts.outcome} since {day}"), parts.at("height")
    return [
        parts.layer("decided", parts.rule(tint, 2, (1, 0)), rows, x=x("day")),
        parts.layer("decided_day", point, rows, x=x("day"), y=foot),
        parts.layer("decided_words", words, rows, x=x("day"), y=foot, text=parts.TEXT),
    ]


def _end(facts: SequenceFacts, reach: parts.Reach) -> Rows:
    """Return the newest interval and mean in words, at heights that lie apart from each other."""
    (low, high), mean, lower, upper = reach, facts.mean[-1], facts.lower[-1], facts.upper[-1]
    gap = parts.LINE * (high - low) / (_HEIGHTS[WIDE] - 80)
    places = [(mean, mean)]
    places += [(min(lower, mean - gap), lower)] if lower is not None else []
    places += [(max(upper, mean + gap), upper)] if upper is not None else []
    say, decimals, is_signed = _measure(facts).say, _places(facts), facts.unit != "value"
    return [{"y": y, "words": say(value, decimals, signed=is_signed)} for y, value in places if low <= y <= high]


def _legend(facts: SequenceFacts) -> list[parts.Entry]:
    bound = _measure(facts).exact(facts.bound)
    return [
        parts.Entry("dots", "champion", f"one {facts.per} alone (naive estimate)"),
        parts.Entry("line", "challenger", "mean so far"),
        parts.Entry("box", "band", "interval valid on all days at once"),
        parts.Entry(
            "line", "ink", f"bound {bound}: the rule holds {'above' if facts.holds_above else 'below'}", dash=parts.DASH
        ),
        parts.Entry("box", "shade", f"burn-in of {plural(facts.burn_in, facts.per)}"),
    ]


def _reach(facts: SequenceFacts) -> parts.Reach:
    """Return what is shown: the bound, the newest interval, and all but days far out and the earliest bounds."""
    newest = [value for value in (facts.lower[-1], facts.upper[-1]) if value is not None]
    core = [*_near(facts.observed), *facts.mean[facts.burn_in - 1 :], facts.bound, *newest]
    spread, middle = max(core) - min(core), (max(core) + min(core)) / 2
    early = [value for side in (facts.lower, facts.upper) for value in side if value is not None]
    return parts.reach([*core, *(value for value in early if abs(value - middle) <= 0.75 * spread)])


def _near(values: Sequence[float]) -> list[float]:
    """Return the values that lie not far outside the middle half, so that a bad day does not flatten the interval."""
    ordered = sorted(values)
    if len(ordered) < _FEW:
        return ordered
    low, high = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    beyond = (high - low) * (0.75 if len(ordered) > _MANY else 1.5)
    return [value for value in ordered if low - beyond <= value <= high + beyond]
