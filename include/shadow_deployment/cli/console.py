"""What every command prints with: tables and messages for people, JSON for machines."""

import datetime as dt
import json
import sys
from collections.abc import Iterable
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 140  # where output is no terminal

errors = Console(stderr=True, soft_wrap=True)


def output(width: int = WIDTH) -> Console:
    """Return a console on standard output: as wide as the terminal, else `width` characters."""
    return Console(width=None if sys.stdout.isatty() else width)


def print_json(content: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def print_json_lines(rows: Iterable[Any]) -> None:
    """Print one JSON object per line."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def table(headings: Iterable[str], *, no_wrap: Iterable[str] = ()) -> Table:
    """Return an empty table; columns in `no_wrap` keep their words on one line."""
    shown, unbroken = Table(box=box.SIMPLE, header_style="bold", pad_edge=False), set(no_wrap)
    for heading in headings:
        shown.add_column(heading, no_wrap=heading in unbroken)
    return shown


def parse_day(option: str, text: str) -> dt.date:
    """Return a day written as YYYY-MM-DD; a usage error names the option."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}, must be a day as YYYY-MM-DD", param_hint=option) from None
