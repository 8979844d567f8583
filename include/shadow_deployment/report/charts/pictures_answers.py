"""What the two models answer: how often, how truly, and where they differ."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from shadow_deployment.base.numbers import NOTHING, count, number, percent
from shadow_deployment.report.charts.pictures import Picture, Table
from shadow_deployment.report.charts.pictures_axes import SMALL, draw_values, reach
from shadow_deployment.report.charts.pictures_canvas import Canvas
from shadow_deployment.report.charts.pictures_legend import LINE, Entry, draw_legend
from shadow_deployment.report.views.facts import Binned, Quadrant, QuadrantsFacts, ScoresFacts
from shadow_deployment.report.wording import Measure

_PIXELS: Final = (None, None)
_PERCENT: Final = Measure(100.0, "\N{NO-BREAK SPACE}%")
_HEIGHT: Final = 300
_MODELS: Final = ("champion", "challenger")


def distributions(facts: ScoresFacts) -> Picture:
    """Return the shares of both models' answers in the bins."""
    means = {name: _mean(getattr(facts, name), facts.edges) for name in _MODELS}
    finding = (
        f"Mean answer, from the bins' middles: champion {number(means['champion'])}, challenger "
        f"{number(means['challenger'])}, over {count(facts.requests)} requests of {facts.first} to {facts.last}."
    )
    return Picture("distributions", "What they answer", finding, lambda width: _distributions(facts, width),
                   table=_distributions_table(facts))  # fmt: skip


def _mean(binned: Binned, edges: Sequence[float]) -> float:
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    return sum(share * middle for share, middle in zip(binned.share, middles, strict=True))


def _canvas(width: int, entries: Sequence[Entry], *, left: int = 52, below: int = 46) -> Canvas:
    canvas = Canvas(width, _HEIGHT, left=left, right=22, top=LINE + 24, bottom=below)
    draw_legend(canvas, entries)
    return canvas


def _name_axes(canvas: Canvas, across: str, up: str) -> None:
    canvas.text(
        canvas.inner_width / 2, canvas.inner_height + 35, across, fill="muted", size=SMALL, align="center", on=_PIXELS
    )
    canvas.text(8 - canvas.left, -14, up, fill="muted", size=SMALL, on=_PIXELS)


def _distributions(facts: ScoresFacts, width: int) -> Canvas:
    canvas = _canvas(width, [Entry("dash", "champion", "champion"), Entry("band", "challenger", "challenger")])
    highest = max(*facts.champion.share, *facts.challenger.share, 0.01) * 1.05
    canvas.scale("x", facts.edges[0], facts.edges[-1])
    canvas.scale("y", 0, highest)
    draw_values(canvas, 0, highest, _PERCENT, most=5)
    draw_values(canvas, facts.edges[0], facts.edges[-1], Measure(), scale="x", most=6)
    x = [edge for low, high in pairwise(facts.edges) for edge in (low, high)]
    stairs = {name: [one for share in getattr(facts, name).share for one in (share, share)] for name in _MODELS}
    canvas.area("challenger", x, 0, stairs["challenger"], fill="challenger", opacity=0.25)
    canvas.line("challenger_line", x, stairs["challenger"], stroke="challenger", width=1.5)
    canvas.line("champion", x, stairs["champion"], stroke="champion", width=2, dash=(5, 3))
    _name_axes(canvas, "answer" if facts.unit == "value" else "answered probability", "share of requests")
    return canvas


def _distributions_table(facts: ScoresFacts) -> Table:
    rows = [
        (
            f"{number(low)} to {number(high)}",
            percent(facts.champion.share[index]),
            percent(facts.challenger.share[index]),
            count(facts.champion.requests[index]),
            count(facts.challenger.requests[index]),
        )
        for index, (low, high) in enumerate(pairwise(facts.edges))
    ]
    return Table(("answer", "champion", "challenger", "champion, requests", "challenger, requests"), rows)


def reliability(facts: ScoresFacts) -> Picture:
    """Return the mean label of each bin against its mean answer, with intervals; the diagonal is the truth."""
    gaps = {name: _gap(getattr(facts, name)) for name in _MODELS}
    finding = (
        f"Between what is answered and what comes true lie on average {number(gaps['champion'])} for the champion, "
        f"{number(gaps['challenger'])} for the challenger, over {count(facts.labelled)} labelled requests."
    )
    return Picture("reliability", "Whether it comes true", finding, lambda width: _reliability(facts, width),
                   table=_reliability_table(facts))  # fmt: skip


def _gap(binned: Binned) -> float | None:
    known = [
        (labelled, abs(answer - label))
        for labelled, answer, label in zip(binned.labelled, binned.mean_answer, binned.mean_label, strict=True)
        if answer is not None and label is not None
    ]
    total = sum(labelled for labelled, _ in known)
    return sum(labelled * gap for labelled, gap in known) / total if total else None


