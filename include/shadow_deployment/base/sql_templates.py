"""SQL files, written with psql's own variables so that a person can run them there.

`:"name"` is an identifier, `:'name'` a value, `:name` a piece of SQL that was composed from identifiers. Values are
sent as parameters, or quoted by libpq's rules where a driver takes none; nothing is ever pasted in as text.
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
    """Return the statement with a parameter for each value, to execute with a mapping of values."""
    doubled = {name: sql.SQL(piece.as_string().replace("%", "%%")) for name, piece in (pieces or {}).items()}
    return sql.Composed(_parts(_text(path).replace("%", "%%"), doubled, None))


def load_literal_statement(path: Path, pieces: Mapping[str, sql.Composable], values: Mapping[str, Any]) -> sql.Composed:
    """Return the statement with each value quoted in place, for a driver without parameters."""
    return sql.Composed(_parts(_text(path), pieces, values))


def columns_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the columns of rows by name, as arrays for a statement that unnests them: hundreds of rows at once."""
    turned = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: list(column) for name, column in zip(names, turned, strict=True)}


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
