"""Promoted but not served: production goes on with the model before, and page, alert and doctor say so."""

import io

import pytest
from rich.console import Console

from shadow_deployment.alerting.deduplication import not_served_alert
from shadow_deployment.alerting.formats import text
from shadow_deployment.context import DeploymentContext
from shadow_deployment.doctor.deployment import _served
from shadow_deployment.errors import RegistryError
from shadow_deployment.ledger.alerts import put
from shadow_deployment.ledger.registry.serving import ServedDay, served_day
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from shadow_deployment.report.queries import pages
from tests.integration.promotion.promoting import CHANGED, by, judge, settings
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def run(shadow: DeploymentContext, *numbers: int) -> None:
    run_days(shadow, [day(number) for number in numbers], Console(file=io.StringIO()))


def served(shadow: DeploymentContext) -> ServedDay | None:
    with shadow.ledger() as session:
        return served_day(session, shadow.deployment)


def stage(shadow: DeploymentContext, name: str = "other") -> str:
    view = pages.deployment_page(shadow)
    return next(line.status.stage for line in view.challengers if line.name == name)


@pytest.fixture
def promoted(world: World) -> DeploymentContext:
    """`other` 1 is promoted on the second day's verdict, and production's log goes on with version 7."""
    shadow = world.shadow(**settings(world))
    run(shadow, 0, 1)
    judge(shadow, 1, "PASS", "other")
    registry.promote(shadow, "other", **by("ada"))
    return shadow


def test_before_a_day_after_the_promotion_nothing_is_known(promoted: DeploymentContext) -> None:
    assert served(promoted) is None
    assert stage(promoted) == "champion"
    assert "nothing was promoted, or no day has been sampled" in _served(promoted)


def test_a_day_of_the_model_before_is_counted_and_named_everywhere(world: World, promoted: DeploymentContext) -> None:
    run(promoted, 2)
    found = served(promoted)
    assert found is not None
    ((rows,),) = world.query("SELECT rows FROM shadow.snapshot WHERE day = %s", [day(2)])
    assert (found.day, found.versions, found.others) == (day(2), {"7": rows}, {"7": rows})
    says = f"promoted on {day(1)}, production still serves 7: {rows} of {rows} requests on {day(2)}"
    assert str(found) == says
    assert stage(promoted) == "promoted_not_served"
    line = pages.deployment_page(promoted, "other").challenger
    assert line is not None
    assert line.status.sentence == f"other 1 was {says}."
    with pytest.raises(RegistryError, match=f"other 1 was {says}"):
        _served(promoted)


def test_a_day_that_is_served_by_both_counts_those_of_the_other(world: World, promoted: DeploymentContext) -> None:
    world.change_production(f"{CHANGED} WHERE predicted_at >= %s AND origin = 'EWR'", ["1", day(2)])
    run(promoted, 2)
    found = served(promoted)
    assert found is not None
    assert 0 < found.others["7"] < found.requests
    assert stage(promoted) == "promoted_not_served"


def test_once_production_serves_it_the_status_says_so(world: World, promoted: DeploymentContext) -> None:
    run(promoted, 2)
    world.change_production(f"{CHANGED} WHERE predicted_at >= %s", ["other@1", day(3)])
    run(promoted, 3)
    found = served(promoted)
    assert found is not None
    assert (found.day, found.others) == (day(3), {})
    assert stage(promoted) == "champion"
    assert f"production serves 1: {found.requests} of {found.requests} on {day(3)}" in _served(promoted)


def test_days_that_were_sampled_before_the_promotion_say_nothing_of_it(world: World) -> None:
    shadow = world.shadow(**settings(world))
    run(shadow, 0, 1)
    judge(shadow, 1, "PASS", "other")
    steps.sample(shadow, day(2))  # the answer takes a day
    registry.promote(shadow, "other", **by("ada"))
    assert served(shadow) is None


def test_the_alert_is_sent_once_for_each_promotion(promoted: DeploymentContext) -> None:
    run(promoted, 2)
    with promoted.ledger() as session:
        alert = not_served_alert(session, promoted.deployment, day(2), link="https://airflow/run")
        assert alert is not None
        assert alert.title == "late: other 1 is champion and not served"
        assert "shadow rollback late" in text(alert)
        assert f"production still serves 7: {alert.details['versions']['7']} of" in text(alert)
        put(session, promoted.deployment, alert, ["slack:here"])
        assert not_served_alert(session, promoted.deployment, day(2), link=None) is None
        session.commit()
    run(promoted, 3)
    with promoted.ledger() as session:
        assert not_served_alert(session, promoted.deployment, day(3), link=None) is None
    registry.rollback(promoted, **by("bob"))
    assert served(promoted) is None
