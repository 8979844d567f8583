"""Where Parquet files lie: what finds them, and lets DuckDB read them as they were found."""

import glob
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from shadow_deployment.errors import TransientError

if TYPE_CHECKING:
    import datetime as dt

    from duckdb import DuckDBPyConnection

    from shadow_deployment.config.partitions import Pattern


@dataclass(frozen=True)
class Found:
    """One file; `tag` is another one when its content is."""

    path: str
    size: int
    tag: str


class Lake(Protocol):
    """A place with Parquet files."""

    def find(self, pattern: "Pattern", day: "dt.date | None" = None, after: str = "") -> Iterator[Found]:
        """Yield the files of a day, or of every day, in the order of their names; `after` spares those before it.

        Raises SourceError, CredentialsError or TransientError where the place cannot be looked at.
        """
        ...

    def some(self, pattern: "Pattern") -> list[str]:
        """Return a few names that lie where the pattern's first wildcard or day would be, whether they match or not."""
        ...

    def serving(self, session: "DuckDBPyConnection", files: Sequence[Found]) -> AbstractContextManager[None]:
        """Let DuckDB read these files inside the block.

        Raises TransientError where one was changed meanwhile, SourceError or CredentialsError where one is refused.
        """
        ...


class Folder:
    """Files of this machine, or of a volume that all workers share."""

    def find(self, pattern: "Pattern", day: "dt.date | None" = None, after: str = "") -> Iterator[Found]:
        """Yield the files of a day, or of every day, in the order of their names."""
        matching = pattern.matching(day)
        for path in sorted(glob.iglob(pattern.wildcards(day), recursive=True)):  # noqa: PTH207 (an absolute one)
            if path > after and matching.fullmatch(path) and Path(path).is_file():
                yield _found(path)

    def some(self, pattern: "Pattern") -> list[str]:
        """Return a few names of the nearest folder that is there."""
        folder = Path(pattern.root()).parent if not pattern.root().endswith("/") else Path(pattern.root())
        while not folder.is_dir():
            folder = folder.parent
        return [str(path) for path in sorted(folder.iterdir())[:3]]

    @contextmanager
    def serving(self, session: "DuckDBPyConnection", files: Sequence[Found]) -> Iterator[None]:  # noqa: ARG002
        """Let DuckDB read these files; raise TransientError where one is not what it was when it was found."""
        yield
        for one in files:
            if not Path(one.path).is_file() or _found(one.path) != one:
                raise TransientError(f"{one.path} was changed while it was read; try again")


def _found(path: str) -> Found:
    status = Path(path).stat()
    return Found(path, status.st_size, f"{status.st_ino}-{status.st_mtime_ns}")
