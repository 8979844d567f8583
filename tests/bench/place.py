"""Where a bench works: a server of its own with a production and a ledger, in a folder that goes with it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.ledger import migrations
from tests.bench.apart import Cost, Work

PRODUCTION, LEDGER = "production", "shadow"
DATABASES = {"production_db": PRODUCTION, "shadow_db": LEDGER}


class Place:
    """A folder with a server and its two databases, each owned by a role of its name."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.postgres = EmbeddedPostgres(self.folder / "postgres")

    def prepare(self) -> None:
        """Start the server, make the databases, and migrate the ledger."""
        self.postgres.start()
        for name in DATABASES.values():
            self.postgres.ensure_role(name)
            self.postgres.ensure_database(name, name)
        migrations.migrate(self.connection("shadow_db"))

    def connection(self, conn_id: str) -> Connection:
        """Return the production's or the ledger's connection."""
        name = DATABASES[conn_id]
        found = self.postgres.conninfo(name, name)
        return Connection(conn_id, found.host, found.port, found.user, found.password, found.dbname)

    def uri(self, name: str) -> str:
        """Return where one of the databases is, with its password."""
        return self.postgres.uri(name, name)

    def measure(self, work: Work) -> Cost:
        """Do work in a process of its own; the cost has what the server's processes took beside it."""
        before = self._processor_seconds()
        cost = work.measure()
        return replace(cost, processor=cost.processor + self._processor_seconds() - before)

    def _processor_seconds(self) -> float:
        """Return the seconds of the processor of the server and its sessions, of those that ended too."""
        pid = int((self.postgres.folder / "data" / "postmaster.pid").read_text().split()[0])
        sessions = [one.cpu_times() for one in psutil.Process(pid).children()]
        return sum(psutil.Process(pid).cpu_times()[:4]) + sum(one.user + one.system for one in sessions)

    def shadow(self, deployment: Deployment) -> DeploymentContext:
        """Return a deployment with this place's connections."""
        return DeploymentContext(deployment, self.connection)


@contextmanager
def new_place() -> Iterator[Place]:
    """Make a place, and remove it after the block with all that it holds."""
    with tempfile.TemporaryDirectory(prefix="shadow-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server may run as another user
        place = Place(folder)
        try:
            place.prepare()
            yield place
        finally:
            place.postgres.stop()
