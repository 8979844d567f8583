"""What every command takes and prints: its usual options, tables and messages for people, JSON for machines."""

import datetime as dt
import json
import os
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from shadow_deployment.report.terminal import Prose

WIDTH = 100  # of tables where output is no terminal, and COLUMNS is not set
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


def show(content: RenderableType) -> None:
    """Print a table, or text with markup: as wide as the terminal or COLUMNS; elsewhere a line of text is a line."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    _print(Console(width=None if has_width else WIDTH, highlight=False), content, is_wrapped=has_width)


def error(problem: Exception) -> None:
    """Print a problem on standard error."""
    _print(errors, f"[bold red]error[/] {escape(str(problem))}", is_wrapped=errors.is_terminal)


def warning(text: str) -> None:
    """Print what is doubtful on standard error."""
    _print(errors, f"[bold yellow]warning[/] {escape(text)}", is_wrapped=errors.is_terminal)


def _print(console: Console, content: RenderableType, *, is_wrapped: bool) -> None:
    if isinstance(content, str) and not is_wrapped:
        console.print(content, soft_wrap=True)
    else:
        console.print(Prose(content) if isinstance(content, str) else content, crop=False)


def print_json(content: Any) -> None:
    """Print one JSON document; times are written in ISO 8601."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_iso) + "\n")


def print_json_lines(rows: Iterable[Any]) -> None:
    """Print one JSON object per line; times are written in ISO 8601."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, default=_iso) + "\n")


def confirm(action: str, *, yes: bool) -> None:
    """Ask whether to do something, unless --yes was given; end the command where the answer is no."""
    if not yes:
        typer.confirm(f"{action}?", abort=True)


def short(digest: str | None) -> str:
    """Return the beginning of a digest."""
    return digest[:DIGITS] if digest else "unknown"


def _iso(value: Any) -> str:
    return str(value.isoformat())
