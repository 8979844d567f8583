"""What each day brought: labels as they arrive, latency, and the distance between the two models' predictions."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import count, number, plural
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import Chart, ChartTable
from shadow_deployment.report.views.facts import DriftFacts, LabelDay, LatencyFacts
from shadow_deployment.report.wording import Measure, capitalised, measure_of

WEEK: Final = 7
_HEIGHT: Final = 300
_MOST_DAYS: Final = 90  # beyond it, single days would be a blur
_PERCENTILES: Final = {"p50": ("median", (1, 0)), "p95": ("95 %", (6, 3)), "p99": ("99 %", (2, 3))}
_MODELS: Final = ("champion", "challenger")


def labels(facts: Sequence[LabelDay]) -> Chart:
    """Return how many of each day's sampled requests have a label, wait for one, or are contradicted."""
    waiting, contradicted = sum(day.waiting or 0 for day in facts), sum(day.contradicted for day in facts)
    mature = count(sum(day.ripe for day in facts))
    finding = f"{mature} of {plural(len(facts), 'day')} count; {plural(waiting, 'label')} still expected"
    finding += f", {count(contradicted)} contradicted." if contradicted else "."
    numbers = []
    for day in reversed(facts):
        counts = (day.sampled, day.labelled, day.expected, day.waiting, day.contradicted)
        numbers.append((str(day.day), *map(count, counts), "yes" if day.ripe else "not yet"))
    table = ChartTable(("day", "sampled", "labelled", "expected", "waiting", "contradicted", "counts"), numbers)
    return Chart("labels", "Labels by day", finding, lambda width: _labels(facts, width), table=table)


def _labels(facts: Sequence[LabelDay], width: int) -> dict[str, Any]:
    x = parts.day_axis(facts[0].day, facts[-1].day, width)
    y = parts.value_axis(alt.Y, (0.0, 1.06 * max(1, *(day.sampled for day in facts))), Measure(), count=5)
    starts = [parts.milliseconds(day.day) - parts.DAY / 2 for day in facts]
    rows = [  # from each day's beginning on; the last day's until its end
        {"day": start, "sampled": day.sampled, "labelled": day.labelled, "expected": day.labelled + (day.waiting or 0)}
        for start, day in zip([*starts, starts[-1] + parts.DAY], [*facts, facts[-1]], strict=True)
    ]
    style: dict[str, Any] = {"interpolate": "step-after" if _step(starts) == 1 else "linear", "clip": True}
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
    against = parts.rows(day=[parts.milliseconds(day.day) for day in facts if day.contradicted])
    if against:
        diamond = parts.mark("point", "fail", shape="diamond", size=50)
        layers.append(parts.layer("contradicted", diamond, against, x=x("day"), y=parts.at(6)))
        legend.append(parts.Entry("diamond", "fail", "contradicted"))
    immature = parts.rows(day=[start for start, day in zip(starts, facts, strict=True) if not day.ripe][:1])
    if immature:
        layers.append(parts.layer("immature", parts.rule(dash=(3, 3)), immature, x=x("day")))
        legend.append(parts.Entry("line", "ink", "first immature day", dash=(3, 3)))
    return parts.framed(width, _HEIGHT, layers, legend=legend)


def latency(facts: LatencyFacts) -> Chart:
    """Return the percentiles of both models' latency by day, on a logarithmic axis."""
    measure, newest = measure_of("latency_p50"), []
    for key, (words, _) in _PERCENTILES.items():
        champion, challenger = (_newest(_series(facts, model).get(key, ())) for model in _MODELS)
        against = "" if champion is None else f" against {measure.say(champion)}"
        newest += [] if challenger is None else [f"{words} {measure.say(challenger)}{against}"]
    finding = f"Newest: {', '.join(newest)} of the champion." if newest else "No latency was measured."
    columns = [(model, key) for key in _PERCENTILES for model in _MODELS if key in _series(facts, model)]
    series = [[number(value) for value in _series(facts, model)[key]] for model, key in columns]
    headings = ("day", *(f"{model} {_PERCENTILES[key][0]}, ms" for model, key in columns))
    table = ChartTable(headings, list(zip(map(str, facts.days), *series, strict=True))[::-1])
    return Chart("latency", "Latency by day", finding, lambda width: _latency(facts, width), table=table)


