"""DuckDB over Parquet files: a session of its own, bounded in memory and threads, that goes with its block."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import duckdb

from shadow_deployment.base.redaction import first_line
from shadow_deployment.data.sources.parquet.lake import Found, Lake
from shadow_deployment.errors import SourceError, TransientError

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "threads": 2,
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,  # nothing is fetched from anywhere
    "autoload_known_extensions": False,
}

_NO_FILES_FAULT = (duckdb.ConversionException, duckdb.BinderException, duckdb.OutOfMemoryException)


@contextmanager
def opened(lake: Lake, files: Sequence[Found], what: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session in UTC that can read these files; what does not fit into its memory spills to a folder.

    `what` names the table in errors. Raises SourceError where a file cannot be read, which it names, TransientError
    where one was changed or lost meanwhile, and what the lake says itself.
    """
    with (
        tempfile.TemporaryDirectory(prefix="shadow-duckdb-") as spill,
        closing(duckdb.connect(config={**SETTINGS, "temp_directory": spill})) as session,
    ):
        session.execute("SET TimeZone = 'UTC'")
        try:
            with lake.serving(session, files):
                yield session
        except (duckdb.Error, OSError) as error:  # a stream that breaks off raises OSError
            text = first_line(error)
            if text.startswith("IO Error"):
                raise TransientError(f"{what}: {text}") from error
            named = any(one.path in str(error) for one in files)
            culprit = None if named or isinstance(error, _NO_FILES_FAULT) else _culprit(lake, files)
            raise SourceError(f"{what}: {f'{culprit} cannot be read: ' if culprit else ''}{text}") from error


def _culprit(lake: Lake, files: Sequence[Found]) -> str | None:
    """Return the first file that cannot be read to its end, None where all can."""
    for one in files:
        with closing(duckdb.connect(config=SETTINGS)) as session:
            try:
                with lake.serving(session, [one]):
                    for _ in session.sql("FROM read_parquet($files)", params={"files": [one.path]}).to_arrow_reader():
                        pass
            except (duckdb.Error, OSError):
                return one.path
    return None
