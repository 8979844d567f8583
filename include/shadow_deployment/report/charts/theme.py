"""The colours of page and charts, light and dark: distinct for people who see few colours, and never alone."""

from typing import Any, Final, Literal

Theme = Literal["light", "dark"]

# After Okabe and Ito (2008), darkened on white and lightened on black: text has a contrast of 4.5 or more to `ground`
# and `panel`, marks one of 3 or more. `grid`, `shade`, `band` and `sampled`
# carry no meaning by themselves.
PALETTE: Final[dict[str, tuple[str, str]]] = {
    "ground": ("#ffffff", "#16181c"),
    "panel": ("#f5f7f9", "#1f2329"),
    "ink": ("#1f2328", "#e8eaed"),
    "muted": ("#57606a", "#a9b1bb"),
    "grid": ("#dde2e7", "#343a42"),
    "axis": ("#7b848e", "#7d8590"),
    "shade": ("#eceff2", "#262b31"),
    "champion": ("#5c5f66", "#b4b8bf"),
    "challenger": ("#0060a8", "#6cb8ff"),
    "sampled": ("#cecfd1", "#45484d"),
    "band": ("#c4daea", "#2c4258"),
    "pass": ("#00734f", "#4fd6a5"),
    "fail": ("#b3400a", "#ff9d5c"),
    "open": ("#6b5900", "#e0c252"),
    "other": ("#8f3f73", "#e08fc4"),
    "link": ("#0060a8", "#6cb8ff"),
    "onfill": ("#ffffff", "#16181c"),
}


def colour(name: str) -> str:
    """Return a colour of the palette, as a page knows it."""
    if name not in PALETTE:
        raise KeyError(f"colour {name!r}, must be one of {', '.join(PALETTE)}")
    return f"var(--{name})"


FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif"

CONFIG: Final[dict[str, Any]] = {
    "aria": False,
    "background": "none",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "title": None,
        "domain": False,
        "ticks": False,
        "gridColor": colour("grid"),
        "tickColor": colour("axis"),
        "labelColor": colour("muted"),
        "labelFontSize": 12,
        "labelPadding": 6,
        "labelFlush": False,
        "labelSeparation": 12,
        "titleColor": colour("muted"),
        "titleFontSize": 12,
        "titleFontWeight": 400,
    },
    "legend": {
        "title": None,
        "padding": 0,
        "direction": "horizontal",
        "labelColor": colour("muted"),
        "labelFontSize": 12,
        "symbolSize": 90,
        "symbolStrokeWidth": 2,
        "labelOffset": 6,
        "columnPadding": 34,
        "rowPadding": 4,
    },
    "text": {"color": colour("ink"), "fontSize": 13, "baseline": "middle", "align": "left"},
    "point": {"filled": True, "opacity": 1},
}


def variables(theme: Theme) -> str:
    """Return the colours as CSS custom properties."""
    index = 0 if theme == "light" else 1
    return "".join(f"--{name}:{colours[index]};" for name, colours in PALETTE.items())


def declarations(selector: str) -> str:
    """Return the rules that give `selector` its colours: as the reader's system asks, or as `data-theme` says."""
    light, dark = variables("light"), variables("dark")
    return (
        f"{selector}{{{light}color-scheme:light}}"
        f"@media(prefers-color-scheme:dark){{{selector}{{{dark}color-scheme:dark}}}}"
        f'{selector}[data-theme="light"]{{{light}color-scheme:light}}'
        f'{selector}[data-theme="dark"]{{{dark}color-scheme:dark}}'
    )


def on_paper() -> str:
    """Return the rules that give a page on paper its light colours, whatever the reader's system asks."""
    return f"@media print{{:root:root{{{variables('light')}color-scheme:light}}}}"


def resolved(svg: str, theme: Theme) -> str:
    """Return an SVG whose colours are written out, for programs that know no custom properties."""
    index = 0 if theme == "light" else 1
    for name, colours in PALETTE.items():
        svg = svg.replace(f"var(--{name})", colours[index])
    return svg
