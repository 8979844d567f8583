"""Six days with late and missing labels, run once; tests read them or continue a copy."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest

from shadow_demo.postgres import EmbeddedPostgres
from tests import production
from tests.conftest import KEPT, database, declare
from tests.integration.pipeline.judging.days import EMPTY, RUN, Produce, run
from tests.production import OWNER, World


@pytest.fixture(scope="session")
def produce(postgres: EmbeddedPostgres, empty_production: str, worlds: Callable[..., World]) -> Produce:
    """Make a world whose production holds these requests and labels, in tables changed by these statements."""

    def make(log: pd.DataFrame, outcome: pd.DataFrame, *statements: str) -> World:
        name = database(postgres, OWNER, empty_production)
        with psycopg.connect(postgres.uri(name, OWNER)) as session:
            for statement in statements:
                session.execute(statement)
            production.write(session, log, outcome)
        return replace(worlds(production=name), owns_production=True)

    return make


@pytest.fixture(scope="session")
def flown() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six days and one more: labels late or never, answers of exactly 0 and 1, features that are easy to recognise."""
    log, outcome = production.synthetic(days=RUN + 1, per_day=60, seed=21)
    log["dep_hour"] = 700_000.0 + np.arange(len(log))
    log["distance"] = 800_000.5 + np.arange(len(log))
    log.loc[log.index % 20 == 4, "origin"] = EMPTY
    log.loc[log.index % 60 == 7, "champion_probability"] = 0.0
    log.loc[log.index % 60 == 8, "champion_probability"] = 1.0
    log.loc[log.index % 60 == 9, "other_probability"] = 1.0
    return log, outcome[~outcome.request_id.isin(log[log.origin == EMPTY].request_id)]


@pytest.fixture(scope="session")
def flying(
    flown: tuple[pd.DataFrame, pd.DataFrame], produce: Produce
) -> tuple[World, list[dict[dt.date, dt.datetime]]]:
    """The six days, run one after the other, and when each day had been compared after each of them."""
    world = produce(*flown)
    KEPT.update({world.ledger, world.production})
    compared = []
    for number in range(RUN):
        run(world, range(number, number + 1))
        rows = world.query(
            "SELECT s.day, max(compared_at) FROM shadow.comparison JOIN shadow.snapshot AS s ON s.id = snapshot_id "
            "GROUP BY s.day"
        )
        compared.append(dict(rows))
    return world, compared


@pytest.fixture
def late(flying: tuple[World, Any], monkeypatch: pytest.MonkeyPatch) -> World:
    """The world of the six days, declared to the command line. Tests only read it."""
    return declare(flying[0], monkeypatch)


@pytest.fixture
def continued(flying: tuple[World, Any], worlds: Callable[..., World]) -> World:
    """A copy of it with a production of its own, which a test may change and continue."""
    return worlds(flying[0], own=True)
