"""The colours of page and pictures, light and dark: told apart by people who see few colours, and never alone."""

from typing import Final, Literal

Theme = Literal["light", "dark"]

# After Okabe and Ito (2008), darkened on white and lightened on black: text has a contrast of 4.5 or more to `ground`
# and `panel`, marks one of 3 or more. `grid` and `shade` carry no meaning by themselves.
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
    "pass": ("#00734f", "#4fd6a5"),
    "fail": ("#b3400a", "#ff9d5c"),
    "open": ("#6b5900", "#e0c252"),
    "other": ("#8f3f73", "#e08fc4"),
    "link": ("#0060a8", "#6cb8ff"),
    "onfill": ("#ffffff", "#16181c"),
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


def resolved(svg: str, theme: Theme) -> str:
    """Return a picture whose colours are written out, for programs that know no custom properties."""
    index = 0 if theme == "light" else 1
    for name, colours in PALETTE.items():
        svg = svg.replace(f"var(--{name})", colours[index])
    return svg
