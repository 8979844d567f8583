"""Where a real Airflow of a test lives: files in a folder of the test, metadata on the tests' server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from shadow_demo.home import METADATA, OWNERS, Home
from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from tests.production import World

PARSED_ONCE = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600"}  # deployments are there from the start


@dataclass(frozen=True, kw_only=True)
class HomeOfTests(Home):
    """A home whose deployments and databases are those of a world; `variables` are declared besides."""

    server: EmbeddedPostgres
    world: World
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def postgres(self) -> EmbeddedPostgres:  # type: ignore[override]
        return self.server

    def connections(self) -> dict[str, str]:
        return self.world.variables() | PARSED_ONCE | dict(self.variables)


def home_in(folder: Path, server: EmbeddedPostgres, world: World, variables: Mapping[str, str] | None = None) -> Home:
    """Return a home with metadata that hold nothing yet, whatever another test has left behind."""
    with psycopg.connect(server.uri("postgres", SUPERUSER), autocommit=True) as session:
        session.execute(f'DROP DATABASE IF EXISTS "{METADATA}" WITH (FORCE)')
    server.ensure_role(OWNERS[METADATA])
    server.ensure_database(METADATA, OWNERS[METADATA])
    return HomeOfTests(folder=folder, server=server, world=world, variables=variables or {})
