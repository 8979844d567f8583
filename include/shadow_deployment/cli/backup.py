"""The commands backup and restore, and the options of `migrate down` for a ledger with rows."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from shadow_deployment.config import discovery
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.data.connections import Connection, environment
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.backup import backup as ledger
from shadow_deployment.ledger.backup.backup import Backup as Written
from shadow_deployment.ledger.migrations import Kept

ConnId = Annotated[str | None, typer.Option(help="Whose database; by default the one of all deployments.")]
PgBin = Annotated[
    Path | None, typer.Option(help="Folder of pg_dump and pg_restore; by default SHADOW_PG_BIN, PATH, or our own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DropEvidence = Annotated[
    bool, typer.Option("--drop-evidence", help="Drop a ledger that has rows, which --backup FILE holds.")
]
Backup = Annotated[
    Path | None, typer.Option("--backup", help="A backup of this ledger as it is now; compared with it before.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(backup)
    app.command()(restore)


def backup(
    to: Annotated[Path, typer.Option("--to", help="A new file.", show_default=False)],
    conn_id: ConnId = None,
    pg_bin: PgBin = None,
    as_json: AsJson = False,
) -> None:
    """Write the ledger to a file, as it is now; days may run meanwhile."""
    (target,) = conn_ids(conn_id, only_one=True)
    _print(target, ledger.backup(environment(target), to, pg_bin), as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup of a ledger.", show_default=False)],
    conn_id: ConnId = None,
    pg_bin: PgBin = None,
    as_json: AsJson = False,
) -> None:
    """Restore the ledger from a backup into a database that has none; all of it or nothing."""
    (target,) = conn_ids(conn_id, only_one=True)
    restored = ledger.restore(environment(target), file, pg_bin)
    _print(target, restored, as_json=as_json)
    if restored.revision != migrations.head() and not as_json:
        _print_text(f"next: shadow migrate --conn-id {target}, to revision {migrations.head()}")


def conn_ids(named: str | None, *, only_one: bool = False) -> list[str]:
    """Return the connection that was named, or those of all deployments' ledgers; raise BadParameter for none."""
    ids = [named] if named else sorted({load_deployment(path).store.conn_id for path in discovery.deployment_files()})
    if not ids:
        raise typer.BadParameter(
            f"there are no deployments in {discovery.deployments_folder()}: name one", param_hint="--conn-id"
        )
    if only_one and len(ids) > 1:
        raise typer.BadParameter(f"the deployments have {', '.join(ids)}: name one", param_hint="--conn-id")
    return ids


def kept_in(connection: Connection, file: Path | None, pg_bin: Path | None) -> Kept | None:
    """Return the check that a backup holds the ledger, for migrations.migrate; None for no backup."""
    return ledger.require_kept(connection, file, pg_bin) if file else None


def require_both(direction: str, *, drop_evidence: bool, file: Path | None, sql: bool) -> None:
    """Raise BadParameter unless --drop-evidence and --backup come together, and on the way down."""
    if not drop_evidence and file is None:
        return
    if direction != "down" or sql:
        reason = "SQL cannot read a backup" if sql else "it is for migrate down"
        raise typer.BadParameter(f"{reason}: leave it out", param_hint="--drop-evidence")
    if not drop_evidence or file is None:
        raise typer.BadParameter("give both, or none", param_hint="--drop-evidence --backup FILE")


def _print(conn_id: str, written: Written, *, as_json: bool) -> None:
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
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
        return
    filled = ", ".join(f"{name} {count}" for name, count in written.rows.items() if count)
    _print_text(
        f"{summary['file']}: the ledger of {conn_id} at revision {written.revision}, {summary['bytes']:,} bytes, "
        f"SHA-256 {sha256}\nrows: {filled or 'none'}"
    )


def _print_text(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(escape(text))
