"""What the two models predict: how often, how truly, and where they differ."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import altair as alt

from shadow_deployment.base.numbers import NOTHING, count, number, percent
from shadow_deployment.ledger.page import QuadrantRow
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import Chart, ChartTable
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views import PredictionBin, QuadrantsView, ScoresView
from shadow_deployment.report.wording import Measure

_PERCENT: Final = Measure(100.0, "\N{NO-BREAK SPACE}%")
_HEIGHT: Final = 300
_AXES: Final[tuple[tuple[type[alt.X] | type[alt.Y], str], ...]] = ((alt.X, "mean prediction"), (alt.Y, ""))
_MODELS: Final = ("champion", "challenger")


def distributions(scores: ScoresView) -> Chart:
    """Return the shares of both models' predictions in the bins."""
    edges, models = list(pairwise(scores.edges)), (scores.champion, scores.challenger)
    champion, challenger = (
        sum(each.share * (low + high) / 2 for each, (low, high) in zip(bins, edges, strict=True)) for bins in models
    )
    finding = (
        f"Mean prediction, from the bins' middles: champion {number(champion)}, challenger {number(challenger)}, "
        f"over {count(scores.requests)} requests of {scores.first} to {scores.last}."
    )
    names = [f"{number(low)} to {number(high)}" for low, high in edges]
    columns = [[percent(each.share) for each in bins] for bins in models]
    columns += [[count(each.requests) for each in bins] for bins in models]
    headings = ("prediction", *_MODELS, *(f"{name}, requests" for name in _MODELS))
    table, name = ChartTable(headings, list(zip(names, *columns, strict=True))), "distributions"
    return Chart(name, "Score distribution", finding, lambda width: _distributions(scores, width), table=table)


def _distributions(scores: ScoresView, width: int) -> dict[str, Any]:
    champion, challenger = ([each.share for each in bins] for bins in (scores.champion, scores.challenger))
    x = parts.value_axis(alt.X, (scores.edges[0], scores.edges[-1]), Measure(), title=f"predicted {scores.unit}")
    y = parts.value_axis(alt.Y, (0.0, 1.05 * max(*champion, *challenger, 0.01)), _PERCENT, count=5)
    blue, stairs = colour("challenger"), {"interpolate": "step-after"}
    filled = parts.mark("area", color=blue, fillOpacity=0.25, stroke=blue, strokeWidth=1.5, **stairs)
    dashed = parts.mark("line", "champion", strokeDash=[5, 3], **stairs)
    bins = parts.rows(edge=scores.edges, champion=[*champion, champion[-1]], challenger=[*challenger, challenger[-1]])
    layers = [
        parts.layer("challenger", filled, bins, x=x("edge"), y=y("challenger")),
        parts.layer("champion", dashed, bins, x=x("edge"), y=y("champion")),
    ]
    legend = [parts.Entry("line", "champion", "champion", dash=(5, 3)), parts.Entry("box", "band", "challenger")]
    caption = "share of requests, weighted"
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=caption)


def reliability(scores: ScoresView) -> Chart:
    """Return the mean label of each bin against its mean prediction, with intervals; the diagonal is the truth."""
    champion, challenger = (number(_gap(bins)) for bins in (scores.champion, scores.challenger))
    finding = (
        f"Predictions and labels differ by {champion} on average for the champion, by {challenger} for the challenger, "
        f"over {count(scores.labelled)} labelled requests."
    )
    numbers = []
    for name, bins in zip(_MODELS, (scores.champion, scores.challenger), strict=True):
        for each in _labelled(bins):
            interval = Measure().interval(each.lower, each.upper, 3)
            means = (number(each.mean_prediction), number(each.mean_label))
            numbers.append((name, *means, interval, count(each.labelled)))
    table = ChartTable(("model", "mean prediction", "mean label", "interval, 95 %", "labelled"), numbers)
    return Chart("reliability", "Calibration", finding, lambda width: _reliability(scores, width), table=table)


def _labelled(bins: Sequence[PredictionBin]) -> list[PredictionBin]:
    return [each for each in bins if each.mean_label is not None]


def _gap(bins: Sequence[PredictionBin]) -> float | None:
    """Return the mean distance of predictions and labels, weighted by labelled requests."""
    gaps = [
        (each.labelled, abs(each.mean_prediction - each.mean_label))
        for each in bins
        if each.mean_prediction is not None and each.mean_label is not None
    ]
    total = sum(labelled for labelled, _ in gaps)
    return sum(labelled * gap for labelled, gap in gaps) / total if total else None


