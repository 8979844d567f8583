"""The line of a file that is malformed, or holds a value of another type than declared."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import duckdb
import pyarrow as pa
from psycopg import sql

from shadow_deployment.data.sources.duckdb.json_lines import LINES, LineSchema
from shadow_deployment.data.sources.duckdb.lake import SETTINGS
from shadow_deployment.errors import ShadowError, SourceError, TransientError

_HERE: Final = Path(__file__).parent
_BATCH: Final = 2_000  # lines that are looked into at once
_MALFORMED: Final = "must be a JSON object, and begins with "
_MUST_BE: Final = {
    "string": "must be text",
    "integer": "must be a whole number of at most 64 bits",
    "number": "must be a number",
    "boolean": "must be true or false",
    "timestamp": 'must be a time such as "2026-01-31T12:00:00Z"',
    "date": 'must be a day such as "2026-01-31"',
}


def first_fault(schema: LineSchema, key: str, path: str, content: BinaryIO) -> ShadowError | None:
    """Return the error of the first line at fault, None without one.

    Args:
        schema: What is declared.
        key: The section of the deployment that declares it.
        path: The file, for the error.
        content: Its lines.
    """
    numbered = enumerate(content, 1)
    with closing(duckdb.connect(config=SETTINGS)) as session:
        _prepare(session, schema)
        statement = _statement(schema, key)
        while lines := dict(islice(numbered, _BATCH)):
            faults = dict(_noted(lines, schema.keys))
            texts = {
                number: line.decode().strip() for number, line in lines.items() if line.strip() and number not in faults
            }
            session.register("texts", _texts(texts))
            faults.update(session.execute(statement).fetchall())
            if faults:
                number = min(faults)
                return _error(f"{path}, line {number}: {faults[number]}", lines[number], faults[number])
    return None


def _error(text: str, line: bytes, fault: str) -> ShadowError:
    if fault.startswith(_MALFORMED) and not line.endswith(b"\n"):
        return TransientError(f"{text}; the line is cut off: the file may still be being written, try again")
    return SourceError(text)


def _prepare(session: duckdb.DuckDBPyConnection, schema: LineSchema) -> None:
    """Let the view LINES be the lines of `texts`, with the keys that are read; one that is no object has none."""
    session.execute("SET TimeZone = 'UTC'")
    session.execute((_HERE / "json_values.sql").read_text(encoding="utf-8"))
    session.execute("CREATE TEMP TABLE uploads (path text, time timestamptz)")
    session.register("texts", _texts({}))
    of_key = sql.SQL("""CASE WHEN "line kind" = 'OBJECT' THEN json_extract("line text", {}) END AS {}""")
    keys = [of_key.format(sql.Literal(pointer), sql.Identifier(key)) for key, pointer in schema.pointers.items()]
    kind = """CASE WHEN json_valid("line text") THEN json_type("line text") ELSE 'MALFORMED' END AS "line kind\""""
    parsed = f'(SELECT *, {kind}, NULL AS "file path" FROM texts)'  # noqa: S608
    view = sql.SQL("CREATE TEMP VIEW {} AS SELECT *, {} FROM ").format(sql.Identifier(LINES), sql.SQL(", ").join(keys))
    session.execute(view.as_string() + parsed)


def _texts(texts: Mapping[int, str]) -> pa.Table:
    return pa.table({"line number": pa.array(texts, pa.int64()), "line text": pa.array(texts.values(), pa.string())})


def _statement(schema: LineSchema, key: str) -> str:
    """Return the statement that gives the first line at fault and what is wrong with it."""
    misfit = sql.SQL("CASE WHEN {} IS NOT NULL THEN concat({}, {}) WHEN {} THEN concat({}, left({}::text, 40), {}) END")
    misfits = [
        misfit.format(
            each.fault,
            sql.Literal(f"{key}.columns.{each.name}: "),
            each.fault,
            each.is_misfit,
            sql.Literal(f"{key}.columns.{each.name} == "),
            each.json,
            sql.Literal(f", {_MUST_BE[each.type]}"),
        )
        for each in schema.values()
    ]
    malformed = """WHEN "line kind" <> 'OBJECT' THEN concat({}, left("line text", 40))"""
    found = 'SELECT "line number", CASE ' + malformed + " ELSE coalesce({}) END AS found FROM {}"  # noqa: S608
    first = sql.SQL(found).format(sql.Literal(_MALFORMED), sql.SQL(", ").join(misfits), schema.layer())
    return f"SELECT * FROM ({first.as_string()}) WHERE found IS NOT NULL ORDER BY 1 LIMIT 1"  # noqa: S608


def _noted(lines: dict[int, bytes], keys: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are no text, and those that have a key twice that is read."""
    for number, line in lines.items():
        try:
            pairs = json.loads(line.decode(), object_pairs_hook=tuple)
        except UnicodeDecodeError:
            yield number, "must be UTF-8"
        except json.JSONDecodeError as error:
            if "BOM" in error.msg:
                yield number, "must not begin with a byte order mark"
        else:
            names = Counter(name for name, _ in pairs) if isinstance(pairs, tuple) else Counter[str]()
            for name in keys:
                if names[name] > 1:
                    yield number, f"must not have the key {name!r} twice"
