"""What is read of a chart."""

import datetime as dt

from shadow_deployment.report.charts.catalog import catalog
from shadow_deployment.report.charts.chart import Chart
from shadow_deployment.report.views import DeploymentView
from tests.unit.report.drawing import Drawing, Mark

DAY = dt.timedelta(days=1)
MINUS = "\N{MINUS SIGN}"


def drawn(chart: Chart, which: int = 0) -> Drawing:
    return Drawing(chart.inline()[which])


def every(facts: DeploymentView) -> list[Chart]:
    return [chart for section in catalog(facts).values() for chart in section]


def by_height(marks: list[Mark]) -> list[Mark]:
    return sorted(marks, key=lambda mark: mark.y)


def extent(text: Mark) -> tuple[float, float]:
    lines = [line.text or "" for line in text.element if line.tag.endswith("tspan")] or [text.words]
    size = float(text.element.get("font-size", "13").removesuffix("px"))
    width = max(map(len, lines)) * 0.5 * size
    shift = {"middle": width / 2, "end": width}.get(text.element.get("text-anchor", ""), 0.0)
    return text.x - shift, text.x - shift + width
