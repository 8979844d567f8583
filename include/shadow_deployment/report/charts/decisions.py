"""What the two models decide of yes and no: confusion matrices at the threshold, and what others would decide."""

from typing import Any, Final, get_args

import altair as alt

from shadow_deployment.base.numbers import count, number, percent
from shadow_deployment.report.analyses.decisions import Decisions, Model, confusion, sweep
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import Chart, ChartTable
from shadow_deployment.report.charts.theme import colour
from shadow_deployment.report.views import QuadrantsView, ScoresView
from shadow_deployment.report.wording import Measure, capitalised

_PERCENT: Final = Measure(100.0, "\N{NO-BREAK SPACE}%")
_HEIGHT: Final = 300
_MODELS: Final[tuple[Model, ...]] = get_args(Model)
_MEASURES: Final = {"precision": (1, 0), "recall": (6, 3), "accuracy": (2, 3)}
_CELLS: Final = (
    ("true_negative", False, False),
    ("false_positive", True, False),
    ("false_negative", False, True),
    ("true_positive", True, True),
)
_GAP: Final = 0.35  # of a cell, between the two matrices


def matrices(view: QuadrantsView) -> Chart:
    """Return the confusion matrices of both models at the threshold, beside each other."""
    by_model = {model: confusion(view.rows, model, weighted=True) for model in _MODELS}
    numbers = {model: confusion(view.rows, model, weighted=False) for model in _MODELS}
    champion, challenger = (by_model[model] for model in _MODELS)
    sides = [
        f"{name} {percent(getattr(champion, name))} for the champion and {percent(getattr(challenger, name))} for the "
        "challenger"
        for name in _MEASURES
    ]
    finding = f"{capitalised('; '.join(sides))}; {count(int(numbers['champion'].total))} labelled requests."
    rows = [
        (model, name.replace("_", " "), percent(getattr(by_model[model], name) / by_model[model].total),
         count(int(getattr(numbers[model], name))))
        for model in _MODELS
        for name, _, _ in _CELLS
    ]  # fmt: skip
    table = ChartTable(("model", "predicted and true", "share, weighted", "requests"), rows, left=2)
    title = f"Confusion matrices, at a threshold of {view.threshold:g}"
    return Chart("matrices", title, finding, lambda width: _matrices(by_model, numbers, width), table=table)


def _matrices(by_model: dict[Model, Decisions], numbers: dict[Model, Decisions], width: int) -> dict[str, Any]:
    cells, heads = [], []
    for at, model in enumerate(_MODELS):
        start = at * (2 + _GAP)
        heads.append({"x": start + 1, "words": model})
        cells += [_cell(name, yes, true, start, by_model[model], numbers[model]) for name, yes, true in _CELLS]
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, 4 + _GAP], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, 2], nice=False), axis=None)
    cell, text = parts.mark("rect", stroke=colour("ground"), strokeWidth=3), {"align": "center", "fontSize": 12}
    tint, depth = parts.raw(alt.Fill, "colour"), alt.FillOpacity("depth:Q", scale=None)
    box = {"x": x, "y": y, "x2": alt.X2("x2"), "y2": alt.Y2("y2"), "fill": tint, "fillOpacity": depth}
    middle = {"x": alt.X("middle:Q"), "y": alt.Y("height:Q")}
    columns = [{"x": each["middle"], "words": each["predicted"]} for each in cells if each["y"] == 0]
    lines = [{"y": height, "words": words} for height, words in ((1.5, "label yes"), (0.5, "label no"))]
    head, side = parts.mark("text", fontWeight=600, **text), parts.small(align="right", dx=-8)
    layers = [
        parts.layer("cell", cell, cells, **box),
        parts.layer(
            "share", parts.mark("text", dy=-9, fontWeight=600, **text), cells, **middle, text=alt.Text("share:N")
        ),
        parts.layer("requests", parts.mark("text", dy=9, **text), cells, **middle, text=alt.Text("requests:N")),
        parts.layer("model", head, heads, x=alt.X("x:Q"), y=parts.at(-24), text=parts.TEXT),
        parts.layer("predicted", parts.small(align="center"), columns, x=alt.X("x:Q"), y=parts.at(-8), text=parts.TEXT),
        parts.layer(
            "predicted_head", side, parts.rows(words="predicted"), x=parts.at(0), y=parts.at(-8), text=parts.TEXT
        ),
        parts.layer("label", side, lines, x=parts.at(0), y=alt.Y("y:Q"), text=parts.TEXT),
    ]
    legend = [parts.Entry("box", "challenger", "right"), parts.Entry("box", "fail", "wrong")]
    caption = "labelled requests: weighted share, number"
    return parts.framed(width, _HEIGHT, layers, legend=legend, caption=caption, left=62, head=34)


