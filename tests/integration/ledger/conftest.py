"""A ledger with something of everything in it, a backup of it, and the programs that make one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from shadow_deployment.alerting import outbox
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import TransientError
from shadow_deployment.ledger.backup import backup, pg_tools
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from tests.conftest import KEPT, connection_to, database, declare
from tests.integration.alerting.outbox.sending import CHANNELS, Recorder, one
from tests.integration.promotion.promoting import by
from tests.production import SHADOW, World, day

POLICY = {"minimum_coverage": 0.2, "burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]}
SETTINGS = {
    "policy": {**POLICY, "rules": [*POLICY["rules"], {"metric": "brier_score", "is": "superior", "role": "advisory"}]},  # type: ignore[misc]
    "alerts": {"channels": CHANNELS},
}
RAN = 4


@pytest.fixture(scope="session")
def ran(worlds: Callable[..., World]) -> World:
    """A ledger with everything in it: days, verdicts, an alert that was delivered and one that was not, a promotion."""
    world = worlds()
    KEPT.add(world.ledger)
    shadow = world.shadow(**SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        declare(world, patch)
        assert run_days(shadow, [day(number) for number in range(RAN)], console=Console(quiet=True)) == []
        send = Recorder()
        send.away = {"webhook:hook": TransientError("the hook is away")}
        outbox.send_alert(shadow, one(shadow), send)
        registry.promote(shadow, "other", **by("ada"))
    return world


@pytest.fixture(scope="session")
def kept(ran: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of that ledger."""
    file = tmp_path_factory.mktemp("kept") / "ledger.dump"
    backup.backup(ran.connection("shadow_owner"), file)
    return file


@pytest.fixture
def copied(worlds: Callable[..., World], ran: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of that world, which may be changed."""
    return declare(worlds(ran), monkeypatch)


@pytest.fixture
def empty(copied: World) -> Connection:
    """A database without a ledger."""
    return connection_to(copied.postgres, database(copied.postgres, SHADOW), SHADOW)


@pytest.fixture
def tools(copied: World, tmp_path: Path) -> Path:
    """A folder with the programs of the server's version, where a test may put another pg_dump."""
    folder = tmp_path / "tools"
    folder.mkdir()
    found = pg_tools.find(18).folder
    for name in pg_tools.NAMES:
        script(folder / name, f'exec "{found / name}" "$@"')
    return folder


def script(path: Path, text: str) -> None:
    """Write a program for the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def instead(tools: Path, text: str) -> None:
    """Let another script run for pg_dump, which still says its version; REAL is the real one, $FILE what it writes."""
    real = f'"{pg_tools.find(18).folder / "pg_dump"}" "$@"'
    answer = f'if [ "$1" = --version ]; then exec {real}; fi'
    named = 'for one; do FILE="${one#--file=}"; done'
    script(tools / "pg_dump", f"{answer}\n{named}\n{text.replace('REAL', real)}")
