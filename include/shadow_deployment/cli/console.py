"""What every command takes and prints: its usual options, tables and messages for people, JSON for machines."""

import datetime as dt
import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

WIDTH = 140  # where output is no terminal
DIGITS = 12  # of a digest, for people

Name = Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]

errors = Console(stderr=True, soft_wrap=True)


def parse_day(text: str) -> dt.date:
    """Return a day written as YYYY-MM-DD: the parser of options that take one."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}, must be a day as YYYY-MM-DD") from None


AsOf = Annotated[
    dt.date | None,
    typer.Option("--as-of", parser=parse_day, metavar="YYYY-MM-DD", help="The newest verdict up to this day."),
]


def show(content: RenderableType, width: int = WIDTH) -> None:
    """Print a table, or text with markup: as wide as the terminal, else `width` characters; text is not wrapped."""
    console = Console(width=None if sys.stdout.isatty() else width, highlight=False)
    console.print(content, soft_wrap=isinstance(content, str))


def error(problem: Exception) -> None:
    """Print a problem on standard error."""
    errors.print(f"[bold red]error[/] {escape(str(problem))}")


def warning(text: str) -> None:
    """Print what is doubtful on standard error."""
    errors.print(f"[bold yellow]warning[/] {escape(text)}")


def print_json(content: Any) -> None:
    """Print one JSON document; times are written in ISO 8601."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_iso) + "\n")


def print_json_lines(rows: Iterable[Any]) -> None:
    """Print one JSON object per line; times are written in ISO 8601."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, default=_iso) + "\n")


def table(headings: Iterable[str], *, no_wrap: Iterable[str] = (), right: Iterable[str] = ()) -> Table:
    """Return an empty table; columns in `no_wrap` keep their words on one line, those in `right` end on the right."""
    shown, unbroken, numbers = Table(box=box.SIMPLE, header_style="bold", pad_edge=False), set(no_wrap), set(right)
    for heading in headings:
        shown.add_column(heading, no_wrap=heading in unbroken, justify="right" if heading in numbers else "left")
    return shown


def confirm(action: str, *, yes: bool) -> None:
    """Ask whether to do something, unless --yes was given; end the command where the answer is no."""
    if not yes:
        typer.confirm(f"{action}?", abort=True)


def short(digest: str | None) -> str:
    """Return the beginning of a digest."""
    return digest[:DIGITS] if digest else "unknown"


def _iso(value: Any) -> str:
    return str(value.isoformat())
