"""Weighted estimates from a sample are right on average, over many salts and over every sample that there is."""

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import Sample
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Sessions
from shadow_deployment.data.sampling import allocate
from shadow_deployment.data.sources.postgres.requests import PostgresRequests
from tests.production import OWNER, World, day, moment

SALTS = 200
STRATA = {"EWR": 25, "JFK": 12, "LGA": 3}
SAMPLE = {"rate": 0.3, "strata": ["origin"], "minimum_per_stratum": 2, "max_rows": 12}


@settings(derandomize=True, max_examples=50)
@given(
    values=st.lists(st.integers(-100, 100), min_size=1, max_size=8),
    rate=st.floats(0.01, 1),
    minimum=st.integers(0, 4),
)
def test_over_all_samples_of_a_stratum_the_weighted_total_is_the_total(
    values: list[int], rate: float, minimum: int
) -> None:
    (draw,) = allocate(Sample(rate=rate, minimum_per_stratum=minimum), {"all": len(values)})
    weight = Fraction(draw.population, draw.size)
    assert float(weight) == pytest.approx(1 / draw.probability)
    totals = [weight * sum(drawn) for drawn in itertools.combinations(values, draw.size)]
    assert sum(totals) / len(totals) == sum(values)


def test_over_many_salts_every_request_is_drawn_as_often_as_its_probability_says_and_totals_are_right(
    worlds: Callable[..., World], empty_production: str
) -> None:
    """Bounds are four and a half standard errors of simple random sampling in each stratum, as Cochran has them."""
    origin = np.repeat(list(STRATA), list(STRATA.values()))
    value = np.random.default_rng(12).exponential(1.0, len(origin))
    world = worlds(own=True, production=empty_production)
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.cursor().executemany(
            "INSERT INTO flights.prediction_log (request_id, predicted_at, origin, distance) VALUES (%s, %s, %s, %s)",
            [(f"r{n}", moment(0.5), str(origin[n]), float(value[n])) for n in range(len(origin))],
        )
    deployment = world.deploy(sample=SAMPLE)
    totals, drawn = [], np.zeros(len(origin))
    with PostgresRequests(deployment, world.connection("production_db"), Sessions()).reading(
        window_of(deployment, day(0))
    ) as log:
        draws = allocate(deployment.sample, log.population())
        weight = {draw.stratum: 1 / draw.probability for draw in draws}
        for salt in range(SALTS):
            log._salt = f"salt {salt}"
            rows = log.sample(draws).read_all().to_pydict()
            weights = np.array([weight[one] for one in rows["stratum"]])
            assert weights.sum() == pytest.approx(len(origin))
            totals.append(float((weights * np.array(rows["distance"])).sum()))
            drawn[[int(one[1:]) for one in rows["request_id"]]] += 1
    assert sum(draw.size for draw in draws) == SAMPLE["max_rows"] < len(origin)
    variance = sum(
        draw.population**2 * (1 - draw.probability) * value[origin == draw.stratum].var(ddof=1) / draw.size
        for draw in draws
    )
    assert abs(np.mean(totals) - value.sum()) < 4.5 * np.sqrt(variance / SALTS)
    assert np.var(totals, ddof=1) == pytest.approx(variance, rel=0.35)
    chance = np.array([1 / weight[str(one)] for one in origin])
    assert (np.abs(drawn / SALTS - chance) <= 4.5 * np.sqrt(chance * (1 - chance) / SALTS)).all()
