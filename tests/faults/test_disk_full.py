"""A store without room: nothing half-written stays, the error says what to do, and with room the day ends the same."""

import errno
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.data import storage as stores
from shadow_deployment.errors import SnapshotError
from shadow_deployment.pipeline.run import run_day
from shadow_deployment.report.publishing import publish
from tests.conftest import Invoke, declare
from tests.faults.sameness import SMALL, assert_same, deployed, files
from tests.production import World, day

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def undisturbed(worlds: Callable[..., World]) -> World:
    world = worlds()
    assert run_day(world.shadow(**SMALL), day(0)) == []
    return world


@contextmanager
def limited(bytes_a_file: int) -> Iterator[None]:
    """Let the kernel refuse what goes beyond so many bytes of any file, as it does where a quota is used up.

    Python 3.11 keeps a compiled module that was cut off by such a limit, and whoever imports it later gets EOFError.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, hard))
    try:
        with Patch.context() as patch:
            patch.setattr(sys, "dont_write_bytecode", True)
            patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full(number: int) -> Iterator[None]:
    """Let the file of this number that is opened lie on a device that is full from then on."""
    opened = tempfile.NamedTemporaryFile

    def on_a_full_device(**keywords: Any) -> Any:
        nonlocal number
        file = opened(**keywords)
        number -= 1
        if number < 1:
            device = os.open("/dev/full", os.O_WRONLY)
            os.dup2(device, file.fileno())
            os.close(device)
        return file

    with Patch.context() as patch:
        patch.setattr(stores.tempfile, "NamedTemporaryFile", on_a_full_device)
        yield


@contextmanager
def refusing(where: Any, name: str, code: int) -> Iterator[None]:
    """Let a call of the system fail as it does where a disk has promised room that it does not have."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    with Patch.context() as patch:
        patch.setattr(where, name, refuse)
        yield


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda: limited(1000), "File too large"),
        (lambda: full(1), "No space left on device"),
        (lambda: full(2), "No space left on device"),
        (lambda: full(3), "No space left on device"),
        (lambda: refusing(os, "fsync", errno.ENOSPC), "No space left on device"),
        (lambda: refusing(Path, "replace", errno.EDQUOT), "Disk quota exceeded"),
        (lambda: refusing(Path, "mkdir", errno.ENOSPC), "No space left on device"),
    ],
    ids=["a limit", "first part", "second part", "manifest", "fsync", "name", "folder"],
)
def test_a_store_that_is_full_stops_the_day_and_leaves_nothing_half_written(
    worlds: Callable[..., World],
    undisturbed: World,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], Any],
    said: str,
) -> None:
    world = deployed(declare(worlds(), monkeypatch))
    with fault():
        code, _, err = invoke("run", "late", "--from", day(0))
    assert code == 1
    assert f"cannot be written: {said}; make room there, or name another place in store.snapshots" in err
    assert str(world.snapshots) in err
    assert "Traceback" not in err
    assert [path for path in files(world) if path.name.startswith(".") or path.suffix != ".parquet"] == []
    assert world.query("SELECT FROM shadow.snapshot") == []
    assert run_day(world.shadow(**SMALL), day(0)) == []
    assert_same(world, undisturbed)


def test_a_report_that_finds_no_room_leaves_the_one_before_as_it_was(worlds: Callable[..., World]) -> None:
    world = worlds()
    shadow = world.shadow(**SMALL)
    run_day(shadow, day(0))
    (name,) = publish(shadow, day(0), ["other"])
    before, there = (world.snapshots / name).read_bytes(), files(world)
    with full(1), pytest.raises(SnapshotError, match="make room there"):
        publish(shadow, day(0), ["other"])
    assert (world.snapshots / name).read_bytes() == before
    assert files(world) == there
