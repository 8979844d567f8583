"""Embedded servers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_demo.postgres import EmbeddedPostgres
from tests.integration.demo.postgres.asking import execute, ownership


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, tuple[str, int, int]]:
    """The folders around the server's, and whose they were before it was made."""
    folder = tmp_path_factory.mktemp("around")
    folder.chmod(0o705)
    return {path: ownership(path) for path in (folder, *folder.parents)}


@pytest.fixture(scope="module")
def server(parents: dict[Path, object]) -> Iterator[EmbeddedPostgres]:
    """The server that tests share which leave it running."""
    with EmbeddedPostgres(next(iter(parents)) / "it's a folder") as running:
        execute(running, "CREATE TABLE kept AS SELECT 42 AS answer")
        yield running


@pytest.fixture(scope="module")
def second(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedPostgres:
    """A copy, which saves an initdb. Without fsync, which only a loss of power would miss."""
    server.stop()
    folder = shutil.copytree(server.folder, tmp_path_factory.mktemp("second") / "pg")
    server.start()
    (folder / "state.json").write_text(json.dumps(json.loads((folder / "state.json").read_text()) | {"port": None}))
    with (folder / "data/postgresql.conf").open("a") as settings:
        settings.write("fsync = off\n")
    return EmbeddedPostgres(folder)
