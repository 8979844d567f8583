"""A calibration as a picture: SVG that needs no other file and suits light and dark pages."""

import html
from typing import Final

import numpy as np

from shadow_deployment.decision.calibration import Calibration

_STYLE: Final = """
.calibration{--ink:#1f2328;--line:#d5d9de;--ground:#fff;--p0:#0060a8;--p1:#b34700;--p2:#00734f}
@media(prefers-color-scheme:dark){
.calibration{--ink:#e6e6e6;--line:#3c4148;--ground:#16181c;--p0:#6cb8ff;--p1:#ff9d5c;--p2:#4fd6a5}}
.calibration text{font:13px system-ui,sans-serif;fill:var(--ink)}.calibration .title{font-weight:600}
.calibration path{fill:none;stroke-width:2}.calibration .grid{stroke:var(--line);stroke-width:1}
.calibration .alpha{stroke:var(--ink);stroke-dasharray:6 4}.calibration .ground{fill:var(--ground)}
.calibration .p0{stroke:var(--p0)}.calibration .p1{stroke:var(--p1);stroke-dasharray:9 3}
.calibration .p2{stroke:var(--p2);stroke-dasharray:2 3}
"""


def svg(calibration: Calibration) -> str:
    """Return a picture of the share of false promotions up to each day, for light and dark pages; it needs no files."""
    days, highest = calibration.days, max(calibration.alpha, *(row.by_day[-1] for row in calibration.rows))
    top = next(limit for limit in (0.05, 0.1, 0.2, 0.5, 1.0) if limit >= highest)
    step = next((step for step in (7, 14, 28, 56, 91) if days <= 8 * step), max(days // 4, 1))

    def y(share: float) -> float:
        return 350 - 280 * share / top

    lines = [_label(30, 24, "False promotions by day, every gate's truth at its bound", "start", "title")]
    rules = ", ".join(one.rule for one in calibration.gates)
    lines.append(_label(30, 44, rules if len(rules) <= 100 else f"{rules[:99]}…", "start"))
    for share in np.linspace(0, top, 6).tolist():
        lines += [f'<path class="grid" d="M70 {y(share):.1f}H700"/>', _label(62, y(share) + 4, f"{share:.0%}", "end")]
    lines += [_label(70 + 630 * day / days, 370, f"{day}", "middle") for day in range(0, days + 1, step)]
    lines.append(_label(385, 392, "days of evidence", "middle"))
    lines.append(f'<g transform="rotate(-90 18 210)">{_label(18, 210, "promoted, % of runs", "middle")}</g>')
    lines.append(f'<path class="alpha" d="M70 {y(calibration.alpha):.1f}H700"/>')
    lines.append(_label(698, y(calibration.alpha) - 5, f"alpha {calibration.alpha:.2%}", "end"))
    for number, row in enumerate(calibration.rows):
        changes = [day for day in range(1, days + 1) if row.by_day[day - 1] != (row.by_day[day - 2] if day > 1 else 0)]
        steps = "".join(f"H{70 + 630 * day / days:.1f}V{y(row.by_day[day - 1]):.1f}" for day in changes)
        lines.append(f'<path class="p{number}" d="M70 350{steps}H700"/>')
        lines.append(f'<path class="p{number}" d="M{70 + 210 * number} 416h26"/>')
        text = f"{row.policy} {row.false_promotion:.1%}"
        lines.append(_label(102 + 210 * number, 420, text, "start"))
    head = '<svg xmlns="http://www.w3.org/2000/svg" class="calibration" viewBox="0 0 720 440" role="img">'
    ground = '<rect class="ground" width="720" height="440"/>'
    return "\n".join([head, f"<title>{_plain(rules)}</title><style>{_STYLE}</style>{ground}", *lines, "</svg>\n"])


def _label(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_plain(text)}</text>'


def _plain(text: str) -> str:
    """Escape; what cannot be printed has no place in XML."""
    return html.escape("".join(one if one.isprintable() else " " for one in text))
