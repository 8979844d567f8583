"""Where snapshots lie: a place in which files are complete or do not exist."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.errors import DeploymentError, SnapshotError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Store(Protocol):
    """A place for files that are written once and read often; names are paths with slashes."""

    def exists(self, name: str) -> bool:
        """Return whether a file of this name was written."""
        ...

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a new file; it gets its name when the block ends without an error, and leaves nothing otherwise."""
        ...

    def sweep(self, folder: str) -> None:
        """Remove what a killed process left half-written in a folder that nobody else is writing to."""
        ...

    def remove(self, folder: str) -> None:
        """Remove a folder with all its files, where it is there."""
        ...

    def path(self, name: str) -> Path:
        """Return a local path to read a file from; raise SnapshotError where it is missing."""
        ...


class FolderStore:
    """Snapshots in a folder of this machine, or of a volume that all workers share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return self.folder.as_uri()

    def exists(self, name: str) -> bool:
        """Return whether a file of this name was written."""
        return (self.folder / name).is_file()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file; it gets its name when the block ends without an error, and leaves nothing otherwise."""
        path = self.folder / name
        with ExitStack() as stack:
            with _translated(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(replacing(path))
            yield StoreFile(file, path)  # type: ignore[misc]
            with _translated(path):
                file.flush()
                os.fsync(file.fileno())
                stack.close()

    def sweep(self, folder: str) -> None:
        """Remove what a killed process left half-written in a folder that nobody else is writing to."""
        for leftover in (self.folder / folder).glob(".*"):
            leftover.unlink(missing_ok=True)

    def remove(self, folder: str) -> None:
        """Remove a folder with all its files, where it is there; raise SnapshotError where that fails."""
        path = (self.folder / folder).resolve()
        if self.folder.resolve() not in path.parents:
            raise SnapshotError(f"{folder!r}, must be a folder below {self.folder}")
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SnapshotError(
                f"{path} cannot be removed: {error.strerror or error}; allow whoever runs this to delete there"
            ) from error

    def path(self, name: str) -> Path:
        """Return a local path to read a file from; raise SnapshotError where it is missing."""
        path = self.folder / name
        if not path.is_file():
            raise SnapshotError(f"{path} is missing: it was registered, so it was there; restore it from a backup")
        return path


class StoreFile:
    """A file of a store, whose errors are SnapshotErrors; what fails around it is not."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path

    def write(self, data: bytes) -> int:
        """Write, or raise SnapshotError."""
        with _translated(self._path):
            return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def replacing(path: Path, suffix: str = "") -> Iterator[IO[bytes]]:
    """Open a new file that replaces `path` when the block ends without an error, and leaves nothing otherwise."""
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115 (it is renamed after it was closed)
        dir=path.parent, prefix=f".{path.name}.", suffix=suffix, delete=False
    )
    temporary = Path(file.name)
    try:
        yield file
        file.close()
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # closing flushes again what there was no room for
            file.close()
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_full = error.errno in NO_ROOM
        remedy = "make room there, or name another place in store.snapshots" if is_full else "see store.snapshots"
        raise SnapshotError(f"{path} cannot be written: {error.strerror or error}; {remedy}") from error


def open_store(uri: str) -> FolderStore:
    """Return the store at a `file://` URI or a path; a relative one is relative to the project's folder.

    Raises DeploymentError for any other kind of place: integrations.cloud opens those on S3.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("", "file") and not parts.netloc:
        return FolderStore(PROJECT / unquote(parts.path))
    raise DeploymentError(
        f"{uri!r} must be file:///an/absolute/folder or a path, or on S3, s3://BUCKET/PREFIX, where "
        "this program can open that: give DeploymentContext(cloud=...) the AwsCloud of "
        "shadow_deployment.integrations.cloud"
    )
