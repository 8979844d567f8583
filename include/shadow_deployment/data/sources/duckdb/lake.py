"""Where files lie: lists them, and lets DuckDB read them as they were listed."""

import datetime as dt
import glob
import gzip
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, cast

from shadow_deployment.errors import TransientError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from shadow_deployment.config.partitions import Pattern

MOST_MEMORY: Final = 1_000_000_000  # bytes
THREADS: Final = 2
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": f"{MOST_MEMORY}B",
    "threads": THREADS,
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,  # nothing is fetched from anywhere
    "autoload_known_extensions": False,
}


@dataclass(frozen=True)
class LakeFile:
    """One file; `tag` changes with its content, and `modified` is when it was last written."""

    path: str
    size: int
    tag: str
    modified: dt.datetime


class Lake(Protocol):
    """A place with files."""

    def find(self, pattern: "Pattern", day: dt.date | None = None, after: str = "") -> Iterator[LakeFile]:
        """Yield the files of a day, or of every day, in the order of their names, from those behind `after` on.

        Raises SourceError, CredentialsError or TransientError where the place cannot be listed.
        """
        ...

    def some(self, pattern: "Pattern") -> list[str]:
        """Return a few names that lie where the pattern's first wildcard or day would be, whether they match or not."""
        ...

    def open(self, file: LakeFile) -> AbstractContextManager[BinaryIO]:
        """Open a file to be read from its beginning; raise as `serving` does."""
        ...

    def serving(self, session: "DuckDBPyConnection", files: Sequence[LakeFile]) -> AbstractContextManager[None]:
        """Let DuckDB read these files inside the block.

        Raises TransientError where one was changed since it was listed, SourceError or CredentialsError where one may
        not be read.
        """
        ...


class Folder:
    """Files of this machine, or of a volume that all workers share."""

    def find(self, pattern: "Pattern", day: dt.date | None = None, after: str = "") -> Iterator[LakeFile]:
        """Yield the files of a day, or of every day, in the order of their names."""
        matching = pattern.matching(day)
        for path in sorted(glob.iglob(pattern.wildcards(day), recursive=True)):  # noqa: PTH207 (an absolute one)
            if path > after and matching.fullmatch(path) and Path(path).is_file():
                yield _file(path)

    def some(self, pattern: "Pattern") -> list[str]:
        """Return a few names of the nearest folder that is there."""
        folder = Path(pattern.root()).parent if not pattern.root().endswith("/") else Path(pattern.root())
        while not folder.is_dir():
            folder = folder.parent
        return [str(path) for path in sorted(folder.iterdir())[:3]]

    def open(self, file: LakeFile) -> AbstractContextManager[BinaryIO]:
        """Open a file to be read from its beginning."""
        return Path(file.path).open("rb")

    @contextmanager
    def serving(self, session: "DuckDBPyConnection", files: Sequence[LakeFile]) -> Iterator[None]:  # noqa: ARG002
        """Let DuckDB read these files; raise TransientError where one was changed since it was listed."""
        yield
        for file in files:
            if not Path(file.path).is_file() or _file(file.path) != file:
                raise TransientError(f"{file.path} was changed while it was read; try again")


@contextmanager
def open_lines(lake: Lake, file: LakeFile) -> Iterator[BinaryIO]:
    """Open a file to be read line by line, the content of one that is compressed."""
    with lake.open(file) as stream:
        yield cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if file.path.endswith(".gz") else stream


def _file(path: str) -> LakeFile:
    status = Path(path).stat()
    modified = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC)
    return LakeFile(path, status.st_size, f"{status.st_ino}-{status.st_mtime_ns}", modified)
