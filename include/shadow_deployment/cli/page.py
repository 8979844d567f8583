"""The command that keeps a deployment's page as one file, and its charts as files of their own."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.cli.console import parse_day
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.data.storage import FolderStore

output = Console(width=None if sys.stdout.isatty() else 140)


class Format(StrEnum):
    """How a chart is written."""

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
    charts: Annotated[Path | None, typer.Option(help="Write each chart into this folder too.")] = None,
    chart_format: Annotated[Format, typer.Option("--format", help="How charts are written.")] = Format.SVG,
) -> None:
    """Write a deployment's page into a file: verdict, charts, numbers, policy and provenance."""
    with requires_extra("report", "shadow report"):
        from shadow_deployment.report.charts.catalog import catalog
    from shadow_deployment.report.html.rendering import report as page_of
    from shadow_deployment.report.queries.pages import read_page

    deployment = discovery.find_deployment(name)
    with context_of(deployment).ledger() as session:
        view = read_page(session, deployment, challenger, None if day is None else parse_day("--day", day))
    _write(out, page_of(view).encode())
    output.print(f"{out}: {view.name}, {_shown(view.challenger.name if view.challenger else None)}", markup=False)
    if charts is None:
        return
    drawn = [chart for section in catalog(view).values() for chart in section]
    for chart in drawn:
        content = chart.png() if chart_format is Format.PNG else chart.file().encode()
        _write(charts / f"{chart.name}.{chart_format.value}", content)
    output.print(f"{charts}: {len(drawn)} charts as {chart_format.value}", markup=False)


def _shown(challenger: str | None) -> str:
    return f"challenger {challenger}" if challenger else "no challenger"


def _write(path: Path, content: bytes) -> None:
    with FolderStore(path.parent.absolute()).writing(path.name) as file:
        file.write(content)
