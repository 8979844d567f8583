"""Migrations of the schema `shadow`, by Alembic: forward, back, and as plain SQL for psql.

Each revision is a folder of SQL files that psql runs too, a pair for each area; Alembic records which one is applied.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from psycopg import sql

from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, connect, translated
from shadow_deployment.errors import LedgerError

SCHEMA = "shadow"
MORE_LOCKS = (
    "the ledger has more partitions than one transaction can lock; set the server's max_locks_per_transaction to 1024, "
    "restart it, and try again"
)
_HERE = Path(__file__).parent

Direction = Literal["up", "down"]
Kept = Callable[[Session[Any]], None]


def run(name: str) -> None:
    """Execute one SQL file of this folder inside the running migration."""
    from alembic import op

    op.execute(_sql(name))


def _sql(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip().removesuffix(";")


def migrate(
    connection: Connection, direction: Direction = "up", *, kept: Kept | None = None, writer: str | None = None
) -> tuple[str | None, str | None]:
    """Migrate the ledger to the newest revision, or drop it; in one transaction.

    Args:
        connection: The ledger's database.
        direction: "up" to the newest revision, "down" to an empty database.
        kept: Checks that the rows are kept elsewhere, as `backup.require_kept` does. It is called with the session
            once nobody else can write, and raises LedgerError otherwise. Without it a ledger with rows is not dropped.
        writer: An existing role that runs the days: it may then read all, add rows, and change nothing that a verdict
            rests on. None grants nothing.

    Returns:
        The revision before and after, None for an empty database.

    Raises:
        CredentialsError: The server refuses the login, or the role lacks a right.
        TransientError: The connection is lost.
        LedgerError: The revision is of a newer package, or rows would be lost.
    """
    import sqlalchemy

    before = revision(connection)
    with translated(connection):
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=lambda: connect(connection), poolclass=sqlalchemy.NullPool
        )
        with _unwrapped(), engine.begin() as bind:
            bind.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('shadow/migrate', 0))")
            _alembic(direction, bind=bind, kept=kept)
            if writer is not None and direction == "up":
                bind.exec_driver_sql(_grants(writer).replace("%", "%%"))
    return before, revision(connection)


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Raise psycopg's own error in place of SQLAlchemy's around it, and a LedgerError in place of Alembic's."""
    import alembic.util
    import psycopg
    import sqlalchemy.exc

    try:
        yield
    except (sqlalchemy.exc.DBAPIError, psycopg.Error) as error:
        raise _meaning(getattr(error, "orig", None) or error) from error
    except alembic.util.CommandError as error:
        raise LedgerError(
            f"the ledger is at a revision that this package does not know: {error}; install a newer package"
        ) from error


def _meaning(error: Exception) -> Exception:
    """Return a LedgerError with its remedy for what refuse_rows.sql and too many partitions raise."""
    import psycopg

    message = str(error).split("\n", 1)[0]
    if isinstance(error, psycopg.errors.ObjectInUse):
        return LedgerError(
            f"{message}. Make a backup: shadow backup --to FILE. Then name it: "
            "shadow migrate down --drop-evidence --backup FILE"
        )
    return LedgerError(f"{message}: {MORE_LOCKS}") if isinstance(error, psycopg.errors.OutOfMemory) else error


def _grants(writer: str) -> str:
    return _sql("grant_writer.sql").replace("{writer}", sql.Literal(writer).as_string())


def as_sql(direction: Direction = "up", *, writer: str | None = None) -> str:
    """Return the migration as plain SQL in one transaction, for `psql -d nba_simulator -f`; then what a writer needs.

    The migration down fails where the ledger has rows, unless the setting shadow.drop_evidence is yes.
    """
    output = io.StringIO()
    _alembic(direction, output=output)
    granted = f"\n{_grants(writer)};\n" if writer is not None and direction == "up" else ""
    return output.getvalue() + granted


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


def revisions() -> frozenset[str]:
    """Return every revision that this package can bring to the newest one, that one included."""
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory(str(_HERE)).walk_revisions())


def migrate_in(environment: Any) -> None:
    """Migrate in the environment of an Alembic command, which `env.py` has from it."""
    bind, kept, direction = (environment.config.attributes[name] for name in ("bind", "kept", "direction"))
    environment.configure(
        connection=bind,
        dialect_name=None if bind else "postgresql",
        dialect_opts=None if bind else {"paramstyle": "named"},  # else every % would come out doubled
        version_table_schema=SCHEMA,
        transactional_ddl=True,
    )
    with environment.begin_transaction():
        if direction == "up":
            environment.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            environment.run_migrations()
        elif not bind or environment.get_context().get_current_heads():
            _keep_rows(environment, bind, kept)
            environment.run_migrations()
            environment.execute(f"DROP TABLE IF EXISTS {SCHEMA}.alembic_version")
            environment.execute(f"DROP SCHEMA {SCHEMA}")


def _keep_rows(environment: Any, bind: Any, kept: Kept | None) -> None:
    """Raise, inside the migration, where the ledger has rows and `kept` does not vouch for them."""
    environment.execute(_sql("lock_tables.sql"))
    if bind is not None:  # whatever the role or the database is set to
        if kept is not None:
            kept(bind.connection.driver_connection)
        environment.execute(f"SELECT set_config('shadow.drop_evidence', '{'yes' if kept else 'no'}', true)")
    environment.execute(_sql("refuse_rows.sql"))


def _alembic(
    direction: Direction, *, bind: Any = None, output: io.StringIO | None = None, kept: Kept | None = None
) -> None:
    """Run Alembic's command, on a connection or as SQL into `output`."""
    from alembic import command
    from alembic.config import Config

    config = Config(output_buffer=output, attributes={"bind": bind, "kept": kept, "direction": direction})
    config.set_main_option("script_location", str(_HERE))
    if direction == "up":
        command.upgrade(config, "head", sql=bind is None)
    else:
        command.downgrade(config, "base" if bind else "head:base", sql=bind is None)
