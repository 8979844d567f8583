"""Seven days, run once, and the page on them."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.report.queries import pages
from shadow_deployment.report.views import DeploymentView
from tests.conftest import KEPT
from tests.integration.report.views.days import CHANGES, LAST
from tests.production import World, day


@pytest.fixture(scope="session")
def whole(worlds: Callable[..., World]) -> World:
    """Seven days; `worse` answers hours, so that its predictions are refused, and day 2 has two champions."""
    world = worlds(own=True)
    KEPT.update({world.ledger, world.production})
    world.change_production(
        "UPDATE flights.prediction_log SET model_version = '8' WHERE predicted_at >= %s AND predicted_at < %s "
        "AND carrier = 'AA'",
        [day(2), day(3)],
    )
    problems = run_days(
        world.shadow(**CHANGES), [day(number) for number in range(LAST + 1)], Console(file=io.StringIO())
    )
    assert all("worse" in str(one) for one in problems)
    return world


@pytest.fixture(scope="session")
def shadow(whole: World) -> DeploymentContext:
    return whole.shadow(**CHANGES)


@pytest.fixture(scope="session")
def shown(shadow: DeploymentContext) -> DeploymentView:
    """The page on `other`, as of the newest day."""
    page = pages.deployment_page(shadow, "other")
    assert (page.state, page.error) == ("ready", None)
    return page
