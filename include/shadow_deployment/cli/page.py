"""The command that keeps a deployment's page as one file, and its pictures as files of their own."""

import datetime as dt
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.data.storage import FolderStore

output = Console(width=None if sys.stdout.isatty() else 140)


class Format(StrEnum):
    """How a picture is kept."""

    SVG = "svg"
    PNG = "png"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(report)


def report(
    name: Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)],
    *,
    challenger: Annotated[
        str | None, typer.Option(help="Whose verdict; by default the one that needs looking at.")
    ] = None,
    day: Annotated[str | None, typer.Option(help="The newest verdict up to this day, YYYY-MM-DD.")] = None,
    out: Annotated[Path, typer.Option(help="Write the page there, as one HTML file that loads nothing.")],
    pictures: Annotated[Path | None, typer.Option(help="Write each picture into this folder too.")] = None,
    picture_format: Annotated[Format, typer.Option("--format", help="How pictures are kept.")] = Format.SVG,
) -> None:
    """Write a deployment's page into a file: verdict, pictures, numbers, policy and provenance."""
    from shadow_deployment.report.charts.album import album
    from shadow_deployment.report.html.rendering import report as page_of
    from shadow_deployment.report.queries.pages import read_page

    deployment = discovery.find_deployment(name)
    with context_of(deployment).ledger() as session:
        facts = read_page(session, deployment, challenger, None if day is None else _day(day))
    _write(out, page_of(facts).encode())
    output.print(f"{out}: {facts.name}, {_shown(facts.challenger.name if facts.challenger else None)}", markup=False)
    if pictures is None:
        return
    drawn = [picture for every in album(facts).values() for picture in every]
    for picture in drawn:
        content = picture.png() if picture_format is Format.PNG else picture.file().encode()
        _write(pictures / f"{picture.name}.{picture_format.value}", content)
    output.print(f"{pictures}: {len(drawn)} pictures as {picture_format.value}", markup=False)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}, must be a day as YYYY-MM-DD", param_hint="--day") from None


def _shown(challenger: str | None) -> str:
    return f"challenger {challenger}" if challenger else "no challenger"


def _write(path: Path, content: bytes) -> None:
    with FolderStore(path.parent.absolute()).writing(path.name) as file:
        file.write(content)
