"""Text and tables at a terminal: nothing is cut, whatever the width; words and numbers stay whole."""

import io
import itertools
from collections.abc import Sequence
from typing import cast

import pytest
from rich.console import Console, RenderableType

from shadow_deployment.report.terminal import Listing, Prose

NAME = "a_challenger_whose_name_has_40_characters"
REASON = "after 68 days the interval -0.1858 to -0.01214 is entirely below 0, and one more sentence says so at length"
ROWS = [
    (NAME, "2026-11-30 15:11", "1,234,567", REASON),
    ("trees", "2026-11-29 08:00", "-0.000123", "-"),
]
HEADINGS = ("challenger", "since (UTC)", "requests that count", "reason")


def printed(content: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(content, crop=False)
    return cast(io.StringIO, console.file).getvalue().splitlines()


def a_listing(rows: Sequence[Sequence[str]] = ROWS) -> Listing:
    listing = Listing(*HEADINGS, prose=("reason",), right=("requests that count",))
    for row in rows:
        listing.add_row(*row)
    return listing


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 50])
def test_no_word_is_cut_and_no_line_is_too_long(width: int) -> None:
    lines = printed(a_listing(), width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for text in itertools.chain(HEADINGS, *ROWS):
        for word in text.split():
            assert word in words, f"{word} is not whole at {width}"
    assert "…" not in " ".join(lines)


def test_a_row_is_a_row_where_it_fits_and_a_block_where_it_does_not() -> None:
    wide, narrow = printed(a_listing(), 200), printed(a_listing(), 80)
    assert wide[1].split()[0] == "challenger"
    assert any(line.startswith(f"{NAME}  2026-11-30 15:11") for line in wide)
    assert f"challenger {NAME}" in narrow
    assert "  since (UTC)          2026-11-30 15:11" in narrow
    continued = narrow[narrow.index(next(line for line in narrow if line.startswith("  reason"))) + 1]
    assert continued.startswith(" " * 23), "what goes on stands below its beginning"


def test_numbers_end_on_the_right_below_the_end_of_their_heading() -> None:
    lines = printed(a_listing(), 200)
    ends = {line.index(word) + len(word) for line in lines for word in ("1,234,567", "-0.000123") if word in line}
    assert ends == {lines[1].index("requests that count") + len("requests that count")}


def test_a_heading_goes_on_the_next_line_before_prose_does() -> None:
    listing = Listing("rule", "days of evidence", prose=("rule",), right=("days of evidence",))
    listing.add_row("brier_score superior overall", "68")
    lines = printed(listing, 40)
    assert lines[1:3] == ["                                 days of", "rule                            evidence"]
    assert lines[4].split() == ["brier_score", "superior", "overall", "68"]


def test_a_word_that_is_longer_than_the_line_is_whole() -> None:
    path = "/var/lib/shadow/" + "x" * 60
    for content in (Prose(f"see {path} there"), a_listing([(path, "-", "-", f"in {path}")])):
        assert path in " ".join(printed(content, 50)).split()


def test_markup_colours_and_brackets_of_data_are_text() -> None:
    listing = Listing("slice")
    listing.add_row(r"[green]pass[/] origin=\[bold]JFK")
    assert "pass origin=[bold]JFK" in printed(listing, 80)


def test_an_item_of_a_list_goes_on_below_its_words() -> None:
    assert printed(Prose("- one two three four", indent=2), 14) == ["  - one two", "    three four"]
