"""What every test starts from: an Airflow home of its own, one real Postgres, and copies of prepared databases."""

import atexit
import itertools
import logging
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="shadow-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "SHADOW_"))]:
    del os.environ[name]  # what a developer has set must not decide what a test sees
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "PYTHONPATH": os.pathsep.join(
        [str(PROJECT / "include"), str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
}

import psycopg  # noqa: E402 (nothing may be imported before Airflow's variables are set)
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres  # noqa: E402
from shadow_deployment.cli.main import main  # noqa: E402
from shadow_deployment.config.deployment import Challenger, Deployment  # noqa: E402
from shadow_deployment.data.connections import Connection  # noqa: E402
from shadow_deployment.data.db import Session  # noqa: E402
from shadow_deployment.ledger import migrations  # noqa: E402
from shadow_deployment.ledger.registry import promotions  # noqa: E402
from shadow_deployment.promotion import request as promotion_request  # noqa: E402
from tests import production  # noqa: E402
from tests.production import OWNER, READER, SHADOW, WRITER, World  # noqa: E402

settings.register_profile("on a busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on a busy machine")

Invoke = Callable[..., "tuple[int, str, str]"]

_numbers = itertools.count(1)
_made: list[tuple[EmbeddedPostgres, str]] = []
KEPT: set[str] = set()  # databases that more than one module uses


@pytest.fixture(scope="module", autouse=True)
def databases_go_with_their_module() -> Iterator[None]:
    """Drop what a module has made: the databases of all tests together would not fit into memory."""
    before = len(_made)
    yield
    for server, name in _made[before:]:
        if name not in KEPT and server.is_running():
            with psycopg.connect(server.uri("postgres", SUPERUSER), autocommit=True) as session:
                session.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The one server of all tests; its folder is one that it can also enter where root may not make a namespace."""
    folder = Path(tempfile.mkdtemp(prefix="shadow-postgres-", dir=in_memory()))
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "pg") as server:
        with psycopg.connect(server.uri("postgres", SUPERUSER), autocommit=True) as session:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # only a loss of power would miss it
                session.execute(f"ALTER SYSTEM SET {setting} = off")
            session.execute("ALTER SYSTEM SET scram_iterations = 1")  # a day opens some thirty sessions
            session.execute("SELECT pg_reload_conf()")
        for role in (OWNER, READER, SHADOW, WRITER):
            server.ensure_role(role)
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_production(postgres: EmbeddedPostgres) -> str:
    """A template: the tables of production without rows, and a role that reads them."""
    postgres.ensure_database("production_template", OWNER)
    with psycopg.connect(postgres.uri("production_template", OWNER)) as session:
        session.execute(production.TABLES)
    postgres.ensure_reader("production_template", READER, "flights")
    return "production_template"


@pytest.fixture(scope="session")
def filled_production(postgres: EmbeddedPostgres, empty_production: str) -> str:
    """A template: production with the synthetic requests and labels of `production.synthetic()`."""
    database(postgres, OWNER, empty_production, "filled_template")
    with psycopg.connect(postgres.uri("filled_template", OWNER)) as session:
        production.write(session, *production.synthetic())
    return "filled_template"


@pytest.fixture(scope="session")
def migrated_ledger(postgres: EmbeddedPostgres) -> str:
    """A template: the ledger at its newest revision, without rows."""
    postgres.ensure_database("ledger_template", SHADOW)
    migrations.migrate(connection_to(postgres, "ledger_template", SHADOW), writer=WRITER)
    return "ledger_template"


@pytest.fixture(scope="session")
def worlds(
    postgres: EmbeddedPostgres,
    filled_production: str,
    migrated_ledger: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., World]:
    """Make worlds with a ledger and folder of their own, empty ones or copies of those of another world.

    They share one production, which then cannot be changed, unless it is to be their own.
    """

    def make(of: World | None = None, *, own: bool = False, production: str | None = None) -> World:
        folder = tmp_path_factory.mktemp("world")
        if of is not None:
            shutil.copytree(of.folder, folder, dirs_exist_ok=True)
        source = production or (of.production if of else filled_production)
        return World(
            postgres=postgres,
            production=database(postgres, OWNER, source) if own else source,
            owns_production=own,
            ledger=database(postgres, SHADOW, of.ledger if of else migrated_ledger),
            folder=folder,
        )

    return make


@pytest.fixture
def world(worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A production of its own with synthetic flights, and an empty ledger, declared in the environment."""
    return declare(worlds(own=True), monkeypatch)


@pytest.fixture
def reading(worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """The same with the production that all share."""
    return declare(worlds(), monkeypatch)


@pytest.fixture(scope="module")
def processes(request: pytest.FixtureRequest) -> ForkServerContext:
    """Start processes that may be killed, from one without threads that has imported the test's module.

    A fork of the test's own process would share its locks, which its threads may hold, and its channel to pytest.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*getattr(request.module, "HEAVY", ()), request.module.__name__])
    return context


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """Call the command line in this process as in a pipe; return exit code, standard output and standard error."""
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest's own
    root = logging.getLogger()
    before = set(root.handlers)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["shadow", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    yield call
    for handler in set(root.handlers) - before:  # Airflow's own writes to what capsys closes
        root.removeHandler(handler)


def in_memory() -> str | None:
    """Return a folder in memory where there is plenty: databases are many small files, slow to make and to remove."""
    memory = "/dev/shm"
    if not os.access(memory, os.W_OK) or os.statvfs(memory).f_flag & os.ST_NOEXEC:
        return None
    return memory if shutil.disk_usage(memory).free > 4 << 30 else None


@pytest.fixture(scope="module")
def stored_verdicts_stand() -> Iterator[None]:
    """Let promotions believe the outcome of a verdict that a test has stored without evidence for it."""

    def stored(session: Session[Any], deployment: Deployment, challenger: Challenger, _: str) -> str | None:
        newest = promotions.judgement(session, deployment, challenger.name, None)
        return newest.outcome if newest else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion_request, "outcome_now", stored)
        yield


def declare(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Declare a world's connections and deployments in the environment of this test."""
    for name, value in world.variables().items():
        monkeypatch.setenv(name, value)
    return world


def database(postgres: EmbeddedPostgres, owner: str, template: str = "template0", name: str | None = None) -> str:
    """Make a database, empty or from a template that nobody is connected to; return its name."""
    if name is None:
        name = f"test_{next(_numbers)}"
        _made.append((postgres, name))
    with psycopg.connect(postgres.uri("postgres", SUPERUSER), autocommit=True) as session:
        session.execute(f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE "{template}" STRATEGY file_copy')
    return name


def connection_to(postgres: EmbeddedPostgres, database: str, role: str) -> Connection:
    """Return the engine's own description of a connection."""
    found = postgres.conninfo(database, role)
    return Connection("shadow_db", found.host, found.port, found.user, found.password, found.dbname)
