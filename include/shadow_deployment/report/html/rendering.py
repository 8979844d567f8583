"""Views as pages: HTML that loads nothing from elsewhere, served by a web server or kept as one file."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shadow_deployment.base import numbers
from shadow_deployment.base.extras import requires_extra
from shadow_deployment.report import wording
from shadow_deployment.report.html import markup, tables
from shadow_deployment.report.html.next_step import what_next
from shadow_deployment.report.html.serving import ASSETS, Cache, Links, asset, policy_of_file
from shadow_deployment.report.views import DayView, DeploymentView, Overview, RunView

_TEMPLATES: Final = Path(__file__).parent / "templates"


def overview_page(view: Overview, links: Links) -> str:
    """Return the page of all deployments."""
    return _render("overview.html", links, overview=view)


def deployment_page(view: DeploymentView, links: Links, kept: Cache | None = None) -> str:
    """Return the page of one deployment, one challenger and one day.

    With a cache in `kept`, the page is made once as long as the view's fingerprint stays; a view without one are never
    kept.
    """
    return _kept(kept, _key(view, links), lambda: _deployment(view, links))


def run_page(view: RunView, links: Links, kept: Cache | None = None) -> str:
    """Return the page of one run: what it did on its day, and the deployment as of that day."""
    key = (*_key(view.deployment, links), repr(view.day))
    return _kept(kept, key, lambda: _deployment(view.deployment, links, view.day))


def report(view: DeploymentView) -> str:
    """Return a deployment's page as one file that loads nothing and links nowhere."""
    return _deployment(view, Links())


def error_page(error: str, links: Links) -> str:
    """Return a page that says what broke."""
    return _render("error.html", links, error=error)


def _key(view: DeploymentView, links: Links) -> tuple[Any, ...]:
    """Return what a page depends on; the fingerprint is of the whole deployment."""
    line = view.challenger
    return (view.fingerprint, view.name, line and (line.name, line.version), view.day, links)


def _kept(kept: Cache | None, key: tuple[Any, ...], make: Callable[[], str]) -> str:
    return kept.get(key, make) if kept is not None and key[0] else make()


def _deployment(view: DeploymentView, links: Links, run: DayView | None = None) -> str:
    with requires_extra("report", "the page"):
        from shadow_deployment.report.charts.catalog import catalog

    beside, charts = _beside(view), catalog(view)
    return _render("deployment.html", links, view=view, run=run, charts=charts, next=what_next(view), beside=beside)


def _beside(view: DeploymentView) -> tuple[Any, Any]:
    """Return the judged days before and after the one that is shown, None where there is none."""
    before = [day for day in view.days if view.day and day < view.day]
    after = [day for day in view.days if view.day and day > view.day]
    return (before[-1] if before else None, after[0] if after else None)


def _render(template: str, links: Links, **content: Any) -> str:
    is_file = links.base is None
    inlined = {name: Markup(asset(name).decode()) for name in ASSETS} if is_file else {}  # noqa: S704 (our own files)
    policy = policy_of_file() if is_file else None
    page = _environment().get_template(template)
    return page.render(links=links, is_file=is_file, inlined=inlined, policy=policy, **content)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=markup.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(listings=tables, markup=markup, numbers=numbers, wording=wording)
    return made
