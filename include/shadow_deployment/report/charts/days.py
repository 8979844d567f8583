"""What each day brought: labels as they arrive, latency, and the distance between the two models' predictions."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, number, plural
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import Chart, ChartTable
from shadow_deployment.report.views import DailySeries, LabelDay
from shadow_deployment.report.wording import LATENCY_NOTE, Measure, capitalised, measure_of

_HEIGHT: Final = 300
_MANY_DAYS: Final = 90  # beyond it, steps and wide lines would be a blur
_PERCENTILES: Final = {
    "p50": ("p50", (1, 0)),
    "p95": ("p95", (6, 3)),
    "p99": ("p99", (2, 3)),
}
_MODELS: Final = ("champion", "challenger")


def labels(days: Sequence[LabelDay], period: str = "day") -> Chart:
    """Return how many of each day's or week's sampled requests have a label, wait for one, or are contradicted."""
    waiting, contradicted = sum(day.waiting or 0 for day in days), sum(day.contradicted for day in days)
    mature = count(sum(day.mature for day in days))
    finding = f"{mature} of {plural(len(days), period)} count; {plural(waiting, 'label')} still expected"
    finding += f", {count(contradicted)} contradicted." if contradicted else "."
    numbers = []
    for day in reversed(days):
        counts = (day.sampled, day.labelled, day.expected, day.waiting, day.contradicted)
        numbers.append((str(day.day), *map(count, counts), "yes" if day.mature else "not yet"))
    table = ChartTable((period, "sampled", "labelled", "expected", "waiting", "contradicted", "counts"), numbers)
    span = (str(days[0].day), str(days[-1].day))
    return Chart(
        "labels", f"Labels by {period}", finding, lambda width: _labels(days, period, width), table=table, span=span
    )


def _labels(days: Sequence[LabelDay], period: str, width: int) -> dict[str, Any]:
    x = parts.day_axis(days[0].day, days[-1].day, width)
    y = parts.value_axis(alt.Y, (0.0, 1.06 * max(1, *(day.sampled for day in days))), Measure(), count=5)
    starts = [parts.milliseconds(day.day) - parts.DAY / 2 for day in days]
    rows = [  # from each day's beginning on; the last day's until its end
        {"day": start, "sampled": day.sampled, "labelled": day.labelled, "expected": day.labelled + (day.waiting or 0)}
        for start, day in zip([*starts, starts[-1] + parts.DAY], [*days, days[-1]], strict=True)
    ]
    style: dict[str, Any] = {"interpolate": "step-after" if len(days) <= _MANY_DAYS else "linear", "clip": True}
    areas = [
        ("sampled", "sampled", alt.Y2Datum(0)),
        ("expected", "band", alt.Y2("labelled")),
        ("labelled", "challenger", alt.Y2Datum(0)),
    ]
    layers = [
        parts.layer(name, parts.mark("area", tint, **style), rows, x=x("day"), y=y(name), y2=bottom)
        for name, tint, bottom in areas
    ]
    legend = [
        parts.Entry("box", *entry)
        for entry in (("challenger", "labelled"), ("band", "still expected"), ("sampled", "sampled"))
    ]
    against = parts.rows(day=[parts.milliseconds(day.day) for day in days if day.contradicted])
    if against:
        diamond = parts.mark("point", "fail", shape="diamond", size=50)
        layers.append(parts.layer("contradicted", diamond, against, x=x("day"), y=parts.at(6)))
        legend.append(parts.Entry("diamond", "fail", "contradicted"))
    immature = parts.rows(day=[start for start, day in zip(starts, days, strict=True) if not day.mature][:1])
    if immature:
        layers.append(parts.layer("immature", parts.rule(dash=(3, 3)), immature, x=x("day")))
        legend.append(parts.Entry("line", "ink", f"first immature {period}", dash=(3, 3)))
    layers.append(parts.days_ends(x, [day.day for day in days]))
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=f"sampled requests, number by {period}")


def latency(daily: DailySeries, period: str = "day") -> Chart:
    """Return the percentiles of both models' latency by day or week, on a logarithmic axis."""
    measure, newest = measure_of("latency_p50"), []
    for percentile, (words, _) in _PERCENTILES.items():
        champion, challenger = (_newest(daily.values.get(f"{model} {percentile}", ())) for model in _MODELS)
        against = "" if champion is None else f" against {measure.say(champion)}"
        newest += [] if challenger is None else [f"{words} {measure.say(challenger)}{against}"]
    finding = f"Newest: {', '.join(newest)} of the champion." if newest else "No latency was measured."
    note = f"{capitalised(LATENCY_NOTE)}."
    lines = [
        (f"{model} {words}, ms", daily.values[key])
        for percentile, (words, _) in _PERCENTILES.items()
        for model in _MODELS
        if (key := f"{model} {percentile}") in daily.values
    ]
    columns = [map(str, daily.days), *(map(number, values) for _, values in lines)]
    table = ChartTable((period, *(heading for heading, _ in lines)), list(zip(*columns, strict=True))[::-1])
    title, span = f"Latency by {period}", _span(daily.days)
    return Chart(
        "latency", title, finding, lambda width: _latency(daily, period, width), table=table, note=note, span=span
    )


