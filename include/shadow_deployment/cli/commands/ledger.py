"""The commands of the ledger: migrate, backup, restore, verify, prune."""

import datetime as dt
import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shadow_deployment.base.numbers import quantity
from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJson, Name
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.data.connections import environment
from shadow_deployment.data.db import connect, translated
from shadow_deployment.ledger import migrations, retention
from shadow_deployment.ledger.audit import chain
from shadow_deployment.ledger.backup import backup as ledger
from shadow_deployment.ledger.backup.backup import Backup
from shadow_deployment.pipeline.history.verify import verify as verify_ledger

ConnId = Annotated[str | None, typer.Option(help="Whose database; by default the one of all deployments.")]
PgBin = Annotated[
    Path | None, typer.Option(help="Folder of pg_dump and pg_restore; by default SHADOW_PG_BIN, PATH, or our own.")
]


class Direction(StrEnum):
    """Which way to migrate."""

    UP = "up"
    DOWN = "down"


def migrate(
    direction: Annotated[
        Direction, typer.Argument(help="up to the newest revision, or down to nothing.")
    ] = Direction.UP,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL, for psql -d nba_simulator -f, and do nothing.")
    ] = False,
    conn_id: Annotated[str | None, typer.Option(help="Whose database; by default that of every deployment.")] = None,
    drop_evidence: Annotated[
        bool, typer.Option("--drop-evidence", help="Drop a ledger that has rows, which --backup FILE holds.")
    ] = False,
    backup: Annotated[
        Path | None, typer.Option("--backup", help="A backup of this ledger as it is now; compared with it before.")
    ] = None,
    writer: Annotated[
        str | None,
        typer.Option(
            help="An existing role that may then add rows; by default that of store.conn_id where another owns."
        ),
    ] = None,
    pg_bin: PgBin = None,
) -> None:
    """Bring the ledger's schema `shadow` to the newest revision, or take it away; with rows only after a backup."""
    _require_both(direction, drop_evidence=drop_evidence, file=backup, sql=sql)
    if sql:
        typer.echo(migrations.as_sql(direction.value, writer=writer), nl=False)
        return
    for target in _conn_ids(conn_id, only_one=backup is not None):
        connection = environment(target)
        kept = ledger.require_kept(connection, backup, pg_bin) if backup else None
        role = writer or (None if conn_id else _writer_of(target))
        before, after = migrations.migrate(connection, direction.value, kept=kept, writer=role)
        change = " already" if before == after else f", was at {before or 'none'}"
        console.show(f"{target}: ledger at revision {after or 'none'}{change}")


