"""The command that keeps a deployment's page as one file, and its charts as files of their own."""

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.cli import console
from shadow_deployment.cli.console import Name, parse_day
from shadow_deployment.cli.context import context_of
from shadow_deployment.data.storage import FolderStore


class Format(StrEnum):
    """How a chart is written."""

    SVG = "svg"
    PNG = "png"


def report(
    name: Name,
    *,
    challenger: Annotated[
        str | None, typer.Option(help="Whose verdict; by default the one that needs looking at.")
    ] = None,
    day: Annotated[
        dt.date | None,
        typer.Option(parser=parse_day, metavar="YYYY-MM-DD", help="The newest verdict up to this day."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Write the page there, as one HTML file that loads nothing.")],
    charts: Annotated[Path | None, typer.Option(help="Write each chart into this folder too.")] = None,
    chart_format: Annotated[Format, typer.Option("--format", help="How charts are written.")] = Format.SVG,
) -> None:
    """Write a deployment's page into a file: verdict, charts, numbers, policy and provenance."""
    with requires_extra("report", "shadow report"):
        from shadow_deployment.report.charts.catalog import catalog
    from shadow_deployment.report.html.rendering import report as page_of
    from shadow_deployment.report.queries.pages import read_page

    context = context_of(name)
    with context.ledger() as session:
        view = read_page(session, context.deployment, challenger, day)
    write_file(out, page_of(view).encode())
    shown = f"challenger {view.challenger.name}" if view.challenger else "no challenger"
    console.show(escape(f"{out}: {view.name}, {shown}"))
    if charts is None:
        return
    drawn = [chart for section in catalog(view).values() for chart in section]
    for chart in drawn:
        content = chart.png() if chart_format is Format.PNG else chart.file().encode()
        write_file(charts / f"{chart.name}.{chart_format.value}", content)
    console.show(escape(f"{charts}: {len(drawn)} charts as {chart_format.value}"))


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, making its folder."""
    with FolderStore(path.parent.absolute()).writing(path.name) as file:
        file.write(content)
