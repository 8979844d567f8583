"""The commands backup and restore, and what `migrate down` asks before it takes a ledger with rows away."""

import json
import sys
from functools import partial
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
from shadow_deployment.ledger.backup.archive import Archive
from shadow_deployment.ledger.migrations import Kept

ConnId = Annotated[str | None, typer.Option(help="Whose database; by default the one of all deployments.")]
PgBin = Annotated[
    Path | None, typer.Option(help="Folder of pg_dump and pg_restore; by default SHADOW_PG_BIN, PATH, or our own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DropEvidence = Annotated[
    bool, typer.Option("--drop-evidence", help="Take away a ledger that has rows, as --backup FILE keeps them.")
]
Backup = Annotated[
    Path | None, typer.Option("--backup", help="A backup of this ledger as it is now; read and compared row by row.")
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
    """Write the ledger to a file, as it is at this moment; days may run meanwhile."""
    (one,) = conn_ids(conn_id, only_one=True)
    _print(one, ledger.backup(environment(one), to, pg_bin), as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup of a ledger.", show_default=False)],
    conn_id: ConnId = None,
    pg_bin: PgBin = None,
    as_json: AsJson = False,
) -> None:
    """Make the ledger from a backup, in a database that has none; all of it or nothing."""
    (one,) = conn_ids(conn_id, only_one=True)
    found = ledger.restore(environment(one), file, pg_bin)
    _print(one, found, as_json=as_json)
    if found.revision != migrations.head() and not as_json:
        _say(f"next: shadow migrate --conn-id {escape(one)}, to revision {migrations.head()}")


def conn_ids(named: str | None, *, only_one: bool = False) -> list[str]:
    """Return the connection that was named, or those of all deployments' ledgers; raise BadParameter for none."""
    found = [named] if named else sorted({load_deployment(path).store.conn_id for path in discovery.deployment_files()})
    if not found:
        raise typer.BadParameter(
            f"there are no deployments in {discovery.deployments_folder()}: name one", param_hint="--conn-id"
        )
    if only_one and len(found) > 1:
        raise typer.BadParameter(f"the deployments have {', '.join(found)}: name one", param_hint="--conn-id")
    return found


def kept_in(connection: Connection, file: Path | None, pg_bin: Path | None) -> Kept | None:
    """Return what finds the rows of a ledger in a backup, for migrations.migrate; None for no backup."""
    return partial(ledger.require_kept, kept=ledger.read(connection, file, pg_bin)) if file else None


def require_both(direction: str, *, drop_evidence: bool, file: Path | None, sql: bool) -> None:
    """Raise BadParameter unless --drop-evidence and --backup come together, and on the way down."""
    if not drop_evidence and file is None:
        return
    if direction != "down" or sql:
        way = "as SQL a backup cannot be looked at" if sql else "it is for the way down"
        raise typer.BadParameter(f"{way}: leave it out", param_hint="--drop-evidence")
    if not drop_evidence or file is None:
        raise typer.BadParameter("say both, or none", param_hint="--drop-evidence --backup FILE")


def _print(conn_id: str, found: Archive, *, as_json: bool) -> None:
    plain = {
        "file": str(found.path),
        "conn_id": conn_id,
        "revision": found.revision,
        "bytes": found.size,
        "sha256": found.sha256,
        "rows": found.rows,
    }
    if as_json:
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
        return
    filled = ", ".join(f"{name} {count}" for name, count in found.rows.items() if count)
    _say(
        f"{escape(str(found.path))}: the ledger of {escape(conn_id)} at revision {found.revision}, "
        f"{found.size:,} bytes, SHA-256 {found.sha256}\nrows: {filled or 'none'}"
    )


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(text)
