"""DuckDB as a library: a session in memory, bounded in memory and threads, that fetches nothing from anywhere."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

import duckdb

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "threads": 2,
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


@contextmanager
def spilling(memory_limit: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session in UTC; what does not fit into its memory spills to a folder that goes with the block."""
    limit = {} if memory_limit is None else {"memory_limit": memory_limit}
    with (
        tempfile.TemporaryDirectory(prefix="shadow-duckdb-") as spill,
        closing(duckdb.connect(config={**SETTINGS, **limit, "temp_directory": spill})) as session,
    ):
        session.execute("SET TimeZone = 'UTC'")
        yield session
