"""SQL files with psql's variables, so that a person can run them in psql.

`:"name"` is an identifier, `:'name'` a value, `:name` SQL composed from identifiers. Values are sent as parameters, or
quoted as libpq quotes them for drivers without parameters; nothing is ever inserted as plain text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from psycopg import sql

_VARIABLE = re.compile(r""":"(?P<identifier>\w+)"|:'(?P<value>\w+)'|(?<![:\w]):(?P<piece>[a-z]\w*)""")


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def load_statement(path: Path, pieces: Mapping[str, sql.Composable] | None = None) -> sql.Composed:
    """Return the statement of a file with a parameter for each value, to execute with a mapping of values.

    Args:
        path: the SQL file.
        pieces: what takes the place of `:"name"` and `:name`.
    """
    doubled = {name: sql.SQL(piece.as_string().replace("%", "%%")) for name, piece in (pieces or {}).items()}
    return sql.Composed(_parts(_text(path).replace("%", "%%"), doubled, None))


def load_literal_statement(path: Path, pieces: Mapping[str, sql.Composable], values: Mapping[str, Any]) -> sql.Composed:
    """Return the statement of a file with each value as a quoted literal, for a driver without parameters."""
    return sql.Composed(_parts(_text(path), pieces, values))


def columns_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the columns of rows by name: arrays for a statement that unnests hundreds of rows at once."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def _parts(text: str, pieces: Mapping[str, sql.Composable], values: Mapping[str, Any] | None) -> list[sql.Composable]:
    parts: list[sql.Composable] = []
    end = 0
    for match in _VARIABLE.finditer(text):
        parts.append(sql.SQL(text[end : match.start()]))
        end = match.end()
        name = match["value"]
        if name is None:
            parts.append(pieces[match["identifier"] or match["piece"]])
        else:
            parts.append(sql.Placeholder(name) if values is None else sql.Literal(values[name]))
    return [*parts, sql.SQL(text[end:])]
