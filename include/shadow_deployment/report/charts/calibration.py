"""How often a policy would promote wrongly, day by day, beside two naive ones."""

from typing import Any, Final

import altair as alt

from shadow_deployment.decision.calibration import Calibration
from shadow_deployment.report.charts import parts
from shadow_deployment.report.charts.chart import Chart
from shadow_deployment.report.wording import Measure

_WIDTH: Final = 720
_LOOKS: Final = (("challenger", (1, 0)), ("fail", (9, 3)), ("pass", (2, 3)))


def calibration_chart(calibration: Calibration) -> Chart:
    """Return the share of false promotions up to each day."""
    shares = "; ".join(f"{row.policy} {row.false_promotion:.1%}" for row in calibration.rows)
    finding = f"Promoted wrongly within {calibration.days} days: {shares}. alpha is {calibration.alpha:.2%}."
    title = "False promotions by day, every gate's truth at its bound"
    return Chart("calibration", title, finding, lambda width: _plot(calibration, width), (_WIDTH,))


def _plot(calibration: Calibration, width: int) -> dict[str, Any]:
    highest = max(calibration.alpha, *(row.by_day[-1] for row in calibration.rows))
    top = next(limit for limit in (0.05, 0.1, 0.2, 0.5, 1.0) if limit >= highest)
    x = parts.value_axis(alt.X, (0.0, float(calibration.days)), Measure(), count=9)
    y = parts.value_axis(alt.Y, (0.0, top), Measure(100.0, "\N{NO-BREAK SPACE}%"))
    alpha = parts.rows(value=calibration.alpha, words=f"alpha {calibration.alpha:.2%}")
    layers = [
        parts.layer("alpha", parts.rule(), alpha, y=y("value")),
        parts.layer(
            "alpha_words",
            parts.small(align="right", dy=-9),
            alpha,
            x=parts.at("width"),
            y=y("value"),
            text=parts.TEXT,
        ),
    ]
    legend = []
    for number, (row, (tint, dash)) in enumerate(zip(calibration.rows, _LOOKS, strict=True)):
        line = parts.mark("line", tint, strokeDash=list(dash), interpolate="step-after")
        shares = parts.rows(day=list(range(calibration.days + 1)), share=[0.0, *row.by_day])
        layers.append(parts.layer(f"policy_{number}", line, shares, x=x("day"), y=y("share")))
        legend.append(parts.Entry("line", tint, f"{row.policy} {row.false_promotion:.1%}", dash=dash))
    rules = ", ".join(gate.rule for gate in calibration.gates)
    caption = f"% of runs promoted, by days of evidence: {rules}"
    return parts.framed(width, 400, layers, legend=legend, caption=caption)
