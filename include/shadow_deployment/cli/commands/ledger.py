"""The commands of the ledger: migrate, backup, restore, verify, prune, erase."""

import datetime as dt
import getpass
import hashlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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
from shadow_deployment.data.sources.identity import label_column
from shadow_deployment.errors import NotFoundError
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.audit import chain
from shadow_deployment.ledger.backup import backup as ledger
from shadow_deployment.ledger.backup.backup import Backup
from shadow_deployment.ledger.removal import retention
from shadow_deployment.pipeline.history import erase as erasure
from shadow_deployment.pipeline.history import prune as days
from shadow_deployment.pipeline.history.erase import ErasedDay
from shadow_deployment.pipeline.history.verify import verify as verify_ledger

ConnId = Annotated[str | None, typer.Option(help="Whose database; by default the one of all deployments.")]
PgBin = Annotated[
    Path | None, typer.Option(help="Folder of pg_dump and pg_restore; by default SHADOW_PG_BIN, PATH, or our own.")
]


By = Annotated[str | None, typer.Option(help="Who, for the line that stays; by default the user of this terminal.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_NOT_REACHED = (
    "not reached: production, logs, alerts and reports that were sent or saved elsewhere, backups, older versions of "
    "objects on S3; sums, in which single requests are not told apart, stay"
)


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
        if direction is Direction.UP and conn_id is None:
            _declare_retention(target)
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
        shown: dict[str, Any] = {"verified": dict(verification.verified), "difference": verification.difference}
        shown["removed"] = list(verification.removed)
        console.print_json(shown | {"chain": vars(head) if head else None})
    elif verification.difference is None:
        lines = [f"{name}: as it was written: {verification}", *verification.removed]
        console.show("\n".join([*lines, f"newest row of the hash chain: {head or 'none'}"]))
    else:
        console.show(f"{name}: [bold red]differs[/]: {escape(verification.difference)}")
    if verification.difference is not None:
        raise typer.Exit(1)


def prune(
    name: Name,
    before: Annotated[
        dt.date | None,
        typer.Option(
            parser=console.parse_day, metavar="YYYY-MM-DD", help="The first day to keep; by default by store.keep_days."
        ),
    ] = None,
    by: By = None,
    yes: Yes = False,
) -> None:
    """Remove requests, predictions, labels and snapshots of old days; evidence, verdicts and promotions stay."""
    context, remover = context_of(name), by or getpass.getuser()
    if before is None and context.deployment.store.keep_days is None:
        raise typer.BadParameter(
            f"give --before DAY, or declare store.keep_days in the file of {name}", param_hint="--before"
        )
    which = f"sampled more than {context.deployment.store.keep_days} days ago" if before is None else f"before {before}"
    console.confirm(f"Remove the requests of {name}'s days {which}, with their predictions, labels and files", yes=yes)
    done = days.prune(context, remover) if before is None else days.prune_before(context, before, remover)
    console.show(f"{name}: {done}")


def erase(
    name: Name,
    key: Annotated[str, typer.Option("--key", metavar="VALUE", help="Whose requests: a value of the column.")],
    column: Annotated[
        str | None,
        typer.Option(
            help="A column of the snapshots that names a subject, such as a feature; by default label_key where "
            "labels.key is declared, else request_id."
        ),
    ] = None,
    by: By = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase a subject's requests, with features, predictions and labels; the sums that they are in stay.

    Exits with 1 where there are none.
    """
    context = context_of(name)
    chosen = column or label_column(context.deployment)
    days = erasure.would_erase(context, key, chosen)
    count = sum(each.requests for each in days)
    if days and not dry_run:
        console.confirm(f"Erase {quantity(count, 'request')} of {quantity(len(days), 'day')} of {name}", yes=yes)
    before = None if days else erasure.erased_before(context, key)
    if not dry_run:
        days = erasure.erase(context, key, chosen, by or getpass.getuser())
    _show_erased(name, chosen, days, before, as_json=as_json, dry_run=dry_run)
    if not days and before is None:
        raise typer.Exit(1)


def _show_erased(
    name: str,
    column: str,
    days: Sequence[ErasedDay],
    before: dt.datetime | None,
    *,
    as_json: bool,
    dry_run: bool,
) -> None:
    if as_json:
        rows = [{"day": each.day, "requests": each.requests} for each in days]
        console.print_json({"column": column, "dry_run": dry_run, "days": rows, "erased_before": before})
    elif days:
        verb = "would be erased" if dry_run else "erased"
        for each in days:
            console.show(f"{each.day}: {quantity(each.requests, 'request')} {verb}")
        console.show(_NOT_REACHED)
    elif before is not None:
        console.show(f"{name}: nothing is left to erase: this value was erased on {before:%Y-%m-%d %H:%M} UTC")
    else:
        console.error(NotFoundError(f"{name}: no kept request has this value in {column}"))


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


def _declare_retention(owner: str) -> None:
    """Enter the keep_days of the deployments whose ledger this connection owns."""
    stores = [load_deployment(path) for path in discovery.deployment_files()]
    with translated(environment(owner)), connect(environment(owner)) as session:
        for deployment in stores:
            if deployment.store.owner == owner:
                retention.declare(session, deployment)


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
