"""What is asked of a table of production before there is a deployment; every question is read only and bounded."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from shadow_deployment.data.sources.table import Column

SAMPLE_ROWS: Final = 2_000
LOOKUP_ROWS: Final = 5_000  # rows that one look-up returns at most
Values = Mapping[str, Sequence[Any]]


class ProductionTable(Protocol):
    """A table, a view or files."""

    name: str

    @property
    def declared(self) -> Mapping[str, str]:
        """The columns as a deployment must declare them; none where the table knows its types."""
        ...

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns that a deployment can use: numbers, booleans, text and times."""
        ...

    def sample(self) -> Values:
        """Return up to SAMPLE_ROWS rows by column, from old and new parts of the table; times are aware."""
        ...

    def matching(self, column: str, texts: Sequence[str]) -> Values:
        """Return the rows whose column has one of these texts; none where the column cannot hold them."""
        ...

    def span(self, time: str) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the first and last value of a column of times, None without rows."""
        ...


def kind_of(column: Column) -> str | None:
    """Return number, boolean, text or time; None for a type that no deployment can use."""
    if column.category == "D":
        return "time" if column.type.startswith(("timestamp", "date")) else None
    if column.type == "uuid":
        return "text"
    return {"N": "number", "B": "boolean", "S": "text", "E": "text"}.get(column.category)
