"""Views as pages: HTML that loads nothing from elsewhere, served by a web server or kept as one file."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shadow_deployment.base import numbers
from shadow_deployment.base.extras import MissingExtraError, requires_extra
from shadow_deployment.config.fields import in_words
from shadow_deployment.decision.words import wording as words
from shadow_deployment.report import wording
from shadow_deployment.report.html import cells, intervals, markup, sections, tables
from shadow_deployment.report.html.serving import Links, asset, policy_of_file
from shadow_deployment.report.overview import Overview
from shadow_deployment.report.views import DeploymentView

if TYPE_CHECKING:
    from shadow_deployment.report.validation import ValidationView

_TEMPLATES: Final = Path(__file__).parent / "templates"
_ASSETS: Final = ("page.css", "page.js")


def overview_page(overview: Overview, links: Links) -> str:
    """Return the page of all deployments."""
    return _render("overview.html", links, (*_ASSETS, "list.css", "list.js"), overview=overview)


def deployment_page(view: DeploymentView, links: Links) -> str:
    """Return the page of one deployment, one challenger and one day; of a run, with what it did on its day."""
    with requires_extra("report", "the page"):
        from shadow_deployment.report.charts.catalog import catalog
    from shadow_deployment.report.charts.chart import drawn_at_once

    charts = drawn_at_once(catalog(view))
    before = [day for day in view.days if view.day and day < view.day]
    after = [day for day in view.days if view.day and day > view.day]
    beside = (before[-1] if before else None, after[0] if after else None)
    return _render("deployment.html", links, view=view, charts=charts, beside=beside, written=cells.writer(view))


def warm_up() -> None:
    """Load what draws charts, and draw one: the first page of a process then does not wait for that.

    Without the extra that draws them, each page says so.
    """
    with suppress(MissingExtraError), requires_extra("report", "the page"):
        from shadow_deployment.report.charts import catalog  # noqa: F401 (importing it takes a second)
        from shadow_deployment.report.charts.chart import Chart

        Chart("warm_up", "", "", lambda width: {"width": width, "data": {"values": []}, "mark": "point"}).inline()


def report(view: DeploymentView) -> str:
    """Return a deployment's page as one file that loads nothing and links nowhere."""
    return deployment_page(view, Links())


def validation_report(view: "ValidationView") -> str:
    """Return a validation report as one file that loads nothing and can be printed."""
    with requires_extra("report", "a validation report"):
        from shadow_deployment.report.charts.catalog import catalog

    return _render(
        "validation.html",
        Links(),
        view=view,
        charts=catalog(view.page),
        written=cells.writer(view.page),
    )


def error_page(error: str, links: Links) -> str:
    """Return a page that says what broke."""
    return _render("error.html", links, error=error)


def notice_page(heading: str, links: Links, *, notice: str = "", names: Sequence[str] = ()) -> str:
    """Return a page of a sentence that is no error, with links to the deployments of these names."""
    return _render("notice.html", links, heading=heading, notice=notice, names=names)


def _render(template: str, links: Links, assets: Sequence[str] = _ASSETS, **content: Any) -> str:
    is_file = links.base is None
    inlined = {name: Markup(asset(name).decode()) for name in assets} if is_file else {}  # noqa: S704 (our own files)
    policy = policy_of_file() if is_file else None
    page = _environment().get_template(template)
    return page.render(links=links, is_file=is_file, assets=assets, inlined=inlined, content_policy=policy, **content)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        extensions=["jinja2.ext.do"],
        undefined=StrictUndefined,
        finalize=markup.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(cells=cells, in_words=in_words, intervals=intervals, listings=tables, markup=markup)
    made.globals.update(numbers=numbers, sections=sections, wording=wording, words=words)
    return made
