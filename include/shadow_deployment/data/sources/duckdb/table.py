"""The files of a window as one table."""

from collections.abc import Mapping, Sequence
from itertools import islice

from duckdb import DuckDBPyConnection

from shadow_deployment.data.sources.engines.table import EngineTable, column_of
from shadow_deployment.data.sources.table import Column
from shadow_deployment.errors import SourceError

VIEW = "files"  # what statements read


class FileTable(EngineTable):
    """The files of one window as one table, whose columns must be of one kind in all of them."""

    def __init__(self, name: str, columns: Mapping[str, Column], files: Mapping[str, Mapping[str, Column]]) -> None:
        super().__init__(name, columns)
        self._files = files

    def require(self, name: str, key: str) -> Column:
        """Return a column; raise SourceError where a file lacks it or has another kind of it."""
        column = super().require(name, key)
        kinds: dict[str, tuple[str, Column]] = {}
        for path, columns in self._files.items():
            if any(other != name and other.lower() == name.lower() for other in columns):
                raise SourceError(f"{key} == {name!r}, must differ from other columns in more than capitals: {path}")
            if name not in columns:
                raise SourceError(f"{key} == {name!r}, must be a column of every file: {path} has {', '.join(columns)}")
            if columns[name].category != "null":
                kinds.setdefault(columns[name].category, (path, columns[name]))
        if len(kinds) > 1:
            (path, first), (other_path, second) = islice(kinds.values(), 2)
            raise SourceError(
                f"{key} == {name!r}, must be of one kind in all files: it is of type {first.type} in {path} and "
                f"of type {second.type} in {other_path}; write one of them again"
            )
        return column


def open_table(session: DuckDBPyConnection, name: str, paths: Sequence[str]) -> FileTable:
    """Let the view VIEW be these Parquet files and return its columns; `name` is what the deployment calls them."""
    session.read_parquet(list(paths), union_by_name=True, hive_partitioning=False).create_view(VIEW)
    files: dict[str, dict[str, Column]] = {}
    rows = session.execute(
        "SELECT file_name, name, duckdb_type, num_children FROM parquet_schema($files)", {"files": list(paths)}
    ).fetchall()
    to_come: list[int] = []  # children, from the root down
    for path, column, type_, children in rows:
        if path not in files:
            files[path], to_come = {}, [children or 0]
            continue
        if len(to_come) == 1:
            files[path][column] = column_of(column, type_ or "nested")
        to_come[-1] -= 1
        if children:
            to_come.append(children)
        while len(to_come) > 1 and not to_come[-1]:
            to_come.pop()
    return FileTable(name, columns_of_view(session), files)


def columns_of_view(session: DuckDBPyConnection) -> dict[str, Column]:
    """Return the columns of the view VIEW."""
    return {column: column_of(column, type_) for column, type_, *_ in session.execute(f"DESCRIBE {VIEW}").fetchall()}