def _cell(name: str, yes: bool, true: bool, start: float, weights: Decisions, numbers: Decisions) -> dict[str, Any]:
    left, low, share = start + yes, int(true), getattr(weights, name) / (weights.total or 1.0)
    return {
        "x": left, "x2": left + 1, "middle": left + 0.5, "y": low, "y2": low + 1, "height": low + 0.5,
        "predicted": "yes" if yes else "no",
        "colour": colour("challenger" if yes == true else "fail"),
        "depth": 0.06 + 0.44 * share,
        "share": percent(share),
        "requests": count(int(getattr(numbers, name))),
    }  # fmt: skip


def threshold_sweep(scores: ScoresView, threshold: float) -> Chart:
    """Return precision, recall and accuracy of both models at every bin's lower edge as threshold."""
    edges, swept = scores.edges[:-1], {model: sweep(getattr(scores, model)) for model in _MODELS}
    words = []
    for model in _MODELS:
        accuracy = [each.accuracy or 0.0 for each in swept[model]]
        words.append(f"{percent(max(accuracy))} at {edges[accuracy.index(max(accuracy))]:g} for the {model}")
    finding = f"Accuracy is highest with {' and '.join(words)}; the threshold is {threshold:g}."
    rows = [
        (
            f"{edge:.2f}",
            *(_PERCENT.say(getattr(swept[model][at], name), 1) for name in _MEASURES for model in _MODELS),
        )
        for at, edge in enumerate(edges)
    ]
    headings = ("threshold", *(f"{name}, {model}" for name in _MEASURES for model in _MODELS))
    note = (
        f"Resolution {number(edges[1] - edges[0], 2)}: predictions are kept in {len(edges)} bins, and at the lower "
        f"edge of each the numbers are exact. The best of {len(edges)} thresholds on these same days flatters both."
    )
    span, table = (f"{edges[0]:g}", f"{edges[-1]:g}"), ChartTable(headings, rows)
    return Chart(
        "sweep", "Threshold sweep", finding, lambda width: _sweep(edges, swept, threshold, width), table=table,
        note=note, span=span,
    )  # fmt: skip


def _sweep(
    edges: tuple[float, ...], swept: dict[Model, list[Decisions]], threshold: float, width: int
) -> dict[str, Any]:
    x = parts.value_axis(alt.X, (0.0, 1.0), Measure(), title="threshold: from this prediction on it is a yes")
    y = parts.value_axis(alt.Y, (0.0, 1.0), _PERCENT, count=5)
    layers = []
    for model in _MODELS:
        for name, dash in _MEASURES.items():
            line = parts.mark("line", model, strokeWidth=1.75, strokeDash=list(dash))
            points = parts.rows(edge=edges, value=[getattr(each, name) for each in swept[model]])
            layers.append(parts.layer(f"{model}_{name}", line, points, x=x("edge"), y=y("value")))
    at = parts.rows(edge=threshold, words=f"threshold {threshold:g}")
    layers.append(parts.layer("threshold", parts.rule(), at, x=x("edge")))
    side = {"align": "right", "dx": -5} if threshold > 0.5 else {"dx": 5}
    words = parts.small(dy=7, **side, **parts.HALO)
    layers.append(parts.layer("threshold_words", words, at, x=x("edge"), y=parts.at(0), text=parts.TEXT))
    layers.append(parts.ends(x, edges[0], edges[-1]))
    legend = [parts.Entry("line", model, model) for model in _MODELS]
    legend += [parts.Entry("line", "ink", name, dash=dash) for name, dash in _MEASURES.items()]
    return parts.framed(width, _HEIGHT + 30, layers, legend=legend, caption="share of labelled requests, weighted")
