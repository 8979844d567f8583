"""Migrations of the schema `shadow`, by Alembic: forward, back, and as plain SQL for psql.

Each revision is a pair of SQL files that a person can read and run; Alembic keeps the order and which one is applied.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from include.shadow.connection import Connection
from include.shadow.errors import LedgerError
from include.shadow.ledger.database import connect, translated

SCHEMA = "shadow"
_HERE = Path(__file__).parent
_STATEMENT_END = re.compile(r";[ \t]*\n[ \t]*\n")

Direction = Literal["up", "down"]


def run(name: str) -> None:
    """Execute one SQL file of `versions/` inside the running migration, statement by statement."""
    from alembic import op

    for statement in _STATEMENT_END.split((_HERE / "versions" / name).read_text(encoding="utf-8")):
        op.execute(statement.strip())


def migrate(connection: Connection, direction: Direction = "up") -> tuple[str | None, str | None]:
    """Bring the ledger to the newest revision, or take all of it away; in one transaction.

    Returns the revision before and after, None for an empty database. Raises CredentialsError, TransientError, and
    LedgerError for a revision of a newer package.
    """
    import sqlalchemy

    before = revision(connection)
    with translated(connection):
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=lambda: connect(connection), poolclass=sqlalchemy.NullPool
        )
        with _unwrapped(), engine.begin() as bind:
            bind.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('shadow/migrate', 0))")
            _alembic(direction, bind=bind)
    return before, revision(connection)


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Raise psycopg's own error in place of SQLAlchemy's around it, and a LedgerError in place of Alembic's."""
    import alembic.util
    import sqlalchemy.exc

    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        raise error.orig or error from error
    except alembic.util.CommandError as error:
        raise LedgerError(
            f"the ledger is at a revision that this package does not know: {error}; install a newer package"
        ) from error


def as_sql(direction: Direction = "up") -> str:
    """Return the migration as plain SQL in one transaction, for `psql -d nba_simulator -f`."""
    output = io.StringIO()
    _alembic(direction, output=output)
    return output.getvalue()


def revision(connection: Connection) -> str | None:
    """Return the revision that is applied, None where there is none."""
    with translated(connection), connect(connection) as session:
        row = session.execute("SELECT to_regclass('shadow.alembic_version') IS NOT NULL").fetchone()
        if row is None or not row[0]:
            return None
        applied = session.execute("SELECT version_num FROM shadow.alembic_version").fetchone()
        return str(applied[0]) if applied else None


def head() -> str:
    """Return the newest revision that this package knows."""
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory(str(_HERE)).get_current_head()
    if newest is None:
        raise LedgerError(f"{_HERE} holds no migrations: the package is incomplete")
    return newest


def _alembic(direction: Direction, *, bind: Any = None, output: io.StringIO | None = None) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    script = ScriptDirectory.from_config(config)
    target, start = ("head", "base") if direction == "up" else ("base", "head")
    offline = bind is None

    def steps(applied: Any, _context: Any) -> Any:
        if direction == "up":
            return script._upgrade_revs("head", applied)
        return script._downgrade_revs("base", applied) if applied else []

    with EnvironmentContext(
        config, script, fn=steps, as_sql=offline, starting_rev=start if offline else None, destination_rev=target
    ) as environment:
        environment.configure(
            connection=bind,
            dialect_name="postgresql" if offline else None,
            dialect_opts={"paramstyle": "named"} if offline else None,  # else every % would come out doubled
            output_buffer=output,
            version_table_schema=SCHEMA,
            transactional_ddl=True,
        )
        with environment.begin_transaction():
            if direction == "up":
                environment.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            elif not offline and not environment.get_context().get_current_heads():
                return
            environment.run_migrations()
            if direction == "down":
                environment.execute(f"DROP TABLE IF EXISTS {SCHEMA}.alembic_version")
                environment.execute(f"DROP SCHEMA {SCHEMA}")
