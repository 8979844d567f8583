"""Documents: small files that others may read at any moment, each replaced atomically by compare and set.

The lock is `flock` itself: the file locks of libraries open their file for writing, which may belong to another user.
"""

import errno
import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.data.storage import replacing
from shadow_deployment.errors import DeploymentError, RegistryError, TransientError

READABLE = 0o644
PATIENCE = 30.0  # seconds to wait for another process that writes
ATTEMPTS = 12
_PERMISSIONS = 0o777


class DocumentChangedError(Exception):
    """A document was written by somebody else since it was read; it is as they left it."""


class Document(Protocol):
    """One document; a tag stands for its content, None for a document that does not exist."""

    def read(self) -> tuple[bytes | None, str | None]:
        """Return content and tag; raise RegistryError or TransientError where it cannot be read."""
        ...

    def replace(self, content: bytes, tag: str | None) -> None:
        """Write it atomically if `tag` still stands for its content; raise DocumentChangedError where it does not.

        Raises RegistryError or TransientError where it cannot be written; it is then unchanged.
        """
        ...


class FileDocument:
    """A document in a file of this machine, or of a volume that others share.

    A writer holds a lock on the file `.NAME.lock` beside it, so that of two that have read the same content one is
    refused. What a program without the lock writes in the microseconds between the last comparison and the renaming is
    lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> tuple[bytes | None, str | None]:
        """Return content and tag; raise RegistryError where it is no regular file, or cannot be read."""
        with self._translated("read"):
            return self._content()

    def replace(self, content: bytes, tag: str | None) -> None:
        """Write it atomically if `tag` still stands for its content; raise DocumentChangedError where it does not.

        A new file can be read by all, an existing one keeps its mode, and its owner and group where that is allowed.
        Raises RegistryError where it cannot be written, TransientError where another holds the lock for too long.
        """
        with self._translated("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._sweep()
                before = self._status()
                with replacing(self.path, suffix=".tmp") as file:
                    file.write(content)
                    _copy_owner_and_mode(file, before)
                    file.flush()
                    os.fsync(file.fileno())
                    if self._content()[1] != tag:
                        raise DocumentChangedError(str(self))
                _sync_folder(self.path.parent)

    def _content(self) -> tuple[bytes | None, str | None]:
        if self._status() is None:
            return None, None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # opening never hangs
        with os.fdopen(os.open(self.path, flags), "rb") as file:
            content = file.read()
        return content, hashlib.sha256(content).hexdigest()

    def _status(self) -> os.stat_result | None:
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode):
            kinds = {stat.S_IFLNK: "a symbolic link: name the file itself", stat.S_IFDIR: "a folder"}
            kind = kinds.get(stat.S_IFMT(status.st_mode), "a device, pipe or socket")
            raise RegistryError(f"{self.path} must be a regular file, or not be there, but is {kind}")
        return status

    def _sweep(self) -> None:
        """Remove what killed processes left half-written: nobody else holds the lock now."""
        leftover = re.compile(rf"\.{re.escape(self.path.name)}\.[a-z0-9_]{{8}}\.tmp")
        for path in self.path.parent.iterdir():
            if leftover.fullmatch(path.name):
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock; the kernel releases that of a process that dies."""
        path = self.path.with_name(f".{self.path.name}.lock")
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | flags, READABLE)
        except PermissionError:  # the file belongs to another user
            descriptor = os.open(path, os.O_RDONLY | flags)
        try:
            deadline = time.monotonic() + PATIENCE
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise TransientError(f"{self}: another process has held {path} for {PATIENCE:g} s")
                time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RegistryError(f"{error.filename or self} cannot be {action}: {error.strerror or error}") from error


def open_file(uri: str, conn_id: str | None = None) -> FileDocument:  # noqa: ARG001 (files need no connection)
    """Return the document at a `file://` URI or a path; a relative one is relative to the project's folder.

    Raises DeploymentError for any other place: `integrations.aws` also opens those on S3.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        raise DeploymentError(
            f"{uri!r} is on S3, but this program opens files alone: give DeploymentContext(cloud=...) the AwsCloud of "
            "shadow_deployment.integrations.cloud, as the command line and Airflow's tasks do"
        )
    if parts.scheme not in ("", "file") or parts.netloc or parts.query or parts.fragment:
        raise DeploymentError(f"{uri!r} must be file:///an/absolute/file or a path, without ? and #")
    return FileDocument(PROJECT / unquote(parts.path))


def revise(document: Document, change: Callable[[bytes | None], bytes]) -> bool:
    """Replace a document by what `change` makes of its content; return whether that made a difference.

    Where somebody else writes in between, `change` is called again with what they wrote: nothing of theirs is lost.
    Whatever `change` itself reads, it reads after the document, so that of two concurrent writers the last has read
    last. Where nothing changes, nothing is written. Raises TransientError where others keep writing.
    """

    def attempt() -> bool:
        content, tag = document.read()
        revised = change(content)
        if revised != content:
            document.replace(revised, tag)
        return revised != content

    retrying = Retrying(
        retry=retry_if_exception_type(DocumentChangedError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.02, max=2.0),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except DocumentChangedError as error:
        raise TransientError(f"{document} was written by others during each of {ATTEMPTS} attempts") from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _copy_owner_and_mode(file: IO[bytes], before: os.stat_result | None) -> None:
    if before is not None:
        for group_alone in (False, True):
            with suppress(PermissionError):
                os.fchown(file.fileno(), -1 if group_alone else before.st_uid, before.st_gid)
                break
    os.fchmod(file.fileno(), READABLE if before is None else stat.S_IMODE(before.st_mode) & _PERMISSIONS)


def _sync_folder(folder: Path) -> None:
    """Make a renaming survive a loss of power, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
