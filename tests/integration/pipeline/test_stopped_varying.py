"""A planted incident: a model that says one number for a day, a column that disappears, a champion that is dead."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ValidationFailed
from shadow_deployment.pipeline import steps
from tests import production
from tests.production import OWNER, World, day

PER_DAY = 150
INCIDENTS = {  # by day: which column held what
    3: ("other_probability", "0.5"),
    4: ("distance", "NULL"),
    5: ("champion_probability", "0.4"),
}
ANSWERED = {"other": 146, "champion": 147}  # requests of days 3 and 5 that have a prediction


@pytest.fixture(scope="module")
def incident(worlds: Callable[..., World], empty_production: str) -> World:
    world = worlds(own=True, production=empty_production)
    log, outcome = production.synthetic(6, PER_DAY)
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        production.write(session, log, outcome)
    for number, (column, value) in INCIDENTS.items():
        world.change_production(
            f"UPDATE flights.prediction_log SET {column} = {value} WHERE {column} IS NOT NULL "
            "AND predicted_at >= %s AND predicted_at < %s",
            [production.moment(number), production.moment(number + 1)],
        )
    return world


def validated(context: DeploymentContext, number: int) -> str:
    """Sample and score a day unless that was done, and validate it; return what failed."""
    steps.sample(context, day(number))
    try:
        steps.validate_inputs(context, day(number))
        steps.score(context, day(number), "other", 0)
        steps.validate_predictions(context, day(number), "other")
    except ValidationFailed as error:
        return str(error)
    return ""


def settings(*may_be_constant: str) -> dict[str, Any]:
    return {"sample": {"rate": 1.0, "shard_rows": 1000}, "expectations": {"may_be_constant": [*may_be_constant]}}


def test_each_incident_fails_its_own_day_unless_its_value_may_be_constant(incident: World) -> None:
    context = incident.shadow(**settings())
    found = [validated(context, number) for number in range(6)]
    assert found[:3] == [""] * 3
    where = "; correct what writes it, or name it in expectations.may_be_constant"
    assert found[3] == (
        "1 of 4 expectations are not met by the predictions of other for 2024-03-04:\n"
        f"- expect_values_to_vary() on other: all {ANSWERED['other']} predictions are the same{where}"
    )
    gone = f"all {PER_DAY} requests have no value, and none of 2 earlier days was so"
    assert f":\n- expect_values_to_vary() on distance: {gone}{where}" in found[4]
    assert f"expect_values_to_vary() on champion: all {ANSWERED['champion']} predictions are the same" in found[5]
    assert found[5].count("expect_values_to_vary()") == 1
    allowing = incident.shadow(**settings("other", "distance", "champion"))
    assert [validated(allowing, number) for number in INCIDENTS] == ["", "", ""]
