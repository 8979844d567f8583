"""What the two models predict: how often, how truly, and where they differ."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import NOTHING, count, number, percent
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import Chart, ChartTable
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views.facts import Binned, Quadrant, QuadrantsFacts, ScoresFacts
from shadow_deployment.report.wording import Measure

_PERCENT: Final = Measure(100.0, "\N{NO-BREAK SPACE}%")
_HEIGHT: Final = 300
_MODELS: Final = ("champion", "challenger")


def distributions(facts: ScoresFacts) -> Chart:
    """Return the shares of both models' predictions in the bins."""
    bins, models = list(pairwise(facts.edges)), (facts.champion, facts.challenger)
    middles = [(low + high) / 2 for low, high in bins]
    champion, challenger = (sum(a * b for a, b in zip(model.share, middles, strict=True)) for model in models)
    finding = (
        f"Mean prediction, from the bins' middles: champion {number(champion)}, challenger {number(challenger)}, "
        f"over {count(facts.requests)} requests of {facts.first} to {facts.last}."
    )
    names = [f"{number(low)} to {number(high)}" for low, high in bins]
    columns = [map(percent, model.share) for model in models] + [map(count, model.requests) for model in models]
    headings = ("prediction", *_MODELS, *(f"{name}, requests" for name in _MODELS))
    table = ChartTable(headings, list(zip(names, *columns, strict=True)))
    return Chart(
        "distributions", "Score distribution", finding, lambda width: _distributions(facts, width), table=table
    )


def _distributions(facts: ScoresFacts, width: int) -> dict[str, Any]:
    highest = 1.05 * max(*facts.champion.share, *facts.challenger.share, 0.01)
    x = parts.value_axis(alt.X, (facts.edges[0], facts.edges[-1]), Measure())
    y = parts.value_axis(alt.Y, (0.0, highest), _PERCENT, count=5)
    step: dict[str, Any] = {"interpolate": "step-after"}
    blue = colour("challenger")
    filled = parts.mark("area", color=blue, fillOpacity=0.25, stroke=blue, strokeWidth=1.5, **step)
    dashed = parts.mark("line", "champion", strokeDash=[5, 3], **step)
    shares = {
        name: (*binned.share, binned.share[-1])
        for name, binned in zip(_MODELS, (facts.champion, facts.challenger), strict=True)
    }
    bins = parts.rows(edge=facts.edges, **shares)
    layers = [
        parts.layer("challenger", filled, bins, x=x("edge"), y=y("challenger")),
        parts.layer("champion", dashed, bins, x=x("edge"), y=y("champion")),
    ]
    legend = [parts.Entry("line", "champion", "champion", dash=(5, 3)), parts.Entry("box", "band", "challenger")]
    caption = f"share of requests by predicted {facts.unit}"
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=caption)


def reliability(facts: ScoresFacts) -> Chart:
    """Return the mean label of each bin against its mean prediction, with intervals; the diagonal is the truth."""
    bins = {name: _bins(binned) for name, binned in zip(_MODELS, (facts.champion, facts.challenger), strict=True)}
    champion, challenger = (number(_gap(bins[name])) for name in _MODELS)
    finding = (
        f"Predictions and labels differ by {champion} on average for the champion, by {challenger} for the challenger, "
        f"over {count(facts.labelled)} labelled requests."
    )
    numbers = [
        (
            name,
            number(bin_["x"]),
            number(bin_["y"]),
            Measure().interval(bin_["lower"], bin_["upper"], 3),
            count(bin_["labelled"]),
        )
        for name in _MODELS
        for bin_ in bins[name]
    ]
    table = ChartTable(("model", "mean prediction", "mean label", "interval, 95 %", "labelled"), numbers)
    is_share = facts.unit == "probability"
    return Chart(
        "reliability", "Calibration", finding, lambda width: _reliability(bins, width, is_share=is_share), table=table
    )


def _bins(binned: Binned) -> list[dict[str, Any]]:
    """Return the bins that have a label: mean prediction as x, mean label as y, its interval, how many labels."""
    columns = (binned.mean_answer, binned.mean_label, binned.label_lower, binned.label_upper, binned.labelled)
    fields = ("x", "y", "lower", "upper", "labelled")
    return [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True) if row[1] is not None]


def _gap(bins: Sequence[dict[str, Any]]) -> float | None:
    known = [bin_ for bin_ in bins if bin_["x"] is not None]
    total = sum(bin_["labelled"] for bin_ in known)
    return sum(bin_["labelled"] * abs(bin_["x"] - bin_["y"]) for bin_ in known) / total if total else None


