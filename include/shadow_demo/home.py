"""Everything of the demo in one folder: a Postgres with three databases, snapshots, Airflow's home, logs."""

import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg

from shadow_demo import flights, train
from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.base.paths import PROJECT
from shadow_deployment.data.connections import environment
from shadow_deployment.ledger import migrations

DEPLOYMENT = "flight_delay"
METADATA, PRODUCTION, LEDGER = "airflow", "production", "shadow"
OWNERS = {METADATA: "airflow", PRODUCTION: "production", LEDGER: "shadow"}
READER, WRITER = "shadow_reader", "shadow_writer"
OWNER_CONNECTION = "AIRFLOW_CONN_SHADOW_OWNER"


@dataclass(frozen=True)
class Home:
    """The demo's folder, `.shadow` beside the README."""

    folder: Path = PROJECT / ".shadow"

    @cached_property
    def postgres(self) -> EmbeddedPostgres:
        """The server that holds Airflow's metadata, production and the ledger."""
        return EmbeddedPostgres(self.folder / "postgres")

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.folder / "airflow"

    def start_databases(self) -> None:
        """Start the server and make sure of its databases and roles; quick where all is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.postgres.start()
        for database, owner in OWNERS.items():
            self.postgres.ensure_role(owner)
            self.postgres.ensure_database(database, owner)
        for role in (READER, WRITER):
            self.postgres.ensure_role(role)
        os.environ |= self.connections() | self.owner_connection()

    def load_production(self) -> int:
        """Train the models and load the year of flights where that was not done; return how many requests there are."""
        train.ensure_models(train.MODELS)
        with psycopg.connect(self.postgres.uri(PRODUCTION, OWNERS[PRODUCTION])) as session:
            requests = flights.load(session, train.MODELS)
        self.postgres.ensure_reader(PRODUCTION, READER, "flights")
        return requests

    def migrate(self) -> None:
        """Bring the ledger to the newest revision."""
        migrations.migrate(environment("shadow_owner"), writer=WRITER)

    def connections(self) -> dict[str, str]:
        """Return the connections as the variables that Airflow and the command line read."""
        return {
            "AIRFLOW_CONN_PRODUCTION_DB": self.postgres.uri(PRODUCTION, READER),
            "AIRFLOW_CONN_SHADOW_DB": self.postgres.uri(LEDGER, WRITER),
        }

    def owner_connection(self) -> dict[str, str]:
        """Return the connection of the ledger's owner, which no task needs."""
        return {OWNER_CONNECTION: self.postgres.uri(LEDGER, OWNERS[LEDGER])}

    def secret(self, name: str) -> str:
        """Return a secret of this folder, made at first and readable by its owner only."""
        path = self.folder / f"{name}.secret"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
                file.write(secrets.token_urlsafe(24))
        return path.read_text(encoding="utf-8")
