"""Documents in files are complete at every moment, and nobody overwrites what he has not read."""

import os
import signal
import stat
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.data import documents
from shadow_deployment.data.documents import DocumentChangedError, FileDocument, open_file, revise
from shadow_deployment.errors import DeploymentError, RegistryError, TransientError
from tests.faults.moments import dying

OLD, NEW = b'{"old": 1}\n', b'{"new": 2}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "status.json"


def beside(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()} - {path.name, f".{path.name}.lock"}


def refusal(call: Callable[[], object], error: type[Exception] = RegistryError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_a_file_is_made_with_its_folder_and_can_be_read_by_all(path: Path) -> None:
    document = FileDocument(path)
    assert document.read() == (None, None)
    document.replace(NEW, None)
    content, tag = document.read()
    assert (content, path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, NEW, 0o644)
    document.replace(OLD, tag)
    assert path.read_bytes() == OLD
    assert beside(path) == set()


@pytest.mark.parametrize("seen", ["stale", "none", "gone"])
def test_who_has_not_read_the_newest_content_is_refused(path: Path, seen: str) -> None:
    document = FileDocument(path)
    document.replace(OLD, None)
    tag = document.read()[1] if seen != "none" else None
    if seen == "stale":
        path.write_bytes(NEW)
    elif seen == "gone":
        path.unlink()
    with pytest.raises(DocumentChangedError):
        document.replace(b"mine", tag)
    left = {"stale": NEW, "none": OLD, "gone": None}[seen]
    assert (path.read_bytes() if path.exists() else None) == left
    assert beside(path) == set()


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_an_existing_file_keeps_its_mode_and_owner(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.write_bytes(OLD)
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 4321, 8765)
    before = path.stat()
    document = FileDocument(path)
    document.replace(NEW, document.read()[1])
    after = path.stat()
    assert (path.read_bytes(), stat.S_IMODE(after.st_mode)) == (NEW, mode)
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_what_is_no_regular_file_is_neither_read_nor_replaced(path: Path, kind: str) -> None:
    path.parent.mkdir()
    target = path.with_name("target")
    if kind == "link":
        target.write_bytes(OLD)
    {
        "link": lambda: path.symlink_to(target),
        "dangling": lambda: path.symlink_to(target),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    for call in (FileDocument(path).read, lambda: FileDocument(path).replace(NEW, None)):
        message = refusal(call)
        assert f"{path} must be a regular file, or not be there, but is a" in message
    assert (target.read_bytes() if target.exists() else None) == (OLD if kind == "link" else None)
    assert stat.S_IFMT(path.lstat().st_mode) != stat.S_IFREG


def test_leftovers_of_killed_processes_are_swept_and_those_of_neighbours_stay(path: Path) -> None:
    path.parent.mkdir()
    mine, others = f".{path.name}.a1b2c3_d.tmp", {f".{path.name}.old.a1b2c3_d.tmp", f".{path.name}.swp", ".other"}
    for name in (mine, *others):
        path.with_name(name).write_bytes(b"half")
    FileDocument(path).replace(NEW, None)
    assert beside(path) == others


def test_a_failure_leaves_the_file_as_it_was_and_says_why(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = FileDocument(path)
    document.replace(OLD, None)
    tag = document.read()[1]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert f"{path} cannot be written: No space left on device" in refusal(lambda: document.replace(NEW, tag))
    assert (path.read_bytes(), beside(path)) == (OLD, set())
    below = FileDocument(path / "below.json")
    assert "cannot be read: Not a directory" in refusal(below.read)
    assert "cannot be written:" in refusal(lambda: below.replace(NEW, None))


def test_a_program_that_takes_no_lock_is_seen_until_the_renaming(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document, fsync = FileDocument(path), os.fsync
    document.replace(OLD, None)
    tag = document.read()[1]

    def slow(descriptor: int) -> None:
        path.write_bytes(b"theirs")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(DocumentChangedError):
        document.replace(NEW, tag)
    assert (path.read_bytes(), beside(path)) == (b"theirs", set())


def hold(path: Path, ready: Any, done: Any) -> None:
    with FileDocument(path)._locked():
        ready.set()
        done.wait(300)


def count(path: Path, times: int) -> None:
    for _ in range(times):
        revise(FileDocument(path), lambda content: str(int(content or 0) + 1).encode())


def write(path: Path, fault: tuple[str, str, str] | None) -> None:
    if fault is not None:
        dying({"os": os, "Path": Path}[fault[0]], *fault[1:], 1)
    revise(FileDocument(path), lambda content: NEW)


def test_processes_that_write_at_once_lose_nothing(path: Path, processes: ForkServerContext) -> None:
    path.parent.mkdir()
    crowd = [processes.Process(target=count, args=(path, 20)) for _ in range(4)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(300)
    assert [process.exitcode for process in crowd] == [0] * 4
    assert (path.read_bytes(), beside(path)) == (b"80", set())


def test_a_lock_that_is_held_for_too_long_is_worth_another_try(
    path: Path, processes: ForkServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    ready, done = processes.Event(), processes.Event()
    holder = processes.Process(target=hold, args=(path, ready, done))
    holder.start()
    assert ready.wait(120)
    monkeypatch.setattr(documents, "PATIENCE", 0.2)
    message = refusal(lambda: FileDocument(path).replace(NEW, None), TransientError)
    assert f"another process has held {path.parent}/.{path.name}.lock for 0.2 s" in message
    holder.kill()  # the kernel gives the lock back
    holder.join(120)
    FileDocument(path).replace(NEW, None)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize(
    ("where", "name", "when"),
    [("os", "fsync", "before"), ("os", "fsync", "after"), ("Path", "replace", "before"), ("Path", "replace", "after")],
)
def test_killed_anywhere_the_file_is_the_old_or_the_new_one_and_the_next_run_ends_it(
    path: Path, processes: ForkServerContext, where: str, name: str, when: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(OLD)
    endings = []
    for fault in ((where, name, when), None):
        process = processes.Process(target=write, args=(path, fault))
        process.start()
        process.join(300)
        endings.append((process.exitcode, path.read_bytes()))
    assert endings == [(-signal.SIGKILL, NEW if (name, when) == ("replace", "after") else OLD), (0, NEW)]
    assert beside(path) == set()


def test_what_does_not_change_is_not_written(path: Path) -> None:
    document = FileDocument(path)
    assert revise(document, lambda content: NEW) is True
    before = path.stat()
    assert revise(document, lambda content: content or b"") is False
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_who_is_overtaken_revises_the_new_content(path: Path) -> None:
    document = FileDocument(path)
    document.replace(b"0", None)
    contents: list[bytes | None] = []

    def change(content: bytes | None) -> bytes:
        contents.append(content)
        if len(contents) < 3:
            path.write_bytes(b"theirs %d" % len(contents))
        return (content or b"") + b", mine"

    assert revise(document, change) is True
    assert contents == [b"0", b"theirs 1", b"theirs 2"]
    assert path.read_bytes() == b"theirs 2, mine"


def test_who_is_overtaken_all_the_time_gives_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.time, "sleep", lambda seconds: None)
    document, numbers = FileDocument(path), iter(range(1000))

    def change(content: bytes | None) -> bytes:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(next(numbers)).encode())
        return b"mine"

    assert "was written by others during each of 12 attempts" in refusal(
        lambda: revise(document, change), TransientError
    )
    assert path.read_bytes() != b"mine"


def test_a_file_is_named_by_path_or_uri() -> None:
    assert open_file("file:///var/lib/a%20b.json").path == Path("/var/lib/a b.json")
    assert open_file("/var/lib/a.json").path == Path("/var/lib/a.json")
    assert open_file("published/a.json").path == PROJECT / "published" / "a.json"
    for uri in ("file://host/a.json", "http://host/a.json", "a.json#1", "a.json?x"):
        assert repr(uri) in refusal(lambda uri=uri: open_file(uri), DeploymentError)  # type: ignore[misc]
