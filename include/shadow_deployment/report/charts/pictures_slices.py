"""The slices as a forest plot, worst first, with their numbers of requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shadow_deployment.base.numbers import count, plural
from shadow_deployment.report.charts.pictures import NARROW, WIDE, Picture, Table
from shadow_deployment.report.charts.pictures_axes import LETTER, SMALL, draw_values, reach, wrapped
from shadow_deployment.report.charts.pictures_canvas import Canvas, Shape
from shadow_deployment.report.charts.pictures_interval import draw_interval
from shadow_deployment.report.charts.pictures_legend import Entry, draw_legend, height_of
from shadow_deployment.report.views.facts import SliceFacts, SlicesFacts
from shadow_deployment.report.wording import Measure, measure_of

MOST_SLICES: Final = 24
_PIXELS: Final = (None, None)


@dataclass(frozen=True)
class _Row:
    facts: SliceFacts
    y: float
    is_overall: bool

    @property
    def colour(self) -> str:
        return "fail" if self.facts.worse else "pass" if self.facts.better else "muted"

    @property
    def shape(self) -> Shape:
        if self.is_overall:
            return "diamond"
        return "triangle-down" if self.facts.worse else "triangle-up" if self.facts.better else "circle"


def slices(facts: SlicesFacts) -> Picture:
    """Return the forest plot: all requests, then the slices, worst first, each with its number of requests."""
    shown = facts.slices[:MOST_SLICES]
    worse, better = sum(one.worse for one in facts.slices), sum(one.better for one in facts.slices)
    measure = measure_of(facts.metric, "difference")
    worst = facts.slices[0] if facts.slices else None
    finding = f"Of {plural(len(facts.slices), 'slice')} the challenger is shown worse in {worse}, better in {better}."
    if worst:
        finding += (
            f" Worst is {worst.name}: {measure.say(worst.estimate, signed=True)} on {count(worst.requests)} requests."
        )
    more = len(facts.slices) - len(shown)
    notes = [f"{count(more)} better ones are in the table."] if more else []
    notes += [f"{plural(facts.left_out, 'slice')} with the fewest requests are left out."] if facts.left_out else []
    notes.append("Each interval has the overall rule's error rate by itself: of many slices some look odd by chance.")
    return Picture(
        name="slices",
        title=f"Slices, worst first: {facts.title}",
        finding=finding,
        draw=lambda width: _draw_slices(facts, shown, width),
        widths=(WIDE, NARROW),
        table=_slices_table(facts, measure),
        note=" ".join(notes),
    )


def _draw_slices(facts: SlicesFacts, shown: Sequence[SliceFacts], width: int) -> Canvas:
    is_wide = width > 600
    every = [(one, True) for one in (facts.overall,) if one] + [(one, False) for one in shown]
    rows = [_Row(one, 12 + 22 * index, overall) for index, (one, overall) in enumerate(every)]
    legend = _slices_legend(facts)
    unit = wrapped(facts.unit_words, width - 16, 1 if is_wide else 2)
    head = height_of(legend, width - 16) + 17 * len(unit)
    left, right = (270, 210) if is_wide else (112, 66)
    canvas = Canvas(width, head + 26 + 22 * len(rows) + 34, left=left, right=right, top=head + 26, bottom=34)
    ends = _slices_reach([row.facts for row in rows])
    canvas.scale("x", *ends)
    measure = measure_of(facts.metric, "difference")
    if facts.overall:
        canvas.boxes("row", -left, 0, width - left, 23, fill="shade", on=_PIXELS)
    draw_values(canvas, *ends, measure, scale="x", most=8 if is_wide else 4, signed=True)
    canvas.segments("zero", 0, -4, 0, canvas.inner_height, stroke="ink", width=1.5, dash=(6, 4), on=("x", None))
    places = measure.places([row.facts.estimate for row in rows])
    for row in rows:
        if row.facts.lower is not None or row.facts.upper is not None:
            draw_interval(canvas, row.facts.lower, row.facts.upper, ends, row.y, row.colour, width=2.5)
        canvas.points("estimate", row.facts.estimate, row.y, fill=row.colour, shape=row.shape, size=70, on=("x", None))
        _slice_words(canvas, row, measure, places, is_wide=is_wide)
    canvas.text(canvas.inner_width + right - 8, -13, "requests", fill="muted", size=SMALL, align="right", on=_PIXELS)
    if is_wide:
        canvas.text(canvas.inner_width + 90, -13, "estimate", fill="muted", size=SMALL, align="right", on=_PIXELS)
    draw_legend(canvas, legend)
    for number, line in enumerate(unit):
        y = 17 * number + 9 + height_of(legend, width - 16) - canvas.top
        canvas.text(8 - left, y, line, fill="muted", size=SMALL, most=200, on=_PIXELS)
    return canvas


def _slice_words(canvas: Canvas, row: _Row, measure: Measure, places: int, *, is_wide: bool) -> None:
    weight = 600 if row.is_overall else 400
    most = int((canvas.left - 24) / LETTER)
    fits = is_wide or len(row.facts.name) <= most
    name = "all requests" if row.is_overall else row.facts.name if fits else row.facts.value
    canvas.text(8 - canvas.left, row.y, name, name="slice", weight=weight, most=most, on=_PIXELS)
    end = canvas.inner_width + canvas.right - 8
    canvas.text(end, row.y, count(row.facts.requests), size=SMALL, fill="muted", align="right", on=_PIXELS)
    if is_wide:
        words = measure.say(row.facts.estimate, places, signed=True)
        canvas.text(canvas.inner_width + 90, row.y, words, fill=row.colour, weight=weight, align="right", on=_PIXELS)


def _slices_legend(facts: SlicesFacts) -> list[Entry]:
    entries = [Entry("diamond", "ink", "all requests")] if facts.overall else []
    return [
        *entries,
        Entry("triangle-down", "fail", "challenger worse"),
        Entry("triangle-up", "pass", "challenger better"),
        Entry("circle", "muted", "undecided"),
    ]


def _slices_reach(shown: Sequence[SliceFacts]) -> tuple[float, float]:
    """Return what is shown: every estimate, and intervals up to three times as far out as the widest estimate."""
    estimates = [0.0, *(one.estimate for one in shown)]
    spread = max(estimates) - min(estimates) or 1.0
    sides = [one for row in shown for one in (row.lower, row.upper) if one is not None]
    kept = [one for one in sides if min(estimates) - spread <= one <= max(estimates) + spread]
    return reach([*estimates, *kept])


def _slices_table(facts: SlicesFacts, measure: Measure) -> Table:
    every = [*([facts.overall] if facts.overall else []), *facts.slices]
    places = measure.places([one.estimate for one in every], 3)
    rows = [
        (
            one.name if one.column else "all requests",
            "worse" if one.worse else "better" if one.better else "undecided",
            measure.say(one.estimate, places, signed=True),
            measure.interval(one.lower, one.upper, places),
            count(one.requests),
            count(one.days),
        )
        for one in every
    ]
    return Table(("slice", "challenger", "estimate", "interval", "requests", "days"), rows, left=2)
