"""The command that keeps a deployment's page, or a validation report, as one file, and its charts as further ones."""

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.cli import console
from shadow_deployment.cli.console import Name, parse_day
from shadow_deployment.cli.context import context_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.storage import FolderStore

if TYPE_CHECKING:
    from shadow_deployment.report.views import DeploymentView


class Kind(StrEnum):
    """Which report is written."""

    PAGE = "page"
    VALIDATION = "validation"


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
    out: Annotated[Path, typer.Option(help="Write the report there, as one HTML file that loads nothing.")],
    kind: Annotated[
        Kind,
        typer.Option(help="The page; or a validation report, for those who sign: it verifies the ledger, and prints."),
    ] = Kind.PAGE,
    charts: Annotated[Path | None, typer.Option(help="Write each chart into this folder too.")] = None,
    chart_format: Annotated[Format, typer.Option("--format", help="How charts are written.")] = Format.SVG,
) -> None:
    """Write a deployment's page, or a validation report, into a file: verdict, charts, numbers, policy, provenance."""
    with requires_extra("report", "shadow report"):
        from shadow_deployment.report.charts.catalog import catalog

    context = context_of(name)
    view, content = (
        _validation(context, challenger, day) if kind is Kind.VALIDATION else _page(context, challenger, day)
    )
    write_file(out, content.encode())
    shown = f"challenger {view.challenger.name}" if view.challenger else "no challenger"
    console.show(escape(f"{out}: {view.name}, {shown}"))
    if charts is None:
        return
    drawn = [chart for section in catalog(view).values() for chart in section]
    for chart in drawn:
        picture = chart.png() if chart_format is Format.PNG else chart.file().encode()
        write_file(charts / f"{chart.name}.{chart_format.value}", picture)
    console.show(escape(f"{charts}: {len(drawn)} charts as {chart_format.value}"))


def _page(context: DeploymentContext, challenger: str | None, day: dt.date | None) -> tuple["DeploymentView", str]:
    from shadow_deployment.report.html.rendering import report as page_of
    from shadow_deployment.report.queries.pages import read_page

    with context.ledger() as session:
        view = read_page(session, context.deployment, challenger, day)
    return view, page_of(view)


def _validation(
    context: DeploymentContext, challenger: str | None, day: dt.date | None
) -> tuple["DeploymentView", str]:
    from shadow_deployment.report.html.rendering import validation_report
    from shadow_deployment.report.validation import read_validation

    view = read_validation(context, challenger, day)
    return view.page, validation_report(view)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, making its folder."""
    with FolderStore(path.parent.absolute()).writing(path.name) as file:
        file.write(content)
