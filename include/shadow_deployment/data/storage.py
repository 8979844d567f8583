"""Where snapshots lie: a place in which a file is there whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.errors import DeploymentError, SnapshotError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Store(Protocol):
    """A place for files that are written once and read often, named by paths with slashes."""

    def exists(self, name: str) -> bool:
        """Whether a file of this name was written."""
        ...

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a new file; it gets its name, atomically, when the block ends well, and leaves nothing otherwise."""
        ...

    def sweep(self, folder: str) -> None:
        """Remove what a killed process left half-written in a folder that nobody else writes to now."""
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
        """Whether a file of this name was written."""
        return (self.folder / name).is_file()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file; it gets its name, atomically, when the block ends well, and leaves nothing otherwise."""
        path = self.folder / name
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
        temporary = Path(file.name)
        try:
            yield StoreFile(file, path)  # type: ignore[misc]
            with _translated(path):
                file.flush()
                os.fsync(file.fileno())
                file.close()
                temporary.replace(path)
        except BaseException:
            with suppress(OSError):  # it flushes once more what there was no room for
                file.close()
            temporary.unlink(missing_ok=True)
            raise

    def sweep(self, folder: str) -> None:
        """Remove what a killed process left half-written in a folder that nobody else writes to now."""
        for leftover in (self.folder / folder).glob(".*"):
            leftover.unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Return a local path to read a file from; raise SnapshotError where it is missing."""
        path = self.folder / name
        if not path.is_file():
            raise SnapshotError(f"{path} is missing: it was registered, so it was there; restore it from a backup")
        return path


class StoreFile:
    """A file being written, whose own errors are the store's; what fails around it is not."""

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
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        no_room = "make room there, or name another place in store.snapshots"
        remedy = no_room if error.errno in NO_ROOM else "see store.snapshots"
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