def _reliability(facts: ScoresFacts, width: int) -> Canvas:
    entries = [
        Entry("square", "champion", "champion", hollow=True),
        Entry("circle", "challenger", "challenger"),
        Entry("dash", "ink", "truth"),
    ]
    canvas = _canvas(width, entries)
    low, high = _range(facts)
    canvas.scale("x", low, high)
    canvas.scale("y", low, high)
    measure = _PERCENT if facts.unit == "probability" else Measure()
    draw_values(canvas, low, high, measure, most=6)
    draw_values(canvas, low, high, measure, scale="x", most=6)
    canvas.line("truth", [low, high], [low, high], stroke="ink", width=1.5, dash=(6, 4))
    for name, shape, hollow in (("champion", "square", True), ("challenger", "circle", False)):
        binned: Binned = getattr(facts, name)
        known = [index for index, one in enumerate(binned.mean_label) if one is not None]
        x, y = [binned.mean_answer[index] for index in known], [binned.mean_label[index] for index in known]
        lower, upper = [binned.label_lower[index] for index in known], [binned.label_upper[index] for index in known]
        canvas.line(f"{name}_line", x, y, stroke=name, width=1)
        canvas.segments(f"{name}_interval", x, lower, x, upper, stroke=name, width=1.5)
        canvas.points(name, x, y, fill=name, shape="square" if shape == "square" else "circle", size=45, hollow=hollow)
    came = "share that came true" if facts.unit == "probability" else "mean label"
    _name_axes(canvas, "mean answer", came)
    return canvas


def _range(facts: ScoresFacts) -> tuple[float, float]:
    if facts.unit == "probability":
        return 0.0, 1.0
    shown = [
        one for name in _MODELS for part in ("mean_answer", "mean_label") for one in getattr(getattr(facts, name), part)
    ]
    return reach(shown)


def _reliability_table(facts: ScoresFacts) -> Table:
    rows = []
    for name in _MODELS:
        binned: Binned = getattr(facts, name)
        for index, label in enumerate(binned.mean_label):
            if label is None:
                continue
            lower, upper = binned.label_lower[index], binned.label_upper[index]
            interval = Measure().interval(lower, upper, 3)
            rows.append(
                (name, number(binned.mean_answer[index]), number(label), interval, count(binned.labelled[index]))
            )
    return Table(("model", "mean answer", "mean label", "interval, 95 %", "labelled"), rows)


def quadrants(facts: QuadrantsFacts) -> Picture:
    """Return where the two say yes and no at the threshold: squares whose areas are shares of the requests."""
    differing = [one for one in facts.quadrants if one.champion_yes != one.challenger_yes]
    labelled = sum(one.labelled for one in differing)
    finding = f"They differ on {percent(sum(one.share for one in differing))} of the requests."
    if labelled:
        right = sum(one.challenger_right for one in differing) / labelled
        finding += f" Where they do, the challenger is right in {percent(right)}, the champion in {percent(1 - right)}."
    return Picture(
        "quadrants", f"Where they differ, at a threshold of {facts.threshold:g}", finding,
        lambda width: _quadrants(facts, width), table=_quadrants_table(facts),
    )  # fmt: skip


def _quadrants(facts: QuadrantsFacts, width: int) -> Canvas:
    canvas = Canvas(width, _HEIGHT, left=76, right=8, top=30, bottom=8)
    across, down = canvas.inner_width / 2, canvas.inner_height / 2
    for column, words in enumerate(("challenger no", "challenger yes")):
        canvas.text(across * (column + 0.5), -14, words, fill="muted", size=SMALL, align="center", on=_PIXELS)
    for row, words in enumerate(("yes", "no")):
        canvas.text(-12, down * (row + 0.5) - 8, "champion", fill="muted", size=SMALL, align="right", on=_PIXELS)
        canvas.text(-12, down * (row + 0.5) + 8, words, fill="muted", size=SMALL, align="right", on=_PIXELS)
    for one in facts.quadrants:
        _quadrant(canvas, one, across, down)
    canvas.segments("middle", across, 0, across, 2 * down, stroke="axis", width=1, on=_PIXELS)
    canvas.segments("middle", 0, down, 2 * across, down, stroke="axis", width=1, on=_PIXELS)
    return canvas


def _quadrant(canvas: Canvas, one: Quadrant, across: float, down: float) -> None:
    """Draw a square that grows from where the four meet, and its numbers at the outer edge."""
    side = (min(across, down) - 4) * max(one.share, 0.0) ** 0.5
    x, y = (across + side if one.challenger_yes else across - side), (down - side if one.champion_yes else down + side)
    agrees = one.champion_yes == one.challenger_yes
    fill = "muted" if agrees else "challenger"
    corners = (min(x, across), min(y, down), max(x, across), max(y, down))
    canvas.boxes("quadrant", *corners, fill=fill, opacity=0.35, on=_PIXELS)
    lines = [percent(one.share), f"{count(one.requests)} requests"]
    if one.labelled and agrees:
        lines.append(f"{percent(one.champion_right / one.labelled)} right")
    elif one.labelled:
        lines.append(f"challenger right: {percent(one.challenger_right / one.labelled)}")
    centre, first = across * (1.5 if one.challenger_yes else 0.5), 12 if one.champion_yes else 2 * down - 44
    for index, words in enumerate(lines):
        size, weight = (13, 600) if index == 0 else (SMALL, 400)
        canvas.text(centre, first + 16 * index, words, align="center", weight=weight, size=size, on=_PIXELS)


def _quadrants_table(facts: QuadrantsFacts) -> Table:
    def right(value: int, one: Quadrant) -> str:
        return percent(value / one.labelled) if one.labelled else NOTHING

    rows = [
        (
            "yes" if one.champion_yes else "no",
            "yes" if one.challenger_yes else "no",
            percent(one.share),
            count(one.requests),
            count(one.labelled),
            right(one.champion_right, one),
            right(one.challenger_right, one),
        )
        for one in facts.quadrants
    ]
    headings = ("champion", "challenger", "share", "requests", "labelled", "champion right", "challenger right")
    return Table(headings, rows, left=2)