def verify(
    name: Name,
    day: Annotated[
        dt.date | None,
        typer.Option(parser=console.parse_day, metavar="YYYY-MM-DD", help="One day only; by default every day."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute again what verdicts rest on, and compare: the chain, snapshots, evidence, verdicts, models.

    Prints the first difference, and then exits with 1.
    """
    context = context_of(name)
    verification = verify_ledger(context, None if day is None else [day])
    with context.ledger() as session:
        head = chain.head(session, context.deployment)
    if as_json:
        found = {"verified": dict(verification.verified), "difference": verification.difference}
        console.print_json(found | {"chain": vars(head) if head else None})
    elif verification.difference is None:
        console.show(f"{name}: as it was written: {verification}\nnewest row of the hash chain: {head or 'none'}")
    else:
        console.show(f"{name}: [bold red]differs[/]: {escape(verification.difference)}")
    if verification.difference is not None:
        raise typer.Exit(1)


def prune(
    before: Annotated[
        dt.date, typer.Option(parser=console.parse_day, metavar="YYYY-MM-DD", help="The first day that is kept whole.")
    ],
    conn_id: ConnId = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove requests, predictions and labels of old days; evidence, validations and verdicts are kept."""
    (target,) = _conn_ids(conn_id, only_one=True)
    console.confirm(f"Remove all requests, predictions and labels before {before} from {target}", yes=yes)
    with translated(environment(target)), connect(environment(target)) as session:
        days = retention.prune(session, before)
    console.show(f"{target}: {quantity(len(days), 'day')} removed" + (f", {days[0]} to {days[-1]}" if days else ""))


def backup(
    to: Annotated[Path, typer.Option("--to", help="A new file.", show_default=False)],
    conn_id: ConnId = None,
    pg_bin: PgBin = None,
    as_json: AsJson = False,
) -> None:
    """Write the ledger to a file, as it is now; days may run meanwhile."""
    (target,) = _conn_ids(conn_id, only_one=True)
    _show(target, ledger.backup(environment(target), to, pg_bin), as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup of a ledger.", show_default=False)],
    conn_id: ConnId = None,
    pg_bin: PgBin = None,
    as_json: AsJson = False,
) -> None:
    """Restore the ledger from a backup into a database that has none; all of it or nothing."""
    (target,) = _conn_ids(conn_id, only_one=True)
    restored = ledger.restore(environment(target), file, pg_bin)
    is_newest = restored.revision == migrations.head()
    if is_newest:
        writer = None if conn_id else _writer_of(target)
        migrations.migrate(environment(target), writer=writer)  # a backup holds no rights
    _show(target, restored, as_json=as_json)
    if not is_newest and not as_json:
        console.show(f"next: shadow migrate --conn-id {escape(target)}, to revision {migrations.head()}")


def _conn_ids(named: str | None, *, only_one: bool) -> list[str]:
    """Return the connection that was named, or those of all deployments' ledgers; raise BadParameter for none."""
    ids = [named] if named else sorted({load_deployment(path).store.owner for path in discovery.deployment_files()})
    if not ids:
        raise typer.BadParameter(
            f"there are no deployments in {discovery.deployments_folder()}: name one", param_hint="--conn-id"
        )
    if only_one and len(ids) > 1:
        raise typer.BadParameter(f"the deployments have {', '.join(ids)}: name one", param_hint="--conn-id")
    return ids


def _writer_of(owner: str) -> str | None:
    """Return the role that runs the days of the deployments whose ledger this connection owns; None for the owner."""
    stores = [load_deployment(path).store for path in discovery.deployment_files()]
    writers = {environment(store.conn_id).login for store in stores if store.owner == owner != store.conn_id}
    if len(writers) > 1:
        raise typer.BadParameter(
            f"the deployments have {', '.join(map(str, sorted(map(str, writers))))}: name one", param_hint="--writer"
        )
    return next(iter(writers), None)


def _require_both(direction: Direction, *, drop_evidence: bool, file: Path | None, sql: bool) -> None:
    """Raise BadParameter unless --drop-evidence and --backup come together, and on the way down."""
    if not drop_evidence and file is None:
        return
    if direction is not Direction.DOWN or sql:
        reason = "SQL cannot read a backup" if sql else "it is for migrate down"
        raise typer.BadParameter(f"{reason}: leave it out", param_hint="--drop-evidence")
    if not drop_evidence or file is None:
        raise typer.BadParameter("give both, or none", param_hint="--drop-evidence --backup FILE")


def _show(conn_id: str, written: Backup, *, as_json: bool) -> None:
    with written.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    summary = {
        "file": str(written.path),
        "conn_id": conn_id,
        "revision": written.revision,
        "bytes": written.path.stat().st_size,
        "sha256": sha256,
        "rows": written.rows,
    }
    if as_json:
        console.print_json(summary)
        return
    filled = ", ".join(f"{name} {count}" for name, count in written.rows.items() if count)
    text = (
        f"{summary['file']}: the ledger of {conn_id} at revision {written.revision}, {summary['bytes']:,} bytes, "
        f"SHA-256 {sha256}\nrows: {filled or 'none'}"
    )
    console.show(escape(text))
