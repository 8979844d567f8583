"""The confidence sequence over days: how it narrows towards the decision, beside what each day alone says."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, percent, plural
from shadow_deployment.decision.words.wording import in_slice
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import NARROW, WIDE, Chart, ChartTable, Rows
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views import SequenceView
from shadow_deployment.report.wording import capitalised

_COLOURS: Final = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}
_RELATIONS: Final = {"PASS": "clears", "FAIL": "misses", "INCONCLUSIVE": "contains"}
_REACHED: Final = {"PASS": "bound cleared on", "FAIL": "bound missed on", "INCONCLUSIVE": "bound reached on"}
_HALF: Final = parts.DAY / 2
_HEIGHTS: Final = {WIDE: 370, NARROW: 410}
_RING: Final = 2.2  # pixels by which a dot is wider than what makes it hollow
_FEW: Final = 20  # observations, up to which there is no interval to flatten
_MANY: Final = 120  # observations, from which on the interval is narrow beside them


def sequence(view: SequenceView, number: int) -> Chart:
    """Return the chart of one sequence, the `number`th of its page; it must have a day."""
    say, places = view.rule.measure.say, _places(view)
    columns = zip(view.days, view.observed, view.mean, view.lower, view.upper, strict=True)
    numbers = [
        (str(day), *(say(value, places) for value in values), "replayed" if number < view.replayed else "live")
        for number, (day, *values) in enumerate(columns)
    ]
    table = ChartTable(
        (view.per, "alone", "cumulative effect", "interval from", "to", "evidence"), numbers[::-1], tail=1
    )
    title = f"{capitalised(view.rule.text)}{in_slice(view.rule.finding.slice)}"
    name, widths, note = f"sequence-{number}", (WIDE, NARROW), _note(view)
    span = (str(view.days[0]), str(view.days[-1]))
    return Chart(name, title, _in_words(view), lambda width: _plot(view, width), widths, table, note, span)


def _places(view: SequenceView) -> int:
    return view.rule.measure.places([view.lower[-1], view.mean[-1], view.upper[-1]], 3)


def _in_words(view: SequenceView) -> str:
    measure, finding, observed = view.rule.measure, view.rule.finding, plural(len(view.days), view.per)
    lower, upper = view.lower[-1], view.upper[-1]
    if lower is None and upper is None:
        if len(view.days) < view.burn_in:
            return f"No interval yet after {observed}; the first is due on {view.per} {view.burn_in}."
        return f"No interval after {observed}: {view.per}s that are all alike do not show how much they vary."
    since = f" since the evidence of {finding.decided_on}" if finding.decided_on else ""
    return (
        f"After {observed} the interval {measure.interval(lower, upper, _places(view))} {_relation(view)} "
        f"{_bounds(view)}: {finding.outcome}{since}."
    )


def _relation(view: SequenceView) -> str:
    """Return how the newest interval lies; what clears its bound may be undecided for what its newest days say."""
    outcome, lower, upper = view.rule.finding.outcome, view.lower[-1], view.upper[-1]
    inside = [bound for bound in view.rule.finding.bounds if _is_within(bound, lower, upper)]
    return _RELATIONS["PASS" if outcome == "INCONCLUSIVE" and not inside else outcome]


def _is_within(value: float, lower: float | None, upper: float | None) -> bool:
    return (lower is None or lower <= value) and (upper is None or value <= upper)


def _bounds(view: SequenceView) -> str:
    first, *other = map(view.rule.measure.exact, view.rule.finding.bounds)
    return f"the bounds {first} and {other[0]}" if other else f"the bound {first}"


def _note(view: SequenceView) -> str:
    low, high = _reach(view)
    outside = sum(not low <= value <= high for value in view.observed)
    notes = [f"{count(outside)} of {plural(len(view.days), view.per)} lie outside the chart."] if outside else []
    if view.replayed:
        notes.append(f"{plural(view.replayed, view.per)} before the registration, drawn hollow, were replayed.")
    if not view.agrees:
        notes.append(f"Evidence has changed since this verdict: the last {view.per} is not the one judged.")
    return " ".join(notes)


def _plot(view: SequenceView, width: int) -> dict[str, Any]:
    reach, days, is_signed = _reach(view), [parts.milliseconds(day) for day in view.days], view.rule.unit != "value"
    x = parts.day_axis(view.days[0], view.days[-1], width)
    y = parts.value_axis(alt.Y, reach, view.rule.measure, signed=is_signed)
    blue, dot = colour("challenger"), 5.0 if len(days) <= 70 else 4.0 if len(days) <= 200 else 3.2
    # Where observations end before which no bound may be given: all of them where there is none yet.
    burn_in_end = parts.milliseconds(view.burn_in_end) - _HALF if view.burn_in_end else days[-1] + _HALF
    burn_in = parts.rows(start=days[0] - _HALF, end=burn_in_end)
    shade = parts.mark("rect", "shade")
    band = parts.mark("area", color=blue, fillOpacity=0.22, stroke=blue, strokeWidth=1, clip=True)
    line, mean = parts.mark("line", color=blue, strokeWidth=2.5, clip=True), parts.rows(day=days, value=view.mean)
    daily, bound = parts.rows(day=days, value=view.observed), parts.rows(value=list(view.rule.finding.bounds))
    layers = [
        parts.layer("burn_in", shade, burn_in, x=x("start"), x2=alt.X2("end")),
        parts.layer("interval", band, _interval(view, days), x=x("day"), y=y("lower"), y2=alt.Y2("upper")),
        parts.dots("daily", dot, "champion", daily, x=x("day"), y=y("value"), gap="value"),
        *_hollow(view, dot, x, y),
        parts.layer("mean", line, mean, x=x("day"), y=y("value")),
        parts.layer("bound", parts.rule(), bound, y=y("value")),
        *_decision(view, x),
        parts.days_ends(x, view.days),
    ]
    if width > NARROW:
        end, words = parts.small(color=blue, dx=6), _end(view, reach, signed=is_signed)
        layers.append(parts.layer("end", end, words, x=parts.at("width"), y=y("y"), text=parts.TEXT))
    return parts.framed(width, _HEIGHTS[width], layers, legend=_legend(view), caption=view.rule.unit_words)


def _hollow(view: SequenceView, dot: float, x: parts.Channel, y: parts.Channel) -> list[parts.Layer]:
    """Return what makes the dots of replayed days hollow, where there are any."""
    days = [parts.milliseconds(day) for day in view.days[: view.replayed]]
    inner = parts.rows(day=days, value=view.observed[: view.replayed])
    return [parts.dots("replayed", dot - _RING, "ground", inner, x=x("day"), y=y("value"), gap="value")] if days else []


def _interval(view: SequenceView, days: Sequence[int]) -> Rows:
    """Return the interval by day, where there is one; an open side ends out of sight."""
    low, high = parts.reach(_reach(view), 1.0)
    return [
        {"day": day, "lower": low if lower is None else lower, "upper": high if upper is None else upper}
        for day, lower, upper in zip(days, view.lower, view.upper, strict=True)
        if lower is not None or upper is not None
    ]


def _decision(view: SequenceView, x: parts.Channel) -> list[parts.Layer]:
    """Return the marks of the day of decision, and what was decided, on the side that has more room."""
    day, outcome = view.rule.finding.decided_on, view.rule.finding.outcome
    if day is None or not view.days[0] <= day <= view.days[-1]:
        return []
    tint, is_late = _COLOURS[outcome], day > view.days[len(view.days) // 2]
    side = {"align": "right", "dx": -8} if is_late else {"align": "left", "dx": 8}
    words = parts.mark("text", tint, fontWeight=600, dy=-14, **side, **parts.HALO)
    point = parts.mark("point", tint, shape="triangle-up", size=90)
    rows, foot = parts.rows(day=parts.milliseconds(day), words=f"{_REACHED[outcome]} {day}"), parts.at("height")
    return [
        parts.layer("decided", parts.rule(tint, 2, (1, 0)), rows, x=x("day")),
        parts.layer("decided_day", point, rows, x=x("day"), y=foot),
        parts.layer("decided_words", words, rows, x=x("day"), y=foot, text=parts.TEXT),
    ]


def _end(view: SequenceView, reach: parts.Reach, *, signed: bool) -> Rows:
    """Return the newest interval and mean in words, at heights that lie apart from each other."""
    (low, high), mean, lower, upper = reach, view.mean[-1], view.lower[-1], view.upper[-1]
    gap = parts.LINE * (high - low) / (_HEIGHTS[WIDE] - 80)
    places = [(mean, mean)]
    places += [(min(lower, mean - gap), lower)] if lower is not None else []
    places += [(max(upper, mean + gap), upper)] if upper is not None else []
    say, decimals = view.rule.measure.say, _places(view)
    return [{"y": y, "words": say(value, decimals, signed=signed)} for y, value in places if low <= y <= high]


def _legend(view: SequenceView) -> list[parts.Entry]:
    side = "between" if len(view.rule.finding.bounds) > 1 else "above" if view.rule.holds_above else "below"
    holds = f"{_bounds(view).removeprefix('the ')}: the rule holds {side}"
    replayed = [parts.Entry("circle", "champion", f"replayed {view.per}", hollow=True)] if view.replayed else []
    return [
        parts.Entry("dots", "champion", f"effect of one {view.per} alone (naive estimate)"),
        *replayed,
        parts.Entry("line", "challenger", "cumulative effect"),
        parts.Entry("box", "band", f"{_level(view)}confidence sequence"),
        parts.Entry("line", "ink", holds, dash=parts.DASH),
        parts.Entry("box", "shade", f"burn-in of {plural(view.burn_in, view.per)}"),
    ]


def _level(view: SequenceView) -> str:
    """Return at which level the interval holds on all days at once, as the beginning of its name."""
    finding = view.rule.finding
    if finding.alpha_pass is None or finding.alpha_fail is None:
        return ""
    return f"{percent(1 - finding.alpha_pass - finding.alpha_fail)} "


def _reach(view: SequenceView) -> parts.Reach:
    """Return what is shown: the bound, the newest interval, and all but days far out and the earliest bounds."""
    newest = [value for value in (view.lower[-1], view.upper[-1]) if value is not None]
    core = [*_near(view.observed), *view.mean[view.burn_in - 1 :], *view.rule.finding.bounds, *newest]
    spread, middle = max(core) - min(core), (max(core) + min(core)) / 2
    early = [value for side in (view.lower, view.upper) for value in side if value is not None]
    return parts.reach([*core, *(value for value in early if abs(value - middle) <= 0.75 * spread)])


def _near(values: Sequence[float]) -> list[float]:
    """Return the values that lie not far outside the middle half, so that a bad day does not flatten the interval."""
    ordered = sorted(values)
    if len(ordered) < _FEW:
        return ordered
    low, high = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    beyond = (high - low) * (0.75 if len(ordered) > _MANY else 1.5)
    return [value for value in ordered if low - beyond <= value <= high + beyond]
