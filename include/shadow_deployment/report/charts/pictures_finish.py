"""What Vega has drawn, made ready for a page or a file: described, in the colours of a theme, small, with its words."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shadow_deployment.report.charts.palette import declarations
from shadow_deployment.report.wording import shorten, visible

_TITLE: Final = 32
FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif"
_ROOT = re.compile(r"^<svg [^>]*>")
_NOISE = re.compile(
    r'<path class="(?:background|foreground)"[^>]*/>| (?:role|aria-roledescription|aria-hidden)="[^"]*"'
)
_CLASS = re.compile(r' class="mark-\w+ role-[\w-]+(?: root| (?P<name>[a-z_0-9]+)-d\d+)?"')
_AXIS_NOISE = re.compile(r' (?:pointer-events|display)="none"| opacity="1"| stroke-miterlimit="10"')
_DIGITS = re.compile(r"(?<=\d\.\d)\d{2,}")
_CLIP = re.compile(r"\(#clip\d+\)")
_CLIPS = re.compile(r"<defs>.*</defs>")
_TEXT = re.compile(r'<text (?P<before>[^>]*?) font-family="t(?P<number>\d+)"(?P<after>[^>]*)/>')
_EMPTY = re.compile(r"<g(?: [^>]*)?></g>")


@dataclass(frozen=True)
class Frame:
    """What surrounds a picture's marks: the beginning of its ids, its name and description, its sizes in pixels."""

    identity: str
    title: str
    description: str
    width: int
    height: int
    inner_width: int
    inner_height: int


def finished(drawn: str, frame: Frame, words: Sequence[str], *, alone: bool) -> str:
    """Return the picture: `words` are markup, one for each text that Vega left empty; `alone` makes it a file."""
    body = _ROOT.sub("", drawn).removesuffix("</svg>")
    for pattern in (_NOISE, _AXIS_NOISE):
        body = pattern.sub("", body)
    body = _CLASS.sub(lambda found: f' class="{found["name"]}"' if found["name"] else "", body)
    body = _DIGITS.sub("", body)
    while _EMPTY.search(body):
        body = _EMPTY.sub("", body)
    body = _CLIP.sub(f"(#{frame.identity}-clip)", body)
    body = _CLIPS.sub(_clip(frame), body)
    body = _TEXT.sub(lambda found: _text(found, words), body)
    return f"{_head(frame, alone=alone)}{_titled(body, frame) if alone else body}</svg>"


def _titled(body: str, frame: Frame) -> str:
    """Return a file's marks below its title, which on a page stands as a heading."""
    words = html.escape(shorten(visible(frame.title), frame.width // 9))
    title = f'<text class="title" x="8" y="20" font-size="15" font-weight="600" fill="var(--ink)">{words}</text>'
    return f'{title}<g transform="translate(0,{_TITLE})">{body}</g>'


def _head(frame: Frame, *, alone: bool) -> str:
    name, width, height = frame.identity, frame.width, frame.height + (_TITLE if alone else 0)
    size = f' width="{width}" height="{height}"' if alone else ""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {width} {height}"{size} '
        f'role="img" aria-labelledby="{name}-title {name}-desc" font-family="{FONT}">'
        f'<title id="{name}-title">{html.escape(visible(frame.title))}</title>'
        f'<desc id="{name}-desc">{html.escape(visible(frame.description))}</desc>'
    )
    if not alone:
        return head
    return f'{head}<style>{declarations("svg")}</style><rect width="{width}" height="{height}" fill="var(--ground)"/>'


def _clip(frame: Frame) -> str:
    """Return the inner area as the one clip path; Vega writes one for each mark, all equal."""
    inner = f'<rect width="{frame.inner_width}" height="{frame.inner_height}"/>'
    return f'<defs><clipPath id="{frame.identity}-clip">{inner}</clipPath></defs>'


def _text(found: re.Match[str], words: Sequence[str]) -> str:
    attributes = f"{found['before']}{found['after']}".replace('text-anchor="start" ', "").replace('px"', '"')
    behind = 'paint-order="stroke" ' if " stroke=" in attributes else ""
    return f"<text {behind}{attributes}>{words[int(found['number'])]}</text>"