def _series(facts: LatencyFacts, model: str) -> Mapping[str, Sequence[float | None]]:
    return facts.champion if model == "champion" else facts.challenger


def _newest(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _latency(facts: LatencyFacts, width: int) -> dict[str, Any]:
    step = _step(facts.days)
    x = parts.day_axis(facts.days[0], facts.days[-1], width)
    series = [(model, key, _series(facts, model).get(key, ())) for model in _MODELS for key in _PERCENTILES]
    y = parts.log_axis([value for _, _, row in series for value in row if value])
    days, layers = [parts.milliseconds(day) for day in facts.days[::step]], []
    for model, key, row in series:
        line = parts.mark("line", model, strokeWidth=1.5, strokeDash=list(_PERCENTILES[key][1]))
        shown = parts.rows(day=days, value=middles([value or None for value in row], step)) if row else []
        layers.append(parts.layer(f"{model}_{key}", line, shown, x=x("day"), y=y("value")))
    legend = [parts.Entry("line", model, model) for model in _MODELS]
    legend += [parts.Entry("line", "ink", words, dash=dash) for words, dash in _PERCENTILES.values()]
    caption = f"milliseconds, logarithmic{', median of seven days' if step > 1 else ''}"
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=caption)


def _step(days: Sequence[Any]) -> int:
    """Return of how many days the middle one is drawn."""
    return WEEK if len(days) > _MOST_DAYS else 1


def middles(values: Sequence[float | None], step: int) -> list[float | None]:
    """Return the median of each `step` values in a row, None where most of them are missing."""
    spans = [[value for value in values[at : at + step] if value is not None] for at in range(0, len(values), step)]
    return [sorted(span)[len(span) // 2] if 2 * len(span) > step else None for span in spans]


def drift(facts: DriftFacts) -> list[Chart]:
    """Return a chart for each distance between the two models' predictions, with the bound that a rule gives it."""
    return [_drift(facts, metric, index) for index, metric in enumerate(facts.values, 1)]


def _drift(facts: DriftFacts, metric: str, index: int) -> Chart:
    values, bound, measure = facts.values[metric], facts.bounds.get(metric), measure_of(metric)
    days = list(zip(facts.days, values, strict=True))
    newest = next(((day, value) for day, value in reversed(days) if value is not None), None)
    finding = f"{measure.say(newest[1])} on {newest[0]}" if newest else "No day has a value"
    if bound is not None:
        beyond = sum(value is not None and value > bound for value in values)
        finding += f", bound {measure.exact(bound)}; above it on {plural(beyond, 'day')} of {count(len(values))}"
    title, table = (
        facts.titles.get(metric, metric),
        ChartTable(("day", "value"), [(str(day), measure.say(value)) for day, value in days][::-1]),
    )
    return Chart(
        f"drift-{index}",
        capitalised(title),
        f"{finding}.",
        lambda width: _distance(facts.days, values, bound, measure, width),
        table=table,
    )


def _distance(
    days: Sequence[dt.date], values: Sequence[float | None], bound: float | None, measure: Measure, width: int
) -> dict[str, Any]:
    step, places = _step(days), [parts.milliseconds(day) for day in days]
    x = parts.day_axis(days[0], days[-1], width)
    known = [value for value in (*values, bound, 0.0) if value is not None]
    y = parts.value_axis(alt.Y, (min(known), parts.reach(known, 0.08)[1]), measure, count=5)
    line = parts.mark("line", "challenger", strokeWidth=1.5)
    middle, daily = (
        parts.rows(day=places[::step], value=middles(values, step)),
        parts.rows(day=places, value=list(values)),
    )
    layers = [
        parts.dots(
            "daily", 3.5, "champion" if step > 1 else "challenger", daily, x=x("day"), y=y("value"), gap="value"
        ),
        parts.layer("middle", line, middle, x=x("day"), y=y("value")),
    ]
    legend = [parts.Entry("dots", "champion", "one day")] if step > 1 else []
    legend.append(parts.Entry("line", "challenger", "median of seven days" if step > 1 else "one day"))
    if bound is not None:
        layers.append(parts.layer("bound", parts.rule(), parts.rows(value=bound), y=y("value")))
        legend.append(parts.Entry("line", "ink", f"bound {measure.exact(bound)}", dash=parts.DASH))
    return parts.framed(width, _HEIGHT, layers, legend=legend)