def _reliability(scores: ScoresView, width: int) -> dict[str, Any]:
    models = (_labelled(scores.champion), _labelled(scores.challenger))
    is_share = scores.unit == "probability"
    means = [mean for bins in models for each in bins for mean in (each.mean_prediction, each.mean_label)]
    reach, measure = ((0.0, 1.0), _PERCENT) if is_share else (parts.reach(means), Measure())
    x, y = (parts.value_axis(channel, reach, measure, title=title) for channel, title in _AXES)
    truth = parts.mark("line", "ink", strokeWidth=1.5, strokeDash=list(parts.DASH))
    layers = [parts.layer("truth", truth, parts.rows(value=reach), x=x("value"), y=y("value"))]
    for name, bins, shape, fill in zip(_MODELS, models, ("square", "circle"), ("ground", "challenger"), strict=True):
        place, stroke = {"x": x("mean_prediction"), "y": y("mean_label")}, colour(name)
        span = {"x": x("mean_prediction"), "y": y("lower"), "y2": alt.Y2("upper")}
        point = parts.mark("point", shape=shape, size=45, fill=colour(fill), stroke=stroke)
        rows = [vars(each) for each in bins]
        layers += [
            parts.layer(f"{name}_line", parts.mark("line", name, strokeWidth=1), rows, **place),
            parts.layer(f"{name}_interval", parts.mark("rule", name, strokeWidth=1.5, clip=True), rows, **span),
            parts.layer(name, point, rows, **place),
        ]
    legend = [
        parts.Entry("square", "champion", "champion", hollow=True),
        parts.Entry("circle", "challenger", "challenger"),
        parts.Entry("line", "ink", "perfect", dash=parts.DASH),
    ]
    caption = "share that came true" if is_share else "mean label"
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=caption)


def quadrants(view: QuadrantsView) -> Chart:
    """Return where the two say yes and no at the threshold; the darker, the larger the share of the requests."""
    differing = [row for row in view.rows if row.champion_yes != row.challenger_yes]
    finding = f"They differ on {percent(view.share(*differing))} of the requests."
    numbers = [
        (
            _yes_no(row.champion_yes),
            _yes_no(row.challenger_yes),
            percent(view.share(row)),
            count(row.requests),
            count(row.labelled),
            percent(row.champion_right / row.labelled) if row.labelled else NOTHING,
            percent(row.challenger_right / row.labelled) if row.labelled else NOTHING,
        )
        for row in view.rows
    ]
    headings = ("champion", "challenger", "share", "requests", "labelled", "champion right", "challenger right")
    title, table = f"Where they differ, at a threshold of {view.threshold:g}", ChartTable(headings, numbers, left=2)
    return Chart("quadrants", title, finding, lambda width: _quadrants(view, width), table=table)


def _yes_no(yes: bool) -> str:
    return "yes" if yes else "no"


def _quadrants(view: QuadrantsView, width: int) -> dict[str, Any]:
    cells, scale = [_cell(row, view.share(row)) for row in view.rows], alt.Scale(padding=0)
    x = alt.X("challenger:N", axis=alt.Axis(orient="top", labelAngle=0), scale=scale, sort="ascending")
    y = alt.Y("champion:N", axis=alt.Axis(minExtent=84), scale=scale, sort=None)
    cell = parts.mark("rect", stroke=colour("ground"), strokeWidth=3)
    tint, depth = parts.raw(alt.Fill, "colour"), alt.FillOpacity("depth:Q", scale=None)
    layers = [parts.layer("quadrant", cell, cells, x=x, y=y, fill=tint, fillOpacity=depth)]
    for field, dy, weight in (("share", -18, 600), ("requests", 2, 400), ("right", 19, 400)):
        mark = parts.mark("text", align="center", dy=dy, fontSize=12, fontWeight=weight)
        layers.append(parts.layer(field, mark, cells, x=x, y=y, text=alt.Text(f"{field}:N")))
    return parts.framed(width, _HEIGHT, layers)


def _cell(row: QuadrantRow, share: float) -> dict[str, Any]:
    agrees = row.champion_yes == row.challenger_yes
    right = f"{'both' if agrees else 'challenger'} right: {percent(row.challenger_right / (row.labelled or 1))}"
    return {
        "champion": f"champion {_yes_no(row.champion_yes)}",
        "challenger": f"challenger {_yes_no(row.challenger_yes)}",
        "colour": colour("muted" if agrees else "challenger"),
        "depth": 0.06 + 0.44 * share,
        "share": percent(share),
        "requests": f"{count(row.requests)} requests",
        "right": right if row.labelled else "",
    }