def _reliability(bins: dict[str, list[dict[str, Any]]], width: int, *, is_share: bool) -> dict[str, Any]:
    means = [bin_[field] for name in _MODELS for bin_ in bins[name] for field in ("x", "y")]
    reach, measure = ((0.0, 1.0), _PERCENT) if is_share else (parts.reach(means), Measure())
    x, y = (parts.value_axis(channel, reach, measure) for channel in (alt.X, alt.Y))
    truth = parts.mark("line", "ink", strokeWidth=1.5, strokeDash=list(parts.DASH))
    layers = [parts.layer("truth", truth, parts.rows(value=reach), x=x("value"), y=y("value"))]
    for name, shape, fill in (("champion", "square", "ground"), ("challenger", "circle", "challenger")):
        place, stroke = {"x": x("x"), "y": y("y")}, colour(name)
        span = {"x": x("x"), "y": y("lower"), "y2": alt.Y2("upper")}
        point = parts.mark("point", shape=shape, size=45, fill=colour(fill), stroke=stroke)
        layers += [
            parts.layer(f"{name}_line", parts.mark("line", color=stroke, strokeWidth=1), bins[name], **place),
            parts.layer(
                f"{name}_interval", parts.mark("rule", color=stroke, strokeWidth=1.5, clip=True), bins[name], **span
            ),
            parts.layer(name, point, bins[name], **place),
        ]
    legend = [
        parts.Entry("square", "champion", "champion", hollow=True),
        parts.Entry("circle", "challenger", "challenger"),
        parts.Entry("line", "ink", "perfect", dash=parts.DASH),
    ]
    caption = f"{'share that came true' if is_share else 'mean label'} by mean prediction"
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=caption)


def quadrants(facts: QuadrantsFacts) -> Chart:
    """Return where the two say yes and no at the threshold; the darker, the larger the share of the requests."""
    differing = [each for each in facts.quadrants if each.champion_yes != each.challenger_yes]
    labelled = sum(each.labelled for each in differing)
    finding = f"They differ on {percent(sum(each.share for each in differing))} of the requests."
    if labelled:
        right = sum(each.challenger_right for each in differing) / labelled
        finding += f" Where they do, the challenger is right in {percent(right)}, the champion in {percent(1 - right)}."
    numbers = []
    for each in facts.quadrants:
        says = ("yes" if yes else "no" for yes in (each.champion_yes, each.challenger_yes))
        rights = (
            percent(right / each.labelled) if each.labelled else NOTHING
            for right in (each.champion_right, each.challenger_right)
        )
        numbers.append((*says, percent(each.share), count(each.requests), count(each.labelled), *rights))
    headings = ("champion", "challenger", "share", "requests", "labelled", "champion right", "challenger right")
    title, table = f"Where they differ, at a threshold of {facts.threshold:g}", ChartTable(headings, numbers, left=2)
    return Chart("quadrants", title, finding, lambda width: _quadrants(facts, width), table=table)


def _quadrants(facts: QuadrantsFacts, width: int) -> dict[str, Any]:
    rows = [_quadrant(each) for each in facts.quadrants]
    axis: dict[str, Any] = {"scale": alt.Scale(padding=0), "sort": None}
    x = alt.X("challenger:N", axis=alt.Axis(orient="top", labelAngle=0), **(axis | {"sort": "ascending"}))
    y = alt.Y("champion:N", axis=alt.Axis(minExtent=84), **axis)
    cell = parts.mark("rect", stroke=colour("ground"), strokeWidth=3)
    tint, depth = parts.raw(alt.Fill, "colour"), alt.FillOpacity("depth:Q", scale=None)
    layers = [parts.layer("quadrant", cell, rows, x=x, y=y, fill=tint, fillOpacity=depth)]
    for field, dy, style in (("share", -18, {"fontWeight": 600}), ("requests", 2, {}), ("right", 19, {})):
        mark = parts.mark("text", **({"align": "center", "dy": dy, "fontSize": 12} | style))
        layers.append(parts.layer(field, mark, rows, x=x, y=y, text=alt.Text(f"{field}:N")))
    return parts.framed(width, _HEIGHT, layers)


def _quadrant(each: Quadrant) -> dict[str, Any]:
    agrees = each.champion_yes == each.challenger_yes
    right = percent(each.challenger_right / each.labelled) if each.labelled else ""
    return {
        "champion": f"champion {'yes' if each.champion_yes else 'no'}",
        "challenger": f"challenger {'yes' if each.challenger_yes else 'no'}",
        "colour": colour("muted" if agrees else "challenger"),
        "depth": 0.06 + 0.44 * each.share,
        "share": percent(each.share),
        "requests": f"{count(each.requests)} requests",
        "right": right and f"{'both' if agrees else 'challenger'} right: {right}",
    }