def _span(days: Sequence[dt.date]) -> tuple[str, str]:
    return str(days[0]), str(days[-1])


def _newest(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _latency(daily: DailySeries, period: str, width: int) -> dict[str, Any]:
    x = parts.day_axis(daily.days[0], daily.days[-1], width)
    y = parts.log_axis([value for values in daily.values.values() for value in values if value])
    days, layers = [parts.milliseconds(day) for day in daily.days], []
    for model in _MODELS:
        for percentile, (_, dash) in _PERCENTILES.items():
            line = parts.mark("line", model, strokeWidth=_thickness(daily.days), strokeDash=list(dash))
            values = [value or None for value in daily.values.get(f"{model} {percentile}", ())]
            shown = parts.rows(day=days, value=values) if values else []
            layers.append(parts.layer(f"{model}_{percentile}", line, shown, x=x("day"), y=y("value")))
    legend = [parts.Entry("line", model, model) for model in _MODELS]
    legend += [
        parts.Entry("line", "ink", words, dash=dash)
        for percentile, (words, dash) in _PERCENTILES.items()
        if any(key.endswith(percentile) for key in daily.values)
    ]
    layers.append(parts.days_ends(x, daily.days))
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=f"milliseconds by {period}, logarithmic")


def _thickness(days: Sequence[dt.date]) -> float:
    return 1.5 if len(days) <= _MANY_DAYS else 1.0


def distances(daily: DailySeries, period: str = "day") -> list[Chart]:
    """Return a chart for each distance between the two models' predictions, with the bound that a rule gives it."""
    return [_of_metric(daily, metric, index, period) for index, metric in enumerate(daily.values, 1)]


def _of_metric(daily: DailySeries, metric: str, index: int, period: str) -> Chart:
    values, bound, measure = daily.values[metric], daily.bounds.get(metric), measure_of(metric)
    newest = next(
        ((day, value) for day, value in zip(daily.days[::-1], values[::-1], strict=True) if value is not None), None
    )
    finding = f"{measure.say(newest[1])} on {newest[0]}" if newest else f"No {period} has a value"
    if bound is not None:
        above = sum(value is not None and value > bound for value in values)
        finding += f", bound {measure.exact(bound)}; above it on {plural(above, period)} of {count(len(values))}"
    table = ChartTable((period, "value"), list(zip(map(str, daily.days), map(measure.say, values), strict=True))[::-1])
    title, name, span = capitalised(METRICS[metric].title), f"distance-{index}", _span(daily.days)

    def spec(width: int) -> dict[str, Any]:
        return _distance(daily.days, values, bound, measure, period, width)

    return Chart(name, title, f"{finding}.", spec, table=table, span=span)


def _distance(
    days: Sequence[dt.date],
    values: Sequence[float | None],
    bound: float | None,
    measure: Measure,
    period: str,
    width: int,
) -> dict[str, Any]:
    x = parts.day_axis(days[0], days[-1], width)
    known = [value for value in (*values, bound, 0.0) if value is not None]
    y = parts.value_axis(alt.Y, (min(known), parts.reach(known, 0.08)[1]), measure, count=5)
    line = parts.mark("line", "challenger", strokeWidth=_thickness(days))
    daily = parts.rows(day=[parts.milliseconds(day) for day in days], value=list(values))
    dot = 3.5 if len(days) <= _MANY_DAYS else 2.5
    layers = [
        parts.dots("daily", dot, "challenger", daily, x=x("day"), y=y("value"), gap="value"),
        parts.layer("line", line, daily, x=x("day"), y=y("value")),
        parts.days_ends(x, days),
    ]
    legend = [parts.Entry("line", "challenger", f"one {period}")]
    if bound is not None:
        layers.append(parts.layer("bound", parts.rule(), parts.rows(value=bound), y=y("value")))
        legend.append(parts.Entry("line", "ink", f"bound {measure.exact(bound)}", dash=parts.DASH))
    caption = f"no unit, by {period}; 0 where the two models' predictions are spread alike"
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=caption)
