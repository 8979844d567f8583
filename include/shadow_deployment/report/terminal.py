"""Text and tables at a terminal: words and numbers stay whole at every width, and nothing is left out.

Both are renderables of rich, to be printed with `crop=False`: a word that is longer than the line sticks out of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

MOST_LINES: Final = 4  # of a cell, unless it is LEGIBLE wide
LEGIBLE: Final = 28
_GAP: Final = 2
_ITEM: Final = "- "


class Prose:
    """Text with markup that goes on the next line at spaces only, indented by `indent`, and as an item of a list is."""

    def __init__(self, markup: str, indent: int = 0) -> None:
        self.text = Text.from_markup(markup)
        self.indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines."""
        for line in self.text.split(allow_blank=True):
            hanging = len(_ITEM) if line.plain.startswith(_ITEM) else 0
            for number, part in enumerate(wrapped(line, options.max_width - self.indent - hanging)):
                yield _whole(Text(" " * (self.indent + (hanging if number else 0))).append_text(part))


class Listing:
    """A table whose cells are text with markup; where it does not fit the width, each row is a block of lines.

    Args:
        headings: One a column.
        prose: Those whose cells may go on the next line, at spaces; all others stay on theirs.
        right: Those whose cells end on the right, as numbers do.
    """

    def __init__(self, *headings: str, prose: Iterable[str] = (), right: Iterable[str] = ()) -> None:
        self.headings = headings
        self._prose, self._right = frozenset(prose), frozenset(right)
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: str) -> None:
        """Append a row: a cell for each heading."""
        self._rows.append([Text.from_markup(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines of the table, or of the blocks, between empty ones."""
        yield Text()
        widths = self._widths(options.max_width)
        yield from self._blocks(options.max_width) if widths is None else self._table(widths)
        yield Text()

    def _widths(self, room: int) -> list[int] | None:
        """Return how wide each column is; None where the narrowest possible table does not fit."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(self.headings)
        limits = [_limits(*each, is_prose=each[0] in self._prose) for each in zip(self.headings, columns, strict=True)]
        widths = [each[0] for each in limits]
        spare = room - sum(widths) - _GAP * (len(widths) - 1)
        if spare < 0:
            return None
        for kind in (1, 2):  # first the cells, then the headings
            wishes = [max(limit[kind] - width, 0) for limit, width in zip(limits, widths, strict=True)]
            shares = [wish * min(spare, sum(wishes)) // max(sum(wishes), 1) for wish in wishes]
            widths = [width + share for width, share in zip(widths, shares, strict=True)]
            spare -= sum(shares)
        return widths

    def _table(self, widths: Sequence[int]) -> Iterator[Text]:
        yield from self._lines([Text(heading, "bold") for heading in self.headings], widths, to_bottom=True)
        yield Text((" " * _GAP).join("─" * width for width in widths), no_wrap=True)
        for row in self._rows:
            yield from self._lines(row, widths)

    def _lines(self, cells: Sequence[Text], widths: Sequence[int], *, to_bottom: bool = False) -> Iterator[Text]:
        """Yield the lines of a row; shorter cells stand at its top, or `to_bottom`."""
        parts = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
        height = max(map(len, parts))
        filled = [[Text()] * (height - len(part)) + part if to_bottom else part for part in parts]
        for line in zip_longest(*filled, fillvalue=Text()):
            placed = [self._placed(*each) for each in zip(line, self.headings, widths, strict=True)]
            yield _whole(Text(" " * _GAP).join(placed))

    def _placed(self, text: Text, heading: str, width: int) -> Text:
        """Return a line of a cell, filled up with spaces to its column's width."""
        filled = text.copy()
        filled.align("right" if heading in self._right else "left", width)
        return filled

    def _blocks(self, room: int) -> Iterator[Text]:
        """Yield each row as its first cell, and below it a line for each further one, with its heading."""
        label = max(map(cell_len, self.headings[1:]), default=0) + _GAP
        for number, (first, *others) in enumerate(self._rows):
            if number:
                yield Text()
            yield from (_whole(line) for line in wrapped(Text.assemble((f"{self.headings[0]} ", "dim"), first), room))
            for heading, text in zip(self.headings[1:], others, strict=True):
                for place, line in enumerate(wrapped(text, room - label - _GAP)):
                    name = (heading if place == 0 else "").ljust(label)
                    yield _whole(Text.assemble(" " * _GAP, (name, "dim"), line))


def wrapped(text: Text, width: int) -> list[Text]:
    """Return the lines of a text, at most `width` wide where each word is."""
    if cell_len(text.plain) <= width and "\n" not in text.plain:
        return [text]
    return [part for line in text.split(allow_blank=True) for part in _parts(line, width)]


def _parts(line: Text, width: int) -> Iterator[Text]:
    """Yield a line's parts, each as long as it fits, divided before words."""
    starts, begin, end = [], 0, 0
    for word in line.plain.split(" "):
        if cell_len(line.plain[begin : end + len(word)]) > width and end > begin:
            starts.append(begin := end)
        end += len(word) + 1
    for part in line.divide(starts):
        part.rstrip()
        yield part


def _limits(heading: str, cells: Sequence[Text], *, is_prose: bool) -> tuple[int, int, int]:
    """Return the width of a column at which words stay whole, at which the cells' lines do, and its heading's too."""
    lines = [line for cell in cells for line in cell.plain.split("\n")]
    words = [word for text in [heading, *(lines if is_prose else ())] for word in text.split()]
    whole = max(map(cell_len, lines), default=0)
    least = max(map(cell_len, words), default=0)
    least = max(least, min(-(-whole // MOST_LINES), LEGIBLE) if is_prose else whole)
    return least, max(least, whole), max(whole, cell_len(heading))


def _whole(line: Text) -> Text:
    """Return a line that is printed as it is, however long it is."""
    line.rstrip()
    line.no_wrap, line.overflow = True, "ignore"
    return line
